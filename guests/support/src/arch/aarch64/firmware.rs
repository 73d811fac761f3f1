//! What the firmware does on all architectures: here PSCI.

use super::psci;

/// The name of its interface.
pub const NAME: &str = "PSCI";

/// The version of its interface.
pub fn version() -> u64 {
    psci::call(psci::VERSION, [0; 3]) as u64
}

/// Switches the machine off.
pub fn off() -> ! {
    psci::call(psci::SYSTEM_OFF, [0; 3]);
    loop {
        core::hint::spin_loop();
    }
}

/// Resets the machine; comes back only if that fails.
pub fn reset() {
    psci::call(psci::SYSTEM_RESET, [0; 3]);
}
