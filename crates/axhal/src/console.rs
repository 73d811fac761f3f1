//! The early console: unbuffered, without a lock, there before anything else and when all else has
//! failed. Ordinary output has a console of its own, in `src`.

use core::fmt::{self, Write};

use spin::Once;

use crate::drivers::uart::Uart;

static UART: Once<Uart> = Once::new();
/// What there is before a UART has been found, or instead of one.
static FIRMWARE: Once<Uart> = Once::new();

/// From now on there is a console.
pub(crate) fn set(uart: Uart) {
    UART.call_once(|| uart);
}

/// From now on there is a console, as long as there is no better one.
pub(crate) fn set_firmware(uart: Uart) {
    FIRMWARE.call_once(|| uart);
}

/// The UART of the early console, if the machine has one that is supported; or what the firmware
/// has for one, which only prints.
pub fn uart() -> Option<&'static Uart> {
    UART.get().or_else(|| FIRMWARE.get())
}

/// Writes at once, polling; what several CPUs write may mix. Nothing without a UART.
pub fn write(text: fmt::Arguments<'_>) {
    struct Unlocked<'a>(&'a Uart);
    impl Write for Unlocked<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.emergency_write(text.as_bytes());
            Ok(())
        }
    }
    if let Some(uart) = uart() {
        let _ = Unlocked(uart).write_fmt(text);
    }
}
