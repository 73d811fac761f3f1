//! A 16550 with registers of a byte, one behind the other.

use crate::mmio::{read8, write8};

/// Where the UART's registers are.
pub const BASE: usize = 0x1000_0000;

const THR: usize = BASE;
const IER: usize = BASE + 1;
const LSR: usize = BASE + 5;
const LSR_THRE: u8 = 1 << 5;

/// Switches the UART's interrupts off; it sends and receives as the firmware left it.
pub fn init() {
    write8(IER, 0);
}

/// Whether it takes a byte.
pub(crate) fn has_room() -> bool {
    read8(LSR) & LSR_THRE != 0
}

/// Sends a byte.
pub(crate) fn put(byte: u8) {
    write8(THR, byte);
}
