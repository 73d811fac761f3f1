//! aarch64: the instructions actions are made of (DDI 0487, C4.1), and what else is the
//! architecture's. x27 is for an action's own state; what an instruction takes as its address is in
//! x1.

mod actions;

use crate::Arrival;
use crate::random::{RAM_END, SCRATCH, below, next, of};
use guest_support::gic::{GICD, GICR, GICR_STRIDE};
use guest_support::map::RAM;
use guest_support::{gic, psci, read_sysreg, smp, timer, uart};

pub use actions::{CLASSES, DEADLY, LOUD};

core::arch::global_asm!(include_str!("entry.s"), options(raw));

/// Actions choose x0 to x28.
pub const REGISTERS: usize = 29;

unsafe extern "C" {
    fn chaos_entry() -> !;
}

/// Where a CPU begins.
pub fn entry() -> u64 {
    chaos_entry as *const () as u64
}

/// Where the first CPU begins.
pub fn begin(_: usize) -> ! {
    // SAFETY: it never returns, and relies on nothing its caller has.
    unsafe { chaos_entry() }
}

/// What the vectors' number says, which is also what `entry.s` gives for the ways that are none.
pub fn arrival(vector: u64) -> Arrival {
    match vector {
        4 => Arrival::Fault,
        1 | 5 | 9 | 13 => Arrival::Interrupt,
        16 => Arrival::Return,
        17 => Arrival::Start,
        _ => Arrival::Other,
    }
}

/// Where the last fault was.
pub fn fault_address() -> u64 {
    read_sysreg!("elr_el1")
}

/// Makes `count` words of code visible to instruction fetches, line by line of 16 bytes, the smallest
/// there are.
pub fn synchronize(code: *const u32, count: usize) {
    // SAFETY: maintenance changes no memory.
    unsafe {
        for n in 0..=count / 4 {
            core::arch::asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", in(reg) code.add(n * 4));
        }
        core::arch::asm!("dsb ish", "isb");
    }
}

/// Switches all CPUs on that are off.
pub fn start_all() {
    (0..smp::MAX as u64).for_each(|n| {
        psci::call(psci::CPU_ON, [n, entry(), n]);
    });
}

/// Resets the machine, by one of the ways there are.
pub fn reset(way: u64) {
    let conduit = [psci::Conduit::Hvc, psci::Conduit::Smc][way as usize % 2];
    psci::call4(conduit, psci::SYSTEM_RESET, [0; 3]);
}

/// Acknowledges what came, and ends it in one way or another, or never.
pub fn take_interrupt() {
    let intid = gic::acknowledge();
    timer::stop_virtual();
    timer::stop_physical();
    match below(4) {
        0 => {}
        1 => gic::deactivate(intid),
        _ => gic::end(intid),
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
    let (base, size) = match below(14) {
        0..3 => (GICD as u64, 1 << 16),
        3..6 => (
            GICR as u64 + below(9) * GICR_STRIDE as u64,
            GICR_STRIDE as u64,
        ),
        // Not the data register: its noise would fill the log. There is a mode for that.
        6 => return uart::BASE as u64 + (offset & 0xfff).max(4),
        7 => (0x0a00_0000, 1 << 20),
        8 => (RAM_END - 64, 128),
        9 => (RAM as u64 - 64, 64),
        10 => (of(&[0, 8 << 30, 1 << 36, (1 << 39) - 64, 1 << 39]), 64),
        11 => (
            of(&[
                (1 << 40) - 64,
                1 << 40,
                1 << 44,
                (1 << 48) - 64,
                0_u64.wrapping_sub(64),
            ]),
            64,
        ),
        _ => (SCRATCH, 16 << 20),
    };
    base.wrapping_add(offset % size)
}

/// RET.
pub const RET: u32 = 0xd65f_03c0;
/// ISB.
pub const ISB: u32 = 0xd503_3fdf;
/// DSB SY.
pub const DSB: u32 = 0xd503_3f9f;
/// WFI.
pub const WFI: u32 = 0xd503_207f;
/// WFE.
pub const WFE: u32 = 0xd503_205f;
/// ERET.
pub const ERET: u32 = 0xd69f_03e0;
/// BR X1.
pub const BR_X1: u32 = 0xd61f_0020;
/// NOP.
pub const NOP: u32 = 0xd503_201f;

/// SCTLR_EL1.
pub const SCTLR: u32 = system(3, 0, 1, 0, 0);
/// SPSR_EL1.
pub const SPSR: u32 = system(3, 0, 4, 0, 0);
/// ELR_EL1.
pub const ELR: u32 = system(3, 0, 4, 0, 1);
/// MDSCR_EL1.
pub const MDSCR: u32 = system(2, 0, 0, 2, 2);

/// The field of a system instruction or register: op0, op1, CRn, CRm, op2.
pub const fn system(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {
    op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}

/// MSR or SYS of `register`, from x`from`.
pub const fn msr(register: u32, from: u32) -> u32 {
    0xd500_0000 | register | from
}

/// MRS or SYSL of `register`, to x`to`.
pub const fn mrs(register: u32, to: u32) -> u32 {
    0xd520_0000 | register | to
}

/// MSR DAIFClr, `mask`.
pub const fn daif_clear(mask: u32) -> u32 {
    0xd503_40ff | mask << 8
}

/// HVC, SMC (`smc`) or SVC with an immediate.
pub const fn call(smc: bool, immediate: u32) -> u32 {
    (if smc { 0xd400_0003 } else { 0xd400_0002 }) | (immediate & 0xffff) << 5
}

/// WFIT (or WFET) of x2.
pub const fn wait_timeout(event: bool) -> u32 {
    if event { 0xd503_1002 } else { 0xd503_1022 }
}
