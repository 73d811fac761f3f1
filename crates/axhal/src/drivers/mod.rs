//! Drivers for what the hypervisor uses itself: interrupt controller, timer, UART, firmware.
//!
//! Constructors take the virtual addresses at which the caller mapped the registers; after that
//! the interfaces are safe. What needs instructions of an architecture is under `arch`.

mod arch;
pub mod gicv3;
pub mod mmio;
pub mod pl011;
pub mod psci;
#[cfg(test)]
pub(crate) mod tests;
pub mod timer;
