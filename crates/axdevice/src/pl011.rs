//! Arm PrimeCell UART, PL011 (technical reference manual DDI 0183, revision r1p4: 16-byte FIFOs).
//!
//! One deliberate leniency: characters are sent whether or not the UART is enabled. Guests that
//! rely on their firmware to have done that (early consoles) have no firmware here.

mod regs;
mod uart;

use crate::serial::{Model, Serial};
use crate::{Access, AccessWidth, BusFault, IrqLine, MmioDevice, WriteFault};
use uart::Uart;

/// An emulated PL011: 4 KiB of registers and one level-triggered line.
pub type Pl011 = Serial<Uart>;

impl Pl011 {
    /// Bytes of its register region.
    pub const SIZE: usize = 0x1000;

    /// A UART after power-on, with its combined interrupt (UARTINTR) on `irq`.
    pub fn new(irq: IrqLine) -> Self {
        Self::with_model(Uart::new(), irq)
    }
}

/// The register an access is for, and the bits by which it lies inside it; `None` if it is not
/// inside one.
#[inline]
fn register(access: Access) -> Option<(u64, u32)> {
    let lane = (access.offset & 3) as usize;
    (lane + access.width.bytes() <= 4).then_some((access.offset & !3, 8 * lane as u32))
}

/// The APB carries 32 bits: the bridge in front of it makes two accesses of an aligned one of 64.
#[cold]
fn halves(access: Access) -> Result<[Access; 2], BusFault> {
    if access.width != AccessWidth::Double || access.offset & 3 != 0 {
        return Err(BusFault);
    }
    let half = |offset| Access {
        offset,
        width: AccessWidth::Word,
        ..access
    };
    Ok([half(access.offset), half(access.offset + 4)])
}

impl MmioDevice for Pl011 {
    #[inline]
    fn read(&self, access: Access) -> Result<u64, BusFault> {
        let Some((register, shift)) = register(access) else {
            let [low, high] = halves(access)?;
            return Ok(self.read(low)? | self.read(high)? << 32);
        };
        Ok(u64::from(self.with(|uart| uart.read(register)) >> shift))
    }

    /// A write to a register's upper bytes only is ignored: the APB has no byte enables.
    #[inline]
    fn write(&self, access: Access, value: u64) -> Result<(), WriteFault> {
        let Some((register, shift)) = register(access) else {
            let [low, high] = halves(access)?;
            self.write(low, value & u64::from(u32::MAX))?;
            return self.write(high, value >> 32);
        };
        let done = shift != 0 || self.with(|uart| uart.write(register, value as u32));
        if done { Ok(()) } else { Err(WriteFault::Busy) }
    }

    fn reset(&self) {
        self.with(Uart::reset);
    }
}

#[cfg(test)]
mod tests;
