//! A PL011 (Arm DDI 0183).

use crate::mmio::{read32, write32};

/// Where the UART's registers are.
pub const BASE: usize = 0x0900_0000;

const DR: usize = BASE;
const FR: usize = BASE + 0x18;
const FR_TXFF: u32 = 1 << 5;
const CR: usize = BASE + 0x30;
const CR_ENABLED: u32 = 0x301;

/// Switches the UART on, for transmitting and receiving.
pub fn init() {
    write32(CR, CR_ENABLED);
}

/// Whether it takes a byte.
pub(crate) fn has_room() -> bool {
    read32(FR) & FR_TXFF == 0
}

/// Sends a byte.
pub(crate) fn put(byte: u8) {
    write32(DR, byte.into());
}
