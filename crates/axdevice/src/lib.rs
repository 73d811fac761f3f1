//! The device bus of a VM, interrupt lines, and emulated devices. Touches no hardware.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod access;
mod line;

pub use access::{Access, AccessWidth, BusFault, MmioDevice};
pub use line::{IrqLine, IrqSink};
