//! What differs between architectures. Everything else in this crate names only `arch::`.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(all(test, not(target_arch = "aarch64")))]
mod host;
#[cfg(all(test, not(target_arch = "aarch64")))]
pub use host::*;
