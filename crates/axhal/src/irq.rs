//! Masking interrupts, and the places where they are open (docs/architecture.md, rule 1).

use crate::arch::irq as arch;

pub use arch::{masked, unmask};

/// Interrupts are masked as long as it lives, then as they were before.
#[derive(Debug)]
#[must_use]
pub struct MaskGuard {
    was_masked: bool,
}

impl MaskGuard {
    /// Masks interrupts.
    #[inline]
    pub fn new() -> Self {
        let was_masked = masked();
        arch::mask();
        Self { was_masked }
    }
}

impl Default for MaskGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MaskGuard {
    #[inline]
    fn drop(&mut self) {
        if !self.was_masked {
            arch::unmask();
        }
    }
}

/// Runs `f` with interrupts open: this task may be preempted and go on on another CPU. Not while
/// a lock is held or a reference to per-CPU data is alive.
#[inline]
pub fn preemptible<R>(f: impl FnOnce() -> R) -> R {
    debug_assert!(masked(), "preemptible in preemptible");
    arch::unmask();
    let result = f();
    arch::mask();
    result
}

/// For the idle task: sleeps until an interrupt is pending, and takes it. What would make this
/// CPU not idle must be looked at before, with interrupts masked; an interrupt that comes after
/// the look ends the sleep at once.
pub fn wait_for_interrupt() {
    debug_assert!(masked(), "waiting with interrupts open");
    arch::wait();
    arch::unmask();
    arch::mask();
}
