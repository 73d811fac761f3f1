//! A task and what is known of it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::ptr::NonNull;

use crate::list::{Entry, Link, Linked};
use crate::policy::{Run, Schedulable};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::timer::Timer;
use crate::wait::{Wait, WaitQueue};
use crate::{CpuMask, OnCpu, ParkState, Platform, Scheduler};

/// A reference that keeps a task's record alive; the task itself lives until it exits.
pub type TaskRef<P> = Arc<Task<P>>;

/// What a task does: returns its exit status.
pub(crate) type Start = Box<dyn FnOnce() -> usize + Send>;

/// Not queued on any CPU.
const NOWHERE: usize = usize::MAX;

/// A name of at most 15 bytes, kept inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskName {
    bytes: [u8; 15],
    len: u8,
}

impl TaskName {
    /// The longest beginning of `name` that fits.
    pub fn new(name: &str) -> Self {
        let mut bytes = [0; 15];
        let len = name.floor_char_boundary(bytes.len());
        for (to, from) in bytes.iter_mut().zip(name.bytes().take(len)) {
            *to = from;
        }
        Self {
            bytes,
            len: len as u8,
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a new task is to be.
#[derive(Clone, Debug)]
pub struct TaskConfig<D> {
    /// Its name, cut to 15 bytes.
    pub name: TaskName,
    /// Below [`PRIORITIES`](crate::PRIORITIES); higher is more urgent.
    pub priority: u8,
    /// Where it may run.
    pub affinity: CpuMask,
    /// What it carries.
    pub data: D,
}

/// Why there is no new task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnError {
    /// None of these CPUs is running.
    NoCpu(CpuMask),
    /// There is no such priority.
    Priority(u8),
    /// There is no memory for a stack.
    NoStack,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCpu(cpus) => write!(f, "none of its CPUs, {:#x}, runs", cpus.bits()),
            Self::Priority(priority) => write!(f, "there is no priority {priority}"),
            Self::NoStack => write!(f, "no memory for a stack"),
        }
    }
}

/// A task. The scheduler holds a reference to it until it has exited.
pub struct Task<P: Platform> {
    pub(crate) scheduler: &'static Scheduler<P>,
    /// Its own address, by a pointer that stands for the whole `Arc`.
    this: *const Self,
    pub(crate) park: ParkState,
    pub(crate) on_cpu: OnCpu,
    /// The CPU it runs or ran on last, or is queued on. Written under that CPU's run-queue lock.
    pub(crate) cpu: AtomicUsize,
    /// The CPU it is queued on, or `NOWHERE`. Written under that CPU's run-queue lock.
    queued_on: AtomicUsize,
    affinity: AtomicU64,
    /// What is left of its time slice, in ticks; 0 for a new one. Used by the CPU it runs on.
    pub(crate) slice_left: AtomicU64,
    pub(crate) context: UnsafeCell<P::Context>,
    pub(crate) timer: Timer<P>,
    run: Link<Self>,
    wait: Link<Self>,
    priority: u8,
    pub(crate) idle: bool,
    name: TaskName,
    data: P::Data,
    pub(crate) status: AtomicUsize,
    /// Its stack is freed.
    gone: AtomicBool,
    joiners: WaitQueue<P>,
    pub(crate) stack: Cell<Option<P::Stack>>,
    pub(crate) start: Cell<Option<Start>>,
}

// SAFETY: `this` never changes. The other parts that aren't `Sync` by themselves are each used by
// one CPU at a time: `run`
// and `wait` under the lock of the queue they are in; `stack` and `start` by whoever created the
// task until it is queued, then by the task itself, and `stack` at last by the CPU that has left
// the task for good; `context` by the CPU that switches from or to the task, one after the other
// as `OnCpu` explains. What is in them, and `P::Data`, may move between CPUs by `Platform`'s
// bounds.
unsafe impl<P: Platform> Sync for Task<P> {}
// SAFETY: as above; a task's record isn't bound to the CPU that made it.
unsafe impl<P: Platform> Send for Task<P> {}

impl<P: Platform> Task<P> {
    pub(crate) fn new(
        scheduler: &'static Scheduler<P>,
        config: TaskConfig<P::Data>,
        start: Option<Start>,
    ) -> TaskRef<P> {
        let idle = start.is_none();
        Arc::new_cyclic(|this| Self {
            scheduler,
            this: this.as_ptr(),
            park: ParkState::new(),
            on_cpu: OnCpu::new(idle),
            cpu: AtomicUsize::new(P::cpu()),
            queued_on: AtomicUsize::new(NOWHERE),
            affinity: AtomicU64::new(config.affinity.bits()),
            slice_left: AtomicU64::new(0),
            context: UnsafeCell::default(),
            timer: Timer::new(scheduler, wake::<P>, this.as_ptr() as usize),
            run: Link::new(),
            wait: Link::new(),
            priority: config.priority,
            idle,
            name: config.name,
            data: config.data,
            status: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
            joiners: WaitQueue::new(),
            stack: Cell::new(None),
            start: Cell::new(start),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// What it carries.
    #[inline]
    pub fn data(&self) -> &P::Data {
        &self.data
    }

    /// The CPU it runs or ran on last: a hint.
    #[inline]
    pub fn cpu(&self) -> usize {
        self.cpu.load(Ordering::Relaxed)
    }

    /// Where it may run.
    #[inline]
    pub fn affinity(&self) -> CpuMask {
        CpuMask::from_bits(self.affinity.load(Ordering::Relaxed))
    }

    /// Whether it has exited and its stack is freed.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Wakes it, or has its next park return at once.
    #[inline]
    pub fn unpark(&self) {
        if self.park.unpark() {
            self.scheduler.place(self.entry());
        }
    }

    /// Waits until it has exited and its stack is freed, and returns its exit status. Called by
    /// another task.
    pub fn join(&self) -> usize {
        self.joiners.wait_until(self.scheduler, || self.is_gone());
        self.status.load(Ordering::Relaxed)
    }

    /// To be queued, or compared with what is. Queues hold it only from its spawn to its exit, when
    /// the scheduler's reference keeps it in place.
    #[inline]
    pub(crate) fn entry(&self) -> Entry<Self> {
        // SAFETY: see above: a task that is current or parked hasn't exited, and one that has is
        // never queued again, as `ParkState` says. It is the address of `self`, so not null.
        unsafe { Entry::new(NonNull::new_unchecked(self.this.cast_mut())) }
    }

    pub(crate) fn set_affinity_bits(&self, mask: CpuMask) {
        self.affinity.store(mask.bits(), Ordering::Relaxed);
    }

    pub(crate) fn is_queued_on(&self, cpu: usize) -> bool {
        self.queued_on.load(Ordering::Relaxed) == cpu
    }

    pub(crate) fn set_queued_on(&self, cpu: Option<usize>) {
        self.queued_on
            .store(cpu.unwrap_or(NOWHERE), Ordering::Relaxed);
    }

    /// On the CPU that has just left it for good: frees its stack and tells who waits for it.
    pub(crate) fn bury(&self) {
        drop(self.stack.take());
        // Release: whoever sees it sees what the task did.
        self.gone.store(true, Ordering::Release);
        self.joiners.notify_all();
    }
}

/// The callback of a task's own timer.
fn wake<P: Platform>(task: usize) {
    // SAFETY: `arg` is the address of the task this timer is a part of. The timer is armed only
    // by `park_until`, which doesn't return before the timer is cancelled and its callback done.
    unsafe { &*(task as *const Task<P>) }.unpark();
}

impl<P: Platform> fmt::Debug for Task<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name)
            .field("priority", &self.priority)
            .field("cpu", &self.cpu())
            .field("park", &self.park)
            .finish_non_exhaustive()
    }
}

// SAFETY: a field of its own.
unsafe impl<P: Platform> Linked<Run> for Task<P> {
    #[inline]
    fn link(&self) -> &Link<Self> {
        &self.run
    }
}

// SAFETY: a field of its own.
unsafe impl<P: Platform> Linked<Wait> for Task<P> {
    #[inline]
    fn link(&self) -> &Link<Self> {
        &self.wait
    }
}

impl<P: Platform> Schedulable for Task<P> {
    #[inline]
    fn priority(&self) -> u8 {
        self.priority
    }
}
