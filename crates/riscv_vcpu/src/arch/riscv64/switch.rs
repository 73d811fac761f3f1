//! Into the guest and back: the only code that runs with the guest's general registers.
//!
//! While a guest runs, stvec points at the vector below and sscratch at its vCPU's [`Frame`]. The
//! vector stores all general registers there, goes back to the host's stack, tp and stvec (axhal's
//! rules: "Who owns which register"), and calls the frame's handler. The handler serves what it can
//! and says whether to re-enter the guest or to return from [`enter`]. Nothing else is switched: the
//! vs* registers are the guest's alone, and sepc, sstatus.SPP and hstatus.SPV stay where they
//! are, because the hypervisor runs with interrupts masked.

use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;

/// Serves an exit, whose scause it gets: `true` re-enters the guest, `false` returns from [`enter`].
pub type Handler = unsafe extern "C" fn(*mut Frame, u64) -> bool;

/// What the vector needs of a vCPU. The first field of the vCPU, so that a pointer to one is a
/// pointer to the other.
#[repr(C, align(16))]
pub struct Frame {
    /// x0 to x31; that of x0 stays 0.
    pub x: [u64; 32],
    /// The host's stack while the guest runs, and on it what `enter` saved.
    host_sp: u64,
    /// The host's stvec while the guest runs.
    host_vector: u64,
    on_trap: Handler,
    /// Where the guest goes on; valid outside the guest and outside handlers.
    pub pc: u64,
    /// It is in VS-mode, not VU-mode; likewise.
    pub supervisor: bool,
}

impl Frame {
    /// All zero, with this handler.
    pub fn new(on_trap: Handler) -> Self {
        Self {
            x: [0; 32],
            host_sp: 0,
            host_vector: 0,
            on_trap,
            pc: 0,
            supervisor: true,
        }
    }

    /// Register `reg`.
    #[inline]
    pub fn gpr(&self, reg: usize) -> u64 {
        self.x.get(reg).copied().unwrap_or(0)
    }

    /// Sets register `reg`, unless it is x0.
    #[inline]
    pub fn set_gpr(&mut self, reg: usize, value: u64) {
        if reg != 0
            && let Some(x) = self.x.get_mut(reg)
        {
            *x = value;
        }
    }
}

/// Runs the guest until a handler says to stop.
///
/// # Safety
/// `frame` is the first field of the vCPU whose state is in this hart's registers; it stays valid
/// and is touched by nobody else meanwhile, except by its handler. Interrupts are masked; sepc,
/// sstatus.SPP and hstatus.SPV say where the guest goes on.
#[unsafe(naked)]
pub unsafe extern "C" fn enter(frame: *mut Frame) {
    naked_asm!(
        "addi sp, sp, -128",
        "sd ra, 0(sp)",
        "sd s0, 8(sp)",
        "sd s1, 16(sp)",
        "sd s2, 24(sp)",
        "sd s3, 32(sp)",
        "sd s4, 40(sp)",
        "sd s5, 48(sp)",
        "sd s6, 56(sp)",
        "sd s7, 64(sp)",
        "sd s8, 72(sp)",
        "sd s9, 80(sp)",
        "sd s10, 88(sp)",
        "sd s11, 96(sp)",
        "sd gp, 104(sp)",
        "sd tp, 112(sp)",
        "csrr t0, stvec",
        "sd t0, {host_vector}(a0)",
        "sd sp, {host_sp}(a0)",
        "tail {resume}",
        host_vector = const offset_of!(Frame, host_vector),
        host_sp = const offset_of!(Frame, host_sp),
        resume = sym resume,
    )
}

/// a0 is the frame: general registers from there, and into the guest.
///
/// # Safety
/// Reached by jumps from `enter` and the vector only.
#[unsafe(naked)]
unsafe extern "C" fn resume() {
    naked_asm!(
        "lla t0, riscv_vcpu_vector",
        "csrw stvec, t0",
        "csrw sscratch, a0",
        "ld ra, 8(a0)",
        "ld sp, 16(a0)",
        "ld gp, 24(a0)",
        "ld tp, 32(a0)",
        "ld t0, 40(a0)",
        "ld t1, 48(a0)",
        "ld t2, 56(a0)",
        "ld s0, 64(a0)",
        "ld s1, 72(a0)",
        "ld a1, 88(a0)",
        "ld a2, 96(a0)",
        "ld a3, 104(a0)",
        "ld a4, 112(a0)",
        "ld a5, 120(a0)",
        "ld a6, 128(a0)",
        "ld a7, 136(a0)",
        "ld s2, 144(a0)",
        "ld s3, 152(a0)",
        "ld s4, 160(a0)",
        "ld s5, 168(a0)",
        "ld s6, 176(a0)",
        "ld s7, 184(a0)",
        "ld s8, 192(a0)",
        "ld s9, 200(a0)",
        "ld s10, 208(a0)",
        "ld s11, 216(a0)",
        "ld t3, 224(a0)",
        "ld t4, 232(a0)",
        "ld t5, 240(a0)",
        "ld t6, 248(a0)",
        "ld a0, 80(a0)",
        "sret",
    )
}

// Every trap from the guest, in direct mode, with sscratch pointing at the frame.
global_asm!(
    ".pushsection .text.riscv_vcpu_vector, \"ax\"",
    // stvec's two lowest bits are its mode.
    ".balign 4",
    "riscv_vcpu_vector:",
    "csrrw a0, sscratch, a0",
    "sd ra, 8(a0)",
    "sd sp, 16(a0)",
    "sd gp, 24(a0)",
    "sd tp, 32(a0)",
    "sd t0, 40(a0)",
    "sd t1, 48(a0)",
    "sd t2, 56(a0)",
    "sd s0, 64(a0)",
    "sd s1, 72(a0)",
    "sd a1, 88(a0)",
    "sd a2, 96(a0)",
    "sd a3, 104(a0)",
    "sd a4, 112(a0)",
    "sd a5, 120(a0)",
    "sd a6, 128(a0)",
    "sd a7, 136(a0)",
    "sd s2, 144(a0)",
    "sd s3, 152(a0)",
    "sd s4, 160(a0)",
    "sd s5, 168(a0)",
    "sd s6, 176(a0)",
    "sd s7, 184(a0)",
    "sd s8, 192(a0)",
    "sd s9, 200(a0)",
    "sd s10, 208(a0)",
    "sd s11, 216(a0)",
    "sd t3, 224(a0)",
    "sd t4, 232(a0)",
    "sd t5, 240(a0)",
    "sd t6, 248(a0)",
    "csrr t0, sscratch",
    "sd t0, 80(a0)",
    "ld t1, {host_vector}(a0)",
    "ld sp, {host_sp}(a0)",
    "ld gp, 104(sp)",
    "ld tp, 112(sp)",
    "csrw stvec, t1",
    "ld t2, {on_trap}(a0)",
    "mv s0, a0",
    "csrr a1, scause",
    "jalr t2",
    "mv t0, a0",
    "mv a0, s0",
    "bnez t0, 1f",
    "ld ra, 0(sp)",
    "ld s0, 8(sp)",
    "ld s1, 16(sp)",
    "ld s2, 24(sp)",
    "ld s3, 32(sp)",
    "ld s4, 40(sp)",
    "ld s5, 48(sp)",
    "ld s6, 56(sp)",
    "ld s7, 64(sp)",
    "ld s8, 72(sp)",
    "ld s9, 80(sp)",
    "ld s10, 88(sp)",
    "ld s11, 96(sp)",
    "addi sp, sp, 128",
    "ret",
    "1: tail {resume}",
    ".popsection",
    host_vector = const offset_of!(Frame, host_vector),
    host_sp = const offset_of!(Frame, host_sp),
    on_trap = const offset_of!(Frame, on_trap),
    resume = sym resume,
);

/// No reservation of a vCPU before is left: an SC of the one that comes must not pair with another
/// vCPU's LR ("Load-Reserved/Store-Conditional Instructions": an SC to scratch memory is made when
/// the context is switched).
pub fn forget_reservation() {
    let mut scratch = 0u32;
    // SAFETY: stores to `scratch`, if at all.
    unsafe {
        core::arch::asm!(
            "sc.w {0}, zero, ({1})",
            out(reg) _,
            in(reg) &raw mut scratch,
            options(nostack)
        )
    };
}
