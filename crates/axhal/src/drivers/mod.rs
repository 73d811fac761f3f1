//! Drivers for what the hypervisor uses itself: interrupt controller, timer, UART, firmware.
//!
//! Constructors take the virtual addresses at which the caller mapped the registers; after that
//! the interfaces are safe. What needs instructions of an architecture is under `arch`. On a host
//! there are the drivers of all architectures, for their tests.

mod arch;
#[cfg(not(target_arch = "riscv64"))]
pub mod gicv3;
#[cfg(not(target_arch = "aarch64"))]
pub mod intc;
pub mod mmio;
pub mod ns16550;
pub mod pl011;
#[cfg(not(target_arch = "aarch64"))]
pub mod plic;
#[cfg(not(target_arch = "riscv64"))]
pub mod psci;
#[cfg(not(target_arch = "aarch64"))]
pub mod sbi;
#[cfg(test)]
pub(crate) mod tests;
pub mod timer;
pub mod uart;

#[cfg(not(target_arch = "aarch64"))]
pub use arch::Ecall;
pub use arch::FirmwareConsole;
