//! Registers and assembly.

mod aarch64;

pub use aarch64::*;
