//! One CPU: its run queue, its current task, and the time that task has.

use core::ptr::{NonNull, null_mut};

use crate::list::{Entry, List};
use crate::policy::{Place, Policy, Run};
use crate::sync::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Deadline, Ordering, SpinLock,
};
use crate::task::Task;
use crate::timer::{Timer, TimerQueue};
use crate::{MAX_CPUS, NEVER, Platform};

/// Why a CPU looks for another task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The task lets others go first.
    Yield,
    /// The task is interrupted.
    Preempt,
    /// The task sleeps or has exited.
    Stop,
}

/// What a CPU's run-queue lock protects.
pub(crate) struct RunQueue<P: Platform> {
    pub(crate) policy: P::Policy,
    /// Tasks that may not run here any more, to be placed elsewhere after the switch.
    pub(crate) strays: List<Task<P>, Run>,
    /// What runs when nothing else does. It is never queued.
    pub(crate) idle: Option<Entry<Task<P>>>,
    /// A full time slice, in ticks.
    pub(crate) slice: u64,
}

/// A CPU. On its own cache lines.
#[repr(align(128))]
pub(crate) struct Cpu<P: Platform> {
    /// Another task should run: set under the run-queue lock.
    pub(crate) need_resched: AtomicBool,
    pub(crate) has_strays: AtomicBool,
    /// 0 if it is idle, else one more than the priority of the task that runs or is about to: a
    /// hint. Written under the run-queue lock.
    pub(crate) level: AtomicU8,
    /// Number of tasks queued: a hint. Written under the run-queue lock.
    pub(crate) queued: AtomicU32,
    /// Changed by this CPU under the run-queue lock.
    pub(crate) current: AtomicPtr<Task<P>>,
    /// The task this CPU has just switched away from: used by this CPU only.
    pub(crate) previous: AtomicPtr<Task<P>>,
    /// When the current task's slice ends. Written under the run-queue lock.
    pub(crate) slice_end: Deadline,
    /// The earliest timer. Written under the timer lock.
    pub(crate) first_deadline: Deadline,
    /// What the hardware was told: used by this CPU only.
    pub(crate) programmed: Deadline,
    /// The timer whose callback runs.
    pub(crate) firing: AtomicPtr<Timer<P>>,
    pub(crate) queue: SpinLock<RunQueue<P>>,
    pub(crate) timers: SpinLock<TimerQueue<P>>,
    /// Its number, once tasks may be placed here: 0 until `init_cpu`.
    pub(crate) id: AtomicUsize,
}

/// The number of this CPU, in range.
#[inline]
pub(crate) fn this_id<P: Platform>() -> usize {
    // In range by `Platform`'s contract; the compiler sees it, too, and checks no index.
    P::cpu() % MAX_CPUS
}

impl<P: Platform> Cpu<P> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                need_resched: AtomicBool::new(false),
                has_strays: AtomicBool::new(false),
                level: AtomicU8::new(0),
                queued: AtomicU32::new(0),
                current: AtomicPtr::new(null_mut()),
                previous: AtomicPtr::new(null_mut()),
                slice_end: Deadline::never(),
                first_deadline: Deadline::never(),
                programmed: Deadline::never(),
                firing: AtomicPtr::new(null_mut()),
                queue: SpinLock::new(RunQueue {
                    policy: P::Policy::EMPTY,
                    strays: List::new(),
                    idle: None,
                    slice: 0,
                }),
                timers: SpinLock::new(List::new()),
                id: AtomicUsize::new(0),
            }
        }
    }

    #[inline]
    pub(crate) fn id(&self) -> usize {
        self.id.load(Ordering::Relaxed)
    }

    /// The task that runs here. Stays valid on this CPU while it is current, on others while they
    /// hold this CPU's run-queue lock.
    #[inline]
    pub(crate) fn current(&self) -> Option<Entry<Task<P>>> {
        let task = NonNull::new(self.current.load(Ordering::Relaxed))?;
        // SAFETY: the scheduler's reference to a task is dropped only after its CPU has made
        // another one current.
        Some(unsafe { Entry::new(task) })
    }

    /// The time of the next timer interrupt. A slice that is over doesn't count: the switch is due.
    pub(crate) fn deadline(&self) -> u64 {
        let first = self.first_deadline.get();
        if self.need_resched.load(Ordering::Relaxed) {
            return first;
        }
        first.min(self.slice_end.get())
    }

    /// Notes what is left of a task's slice, and says where it goes in the queue.
    pub(crate) fn charge(&self, task: &Task<P>, why: Leave) -> Place {
        let end = self.slice_end.get();
        let left = match why {
            Leave::Preempt if end == NEVER => NEVER,
            Leave::Preempt => end.saturating_sub(P::now()),
            _ => 0,
        };
        // Without contention nothing was used up.
        task.slice_left
            .store(if left == NEVER { 0 } else { left }, Ordering::Relaxed);
        if left == 0 { Place::Back } else { Place::Front }
    }

    /// Adds a task to this CPU's queue, or to its strays if it may not run here: `false` then.
    pub(crate) fn add(&self, queue: &mut RunQueue<P>, task: Entry<Task<P>>, place: Place) -> bool {
        if !task.affinity().contains(self.id()) {
            self.add_stray(queue, task);
            return false;
        }
        queue.policy.enqueue(task, place);
        task.set_queued_on(Some(self.id()));
        self.count(1);
        true
    }

    /// Counts what is queued, modulo 2^32. Not a read-modify-write: all writers hold the lock.
    #[inline]
    fn count(&self, more: u32) {
        let queued = self.queued.load(Ordering::Relaxed);
        self.queued
            .store(queued.wrapping_add(more), Ordering::Relaxed);
    }

    /// Asks for a switch, under the lock: `false` if that was done already, so that the CPU will
    /// look anyway.
    #[inline]
    pub(crate) fn ask(&self) -> bool {
        let asked = self.need_resched.load(Ordering::Relaxed);
        self.need_resched.store(true, Ordering::Relaxed);
        !asked
    }

    /// Takes a task out of this CPU's queue.
    pub(crate) fn remove(&self, queue: &mut RunQueue<P>, task: Entry<Task<P>>) {
        queue.policy.remove(task);
        task.set_queued_on(None);
        self.count(u32::MAX);
    }

    /// Leaves a task which may not run here, but whose registers this CPU may not have saved yet,
    /// to be placed elsewhere after the next switch.
    pub(crate) fn add_stray(&self, queue: &mut RunQueue<P>, task: Entry<Task<P>>) {
        queue.strays.push_back(task);
        self.has_strays.store(true, Ordering::Relaxed);
    }

    /// Takes the next task that may run here, else the idle task.
    pub(crate) fn pick(&self, queue: &mut RunQueue<P>, prev: Entry<Task<P>>) -> Entry<Task<P>> {
        while let Some(task) = queue.policy.pick_next() {
            task.set_queued_on(None);
            self.count(u32::MAX);
            if task.affinity().contains(self.id()) {
                return task;
            }
            self.add_stray(queue, task);
        }
        queue.idle.unwrap_or(prev)
    }

    /// Starts the slice of the task about to run, if another waits for its end.
    pub(crate) fn start_slice(&self, queue: &RunQueue<P>, next: &Task<P>) {
        let end = if next.idle || !queue.policy.contended(next) {
            NEVER
        } else {
            let left = next.slice_left.load(Ordering::Relaxed);
            let ticks = if left == 0 { queue.slice } else { left };
            P::now().saturating_add(ticks)
        };
        self.slice_end.set(end);
    }
}
