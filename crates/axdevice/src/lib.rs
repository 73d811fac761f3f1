//! The device bus of a VM, interrupt lines, and emulated devices. Touches no hardware.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod access;
mod bus;
mod console;
mod line;
mod lines;
mod pl011;
mod ring;

pub use access::{Access, AccessWidth, BusFault, MmioDevice};
pub use bus::{Bus, BusBuilder, BusError, LastHit};
pub use console::{ConsoleHook, ConsolePort};
pub use line::{IrqLine, IrqSink};
pub use lines::{IrqLines, LineTaken};
pub use pl011::Pl011;
