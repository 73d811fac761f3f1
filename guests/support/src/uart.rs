//! Printing to the UART, as the firmware left it.

use crate::arch::uart;
use crate::sync::Lock;
use core::fmt::{self, Write};

pub use uart::{BASE, init};

struct Uart;

static UART: Lock<Uart> = Lock::new(Uart);

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while !uart::has_room() {}
            uart::put(byte);
        }
        Ok(())
    }
}

/// Prints `line`, and waits for room with patience that ends, and without a lock that a CPU could
/// have left taken.
pub fn print_impatiently(line: fmt::Arguments<'_>) {
    struct Impatient;
    impl Write for Impatient {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                let mut patience = 100_000;
                while !uart::has_room() && patience > 0 {
                    patience -= 1;
                }
                uart::put(byte);
            }
            Ok(())
        }
    }
    // `write_str` above doesn't fail.
    let _ = Impatient.write_fmt(format_args!("{line}\r\n"));
}

/// Prints one line, which no other CPU's line interrupts.
pub fn print_line(line: fmt::Arguments<'_>) {
    let mut uart = UART.lock();
    // Neither part can fail: `write_str` above doesn't.
    let _ = uart.write_fmt(line);
    let _ = uart.write_str("\r\n");
}

/// Prints one line.
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => { $crate::uart::print_line(format_args!($($text)*)) };
}
