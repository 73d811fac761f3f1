//! Floating-point and vector registers. The hypervisor itself is built without them, so they hold
//! a guest's state at all times: loaded when a vCPU first uses them after it was bound, saved when
//! it is unbound.

use core::arch::naked_asm;

/// V0-V31, FPCR, FPSR.
#[repr(C, align(16))]
#[derive(Clone)]
pub struct FpState {
    v: [u128; 32],
    fpsr: u64,
    fpcr: u64,
}

impl FpState {
    /// All zero.
    pub const fn new() -> Self {
        Self {
            v: [0; 32],
            fpsr: 0,
            fpcr: 0,
        }
    }

    /// Registers -> memory. CPTR_EL2.TFP is clear.
    pub fn save(&mut self) {
        // SAFETY: the routine writes exactly one `FpState` at the pointer.
        unsafe { save(self) }
    }

    /// Memory -> registers. CPTR_EL2.TFP is clear.
    pub fn restore(&self) {
        // SAFETY: the routine reads exactly one `FpState`; the vector registers hold nothing of
        // the hypervisor's (soft-float target).
        unsafe { restore(self) }
    }
}

/// # Safety
/// `state` is valid for writes.
#[unsafe(naked)]
unsafe extern "C" fn save(state: *mut FpState) {
    naked_asm!(
        ".arch_extension fp",
        ".arch_extension simd",
        "stp q0, q1, [x0, #32 * 0]",
        "stp q2, q3, [x0, #32 * 1]",
        "stp q4, q5, [x0, #32 * 2]",
        "stp q6, q7, [x0, #32 * 3]",
        "stp q8, q9, [x0, #32 * 4]",
        "stp q10, q11, [x0, #32 * 5]",
        "stp q12, q13, [x0, #32 * 6]",
        "stp q14, q15, [x0, #32 * 7]",
        "stp q16, q17, [x0, #32 * 8]",
        "stp q18, q19, [x0, #32 * 9]",
        "stp q20, q21, [x0, #32 * 10]",
        "stp q22, q23, [x0, #32 * 11]",
        "stp q24, q25, [x0, #32 * 12]",
        "stp q26, q27, [x0, #32 * 13]",
        "stp q28, q29, [x0, #32 * 14]",
        "stp q30, q31, [x0, #32 * 15]",
        "mrs x1, fpsr",
        "mrs x2, fpcr",
        "add x0, x0, #512",
        "stp x1, x2, [x0]",
        "ret",
    )
}

/// # Safety
/// `state` is valid for reads.
#[unsafe(naked)]
unsafe extern "C" fn restore(state: *const FpState) {
    naked_asm!(
        ".arch_extension fp",
        ".arch_extension simd",
        "ldp q0, q1, [x0, #32 * 0]",
        "ldp q2, q3, [x0, #32 * 1]",
        "ldp q4, q5, [x0, #32 * 2]",
        "ldp q6, q7, [x0, #32 * 3]",
        "ldp q8, q9, [x0, #32 * 4]",
        "ldp q10, q11, [x0, #32 * 5]",
        "ldp q12, q13, [x0, #32 * 6]",
        "ldp q14, q15, [x0, #32 * 7]",
        "ldp q16, q17, [x0, #32 * 8]",
        "ldp q18, q19, [x0, #32 * 9]",
        "ldp q20, q21, [x0, #32 * 10]",
        "ldp q22, q23, [x0, #32 * 11]",
        "ldp q24, q25, [x0, #32 * 12]",
        "ldp q26, q27, [x0, #32 * 13]",
        "ldp q28, q29, [x0, #32 * 14]",
        "ldp q30, q31, [x0, #32 * 15]",
        "add x0, x0, #512",
        "ldp x1, x2, [x0]",
        "msr fpsr, x1",
        "msr fpcr, x2",
        "ret",
    )
}
