//! The harness of the tests in QEMU: what they boot ([`artifacts`], [`vm`]), the machine they boot
//! it on ([`machine`]), what a console log must not hold ([`log`]), and names for the addresses of
//! a backtrace ([`symbols`]).

pub mod artifacts;
pub mod log;
pub mod machine;
pub mod symbols;
pub mod testguest;
pub mod vm;

/// Why a test failed, for people to read.
pub type Failure = String;
