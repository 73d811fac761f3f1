//! This CPU's identity.

use core::arch::asm;

use super::regs::read;

/// The address of this CPU's data: TPIDR_EL2.
#[inline]
pub fn this() -> usize {
    let value: usize;
    // SAFETY: reading a register. Not `pure`: a task may go on on another CPU.
    unsafe { asm!("mrs {}, tpidr_el2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Sets what [`this`] returns.
///
/// # Safety
/// `address` is that of a `PerCpu` that no other CPU has.
pub unsafe fn set_this(address: usize) {
    // SAFETY: the caller's promise.
    unsafe { asm!("msr tpidr_el2, {}", in(reg) address, options(nostack, preserves_flags)) };
}

/// The affinity fields of MPIDR_EL1, in their places.
pub fn id() -> u64 {
    read!("mpidr_el1") & 0xff_00ff_ffff
}
