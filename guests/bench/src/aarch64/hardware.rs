//! Registers: the UART, the interrupt controller, the timers, PSCI.

use super::machine::Machine;
use core::arch::asm;
use core::fmt::{self, Write};

/// Reads a system register.
#[macro_export]
macro_rules! read_sysreg {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a system register changes no memory that Rust knows.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack));
        }
        value
    }};
}

/// Writes a system register, and waits until it has taken effect.
#[macro_export]
macro_rules! write_sysreg {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the bench writes registers of the interrupt controller and of timers, none of
        // which changes what memory Rust sees.
        unsafe {
            core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack));
        }
    }};
}

/// The virtual count, read in program order.
#[inline(always)]
pub fn now() -> u64 {
    let value: u64;
    // SAFETY: reads a counter.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) value, options(nostack)) };
    value
}

/// How many counts of [`now`] a second has.
#[inline(always)]
pub fn frequency() -> u64 {
    read_sysreg!("cntfrq_el0")
}

/// Lets the timer interrupt when [`now`] is `deadline`.
pub fn arm_at(deadline: u64) {
    write_sysreg!("cntv_cval_el0", deadline);
    write_sysreg!("cntv_ctl_el0", 1);
}

/// Tells a plugin of the emulator that the next row begins, or that it ends: a hint without a
/// meaning, which does nothing (Arm ARM, C6.2, HINT).
#[inline(always)]
pub fn mark() {
    // SAFETY: a hint.
    unsafe { asm!("hint #100", options(nostack)) };
}

/// Uses a vector register: FMOV D0, XZR.
#[inline(always)]
pub fn touch_fp() {
    // SAFETY: nothing else uses vector registers.
    unsafe { asm!(".inst 0x9e6703e0", options(nostack)) };
}

/// A call that nobody answers.
#[inline(never)]
pub fn call_nobody(number: u64) {
    hvc(number, [0; 3]);
}

/// Reads four bytes of a device.
#[inline(always)]
pub fn read32(address: usize) -> u32 {
    let value;
    // SAFETY: device registers only: no memory of this program.
    unsafe { asm!("ldr {v:w}, [{a}]", v = out(reg) value, a = in(reg) address, options(nostack)) };
    value
}

/// Writes four bytes to a device.
#[inline(always)]
pub fn write32(address: usize, value: u32) {
    // SAFETY: as above.
    unsafe { asm!("str {v:w}, [{a}]", v = in(reg) value, a = in(reg) address, options(nostack)) };
}

/// Keeps interrupts out.
pub fn mask() {
    // SAFETY: nothing depends on interrupts being taken.
    unsafe { asm!("msr daifset, #2", options(nostack)) };
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: the handler keeps all registers.
    unsafe { asm!("msr daifclr, #2", "isb", options(nostack)) };
}

/// Lets another CPU run, where all share one thread of the emulator.
#[inline(always)]
pub fn relax() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nostack)) };
}

/// Nothing of [`relax`] is left to undo.
#[inline(always)]
pub fn calm() {}

/// Waits for an interrupt.
#[inline(always)]
pub fn wfi() {
    // SAFETY: a hint; a barrier before it.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}

/// Sends the SGI `intid` to the CPU with affinity `target`.
#[inline(always)]
pub fn send(intid: u64, target: u64) {
    // SAFETY: what was written before is seen by who takes the interrupt.
    unsafe { asm!("dsb ishst", options(nostack)) };
    write_sysreg!("icc_sgi1r_el1", intid << 24 | 1 << target);
}

/// Switches distributor and this CPU's part of the controller on: SGIs 0 to 15, and the timers.
pub fn init_gic(machine: &Machine, cpu: usize) {
    if cpu == 0 {
        // ARE first, then the groups (GICD_CTLR, DS=1 or the Non-secure view).
        write32(machine.gicd, 1 << 4);
        write32(machine.gicd, 1 << 4 | 3);
    }
    let frame = machine.gicr + cpu * 0x2_0000;
    write32(frame + 0x14, read32(frame + 0x14) & !2);
    while read32(frame + 0x14) & 4 != 0 {}
    let sgis = frame + 0x1_0000;
    write32(sgis + 0x80, u32::MAX);
    for word in 0..8 {
        write32(sgis + 0x400 + word * 4, 0xa0a0_a0a0);
    }
    write32(sgis + 0x100, 0xffff | 1 << 27 | 1 << 30);
    write_sysreg!("icc_sre_el1", read_sysreg!("icc_sre_el1") | 1);
    write_sysreg!("icc_pmr_el1", 0xff);
    write_sysreg!("icc_bpr1_el1", 0);
    write_sysreg!("icc_ctlr_el1", read_sysreg!("icc_ctlr_el1") & !2);
    write_sysreg!("icc_igrpen1_el1", 1);
}

/// Makes `spi` an enabled interrupt of group 1 for the first CPU.
pub fn enable_spi(machine: &Machine, spi: u32, edge: bool) {
    let (word, bit) = ((spi / 32 * 4) as usize, 1 << (spi % 32));
    let gicd = machine.gicd;
    write32(gicd + 0x80 + word, read32(gicd + 0x80 + word) | bit);
    let priority = gicd + 0x400 + (spi & !3) as usize;
    write32(priority, 0xa0a0_a0a0);
    let config = gicd + 0xc00 + (spi / 16 * 4) as usize;
    let shift = spi % 16 * 2;
    write32(
        config,
        read32(config) & !(3 << shift) | u32::from(edge) << (shift + 1),
    );
    write32(gicd + 0x6000 + spi as usize * 8, 0);
    write32(gicd + 0x6004 + spi as usize * 8, 0);
    write32(gicd + 0x100 + word, bit);
}

/// A call by HVC with three arguments.
#[inline(always)]
pub fn hvc(function: u64, args: [u64; 3]) -> i64 {
    let mut x0 = function;
    // SAFETY: the callee keeps the SMC calling convention: it may change x0 to x17 only.
    unsafe {
        asm!("hvc #0", inout("x0") x0, inout("x1") args[0] => _, inout("x2") args[1] => _,
             inout("x3") args[2] => _, out("x4") _, out("x5") _, out("x6") _, out("x7") _,
             out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("x13") _,
             out("x14") _, out("x15") _, out("x16") _, out("x17") _, options(nostack));
    }
    x0 as i64
}

/// Switches the machine off.
pub fn system_off() -> ! {
    hvc(0x8400_0008, [0; 3]);
    loop {
        relax();
    }
}

/// The UART at the address in it.
pub struct Uart(pub usize);

impl Uart {
    /// Sends a byte when there is room for it.
    pub fn send(&self, byte: u8) {
        while read32(self.0 + 0x18) & 1 << 5 != 0 {
            relax();
        }
        write32(self.0, byte.into());
    }
}

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.send(byte);
        }
        Ok(())
    }
}
