//! Register offsets and bits (PC16550D, section 8 "Registers").

/// Receiver buffer when read, transmitter holding register when written; with DLAB the low half
/// of the divisor.
pub const RBR_THR: u64 = 0;
/// Interrupt enable; with DLAB the high half of the divisor.
pub const IER: u64 = 1;
/// Interrupt identification when read, FIFO control when written.
pub const IIR_FCR: u64 = 2;
/// Line control.
pub const LCR: u64 = 3;
/// Modem control.
pub const MCR: u64 = 4;
/// Line status.
pub const LSR: u64 = 5;
/// Modem status.
pub const MSR: u64 = 6;
/// Scratch.
pub const SCR: u64 = 7;

/// Received data, and in FIFO mode character timeout.
pub const IER_RX: u8 = 1 << 0;
/// Transmitter holding register empty.
pub const IER_THRE: u8 = 1 << 1;
/// Receiver line status.
pub const IER_LINE: u8 = 1 << 2;
/// Modem status.
pub const IER_MODEM: u8 = 1 << 3;
pub const IER_MASK: u8 = 0xf;

// Table III "Interrupt Control Functions", the lowest four bits of IIR.
pub const IIR_NONE: u8 = 0b0001;
pub const IIR_LINE: u8 = 0b0110;
pub const IIR_DATA: u8 = 0b0100;
pub const IIR_TIMEOUT: u8 = 0b1100;
pub const IIR_THRE: u8 = 0b0010;
pub const IIR_MODEM: u8 = 0b0000;
/// Both set with the FIFOs on.
pub const IIR_FIFOS: u8 = 0b11 << 6;

pub const FCR_ENABLE: u8 = 1 << 0;
pub const FCR_CLEAR_RX: u8 = 1 << 1;
/// Bits \[7:6\]: receive trigger.
pub const FCR_TRIGGER_SHIFT: u32 = 6;

/// Divisor latch access.
pub const LCR_DLAB: u8 = 1 << 7;

pub const MCR_DTR: u8 = 1 << 0;
pub const MCR_RTS: u8 = 1 << 1;
pub const MCR_OUT1: u8 = 1 << 2;
pub const MCR_OUT2: u8 = 1 << 3;
pub const MCR_LOOP: u8 = 1 << 4;
pub const MCR_MASK: u8 = 0x1f;

/// Data ready.
pub const LSR_DR: u8 = 1 << 0;
/// Overrun.
pub const LSR_OE: u8 = 1 << 1;
pub const LSR_THRE: u8 = 1 << 5;
/// Transmitter empty.
pub const LSR_TEMT: u8 = 1 << 6;

// Changes since MSR was last read are in bits 3:0, the lines in 7:4.
pub const MSR_CTS: u8 = 1 << 4;
pub const MSR_DSR: u8 = 1 << 5;
pub const MSR_RI: u8 = 1 << 6;
pub const MSR_DCD: u8 = 1 << 7;
pub const MSR_DELTAS: u8 = 0xf;
