//! The console's UART, of whatever kind.

use super::arch::FirmwareConsole;
use super::mmio::Mmio;
use super::ns16550::Ns16550;
use super::pl011::Pl011;
use crate::machine;

/// A UART. For what its methods promise see [`Pl011`] and [`Ns16550`].
#[derive(Debug)]
pub enum Uart {
    /// A PL011.
    Pl011(Pl011),
    /// A 16550.
    Ns16550(Ns16550),
    /// The firmware's console: it only prints.
    Firmware(FirmwareConsole),
}

/// What a look at the receiver found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A byte.
    Byte(u8),
    /// What isn't a byte: a break, or a damaged one. There may be more behind it.
    Damaged,
    /// Nothing. The UART's interrupts have been cleared, its line is low, and whatever comes from
    /// now on will raise it.
    Nothing,
}

/// A receiver that interrupts.
pub(crate) trait Receiver {
    /// Whether nothing more was received.
    fn rx_empty(&self) -> bool;
    /// Takes a byte; `None` if there is none, or if what is taken isn't one.
    fn try_getc(&self) -> Option<u8>;
    /// Clears all interrupts that are signalled.
    fn clear_interrupts(&self) -> bool;
}

/// The next thing received. What arrives between the look that finds nothing and the clearing has
/// its interrupt cleared with the others, so there is a second look behind the clearing; what
/// arrives behind that one interrupts.
pub(crate) fn receive(uart: &impl Receiver) -> Received {
    if uart.rx_empty() {
        uart.clear_interrupts();
        if uart.rx_empty() {
            return Received::Nothing;
        }
    }
    uart.try_getc().map_or(Received::Damaged, Received::Byte)
}

impl Receiver for Uart {
    fn rx_empty(&self) -> bool {
        Uart::rx_empty(self)
    }

    fn try_getc(&self) -> Option<u8> {
        Uart::try_getc(self)
    }

    fn clear_interrupts(&self) -> bool {
        Uart::clear_interrupts(self)
    }
}

impl Uart {
    /// The UART with these registers, used as the boot loader left it. `None` if they are too few.
    pub fn new(kind: machine::Uart, regs: Mmio) -> Option<Self> {
        match kind {
            machine::Uart::Pl011 => Pl011::new(regs).map(Self::Pl011),
            machine::Uart::Ns16550 { shift, width, .. } => {
                Ns16550::new(regs, shift, width).map(Self::Ns16550)
            }
        }
    }

    /// Takes the UART over: 8 bits, no parity, the baud rate as the boot loader set it.
    pub fn init(&self) {
        match self {
            Self::Pl011(uart) => uart.init(),
            Self::Ns16550(uart) => uart.init(),
            Self::Firmware(_) => {}
        }
    }

    /// Lets received characters interrupt.
    pub fn enable_rx_interrupts(&self) {
        match self {
            Self::Pl011(uart) => uart.enable_rx_interrupts(),
            Self::Ns16550(uart) => uart.enable_rx_interrupts(),
            Self::Firmware(_) => {}
        }
    }

    /// Lets a transmit FIFO that runs empty interrupt, or not. Fill it first.
    pub fn set_tx_interrupt(&self, on: bool) {
        match self {
            Self::Pl011(uart) => uart.set_tx_interrupt(on),
            Self::Ns16550(uart) => uart.set_tx_interrupt(on),
            Self::Firmware(_) => {}
        }
    }

    /// Whether a byte can be written now.
    pub fn write_available(&self) -> bool {
        match self {
            Self::Pl011(uart) => uart.write_available(),
            Self::Ns16550(uart) => uart.write_available(),
            Self::Firmware(_) => true,
        }
    }

    /// Writes a byte if there is room for one.
    pub fn try_putc(&self, byte: u8) -> bool {
        match self {
            Self::Pl011(uart) => uart.try_putc(byte),
            Self::Ns16550(uart) => uart.try_putc(byte),
            Self::Firmware(console) => {
                console.put(byte);
                true
            }
        }
    }

    /// Takes a received byte, if there is one. A damaged one counts as none, but is taken too, so
    /// go on until [`rx_empty`](Self::rx_empty).
    pub fn try_getc(&self) -> Option<u8> {
        match self {
            Self::Pl011(uart) => uart.try_getc(),
            Self::Ns16550(uart) => uart.try_getc(),
            Self::Firmware(_) => None,
        }
    }

    /// Whether nothing more was received.
    pub fn rx_empty(&self) -> bool {
        match self {
            Self::Pl011(uart) => uart.rx_empty(),
            Self::Ns16550(uart) => uart.rx_empty(),
            Self::Firmware(_) => true,
        }
    }

    /// Clears all interrupts that are signalled. Returns whether one of them was the
    /// transmitter's. The line has fallen when this returns, if all received was taken before.
    pub fn clear_interrupts(&self) -> bool {
        match self {
            Self::Pl011(uart) => uart.clear_interrupts(),
            Self::Ns16550(uart) => uart.clear_interrupts(),
            Self::Firmware(_) => false,
        }
    }

    /// The next thing received, for whoever serves the UART's interrupt: when there is nothing
    /// more, its interrupts are cleared, and nothing that came meanwhile is forgotten.
    pub fn receive(&self) -> Received {
        receive(self)
    }

    /// Writes bytes without any lock, for panics: polls for room, and drops the rest if there is
    /// none for long. A newline becomes a carriage return and a newline.
    pub fn emergency_write(&self, bytes: &[u8]) {
        match self {
            Self::Pl011(uart) => uart.emergency_write(bytes),
            Self::Ns16550(uart) => uart.emergency_write(bytes),
            Self::Firmware(console) => {
                for &byte in bytes {
                    if byte == b'\n' {
                        console.put(b'\r');
                    }
                    console.put(byte);
                }
            }
        }
    }
}
