//! The scheduler's core: switching tasks, sleeping, interrupts.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ptr::{NonNull, null_mut};

use crate::cpu::{Cpu, Leave, this_id};
use crate::list::Entry;
use crate::policy::Policy;
use crate::sync::{AtomicU64, Ordering};
use crate::task::{SpawnError, Task, TaskConfig, TaskName, TaskRef};
use crate::{CpuMask, MAX_CPUS, NEVER, PRIORITIES, Platform};

/// All CPUs and their tasks. One static in the hypervisor.
pub struct Scheduler<P: Platform> {
    cpus: [Cpu<P>; MAX_CPUS],
    online: AtomicU64,
}

// SAFETY: the tasks and timers in it are `Sync`, and so are the pointers to them, by `Entry`'s
// contract; lists and `P::Policy` (which is `Send`) are behind locks.
unsafe impl<P: Platform> Sync for Scheduler<P> {}

impl<P: Platform> Default for Scheduler<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> Scheduler<P> {
    /// No CPU runs yet.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            cpus: [const { Cpu::new() }; MAX_CPUS],
            online: AtomicU64::new(0),
        }
    }

    /// No CPU runs yet.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            cpus: core::array::from_fn(|_| Cpu::new()),
            online: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn cpu(&self, id: usize) -> &Cpu<P> {
        &self.cpus[id % MAX_CPUS]
    }

    #[inline]
    pub(crate) fn this_cpu(&self) -> &Cpu<P> {
        self.cpu(this_id::<P>())
    }

    #[inline]
    pub(crate) fn current_entry(&self) -> Option<Entry<Task<P>>> {
        self.this_cpu().current()
    }

    /// The CPUs that run tasks.
    pub fn online(&self) -> CpuMask {
        CpuMask::from_bits(self.online.load(Ordering::Acquire))
    }

    /// Makes what runs on this CPU its idle task, carrying `data`; from now on tasks may be placed
    /// here. Once per CPU; it then does what is left to do and calls [`run_idle`](Self::run_idle).
    pub fn init_cpu(&'static self, data: P::Data) {
        let (cpu, id) = (self.this_cpu(), this_id::<P>());
        if self.online().contains(id) {
            return;
        }
        let config = TaskConfig {
            name: TaskName::new("idle"),
            priority: 0,
            affinity: CpuMask::single(id),
            data,
        };
        let idle = self.adopt(Task::new(self, config, None));
        let mut queue = cpu.queue.lock();
        cpu.id.store(id, Ordering::Relaxed);
        queue.slice = P::ticks(P::Policy::SLICE_NS).max(1);
        queue.idle = Some(idle);
        cpu.current.store(idle.as_ptr(), Ordering::Relaxed);
        drop(queue);
        self.online.fetch_or(1 << id, Ordering::Release);
    }

    /// The idle task's loop: waits for interrupts while there is nothing to run.
    pub fn run_idle(&self) -> ! {
        loop {
            // An interrupt that comes after this look is pending, so `idle` returns at once.
            if self.need_resched() {
                self.schedule(Leave::Yield);
            } else {
                P::idle();
            }
        }
    }

    /// Makes a task that runs `start` and exits with what it returns. It is the one function here
    /// that allocates; if there is no memory left for anything but a stack, the allocator's error
    /// handler is called.
    pub fn spawn(
        &'static self,
        config: TaskConfig<P::Data>,
        start: impl FnOnce() -> usize + Send + 'static,
    ) -> Result<TaskRef<P>, SpawnError> {
        if config.affinity.and(self.online()).is_empty() {
            return Err(SpawnError::NoCpu(config.affinity));
        }
        if config.priority >= PRIORITIES {
            return Err(SpawnError::Priority(config.priority));
        }
        let stack = P::new_stack().ok_or(SpawnError::NoStack)?;
        let task = Task::new(self, config, Some(Box::new(start)));
        let context = P::context_for(&stack, enter::<P>, Arc::as_ptr(&task) as usize);
        // SAFETY: nobody else knows the task yet.
        unsafe { *task.context.get() = context };
        task.stack.set(Some(stack));
        self.place(self.adopt(task.clone()));
        Ok(task)
    }

    /// Keeps the reference which the scheduler has until the task has exited.
    fn adopt(&self, task: TaskRef<P>) -> Entry<Task<P>> {
        let entry = task.entry();
        core::mem::forget(task);
        entry
    }

    /// The task that runs here; `None` before [`init_cpu`](Self::init_cpu).
    pub fn current(&self) -> Option<TaskRef<P>> {
        let task = self.current_entry()?.as_ptr();
        // SAFETY: it is an `Arc`'s content (`Task::entry`), and the scheduler's reference exists
        // while it runs.
        Some(unsafe {
            Arc::increment_strong_count(task);
            Arc::from_raw(task)
        })
    }

    /// Runs `f` with the current task, without counting a reference.
    #[inline]
    pub fn with_current<R>(&self, f: impl FnOnce(&Task<P>) -> R) -> Option<R> {
        self.current_entry().map(|task| f(&task))
    }

    /// Whether another task should run on this CPU: then [`preempt`](Self::preempt) is due. One
    /// load.
    #[inline]
    pub fn need_resched(&self) -> bool {
        self.this_cpu().need_resched.load(Ordering::Relaxed)
    }

    /// Lets all tasks of the same priority go first.
    pub fn yield_now(&self) {
        self.schedule(Leave::Yield);
    }

    /// Switches to another task if one should run; what is left of the current one's time slice
    /// stays its own.
    #[inline]
    pub fn preempt(&self) {
        if self.need_resched() {
            self.schedule(Leave::Preempt);
        }
    }

    /// Puts the current task to sleep until somebody unparks it. If somebody has since the last
    /// time, returns at once. Not for a CPU's idle task.
    pub fn park(&self) {
        self.park_until(NEVER);
    }

    /// The same, at most until `deadline` in ticks.
    pub fn park_until(&self, deadline: u64) {
        let cpu = self.this_cpu();
        let Some(me) = cpu.current().filter(|task| !task.idle) else {
            return;
        };
        if !me.park.park() {
            return;
        }
        if deadline == NEVER {
            self.schedule(Leave::Stop);
            return;
        }
        // SAFETY: the task stays in place until it exits, and doesn't leave here before the timer
        // is out of the queue.
        let timer = unsafe { Entry::new(NonNull::from(&me.timer)) };
        self.insert_timer(cpu, timer, deadline);
        // Programs the hardware, too.
        self.schedule(Leave::Stop);
        me.timer.cancel_sync();
    }

    /// Sleeps until `deadline` in ticks; takes a wake-up token that comes meanwhile.
    pub fn sleep_until(&self, deadline: u64) {
        while P::now() < deadline {
            self.park_until(deadline);
        }
    }

    /// Ends the current task. Not for a CPU's idle task, which goes on being idle.
    pub fn exit(&self, status: usize) -> ! {
        if let Some(me) = self.current_entry().filter(|task| !task.idle) {
            me.status.store(status, Ordering::Relaxed);
            me.park.exit();
            self.schedule(Leave::Stop);
        }
        self.run_idle()
    }

    /// This CPU's timer interrupt. The caller looks at [`need_resched`](Self::need_resched) on its
    /// way back.
    pub fn timer_interrupt(&self) {
        let cpu = self.this_cpu();
        let now = P::now();
        self.fire_timers(cpu, now);
        if cpu.slice_end.get() <= now {
            let queue = cpu.queue.lock();
            if cpu
                .current()
                .is_some_and(|task| queue.policy.contended(&task))
            {
                cpu.need_resched.store(true, Ordering::Relaxed);
            } else {
                cpu.slice_end.set(NEVER);
            }
        }
        // What it was told has come; the interrupt's line stays high until it is told anew.
        let deadline = cpu.deadline();
        cpu.programmed.set(deadline);
        P::set_timer((deadline != NEVER).then_some(deadline));
    }

    /// Another CPU kicked this one. The caller looks at [`need_resched`](Self::need_resched) on its
    /// way back.
    #[inline]
    pub fn ipi(&self) {
        self.program(self.this_cpu());
    }

    /// Tells the hardware the time of this CPU's next timer interrupt, if it changed.
    #[inline]
    pub(crate) fn program(&self, cpu: &Cpu<P>) {
        let deadline = cpu.deadline();
        if cpu.programmed.get() != deadline {
            cpu.programmed.set(deadline);
            P::set_timer((deadline != NEVER).then_some(deadline));
        }
    }

    /// Finds the task that should run here, and switches to it. Returns when the task that called
    /// it runs again, perhaps on another CPU.
    fn schedule(&self, why: Leave) {
        let cpu = self.this_cpu();
        let Some(prev) = cpu.current() else {
            return;
        };
        let mut queue = cpu.queue.lock();
        cpu.need_resched.store(false, Ordering::Relaxed);
        if why == Leave::Stop {
            prev.slice_left.store(0, Ordering::Relaxed);
        } else if !prev.idle {
            let place = cpu.charge(&prev, why);
            cpu.add(&mut queue, prev, place);
        }
        let next = cpu.pick(&mut queue, prev);
        cpu.start_slice(&queue, &next);
        cpu.level.store(next.priority_level(), Ordering::Relaxed);
        if next != prev {
            next.on_cpu.enter();
            next.cpu.store(cpu.id(), Ordering::Relaxed);
            cpu.current.store(next.as_ptr(), Ordering::Relaxed);
        }
        drop(queue);
        self.program(cpu);
        if next == prev {
            self.place_strays(cpu);
            return;
        }
        P::switching(&prev, &next);
        cpu.previous.store(prev.as_ptr(), Ordering::Relaxed);
        // SAFETY: `next` was taken from this CPU's queue, so its registers are saved and visible
        // here, and nobody else runs it (see `OnCpu`). `prev` can't be run elsewhere before
        // `finish_switch` says so, and its record lives until then.
        unsafe { P::switch(prev.context.get(), next.context.get()) };
        self.finish_switch();
    }

    /// First thing on a task's stack after a switch to it: sets free the task that ran before.
    /// Nothing known before the switch holds now, not even which CPU this is.
    fn finish_switch(&self) {
        let cpu = self.this_cpu();
        let Some(prev) = NonNull::new(cpu.previous.load(Ordering::Relaxed)) else {
            return;
        };
        cpu.previous.store(null_mut(), Ordering::Relaxed);
        // SAFETY: the task that this CPU has just left; the scheduler's reference keeps it.
        let task = unsafe { Entry::new(prev) };
        if task.park.has_exited() {
            task.bury();
            // SAFETY: the reference from `adopt`. The task is neither current nor queued nor in a
            // timer queue, and will not be again: it can't be unparked.
            drop(unsafe { Arc::from_raw(prev.as_ptr()) });
        } else {
            task.on_cpu.leave();
        }
        self.place_strays(cpu);
    }

    /// Finds another CPU for tasks that may not run on this one.
    fn place_strays(&self, cpu: &Cpu<P>) {
        if !cpu.has_strays.load(Ordering::Relaxed) {
            return;
        }
        cpu.has_strays.store(false, Ordering::Relaxed);
        loop {
            let stray = cpu.queue.lock().strays.pop_front();
            let Some(task) = stray else {
                return;
            };
            self.place(task);
        }
    }
}

/// Where a new task starts.
extern "C" fn enter<P: Platform>(task: usize) -> ! {
    // SAFETY: `spawn` passed the task's own address, and a task's record outlives it.
    let task = unsafe { &*(task as *const Task<P>) };
    let scheduler = task.scheduler;
    scheduler.finish_switch();
    let status = task.start.take().map_or(0, |start| start());
    scheduler.exit(status)
}
