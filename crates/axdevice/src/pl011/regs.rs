//! Register offsets and bits (DDI 0183, chapter 3 "Programmer's Model").

pub const DR: u64 = 0x000;
/// Receive status when read, error clear when written.
pub const RSR_ECR: u64 = 0x004;
pub const FR: u64 = 0x018;
pub const ILPR: u64 = 0x020;
pub const IBRD: u64 = 0x024;
pub const FBRD: u64 = 0x028;
pub const LCR_H: u64 = 0x02c;
pub const CR: u64 = 0x030;
pub const IFLS: u64 = 0x034;
pub const IMSC: u64 = 0x038;
pub const RIS: u64 = 0x03c;
pub const MIS: u64 = 0x040;
pub const ICR: u64 = 0x044;
pub const DMACR: u64 = 0x048;
/// The first of PeriphID0 to 3 and PCellID0 to 3, a byte in each word.
pub const ID: u64 = 0xfe0;
/// Part 0x011, designer Arm (0x41), revision 1 (16-byte FIFOs); PrimeCell.
pub const ID_BYTES: [u8; 8] = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// Overrun, in DR.
pub const DR_OE: u32 = 1 << 11;
/// Overrun, in RSR.
pub const RSR_OE: u32 = 1 << 3;

pub const FR_CTS: u32 = 1 << 0;
pub const FR_DSR: u32 = 1 << 1;
pub const FR_DCD: u32 = 1 << 2;
pub const FR_BUSY: u32 = 1 << 3;
pub const FR_RXFE: u32 = 1 << 4;
pub const FR_TXFF: u32 = 1 << 5;
pub const FR_RXFF: u32 = 1 << 6;
pub const FR_TXFE: u32 = 1 << 7;
pub const FR_RI: u32 = 1 << 8;

pub const LCR_H_FEN: u32 = 1 << 4;

pub const CR_UARTEN: u32 = 1 << 0;
pub const CR_LBE: u32 = 1 << 7;
pub const CR_TXE: u32 = 1 << 8;
pub const CR_RXE: u32 = 1 << 9;
pub const CR_DTR: u32 = 1 << 10;
pub const CR_RTS: u32 = 1 << 11;
pub const CR_OUT1: u32 = 1 << 12;
pub const CR_OUT2: u32 = 1 << 13;
/// Bits \[6:3\] are reserved.
pub const CR_MASK: u32 = 0xff87;

// Interrupts, in IMSC, RIS, MIS and ICR.
pub const INT_RI: u32 = 1 << 0;
pub const INT_CTS: u32 = 1 << 1;
pub const INT_DCD: u32 = 1 << 2;
pub const INT_DSR: u32 = 1 << 3;
pub const INT_RX: u32 = 1 << 4;
pub const INT_TX: u32 = 1 << 5;
/// Receive timeout.
pub const INT_RT: u32 = 1 << 6;
pub const INT_OE: u32 = 1 << 10;
pub const INT_MASK: u32 = 0x7ff;
