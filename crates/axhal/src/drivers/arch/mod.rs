//! What the drivers need of the architecture. Each folder has the functions of its drivers; on
//! hosts, where only tests run, there is nothing to call.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "riscv64")]
pub use riscv64::*;

#[cfg(not(any(target_arch = "aarch64", target_arch = "riscv64")))]
mod host;
#[cfg(not(any(target_arch = "aarch64", target_arch = "riscv64")))]
pub use host::*;
