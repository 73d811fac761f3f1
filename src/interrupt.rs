//! Physical interrupts: the hypervisor's own, and those of VMs that fire while none of their vCPUs
//! runs on the CPU that takes them. (While one does, `arm_vcpu` delivers them without coming here.)

use alloc::sync::Arc;

use spin::Mutex;

use crate::arch::{self, Event};
use crate::console;
use crate::task::SCHEDULER;
use crate::vm::Vm;

/// More lines than any machine has: INTIDs 32 to 1019 of a GIC, sources 1 to 1023 of a PLIC.
const LINES: usize = 1024;

/// Which VM each line belongs to. A line's lock is held while its interrupt is recorded, so that
/// nothing of an interrupt is left once [`detach`] has had the lock. It comes before all locks of
/// the lock order, and nobody but the line's own interrupt wants it while the VM runs.
static OWNERS: [Mutex<Option<Arc<Vm>>>; LINES] = [const { Mutex::new(None) }; LINES];

/// From now on the VM gets its lines' interrupts. They are disabled until its guest enables them.
/// `false`: one of them belongs to another VM or does not exist, and the VM gets none.
pub fn attach(vm: &Arc<Vm>) -> bool {
    let all = vm.config().pass_through_spis().iter().all(|&line| {
        let owner = OWNERS.get(line as usize);
        owner
            .filter(|_| arch::line_exists(line))
            .is_some_and(|owner| {
                let mut owner = owner.lock();
                let free = owner.is_none();
                if free {
                    *owner = Some(vm.clone());
                }
                free
            })
    });
    if !all {
        detach(vm);
    }
    all
}

/// The VM gets no interrupts any more. It stops: what fires still is nobody's.
pub fn detach(vm: &Vm) {
    for &line in vm.config().pass_through_spis() {
        let own = |owner: &mut Arc<Vm>| core::ptr::eq(Arc::as_ptr(owner), vm);
        let owner = OWNERS.get(line as usize);
        // Dropped without the lock. The caller has the VM still, so it isn't the last one.
        let _ = owner.and_then(|owner| owner.lock().take_if(own));
    }
}

/// The interrupt vector's way in, while hypervisor code has interrupts open: serves all that is
/// pending, then switches tasks if it is time to.
pub fn taken() {
    loop {
        match arch::acknowledge() {
            Event::None => break,
            event => serve(event),
        }
    }
    if SCHEDULER.need_resched() {
        SCHEDULER.preempt();
    }
}

/// One that a vCPU's exit has acknowledged and not ended. Task switches are the exit loop's.
pub fn acknowledged(vector: u64) {
    serve(arch::classify(vector as u32));
}

fn serve(event: Event) {
    match event {
        Event::None => {}
        Event::Kick => {
            // Another CPU may have stopped the machine.
            axhal::park_if_stopping();
            SCHEDULER.ipi();
        }
        Event::Timer => SCHEDULER.timer_interrupt(),
        Event::Line(line) => {
            if !console::interrupt(line) {
                guest_line(line);
            }
        }
    }
}

/// A line of a VM. Nobody's (its VM has stopped meanwhile) is silenced, so that it can't storm.
fn guest_line(line: u32) {
    let owner = OWNERS.get(line as usize).map(Mutex::lock);
    let recorded = owner
        .as_ref()
        .is_some_and(|owner| owner.as_ref().is_some_and(|vm| vm.line_fired(line)));
    if !recorded {
        // Under the lock, so that it can't be a later owner's line that is silenced.
        arch::silence(line);
    }
}
