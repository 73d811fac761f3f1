//! A 16550 with registers of a byte, one behind the other.

use crate::mmio::{read8, write8};

/// Where the UART's registers are.
pub const BASE: usize = 0x1000_0000;

const THR: usize = BASE;
const IER: usize = BASE + 1;
const LCR: usize = BASE + 3;
const LCR_8N1: u8 = 3;
const MCR: usize = BASE + 4;
/// DTR, RTS, OUT2, and no loop-back.
const MCR_READY: u8 = 0xb;
const LSR: usize = BASE + 5;
const LSR_THRE: u8 = 1 << 5;

/// Switches the UART on, and its interrupts off; the speed is as the firmware left it.
pub fn init() {
    write8(LCR, LCR_8N1);
    write8(IER, 0);
    write8(MCR, MCR_READY);
}

/// Whether it takes a byte.
pub(crate) fn has_room() -> bool {
    read8(LSR) & LSR_THRE != 0
}

/// Sends a byte.
pub(crate) fn put(byte: u8) {
    write8(THR, byte);
}
