//! One timer for two: the hypervisor, and where guests have none of their own (no Sstc) the vCPU
//! that runs.

use core::sync::atomic::{AtomicU64, Ordering};

use super::Timer;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// The two deadlines on a CPU, in ticks; all ones: none. Nobody but the CPU itself touches them,
/// with interrupts masked.
#[derive(Debug)]
pub struct Deadlines {
    own: AtomicU64,
    guest: AtomicU64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self::new()
    }
}

impl Deadlines {
    /// None.
    pub const fn new() -> Self {
        Self {
            own: AtomicU64::new(NEVER),
            guest: AtomicU64::new(NEVER),
        }
    }

    /// The hypervisor's.
    #[inline]
    pub fn set_own(&self, timer: &Timer, ticks: u64) {
        self.own.store(ticks, Ordering::Relaxed);
        self.arm(timer);
    }

    /// The vCPU's.
    #[inline]
    pub fn set_guest(&self, timer: &Timer, ticks: u64) {
        self.guest.store(ticks, Ordering::Relaxed);
        self.arm(timer);
    }

    /// The timer has fired at `now`: takes back what is due. Whether that is the hypervisor's; a
    /// vCPU looks at its own before it runs again.
    ///
    /// The timer is set anew also if nothing is due. Its interrupt may be the last deadline's still,
    /// as a comparator's output follows "eventually, but not necessarily immediately" (privileged
    /// ISA, "Supervisor Timer Register"); QEMU lets it stay until the next write.
    pub fn fired(&self, timer: &Timer, now: u64) -> bool {
        let take_due = |deadline: &AtomicU64| {
            let due = deadline.load(Ordering::Relaxed) <= now;
            if due {
                deadline.store(NEVER, Ordering::Relaxed);
            }
            due
        };
        take_due(&self.guest);
        let own = take_due(&self.own);
        self.arm(timer);
        own
    }

    #[inline]
    fn arm(&self, timer: &Timer) {
        let own = self.own.load(Ordering::Relaxed);
        timer.set_deadline(own.min(self.guest.load(Ordering::Relaxed)));
    }
}
