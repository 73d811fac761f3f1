//! The CPU's interrupt mask.

use core::arch::asm;
use core::sync::atomic::Ordering;

use super::regs::read;
use crate::cpu;

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

/// Lets interrupts in, but no SError: whose it is is known only where guests are left, and
/// [`take_serror`] takes it there.
#[inline]
pub fn unmask() {
    // SAFETY: callers hold no lock and no per-CPU state (rule 1 of docs/architecture.md); the
    // handler preserves all registers. Memory accesses stay where they are. With the ISB, what is
    // pending is taken here and not some time later.
    unsafe { asm!("msr daifclr, #2", "isb", options(nostack, preserves_flags)) };
}

/// Takes the SError that is pending at this CPU, if one is: its syndrome. Interrupts are masked.
#[cold]
pub fn take_serror() -> Option<u64> {
    const WAITED_FOR: usize = 1;
    // 0: an SError is a fault of the hypervisor. 1: one is waited for. Else its syndrome.
    let serror = &cpu::this().trap[0];
    serror.store(WAITED_FOR, Ordering::Relaxed);
    // SAFETY: the vector keeps all registers, stores to `trap[0]` only, and returns with SErrors
    // masked, as they are before and after. Memory accesses stay where they are. With the ISB,
    // what is pending is taken here.
    unsafe {
        asm!(
            "msr daifclr, #4",
            "isb",
            "msr daifset, #4",
            options(nostack, preserves_flags)
        )
    };
    let found = serror.load(Ordering::Relaxed);
    serror.store(0, Ordering::Relaxed);
    // The class of an SError is not 0, so no syndrome is 1.
    (found != WAITED_FOR).then_some(found as u64)
}

/// Sleeps until an interrupt is pending, masked or not. May return early.
#[inline]
pub fn wait() {
    // SAFETY: WFI changes no state. What was written before must be seen by whoever wakes us.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}
