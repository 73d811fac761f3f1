//! Timers, queued on the CPU that armed them.

use core::fmt;
use core::marker::PhantomPinned;
use core::pin::Pin;
use core::ptr::{NonNull, null_mut};

use crate::cpu::{Cpu, this_id};
use crate::list::{Entry, Link, Linked, List};
use crate::sync::{AtomicUsize, Deadline, Ordering, relax};
use crate::{NEVER, Platform, Scheduler};

/// Not in any CPU's queue.
const IDLE: usize = usize::MAX;

/// The kind of lists that timer queues are.
#[derive(Debug)]
pub(crate) struct Timed;

/// A CPU's timers, the earliest first.
pub(crate) type TimerQueue<P> = List<Timer<P>, Timed>;

/// Calls a function at a time, from the timer interrupt of the CPU that armed it. Cancelled when
/// dropped.
pub struct Timer<P: Platform> {
    scheduler: &'static Scheduler<P>,
    callback: fn(usize),
    arg: usize,
    /// Written under the lock of the queue it is in.
    deadline: Deadline,
    /// The CPU in whose queue it is, or `IDLE`. Changed under the lock of that queue.
    home: AtomicUsize,
    /// The CPU that called back last, or `IDLE`.
    fired_on: AtomicUsize,
    link: Link<Self>,
    /// The queue points to it.
    _pinned: PhantomPinned,
}

// SAFETY: `link` is used under the lock of the queue that `home` names; the rest is atomic or never
// changes.
unsafe impl<P: Platform> Sync for Timer<P> {}
// SAFETY: it isn't bound to a CPU.
unsafe impl<P: Platform> Send for Timer<P> {}

impl<P: Platform> Timer<P> {
    /// A timer that will call `callback(arg)`: interrupts masked, no lock held. It may unpark,
    /// notify and arm timers, and must neither sleep nor take long.
    pub fn new(scheduler: &'static Scheduler<P>, callback: fn(usize), arg: usize) -> Self {
        Self {
            scheduler,
            callback,
            arg,
            deadline: Deadline::never(),
            home: AtomicUsize::new(IDLE),
            fired_on: AtomicUsize::new(IDLE),
            link: Link::new(),
            _pinned: PhantomPinned,
        }
    }

    /// Arms it for `deadline`, in ticks, on this CPU; one that is armed is moved. A deadline that
    /// has passed fires at once, by the next timer interrupt.
    pub fn arm(self: Pin<&Self>, deadline: u64) {
        // SAFETY: it is pinned, and its destructor takes it out of the queue.
        let this = unsafe { Entry::new(NonNull::from(self.get_ref())) };
        let cpu = this.scheduler.this_cpu();
        this.scheduler.insert_timer(cpu, this, deadline);
        this.scheduler.program(cpu);
    }

    /// Disarms it. `true` means it was armed, and will not call back; `false`, that it wasn't; its
    /// callback may be running on another CPU then.
    pub fn cancel(&self) -> bool {
        loop {
            // Acquire: who sees that it left its queue also sees who calls it back.
            let home = self.home.load(Ordering::Acquire);
            if home == IDLE {
                return false;
            }
            let cpu = self.scheduler.cpu(home);
            let mut queue = cpu.timers.lock();
            if self.home.load(Ordering::Relaxed) != home {
                // It fired, or was moved, in the meantime.
                continue;
            }
            // SAFETY: it is in this queue, so it is in place, by `arm`.
            queue.remove(unsafe { Entry::new(NonNull::from(self)) });
            self.home.store(IDLE, Ordering::Release);
            cpu.note_first(&queue);
            drop(queue);
            if home == P::cpu() {
                // Otherwise that CPU takes one interrupt for nothing.
                self.scheduler.program(cpu);
            }
            return true;
        }
    }

    /// Disarms it, and waits for a callback that runs on another CPU. The caller holds no lock which
    /// the callback takes.
    pub fn cancel_sync(&self) {
        loop {
            self.cancel();
            let cpu = self.fired_on.load(Ordering::Relaxed);
            // On this CPU the callback is the caller.
            if cpu == IDLE || cpu == P::cpu() {
                return;
            }
            let firing = &self.scheduler.cpu(cpu).firing;
            if !core::ptr::eq(firing.load(Ordering::Acquire), self) {
                return;
            }
            relax();
        }
    }
}

impl<P: Platform> Drop for Timer<P> {
    fn drop(&mut self) {
        self.cancel_sync();
    }
}

impl<P: Platform> fmt::Debug for Timer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("deadline", &self.deadline)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

// SAFETY: a field of its own.
unsafe impl<P: Platform> Linked<Timed> for Timer<P> {
    #[inline]
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

impl<P: Platform> Cpu<P> {
    /// Keeps the earliest deadline where `program` finds it without the lock.
    fn note_first(&self, queue: &TimerQueue<P>) {
        let first = queue.first().map_or(NEVER, |timer| timer.deadline.get());
        self.first_deadline.set(first);
    }
}

impl<P: Platform> Scheduler<P> {
    /// Puts a timer into this CPU's queue, without telling the hardware.
    pub(crate) fn insert_timer(&self, cpu: &Cpu<P>, timer: Entry<Timer<P>>, deadline: u64) {
        loop {
            timer.cancel();
            let mut queue = cpu.timers.lock();
            let claim =
                timer
                    .home
                    .compare_exchange(IDLE, cpu.id(), Ordering::AcqRel, Ordering::Relaxed);
            if claim.is_err() {
                // Somebody else armed it in the meantime.
                continue;
            }
            timer.deadline.set(deadline);
            let mut next = queue.first();
            while let Some(other) = next
                && other.deadline.get() <= deadline
            {
                next = queue.after(other);
            }
            queue.insert_before(next, timer);
            cpu.note_first(&queue);
            return;
        }
    }

    /// Calls back the timers of this CPU that are due. At most 64: should there be more, or one
    /// that arms itself for the past, the interrupt comes again.
    pub(crate) fn fire_timers(&self, cpu: &Cpu<P>, now: u64) {
        for _ in 0..64 {
            if cpu.first_deadline.get() > now {
                return;
            }
            let mut queue = cpu.timers.lock();
            let due = queue.first().filter(|timer| timer.deadline.get() <= now);
            let Some(timer) = due else {
                return;
            };
            queue.remove(timer);
            cpu.note_first(&queue);
            cpu.firing.store(timer.as_ptr(), Ordering::Relaxed);
            timer.fired_on.store(this_id::<P>(), Ordering::Relaxed);
            // Release: who finds it idle finds `fired_on` and `firing`, too, and waits for the
            // callback before it lets the timer, or what `arg` stands for, go.
            timer.home.store(IDLE, Ordering::Release);
            let (callback, arg) = (timer.callback, timer.arg);
            drop(queue);
            callback(arg);
            // Release: what the callback did is visible to who waited for it. The timer itself may
            // be gone from here on.
            cpu.firing.store(null_mut(), Ordering::Release);
        }
    }
}
