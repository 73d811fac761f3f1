//! Switching between tasks.

use core::arch::naked_asm;
use core::mem::offset_of;

/// What a task that isn't running leaves behind: what a called function must preserve. The
/// hypervisor uses no FP registers; tp is the hart's.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Context {
    /// Where to go on.
    ra: u64,
    sp: u64,
    /// s0 (frame pointer) to s11.
    s: [u64; 12],
}

impl Context {
    /// A task that will begin with `entry(arg)` on the stack that ends at `stack_top` (16-byte
    /// aligned), with interrupts masked.
    pub fn new(entry: extern "C" fn(usize) -> !, arg: usize, stack_top: usize) -> Self {
        let mut s = [0; 12];
        s[1] = entry as usize as u64;
        s[2] = arg as u64;
        Self {
            ra: start as *const () as usize as u64,
            sp: stack_top as u64 & !0xf,
            s,
        }
    }
}

/// A task's first instructions; s0 is 0 and ends its backtrace.
#[unsafe(naked)]
extern "C" fn start() -> ! {
    naked_asm!("mv a0, s2", "li ra, 0", "jr s1")
}

/// Leaves the running task in `prev` and goes on with `next`. Returns when something switches
/// back to `prev`.
///
/// # Safety
/// Interrupts are masked. `prev` is valid for writes and stays so until it is switched to; `next`
/// was made by [`Context::new`] with a stack of its own, or left by an earlier switch, and isn't
/// running anywhere; whatever that task left locked or borrowed fits what this CPU does now.
#[unsafe(naked)]
pub unsafe extern "C" fn switch(prev: *mut Context, next: *const Context) {
    naked_asm!(
        "sd ra, 0(a0)",
        "sd sp, {sp}(a0)",
        "sd s0, {s}(a0)",
        "sd s1, {s} + 8(a0)",
        "sd s2, {s} + 16(a0)",
        "sd s3, {s} + 24(a0)",
        "sd s4, {s} + 32(a0)",
        "sd s5, {s} + 40(a0)",
        "sd s6, {s} + 48(a0)",
        "sd s7, {s} + 56(a0)",
        "sd s8, {s} + 64(a0)",
        "sd s9, {s} + 72(a0)",
        "sd s10, {s} + 80(a0)",
        "sd s11, {s} + 88(a0)",
        "ld ra, 0(a1)",
        "ld sp, {sp}(a1)",
        "ld s0, {s}(a1)",
        "ld s1, {s} + 8(a1)",
        "ld s2, {s} + 16(a1)",
        "ld s3, {s} + 24(a1)",
        "ld s4, {s} + 32(a1)",
        "ld s5, {s} + 40(a1)",
        "ld s6, {s} + 48(a1)",
        "ld s7, {s} + 56(a1)",
        "ld s8, {s} + 64(a1)",
        "ld s9, {s} + 72(a1)",
        "ld s10, {s} + 80(a1)",
        "ld s11, {s} + 88(a1)",
        "ret",
        sp = const offset_of!(Context, sp),
        s = const offset_of!(Context, s),
    )
}
