//! The 16550 UART: National Semiconductor PC16550D, section 8, and its descendants, whose registers
//! may be farther apart and wider.

use core::sync::atomic::{AtomicU8, Ordering};

use super::{
    arch,
    mmio::{Mmio, POLL_LIMIT},
};

/// Receiver buffer, transmitter holding register.
const DATA: usize = 0;
const IER: usize = 1;
/// Interrupt identification when read, FIFO control when written.
const IIR_FCR: usize = 2;
const LCR: usize = 3;
const MCR: usize = 4;
const LSR: usize = 5;
const MSR: usize = 6;
const REGISTERS: usize = 8;

const IER_RX: u8 = 1 << 0;
const IER_TX: u8 = 1 << 1;
/// Receiver line status: breaks, errors.
const IER_LINE: u8 = 1 << 2;
/// Nothing is signalled.
const IIR_NONE: u8 = 1 << 0;
const IIR_CAUSE: u8 = 0xf;
const IIR_TX: u8 = 0x2;
/// Both set: FIFOs are there, and on.
const IIR_FIFOS: u8 = 3 << 6;
/// FIFOs on, receive interrupts from the first byte.
const FCR_ENABLE: u8 = 1 << 0;
const LCR_8N1: u8 = 3;
/// DTR, RTS, and OUT2, which lets interrupts through where it is a gate.
const MCR_READY: u8 = 1 << 0 | 1 << 1 | 1 << 3;
const LSR_DATA: u8 = 1 << 0;
/// Parity or framing error, break. (An overrun lost a later byte; this one is good.)
const LSR_DAMAGED: u8 = 1 << 2 | 1 << 3 | 1 << 4;
/// The transmit FIFO is empty.
const LSR_THRE: u8 = 1 << 5;
/// Bytes in the transmit FIFO.
const FIFO: u8 = 16;
/// Interrupts cleared at once: more than the four causes there are.
const MAX_CAUSES: usize = 8;

/// A 16550.
///
/// All methods take `&self`, so that the panic path can write while something else was writing.
/// Each register access is whole; but [`set_tx_interrupt`](Self::set_tx_interrupt) and
/// [`enable_rx_interrupts`](Self::enable_rx_interrupts) change the same register, and the room in
/// the FIFO is counted, so one CPU at a time may call them (the console's lock sees to that).
#[derive(Debug)]
pub struct Ns16550 {
    regs: Mmio,
    shift: u32,
    width: u32,
    /// How many bytes fit into the transmit FIFO when it is empty.
    depth: AtomicU8,
    /// How many more are known to fit now.
    room: AtomicU8,
}

impl Ns16550 {
    /// The UART with these registers, 2 to the power of `shift` bytes apart and `width` bytes wide
    /// (1 or 4); `None` if they are too few. It is used as the boot loader left it: good for early
    /// output.
    pub fn new(regs: Mmio, shift: u32, width: u32) -> Option<Self> {
        let stride = 1usize.checked_shl(shift)?;
        let fits = REGISTERS
            .checked_mul(stride)
            .is_some_and(|len| len <= regs.len());
        let apart = matches!((width, stride), (1, _) | (4, 4..));
        (fits && apart).then_some(Self {
            regs,
            shift,
            width,
            depth: AtomicU8::new(1),
            room: AtomicU8::new(0),
        })
    }

    fn read(&self, register: usize) -> u8 {
        let offset = register << self.shift;
        match self.width {
            4 => self.regs.read32(offset) as u8,
            _ => self.regs.read8(offset),
        }
    }

    fn write(&self, register: usize, value: u8) {
        let offset = register << self.shift;
        match self.width {
            4 => self.regs.write32(offset, value.into()),
            _ => self.regs.write8(offset, value),
        }
        // The console's lock orders memory only: another CPU's accesses come behind this one.
        arch::full_barrier();
    }

    /// Takes the UART over: 8 bits, no parity, FIFOs on, no interrupts. The baud rate stays as the
    /// boot loader set it.
    ///
    /// Switching the FIFOs on empties them (8.4). So where something has been typed already they
    /// stay as they are.
    pub fn init(&self) {
        self.write(IER, 0);
        // Registers 0 and 1 are those of the interrupts and data, and not the divisor's.
        self.write(LCR, LCR_8N1);
        self.write(MCR, MCR_READY);
        let on = self.read(IIR_FCR) & IIR_FIFOS == IIR_FIFOS;
        if on || self.rx_empty() {
            self.write(IIR_FCR, FCR_ENABLE);
        }
        if self.read(IIR_FCR) & IIR_FIFOS == IIR_FIFOS {
            self.depth.store(FIFO, Ordering::Relaxed);
        }
    }

    /// Lets received characters interrupt.
    pub fn enable_rx_interrupts(&self) {
        self.write(IER, self.read(IER) | IER_RX | IER_LINE);
    }

    /// Lets a transmit FIFO that is empty interrupt, or not.
    pub fn set_tx_interrupt(&self, on: bool) {
        let mask = self.read(IER) & !IER_TX;
        self.write(IER, if on { mask | IER_TX } else { mask });
    }

    /// Whether a byte can be written now.
    pub fn write_available(&self) -> bool {
        if self.room.load(Ordering::Relaxed) > 0 {
            return true;
        }
        // The status tells when all has been sent, not when there is some room: from then on as
        // many bytes fit as the FIFO has.
        let empty = self.read(LSR) & LSR_THRE != 0;
        if empty {
            self.room
                .store(self.depth.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        empty
    }

    /// Writes a byte if there is room for one.
    pub fn try_putc(&self, byte: u8) -> bool {
        let room = self.write_available();
        if room {
            // Not below 0, whoever else writes.
            let left = self.room.load(Ordering::Relaxed).saturating_sub(1);
            self.room.store(left, Ordering::Relaxed);
            self.write(DATA, byte);
        }
        room
    }

    /// Takes a received byte, if there is one. A break or a byte with an error counts as none,
    /// but is taken too, so go on until [`rx_empty`](Self::rx_empty).
    pub fn try_getc(&self) -> Option<u8> {
        // Reading the status clears its errors, which are those of the byte that is read next.
        let status = self.read(LSR);
        if status & LSR_DATA == 0 {
            return None;
        }
        let byte = self.read(DATA);
        (status & LSR_DAMAGED == 0).then_some(byte)
    }

    /// Whether nothing more was received.
    pub fn rx_empty(&self) -> bool {
        self.read(LSR) & LSR_DATA == 0
    }

    /// Clears all interrupts that are signalled. Returns whether one of them was the
    /// transmitter's. The line has fallen when this returns (if the receive FIFO was emptied
    /// before), so that the interrupt controller may be told.
    pub fn clear_interrupts(&self) -> bool {
        let mut transmitter = false;
        for _ in 0..MAX_CAUSES {
            // Reading this clears the transmitter's interrupt, if it is what is signalled (8.6).
            let cause = self.read(IIR_FCR) & IIR_CAUSE;
            if cause & IIR_NONE != 0 {
                break;
            }
            transmitter |= cause == IIR_TX;
            // And these the ones of the line's and the modem's status.
            let _ = (self.read(LSR), self.read(MSR));
        }
        arch::full_barrier();
        transmitter
    }

    /// Writes bytes without any lock, for panics: polls for room, and drops the rest if there is
    /// none for long. A newline becomes a carriage return and a newline.
    pub fn emergency_write(&self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' && !self.put_polled(b'\r') {
                return;
            }
            if !self.put_polled(byte) {
                return;
            }
        }
    }

    fn put_polled(&self, byte: u8) -> bool {
        let room = (0..POLL_LIMIT).any(|_| {
            let empty = self.read(LSR) & LSR_THRE != 0;
            if !empty {
                core::hint::spin_loop();
            }
            empty
        });
        if room {
            self.room.store(0, Ordering::Relaxed);
            self.write(DATA, byte);
        }
        room
    }
}
