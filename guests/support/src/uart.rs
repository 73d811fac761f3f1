//! Printing to the PL011 (Arm DDI 0183), as the firmware left it.

use crate::mmio::{read32, write32};
use crate::sync::Lock;
use core::fmt::{self, Write};

/// Where the UART's registers are.
pub const BASE: usize = 0x0900_0000;

const DR: usize = BASE;
const FR: usize = BASE + 0x18;
const FR_TXFF: u32 = 1 << 5;
const CR: usize = BASE + 0x30;
const CR_ENABLED: u32 = 0x301;

struct Uart;

static UART: Lock<Uart> = Lock::new(Uart);

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while read32(FR) & FR_TXFF != 0 {}
            write32(DR, byte.into());
        }
        Ok(())
    }
}

/// Switches the UART on, for transmitting and receiving.
pub fn init() {
    write32(CR, CR_ENABLED);
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
