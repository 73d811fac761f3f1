//! The hart's interrupt mask: `sstatus.SIE` (privileged ISA, 12.1.1.1).

use core::arch::asm;

use super::regs::{SSTATUS_SIE, read};

/// Are interrupts masked on this hart?
#[inline]
pub fn masked() -> bool {
    read!("sstatus") & SSTATUS_SIE == 0
}

/// Masks interrupts.
#[inline]
pub fn mask() {
    // SAFETY: not taking interrupts is always sound. The compiler may not move memory accesses
    // across, so the asm is not `nomem`.
    unsafe { asm!("csrci sstatus, 2", options(nostack, preserves_flags)) };
}

/// Lets interrupts in.
#[inline]
pub fn unmask() {
    // SAFETY: callers hold no lock and no per-CPU state (rule 1 of docs/architecture.md); the
    // handler preserves all registers. Memory accesses stay where they are. What is pending is
    // taken right behind the write (privileged ISA, 3.1.9).
    unsafe { asm!("csrsi sstatus, 2", options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt is pending that `sie` lets through, masked or not. May return early.
#[inline]
pub fn wait() {
    // SAFETY: WFI changes no state. What was written before must be seen by whoever wakes us.
    unsafe { asm!("fence iorw, iorw", "wfi", options(nostack, preserves_flags)) };
}
