//! Registers and assembly.

mod riscv64;

pub use riscv64::*;
