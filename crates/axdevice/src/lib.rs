//! The device bus of a VM, interrupt lines, and emulated devices. Touches no hardware.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod access;
mod bus;
mod console;
mod line;
mod lines;
mod ns16550;
mod pl011;
mod ring;
mod serial;

pub use access::{Access, AccessWidth, BusFault, MmioDevice, WriteFault};
pub use bus::{Bus, BusBuilder, BusError, LastHit};
pub use console::{ConsoleHook, ConsolePort};
pub use line::{IrqLine, IrqSink};
pub use lines::{IrqLines, LineTaken};
pub use ns16550::Ns16550;
pub use pl011::Pl011;
pub use serial::Serial;
