//! QEMU's goldfish clock (its documentation: "Goldfish Virtual Hardware", RTC), behind a PLIC. The
//! time is in nanoseconds; the alarm comes at once if its time has passed.

use guest_support::exception::{self, mask, unmask};
use guest_support::mmio::{read32, write32};
use guest_support::sync::wait_for;
use guest_support::{plic, println};

const BASE: usize = 0x10_1000;
/// Reading it keeps the upper half for [`TIME_HIGH`]; writing it sets both.
const TIME_LOW: usize = BASE;
const TIME_HIGH: usize = BASE + 0x4;
const ALARM_LOW: usize = BASE + 0x8;
const ALARM_HIGH: usize = BASE + 0xc;
const IRQ_ENABLED: usize = BASE + 0x10;
const CLEAR_INTERRUPT: usize = BASE + 0x1c;

/// The clock's source on QEMU's board.
pub const LINE: u32 = 11;

const SECOND: u64 = 1_000_000_000;

/// Says what it is.
pub fn announce() {
    println!("rtc: a goldfish");
}

fn nanoseconds() -> u64 {
    let low = read32(TIME_LOW);
    u64::from(read32(TIME_HIGH)) << 32 | u64::from(low)
}

/// The time in seconds.
pub fn now() -> u32 {
    (nanoseconds() / SECOND) as u32
}

/// Sets the time, and lets alarms interrupt.
pub fn start(seconds: u32) {
    let time = u64::from(seconds) * SECOND;
    write32(TIME_HIGH, (time >> 32) as u32);
    write32(TIME_LOW, time as u32);
    clear();
    write32(IRQ_ENABLED, 1);
}

/// Sets the alarm: in a second, or now.
pub fn set_alarm(seconds_ahead: u32) {
    let time = nanoseconds() + u64::from(seconds_ahead) * SECOND;
    write32(ALARM_HIGH, (time >> 32) as u32);
    write32(ALARM_LOW, time as u32);
}

/// Ends the alarm.
pub fn clear() {
    write32(CLEAR_INTERRUPT, 1);
}

/// What is left of an alarm that wasn't cleared: whether its interrupt is enabled, whether it is
/// being handled, and whether its line is high. Line and PLIC show the latter two in one way only:
/// once it is enabled, the interrupt becomes pending, unless it is being handled.
pub fn leftovers() -> (bool, bool, u32) {
    let enables = read32(plic::enable_register(plic::context(0), LINE));
    let enabled = enables & 1 << LINE != 0;
    mask();
    plic::set_enabled(0, LINE, true);
    // A PLIC looks at the line again after a completion; QEMU's does when the device says something.
    write32(IRQ_ENABLED, 1);
    let pending = wait_for(100, || plic::is_pending(LINE));
    plic::set_enabled(0, LINE, enabled);
    unmask();
    (enabled, !pending, pending.into())
}

/// From now on the alarm's interrupt is not ended when it has been taken; or it is, as the last one
/// is now.
pub fn end_late(late: bool) {
    exception::on_interrupt(Some(crate::alarm), !late);
    if !late {
        plic::complete(0, LINE);
    }
}
