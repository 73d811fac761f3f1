//! The PL011 UART: Arm DDI 0183, chapter 3.

use super::{arch, mmio::Mmio};

const DR: usize = 0x00;
const FR: usize = 0x18;
const LCR_H: usize = 0x2c;
const CR: usize = 0x30;
const IFLS: usize = 0x34;
const IMSC: usize = 0x38;
const MIS: usize = 0x40;
const ICR: usize = 0x44;
const DMACR: usize = 0x48;

const FR_BUSY: u32 = 1 << 3;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
const LCR_H_FEN: u32 = 1 << 4;
const LCR_H_WLEN_8: u32 = 3 << 5;
const CR_UARTEN: u32 = 1 << 0;
const CR_TXE: u32 = 1 << 8;
const CR_RXE: u32 = 1 << 9;
/// Receive FIFO at 1/8 (bits 5:3 = 0), so that a byte waits for little; transmit FIFO at 1/8
/// (bits 2:0 = 0), so that each interrupt has room for most of a FIFO.
const IFLS_EIGHTHS: u32 = 0;
/// A received character; characters that wait in a FIFO below its level; a lost one.
const RX_INTERRUPTS: u32 = 1 << 4 | 1 << 6 | 1 << 10;
const TX_INTERRUPT: u32 = 1 << 5;
const ALL_INTERRUPTS: u32 = 0x7ff;

/// The least registers that a PL011 has: up to DMACR.
pub const MIN_LEN: usize = 0x4c;

/// A PL011.
///
/// All methods take `&self`, so that the panic path can write while something else was writing.
/// Each register access is whole; but [`set_tx_interrupt`](Self::set_tx_interrupt) and
/// [`enable_rx_interrupts`](Self::enable_rx_interrupts) change the same register, so one CPU at a
/// time may call them (the console's lock sees to that).
#[derive(Clone, Copy, Debug)]
pub struct Pl011 {
    regs: Mmio,
}

impl Pl011 {
    /// The UART with these registers, [`MIN_LEN`] bytes at least; `None` if there are fewer. It
    /// is used as the boot loader left it: good for early output.
    pub fn new(regs: Mmio) -> Option<Self> {
        (regs.len() >= MIN_LEN).then_some(Self { regs })
    }

    /// Takes the UART over: 8 bits, no parity, FIFOs on, both directions on, no interrupts, no
    /// DMA. The baud rate stays as the boot loader set it, for only that knows the clock.
    ///
    /// Switching the FIFOs on may empty them (in QEMU it does). So where something has been typed
    /// already they stay as they are: a terminal gets along without, a pipe's first byte is kept.
    pub fn init(&self) {
        // Section 3.3.8: what is being sent must be finished before the UART is disabled, and
        // LCR_H may be written only while it is. A UART that never finishes is taken over anyway.
        let _ = self.regs.poll32(FR, |flags| flags & FR_BUSY == 0);
        let (fifos, keep) = if self.rx_empty() {
            (LCR_H_FEN, 0)
        } else {
            // The interrupt that announces it comes once, so it stays signalled.
            (self.regs.read32(LCR_H) & LCR_H_FEN, RX_INTERRUPTS)
        };
        self.regs.write32(CR, 0);
        self.regs.write32(IMSC, 0);
        self.regs.write32(ICR, ALL_INTERRUPTS & !keep);
        self.regs.write32(DMACR, 0);
        self.regs.write32(IFLS, IFLS_EIGHTHS);
        self.regs.write32(LCR_H, LCR_H_WLEN_8 | fifos);
        self.regs.write32(CR, CR_UARTEN | CR_TXE | CR_RXE);
    }

    /// Lets received characters interrupt.
    pub fn enable_rx_interrupts(&self) {
        let mask = self.regs.read32(IMSC);
        self.regs.write32(IMSC, mask | RX_INTERRUPTS);
    }

    /// Lets a transmit FIFO that runs empty interrupt, or not. The PL011 signals when the FIFO
    /// *falls* to its level: fill it first, then turn this on, and turn it off when there is
    /// nothing left to send.
    pub fn set_tx_interrupt(&self, on: bool) {
        let mask = self.regs.read32(IMSC) & !TX_INTERRUPT;
        self.regs
            .write32(IMSC, if on { mask | TX_INTERRUPT } else { mask });
    }

    /// Whether a byte can be written now.
    pub fn write_available(&self) -> bool {
        self.regs.read32(FR) & FR_TXFF == 0
    }

    /// Writes a byte if there is room for one.
    pub fn try_putc(&self, byte: u8) -> bool {
        let room = self.write_available();
        if room {
            self.regs.write32(DR, byte.into());
        }
        room
    }

    /// Takes a received byte, if there is one. A break or a byte with an error counts as none,
    /// but is taken too, so go on until [`rx_empty`](Self::rx_empty).
    pub fn try_getc(&self) -> Option<u8> {
        if self.rx_empty() {
            return None;
        }
        // Bits 11:8 are overrun, break, parity and framing error. An overrun lost a later byte;
        // this one is good.
        let data = self.regs.read32(DR);
        (data & 0x700 == 0).then_some(data as u8)
    }

    /// Whether nothing more was received.
    pub fn rx_empty(&self) -> bool {
        self.regs.read32(FR) & FR_RXFE != 0
    }

    /// Clears all interrupts that are signalled. Returns whether one of them was the transmit
    /// FIFO's. The line has fallen when this returns (if the receive FIFO was emptied before), so
    /// that the interrupt controller may be told.
    pub fn clear_interrupts(&self) -> bool {
        let signalled = self.regs.read32(MIS);
        self.regs.write32(ICR, signalled);
        // The write is buffered; the read behind it is not answered before it is done, and the
        // barrier waits for the answer.
        let _ = self.regs.read32(FR);
        arch::full_barrier();
        signalled & TX_INTERRUPT != 0
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
        let room = self.regs.poll32(FR, |flags| flags & FR_TXFF == 0);
        if room {
            self.regs.write32(DR, byte.into());
        }
        room
    }
}
