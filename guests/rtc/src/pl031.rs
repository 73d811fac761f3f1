//! QEMU's PL031 (Arm DDI 0224), behind a GIC.

use guest_support::gic::{self, Bits};
use guest_support::mmio::{read32, write32};
use guest_support::{println, read_sysreg, write_sysreg};

const BASE: usize = 0x0901_0000;
const DATA: usize = BASE;
const MATCH: usize = BASE + 0x4;
const LOAD: usize = BASE + 0x8;
const MASK: usize = BASE + 0x10;
const RAW_STATUS: usize = BASE + 0x14;
const CLEAR: usize = BASE + 0x1c;
/// PrimeCell part number 0x031, in the lowest bytes of the first two id registers.
const PART: usize = BASE + 0xfe0;

/// The clock's interrupt on QEMU's board.
pub const LINE: u32 = 34;

/// Says what it is.
pub fn announce() {
    let part = read32(PART) & 0xff | (read32(PART + 4) & 0xf) << 8;
    println!("rtc: part {part:#x}");
}

/// The time in seconds.
pub fn now() -> u32 {
    read32(DATA)
}

/// Sets the time, and lets alarms interrupt.
pub fn start(seconds: u32) {
    write32(LOAD, seconds);
    write32(MASK, 1);
}

/// Sets the alarm: in a second, or now.
pub fn set_alarm(seconds_ahead: u32) {
    write32(MATCH, now() + seconds_ahead);
}

/// Ends the alarm. The line has fallen then.
pub fn clear() {
    write32(CLEAR, 1);
    let _ = read32(RAW_STATUS);
}

/// What is left of an alarm that wasn't cleared: whether its interrupt is enabled, whether it is
/// being handled, and whether its line is high.
pub fn leftovers() -> (bool, bool, u32) {
    let [enabled, active] = [Bits::SetEnable, Bits::SetActive].map(|bits| gic::get(bits, LINE));
    (enabled, active, read32(RAW_STATUS))
}

/// From now on the alarm's interrupt is not ended when it has been taken, its priority aside; or it
/// is, as the last one is now.
pub fn end_late(late: bool) {
    const EOI_MODE: u64 = 2;
    let control = read_sysreg!("icc_ctlr_el1");
    if late {
        write_sysreg!("icc_ctlr_el1", control | EOI_MODE);
    } else {
        gic::deactivate(LINE);
        write_sysreg!("icc_ctlr_el1", control & !EOI_MODE);
    }
}
