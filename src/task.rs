//! Tasks on this machine: what the scheduler needs of it.

use axhal::paging::{self, Stack};
use axhal::{context, cpu, irq};
use axtask::{CpuMask, Platform, RoundRobin, Scheduler, Task, TaskConfig, TaskName, TaskRef};

use crate::vcpu::VCpuTask;
use crate::{arch, memory};

/// Pages of a task's stack.
const STACK_PAGES: usize = 8;

/// Priorities.
pub mod priority {
    /// vCPUs, and the hypervisor's long work: loading and clearing VMs takes turns with running
    /// them.
    pub const WORK: u8 = 4;
    /// What does little and waits for events: the console.
    pub const SERVICE: u8 = 8;
}

/// All tasks.
pub static SCHEDULER: Scheduler<Machine> = Scheduler::new();

/// A task of this image.
pub type TaskOf = TaskRef<Machine>;

/// The machine below the scheduler.
pub struct Machine;

/// What a task carries: which vCPU it runs, if it runs one.
#[derive(Default)]
pub struct Data(pub Option<VCpuTask>);

/// A stack whose frames go back when it is dropped.
pub struct OwnedStack(Option<Stack>);

impl Drop for OwnedStack {
    fn drop(&mut self) {
        let Some(stack) = self.0.take() else { return };
        // SAFETY: the scheduler drops a stack when its task has exited, on another stack.
        match unsafe { stack.free() } {
            Ok((base, count)) => memory::free_stack(base, count),
            Err(error) => log::error!("freeing a stack: {error}"),
        }
    }
}

// SAFETY: CPU numbers are the places of the CPUs in the machine's list, below `MAX_CPUS` of axhal,
// which is below axtask's; contexts and switches are axhal's.
unsafe impl Platform for Machine {
    type Context = context::Context;
    type Stack = OwnedStack;
    type Data = Data;
    type Policy = RoundRobin<Task<Self>>;

    fn new_stack() -> Option<OwnedStack> {
        paging::alloc_stack(STACK_PAGES)
            .ok()
            .map(|stack| OwnedStack(Some(stack)))
    }

    fn context_for(
        stack: &OwnedStack,
        entry: extern "C" fn(usize) -> !,
        arg: usize,
    ) -> context::Context {
        let top = stack.0.as_ref().map_or(0, |stack| stack.top().as_usize());
        context::Context::new(entry, arg, top)
    }

    unsafe fn switch(prev: *mut context::Context, next: *const context::Context) {
        // SAFETY: the caller's promise.
        unsafe { context::switch(prev, next) }
    }

    #[inline]
    fn switching(prev: &Task<Self>, next: &Task<Self>) {
        if let Data(Some(vcpu)) = prev.data() {
            vcpu.put_away();
        }
        cpu::this().set_current(next.data().0.as_ref().map(VCpuTask::ids));
    }

    fn cpu() -> usize {
        cpu::index()
    }

    fn now() -> u64 {
        arch::timer().now()
    }

    fn ticks(ns: u64) -> u64 {
        arch::timer().scale().to_ticks(ns)
    }

    fn set_timer(deadline: Option<u64>) {
        match deadline {
            Some(deadline) => arch::timer().set_deadline(deadline),
            None => arch::timer().clear_deadline(),
        }
    }

    fn kick(cpu: usize) {
        arch::kick(cpu);
    }

    fn idle() {
        irq::wait_for_interrupt();
    }
}

/// Starts a task of the hypervisor on any CPU.
pub fn spawn(
    name: &str,
    priority: u8,
    start: impl FnOnce() + Send + 'static,
) -> Result<TaskOf, axtask::SpawnError> {
    let config = TaskConfig {
        name: TaskName::new(name),
        priority,
        affinity: CpuMask::ALL,
        data: Data::default(),
    };
    SCHEDULER.spawn(config, move || {
        start();
        0
    })
}
