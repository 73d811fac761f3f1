//! This hart's identity.

use core::arch::asm;

/// The address of this hart's data: tp.
#[inline]
pub fn this() -> usize {
    let value: usize;
    // SAFETY: reading a register. Not `pure`: a task may go on on another hart.
    unsafe { asm!("mv {}, tp", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Sets what [`this`] returns.
///
/// # Safety
/// `address` is that of a `PerCpu` that no other hart has.
pub unsafe fn set_this(address: usize) {
    // SAFETY: the caller's promise. The compiler doesn't use tp: nothing here is thread-local.
    unsafe { asm!("mv tp, {}", in(reg) address, options(nostack, preserves_flags)) };
}

/// The hart id. No register has it in this mode; boot code stored it.
pub fn id() -> u64 {
    crate::cpu::this().id()
}
