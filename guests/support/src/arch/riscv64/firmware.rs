//! What the firmware does on all architectures: here SBI.

use super::sbi;

/// The name of its interface.
pub const NAME: &str = "SBI";

/// The version of its interface.
pub fn version() -> u64 {
    sbi::call(sbi::BASE, 0, []).value
}

/// Switches the machine off.
pub fn off() -> ! {
    sbi::call(sbi::SRST, 0, [sbi::SHUTDOWN, sbi::NO_REASON]);
    loop {
        core::hint::spin_loop();
    }
}

/// Resets the machine; comes back only if that fails.
pub fn reset() {
    sbi::call(sbi::SRST, 0, [sbi::COLD_REBOOT, sbi::NO_REASON]);
}
