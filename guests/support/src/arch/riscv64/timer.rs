//! The timer: Sstc's `stimecmp`, or SBI's.

use super::sbi;
use crate::exception::{Resume, catch};
use crate::tree;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The interrupt of [`arm`]: the supervisor timer interrupt.
pub const LINE: u32 = super::lines::LOCAL + 5;

/// Ticks of a second.
static FREQUENCY: AtomicU64 = AtomicU64::new(10_000_000);
/// Whether there is `stimecmp`.
static SSTC: AtomicBool = AtomicBool::new(false);

/// Learns the frequency, and whether there is `stimecmp`: the device tree may not say.
pub(crate) fn begin() {
    if let Some(property) = tree::find("timebase-frequency") {
        FREQUENCY.store(property.cell(0).into(), Ordering::Relaxed);
    }
    let fault = catch(Resume::Next, || {
        read_csr!("0x14d");
    });
    SSTC.store(fault.is_none(), Ordering::Relaxed);
}

/// Whether there is `stimecmp`.
pub fn has_sstc() -> bool {
    SSTC.load(Ordering::Relaxed)
}

/// How many ticks a second has.
pub fn frequency() -> u64 {
    FREQUENCY.load(Ordering::Relaxed)
}

/// The time.
#[inline]
pub fn now() -> u64 {
    read_csr!("time")
}

/// `milliseconds` in ticks.
pub fn ticks(milliseconds: u64) -> u64 {
    frequency() * milliseconds / 1000
}

/// Lets the timer fire in `milliseconds`.
pub fn arm(milliseconds: u64) {
    arm_at(now() + ticks(milliseconds));
}

/// Lets the timer fire when the count is `deadline`.
#[inline]
pub fn arm_at(deadline: u64) {
    if has_sstc() {
        arm_sstc(deadline);
    } else {
        arm_sbi(deadline);
    }
}

/// Stops the timer.
#[inline]
pub fn stop() {
    arm_at(u64::MAX);
}

/// [`arm_at`] by `stimecmp`.
#[inline]
pub fn arm_sstc(deadline: u64) {
    write_csr!("0x14d", deadline);
}

/// [`arm_at`] by SBI.
#[inline]
pub fn arm_sbi(deadline: u64) {
    sbi::call(sbi::TIME, 0, [deadline]);
}
