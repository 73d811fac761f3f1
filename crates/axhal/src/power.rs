//! Ending it: through the firmware, or by standing still.

use crate::arch::firmware;
use crate::console;

/// The status of a hypervisor that could not boot.
pub const STATUS_NOT_BOOTED: u8 = 100;
/// The status of a hypervisor that panicked.
pub const STATUS_PANIC: u8 = 101;

/// Prints the final line, `axhv: status N`, and powers the machine off, with the status if the
/// firmware takes one. Where it can't, this CPU stands still.
pub fn off(status: u8) -> ! {
    console::write(format_args!("axhv: status {status}\n"));
    if let Some(error) = firmware::off(status) {
        console::write(format_args!("axhv: power-off: {error}\n"));
    }
    park()
}

/// Resets the machine. Where the firmware can't, this CPU stands still.
pub fn reset() -> ! {
    if let Some(error) = firmware::reset() {
        console::write(format_args!("axhv: reset: {error}\n"));
    }
    park()
}

/// This CPU does nothing any more.
pub fn park() -> ! {
    loop {
        crate::arch::irq::wait();
    }
}
