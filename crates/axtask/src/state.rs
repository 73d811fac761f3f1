//! The two protocols between a task that goes to sleep and those that wake it.
//! `tests/loom.rs` runs this very code.

use crate::sync::{AtomicBool, AtomicU8, Ordering};

/// Runs, or is queued to run.
const RUNNING: u8 = 0;
/// The same, and the next park returns at once.
const NOTIFIED: u8 = 1;
/// Sleeps, or is about to: whoever changes this queues it.
const PARKED: u8 = 2;
/// Will never run again.
const EXITED: u8 = 3;

/// Whether a task sleeps, with a token for a wake-up that came before.
#[derive(Debug)]
pub struct ParkState(AtomicU8);

impl Default for ParkState {
    fn default() -> Self {
        Self::new()
    }
}

impl ParkState {
    const_fn! {
        /// Running, no token.
        pub fn new() -> Self {
            Self(AtomicU8::new(RUNNING))
        }
    }

    /// Own task: is about to sleep. `false` means there was a token; it is taken, and the task must
    /// go on.
    #[inline]
    pub fn park(&self) -> bool {
        // Release: what the task did is visible to its waker. Acquire: the other way round.
        let change = self
            .0
            .compare_exchange(RUNNING, PARKED, Ordering::AcqRel, Ordering::Relaxed);
        if change.is_ok() {
            return true;
        }
        // A swap and not a store, to see what the last of several wakers wrote.
        self.0.swap(RUNNING, Ordering::Acquire);
        false
    }

    /// Anybody: `true` means the caller woke it and must queue it. Otherwise a token is left, or
    /// was there, or the task has exited.
    #[inline]
    pub fn unpark(&self) -> bool {
        let mut state = PARKED;
        loop {
            let next = match state {
                PARKED => RUNNING,
                EXITED => return false,
                // Written even if it is there already: the release is this waker's own.
                _ => NOTIFIED,
            };
            match self
                .0
                .compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(PARKED) => return true,
                Ok(_) => return false,
                Err(now) => state = now,
            }
        }
    }

    /// Own task: will never run again.
    pub fn exit(&self) {
        self.0.store(EXITED, Ordering::Release);
    }

    /// Whether it said so.
    #[inline]
    pub fn has_exited(&self) -> bool {
        self.0.load(Ordering::Acquire) == EXITED
    }
}

/// Whether a CPU still has, or already has, a task's registers.
///
/// A CPU sets it before it switches to the task and clears it after it has saved the task's
/// registers and left its stack. A waker on another CPU looks at it after it won
/// [`ParkState::unpark`]; that made the set visible, since the task was on its CPU when it parked.
/// If it is clear, the acquire makes the saved registers visible, and the lock of the run queue
/// hands that on to whichever CPU picks the task. If it is set, the task is queued on the CPU it
/// is about to leave, and only there: that CPU picks tasks in program order with its own switches.
/// No CPU ever waits for another to finish a switch.
#[derive(Debug)]
pub struct OnCpu(AtomicBool);

impl Default for OnCpu {
    fn default() -> Self {
        Self::new(false)
    }
}

impl OnCpu {
    const_fn! {
        /// As given.
        pub fn new(on: bool) -> Self {
            Self(AtomicBool::new(on))
        }
    }

    /// This CPU is about to switch to it.
    #[inline]
    pub fn enter(&self) {
        // Relaxed: it becomes visible with the task's next park, or with the run queue's lock.
        self.0.store(true, Ordering::Relaxed);
    }

    /// This CPU has saved it and runs another.
    #[inline]
    pub fn leave(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether it has to stay where it is.
    #[inline]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
