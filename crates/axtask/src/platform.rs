//! What the scheduler needs from the machine.

use crate::{Policy, Task};

/// The machine below the scheduler. All functions are called with this CPU's interrupts masked.
///
/// # Safety
///
/// [`cpu`](Self::cpu) must be below [`MAX_CPUS`](crate::MAX_CPUS) and differ between CPUs, and
/// [`context_for`](Self::context_for) and [`switch`](Self::switch) must do what they say: the
/// scheduler relies on it when it hands stacks and tasks from one CPU to another.
pub unsafe trait Platform: Sized + 'static {
    /// The registers of a task that isn't running. A default one is filled by the first switch
    /// away from it.
    type Context: Default + Send;
    /// A task's stack; dropping it frees it. Dropped with interrupts masked, on another stack.
    type Stack: Send;
    /// What else a task carries. Its destructor runs with interrupts masked, possibly on another
    /// task's stack: it should do little.
    type Data: Send + Sync;
    /// How a CPU chooses among the tasks queued on it.
    type Policy: Policy<Task<Self>>;

    /// A new stack, or `None` when there is no memory.
    fn new_stack() -> Option<Self::Stack>;

    /// The registers with which `entry(arg)` starts on `stack`, interrupts masked. `stack` stays in
    /// place and is dropped only after the task has exited.
    fn context_for(
        stack: &Self::Stack,
        entry: extern "C" fn(usize) -> !,
        arg: usize,
    ) -> Self::Context;

    /// Saves the callee-saved registers and the stack pointer in `prev` and loads those of `next`:
    /// returns when something switches back to `prev`.
    ///
    /// # Safety
    ///
    /// Both are valid, `next` holds what `switch` or `context_for` put there, and nobody else uses
    /// either of them until this CPU has left `prev`.
    unsafe fn switch(prev: *mut Self::Context, next: *const Self::Context);

    /// Just before a switch, no lock held: the place to put away state of `prev` that the CPU
    /// still holds (a vCPU's system registers, timers and list registers).
    #[inline]
    fn switching(prev: &Task<Self>, next: &Task<Self>) {
        let _ = (prev, next);
    }

    /// The number of this CPU. A task may be on another one after a switch: assembly that reads it
    /// must not be declared `pure`, or the compiler keeps the old number.
    fn cpu() -> usize;

    /// The time in ticks, the same on all CPUs.
    fn now() -> u64;

    /// Nanoseconds in ticks.
    fn ticks(ns: u64) -> u64;

    /// Has this CPU interrupted at a time in ticks (at once if it has passed), or not at all.
    /// Replaces what was set before.
    fn set_timer(deadline: Option<u64>);

    /// Interrupts another CPU, which then calls [`Scheduler::ipi`](crate::Scheduler::ipi).
    /// Everything written before is visible there then.
    fn kick(cpu: usize);

    /// Waits for an interrupt, one that is pending already included, and takes it: opens
    /// interrupts and masks them again.
    fn idle();
}
