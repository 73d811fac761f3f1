//! riscv64: the instructions actions are made of (RISC-V unprivileged and privileged ISA), and what
//! else is the architecture's. Of the registers ra and tp are not an action's to choose; s11 (x27) is
//! for its own state; what an instruction takes as its address is in a1 (x11).

mod actions;

use crate::Arrival;
use crate::random::{RAM_END, SCRATCH, below, next, of, once_in};
use guest_support::map::RAM;
use guest_support::{plic, read_csr, sbi, smp, timer, uart};

pub use actions::{CLASSES, DEADLY, LOUD};

core::arch::global_asm!(include_str!("entry.s"), options(raw));

/// Actions choose x0 to x31, as far as they can.
pub const REGISTERS: usize = 32;

unsafe extern "C" {
    fn chaos_entry() -> !;
}

/// Where a hart begins.
pub fn entry() -> u64 {
    chaos_entry as *const () as u64
}

/// Where the first hart begins.
pub fn begin(id: usize) -> ! {
    // SAFETY: it never returns, and relies on nothing its caller has.
    unsafe {
        core::arch::asm!("j chaos_entry", in("a0") id, options(noreturn));
    }
}

/// What `entry.s` gives, and `scause` where it was a trap.
pub fn arrival(how: u64) -> Arrival {
    match how {
        0 if read_csr!("scause") >> 63 == 0 => Arrival::Fault,
        0 => Arrival::Interrupt,
        1 => Arrival::Return,
        2 => Arrival::Start,
        _ => Arrival::Other,
    }
}

/// Where the last fault was.
pub fn fault_address() -> u64 {
    read_csr!("sepc")
}

/// Makes code visible to this hart's instruction fetches.
pub fn synchronize(_: *const u32, _: usize) {
    // SAFETY: a fence.
    unsafe { core::arch::asm!("fence.i", options(nostack)) };
}

/// Starts all harts that are stopped.
pub fn start_all() {
    (0..smp::MAX as u64).for_each(|id| {
        sbi::call(sbi::HSM, sbi::HART_START, [id, entry(), id]);
    });
}

/// Resets the machine, by one of the ways there are.
pub fn reset(way: u64) {
    // Cold and warm.
    sbi::call(sbi::SRST, 0, [1 + way % 2, sbi::NO_REASON]);
}

/// Claims what came, and completes it in one way or another, or never.
pub fn take_interrupt() {
    timer::arm_sbi(u64::MAX);
    timer::stop();
    guest_support::clear_csr!("sip", 2);
    if read_csr!("scause") & 0xff != 9 {
        return;
    }
    for cpu in 0..smp::count() {
        let source = plic::claim(cpu);
        match below(4) {
            0 => {}
            1 => plic::complete(below(smp::count() as u64) as usize, next() as u32),
            _ => plic::complete(cpu, source),
        }
    }
    // What isn't completed is disabled, or it would come for ever.
    if once_in(4) {
        (0..smp::count()).for_each(|cpu| plic::set_enabled(cpu, 10, false));
    }
}

/// An address among devices, at the borders of memory, in nothing, or in scratch memory; aligned
/// mostly.
pub fn address() -> u64 {
    let offset = match below(4) {
        0 => next(),
        1 => next() & !3,
        _ => next() & !7,
    };
    let plic = plic::BASE as u64;
    let (base, size) = match below(14) {
        0..3 => (plic + of(&[0, 0x1000, 0x2000]), 1 << 12),
        3..6 => (plic + 0x20_0000 + below(9) * 0x1000, 16),
        // Not the data register: its noise would fill the log. There is a mode for that.
        6 => return uart::BASE as u64 + (offset & 0xff).max(1),
        7 => (0x1000_1000, 1 << 16),
        8 => (RAM_END - 64, 128),
        9 => (RAM as u64 - 64, 64),
        10 => (of(&[0, 8 << 30, 1 << 36, (1 << 38) - 64, 1 << 38]), 64),
        11 => (
            of(&[
                (1 << 41) - 64,
                1 << 41,
                1 << 50,
                (1 << 56) - 64,
                0_u64.wrapping_sub(64),
            ]),
            64,
        ),
        _ => (SCRATCH, 16 << 20),
    };
    base.wrapping_add(offset % size)
}

/// RET.
pub const RET: u32 = 0x8067;
/// FENCE.I.
pub const FENCE_I: u32 = 0x100f;
/// SFENCE.VMA of everything.
pub const SFENCE_VMA: u32 = 0x1200_0073;
/// WFI.
pub const WFI: u32 = 0x1050_0073;
/// SRET.
pub const SRET: u32 = 0x1020_0073;
/// ECALL.
pub const ECALL: u32 = 0x73;
/// JR a1.
pub const JUMP: u32 = 0x5_8067;
/// NOP.
pub const NOP: u32 = 0x13;
/// CSRSI sstatus, SIE.
pub const UNMASK: u32 = 0x1001_6073;

/// CSRRW rd, `csr`, rs1.
pub const fn csrrw(csr: u32, rd: u32, rs1: u32) -> u32 {
    csr << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x73
}

/// CSRRS rd, `csr`, zero: a read.
pub const fn csrr(csr: u32, rd: u32) -> u32 {
    csr << 20 | 2 << 12 | rd << 7 | 0x73
}
