//! Into the guest and back: the only code that runs with the guest's general registers.
//!
//! While a guest runs, SP_EL2 points at its vCPU's [`Frame`]. The exception vector stores all
//! general registers there, goes back to the host's stack, and calls the frame's handler. The
//! handler serves what it can and says whether to re-enter the guest or to return from [`enter`].
//! Nothing else is switched: with E2H=0 the EL1 registers are the guest's alone, and ELR_EL2 and
//! SPSR_EL2 stay where they are, because EL2 code runs with interrupts masked.

use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;

use super::regs::write;
use crate::decode::step_over;
use crate::mmio::Registers;

/// Serves an exit: `true` re-enters the guest, `false` returns from [`enter`].
pub type Handler = unsafe extern "C" fn(*mut Frame) -> bool;

/// What the vector needs of a vCPU. The first field of the vCPU, so that a pointer to one is a
/// pointer to the other.
#[repr(C, align(16))]
pub struct Frame {
    /// X0 to X30.
    pub x: [u64; 31],
    /// Where the guest goes on; valid outside the guest and outside handlers.
    pub elr: u64,
    /// Its PSTATE; likewise.
    pub spsr: u64,
    /// The host's stack while the guest runs.
    host_sp: u64,
    on_sync: Handler,
    on_irq: Handler,
    on_serror: Handler,
}

impl Frame {
    /// All zero, with these handlers.
    pub fn new(on_sync: Handler, on_irq: Handler, on_serror: Handler) -> Self {
        Self {
            x: [0; 31],
            elr: 0,
            spsr: 0,
            host_sp: 0,
            on_sync,
            on_irq,
            on_serror,
        }
    }
}

impl Registers for Frame {
    #[inline]
    fn gpr(&self, reg: usize) -> u64 {
        self.x.get(reg).copied().unwrap_or(0)
    }

    #[inline]
    fn set_gpr(&mut self, reg: usize, value: u64) {
        if let Some(x) = self.x.get_mut(reg) {
            *x = value;
        }
    }

    #[inline]
    fn advance(&mut self, bytes: u64) {
        self.elr = self.elr.wrapping_add(bytes);
        self.spsr = step_over(self.spsr);
    }

    fn set_sp(&mut self, value: u64) {
        // PSTATE.SP chooses the register; EL0 has only one.
        const EL1H: u64 = 0b0101;
        if self.spsr & 0xf == EL1H {
            write!("SP_EL1", value);
        } else {
            write!("SP_EL0", value);
        }
    }
}

/// Runs the guest until a handler says to stop. ELR and SPSR go from the frame to the CPU and
/// back.
///
/// # Safety
/// `frame` is the first field of the vCPU whose state is in this CPU's registers; it stays valid
/// and is touched by nobody else meanwhile, except by its handlers. Interrupts are masked, and
/// VBAR_EL2 is [`vectors`].
#[unsafe(naked)]
pub unsafe extern "C" fn enter(frame: *mut Frame) {
    naked_asm!(
        "stp x29, x30, [sp, #-96]!",
        "mov x29, sp",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "mov x9, sp",
        "ldp x10, x11, [x0, #{elr}]",
        "msr elr_el2, x10",
        "msr spsr_el2, x11",
        "str x9, [x0, #{host_sp}]",
        "mov sp, x0",
        "b {resume}",
        elr = const offset_of!(Frame, elr),
        host_sp = const offset_of!(Frame, host_sp),
        resume = sym resume,
    )
}

/// SP is the frame: general registers from there, and into the guest.
///
/// # Safety
/// Reached by branches from `enter` and the vectors only.
#[unsafe(naked)]
unsafe extern "C" fn resume() {
    naked_asm!(
        "ldp x2, x3, [sp, #16 * 1]",
        "ldp x4, x5, [sp, #16 * 2]",
        "ldp x6, x7, [sp, #16 * 3]",
        "ldp x8, x9, [sp, #16 * 4]",
        "ldp x10, x11, [sp, #16 * 5]",
        "ldp x12, x13, [sp, #16 * 6]",
        "ldp x14, x15, [sp, #16 * 7]",
        "ldp x16, x17, [sp, #16 * 8]",
        "ldp x18, x19, [sp, #16 * 9]",
        "ldp x20, x21, [sp, #16 * 10]",
        "ldp x22, x23, [sp, #16 * 11]",
        "ldp x24, x25, [sp, #16 * 12]",
        "ldp x26, x27, [sp, #16 * 13]",
        "ldp x28, x29, [sp, #16 * 14]",
        "ldr x30, [sp, #16 * 15]",
        "ldp x0, x1, [sp]",
        "eret",
        // Straight-line speculation past ERET.
        "dsb nsh",
        "isb",
    )
}

// The second half of the table is the guest's; the first half belongs to axhal, whose table has
// the same layout (DDI 0487, D1.4.1). A guest's EL1 is AArch64 (HCR_EL2.RW), so the last quarter
// is never used: it goes to axhal, which reports it.
global_asm!(
    ".macro guest_exit handler",
    ".balign 128",
    "stp x0, x1, [sp]",
    "stp x2, x3, [sp, #16 * 1]",
    "stp x4, x5, [sp, #16 * 2]",
    "stp x6, x7, [sp, #16 * 3]",
    "stp x8, x9, [sp, #16 * 4]",
    "stp x10, x11, [sp, #16 * 5]",
    "stp x12, x13, [sp, #16 * 6]",
    "stp x14, x15, [sp, #16 * 7]",
    "stp x16, x17, [sp, #16 * 8]",
    "stp x18, x19, [sp, #16 * 9]",
    "stp x20, x21, [sp, #16 * 10]",
    "stp x22, x23, [sp, #16 * 11]",
    "stp x24, x25, [sp, #16 * 12]",
    "stp x26, x27, [sp, #16 * 13]",
    "stp x28, x29, [sp, #16 * 14]",
    "str x30, [sp, #16 * 15]",
    "mov x0, sp",
    "ldr x2, [sp, #\\handler]",
    "b guest_exit_common",
    ".endm",
    ".macro el2_slot offset",
    ".balign 128",
    "b axhal_el2_vectors + \\offset",
    ".endm",
    ".pushsection .text.vectors, \"ax\"",
    ".balign 2048",
    ".global arm_vcpu_vectors",
    "arm_vcpu_vectors:",
    "el2_slot 0x000",
    "el2_slot 0x080",
    "el2_slot 0x100",
    "el2_slot 0x180",
    "el2_slot 0x200",
    "el2_slot 0x280",
    "el2_slot 0x300",
    "el2_slot 0x380",
    "guest_exit {on_sync}",
    "guest_exit {on_irq}",
    "guest_exit {on_irq}",
    "guest_exit {on_serror}",
    "el2_slot 0x600",
    "el2_slot 0x680",
    "el2_slot 0x700",
    "el2_slot 0x780",
    ".balign 128",
    "guest_exit_common:",
    "ldr x3, [sp, #{host_sp}]",
    "mov sp, x3",
    "mov x29, x3",
    "mov x19, x0",
    "blr x2",
    "cbz w0, 1f",
    "mov sp, x19",
    "b {resume}",
    "1: mrs x10, elr_el2",
    "mrs x11, spsr_el2",
    "stp x10, x11, [x19, #{elr}]",
    "ldp x19, x20, [sp, #16]",
    "ldp x21, x22, [sp, #32]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp x29, x30, [sp], #96",
    "ret",
    ".popsection",
    on_sync = const offset_of!(Frame, on_sync),
    on_irq = const offset_of!(Frame, on_irq),
    on_serror = const offset_of!(Frame, on_serror),
    host_sp = const offset_of!(Frame, host_sp),
    elr = const offset_of!(Frame, elr),
    resume = sym resume,
);

/// The address of the vector table, for VBAR_EL2.
pub fn vectors() -> u64 {
    unsafe extern "C" {
        static arm_vcpu_vectors: u8;
    }
    (&raw const arm_vcpu_vectors).addr() as u64
}
