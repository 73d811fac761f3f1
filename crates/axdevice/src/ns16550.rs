//! A 16550A UART (Texas Instruments PC16550D data sheet, SNLS378): eight registers of a byte each,
//! one after another, and 16-byte FIFOs.
//!
//! Four deliberate leniencies. The divisor latch starts as what firmware would leave, not as
//! anything: a driver may compute the baud rate that it finds. Resetting the transmit FIFO drops
//! nothing: what was sent is on the wire. Enabling the FIFOs drops nothing either: Linux's driver
//! does that after it has enabled the receiver's interrupt, when what waited comes. And an access of
//! more than a byte is one to the register at its address, whose byte is the lowest; the data sheet's
//! chip has eight data lines, and what a bus makes of its others is the bus's. Drivers of QEMU's
//! machines store words.

mod regs;
mod uart;

use crate::serial::{Model, Serial};
use crate::{Access, BusFault, IrqLine, MmioDevice, WriteFault};
use uart::Uart;

/// An emulated 16550A: eight registers and one level-triggered line.
pub type Ns16550 = Serial<Uart>;

impl Ns16550 {
    /// Bytes of its register region. Behind the eight registers it reads as zero and ignores
    /// writes.
    pub const SIZE: usize = 0x100;

    /// A UART after power-on, with its interrupt (INTR) on `irq`.
    pub fn new(irq: IrqLine) -> Self {
        Self::with_model(Uart::new(), irq)
    }
}

impl MmioDevice for Ns16550 {
    #[inline]
    fn read(&self, access: Access) -> Result<u64, BusFault> {
        Ok(self.with(|uart| uart.read(access.offset)).into())
    }

    #[inline]
    fn write(&self, access: Access, value: u64) -> Result<(), WriteFault> {
        let done = self.with(|uart| uart.write(access.offset, value as u8));
        if done { Ok(()) } else { Err(WriteFault::Busy) }
    }

    fn reset(&self) {
        self.with(Uart::reset);
    }
}

#[cfg(test)]
mod tests;
