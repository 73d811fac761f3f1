//! The CPU's interrupt mask.

use core::arch::asm;

use super::regs::read;

/// PSTATE.I as it is in DAIF.
const DAIF_I: u64 = 1 << 7;

/// Are interrupts masked on this CPU?
#[inline]
pub fn masked() -> bool {
    read!("daif") & DAIF_I != 0
}

/// Masks interrupts.
#[inline]
pub fn mask() {
    // SAFETY: not taking interrupts is always sound. The compiler may not move memory accesses
    // across, so the asm is not `nomem`.
    unsafe { asm!("msr daifset, #2", options(nostack, preserves_flags)) };
}

/// Lets interrupts in, and with them what is reported asynchronously (SError).
#[inline]
pub fn unmask() {
    // SAFETY: callers hold no lock and no per-CPU state (rule 1 of docs/architecture.md); the
    // handler preserves all registers. Memory accesses stay where they are. With the ISB, what is
    // pending is taken here and not some time later.
    unsafe { asm!("msr daifclr, #6", "isb", options(nostack, preserves_flags)) };
}

/// Masks interrupts and SError, as they were before [`unmask`].
#[inline]
pub fn mask_all() {
    // SAFETY: as for `mask`.
    unsafe { asm!("msr daifset, #6", options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt is pending, masked or not. May return early.
#[inline]
pub fn wait() {
    // SAFETY: WFI changes no state. What was written before must be seen by whoever wakes us.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}
