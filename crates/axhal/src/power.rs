//! Ending it: through the firmware, or by standing still.

use spin::Once;

use crate::console;
use crate::drivers::psci::{Firmware, Psci};
use crate::machine::{self, Fdt};

/// The status of a hypervisor that could not boot.
pub const STATUS_NOT_BOOTED: u8 = 100;
/// The status of a hypervisor that panicked.
pub const STATUS_PANIC: u8 = 101;

static PSCI: Once<Psci> = Once::new();

/// Finds out how the firmware is called.
pub(crate) fn init(tree: &Fdt<'_>) {
    if let Ok(Some(psci)) = machine::psci(tree) {
        PSCI.call_once(|| Psci::new(Firmware::new(psci.conduit)));
    }
}

/// The firmware's power interface, if the machine has one.
pub fn psci() -> Option<&'static Psci> {
    PSCI.get()
}

/// Prints the final line, `axhv: status N`, and powers the machine off. Where the firmware can't,
/// this CPU stands still.
pub fn off(status: u8) -> ! {
    console::write(format_args!("axhv: status {status}\n"));
    if let Some(psci) = psci() {
        let error = psci.system_off();
        console::write(format_args!("axhv: power-off: {error:?}\n"));
    }
    park()
}

/// Resets the machine. Where the firmware can't, this CPU stands still.
pub fn reset() -> ! {
    if let Some(psci) = psci() {
        let error = psci.system_reset();
        console::write(format_args!("axhv: reset: {error:?}\n"));
    }
    park()
}

/// This CPU does nothing any more.
pub fn park() -> ! {
    loop {
        crate::arch::irq::wait();
    }
}
