//! What the drivers need of the architecture. Each folder has the same functions; on hosts, where
//! only tests run, there is nothing to call.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(not(target_arch = "aarch64"))]
mod host;
#[cfg(not(target_arch = "aarch64"))]
pub use host::*;
