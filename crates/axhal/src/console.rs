//! The early console: unbuffered, without a lock, there before anything else and when all else has
//! failed. Ordinary output has a console of its own, in `src`.

use core::fmt::{self, Write};

use spin::Once;

use crate::drivers::pl011::Pl011;

static UART: Once<Pl011> = Once::new();

/// From now on there is a console.
pub(crate) fn set(uart: Pl011) {
    UART.call_once(|| uart);
}

/// The UART of the early console, if the machine has one that is supported.
pub fn uart() -> Option<&'static Pl011> {
    UART.get()
}

/// Writes at once, polling; what several CPUs write may mix. Nothing without a UART.
pub fn write(text: fmt::Arguments<'_>) {
    struct Unlocked<'a>(&'a Pl011);
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
