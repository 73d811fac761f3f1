//! What a test needs of the architecture: a timer that interrupts, and interrupts between CPUs.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "riscv64")]
pub use riscv64::*;

/// What has interrupted.
pub enum Event {
    /// Nothing is pending.
    None,
    /// The timer. It is off now.
    Timer,
    /// Another CPU.
    Kick,
    /// Anything else.
    Other,
}
