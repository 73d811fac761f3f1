//! Switching between tasks.

use core::arch::naked_asm;
use core::mem::offset_of;

/// What a task that isn't running leaves behind: what a called function must preserve. The
/// hypervisor uses no FP registers.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Context {
    /// x19 to x28, x29 (frame pointer), x30 (where to go on).
    x19_to_x30: [u64; 12],
    sp: u64,
}

impl Context {
    /// A task that will begin with `entry(arg)` on the stack that ends at `stack_top` (16-byte
    /// aligned), with interrupts masked.
    pub fn new(entry: extern "C" fn(usize) -> !, arg: usize, stack_top: usize) -> Self {
        let mut registers = [0; 12];
        registers[0] = entry as usize as u64;
        registers[1] = arg as u64;
        registers[11] = start as *const () as usize as u64;
        Self {
            x19_to_x30: registers,
            sp: stack_top as u64 & !0xf,
        }
    }
}

/// A task's first instructions; x29 is 0 and ends its backtrace.
#[unsafe(naked)]
extern "C" fn start() -> ! {
    naked_asm!("mov x0, x20", "mov x30, xzr", "br x19")
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
        "stp x19, x20, [x0, #0]",
        "stp x21, x22, [x0, #16]",
        "stp x23, x24, [x0, #32]",
        "stp x25, x26, [x0, #48]",
        "stp x27, x28, [x0, #64]",
        "stp x29, x30, [x0, #80]",
        "mov x9, sp",
        "str x9, [x0, #{sp}]",
        "ldr x9, [x1, #{sp}]",
        "ldp x19, x20, [x1, #0]",
        "ldp x21, x22, [x1, #16]",
        "ldp x23, x24, [x1, #32]",
        "ldp x25, x26, [x1, #48]",
        "ldp x27, x28, [x1, #64]",
        "ldp x29, x30, [x1, #80]",
        "mov sp, x9",
        "ret",
        sp = const offset_of!(Context, sp),
    )
}
