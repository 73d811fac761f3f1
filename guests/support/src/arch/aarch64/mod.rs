//! aarch64: EL1, a GICv3, the generic timers, PSCI, a PL011.

#[macro_use]
mod regs;
#[macro_use]
mod instructions;
pub mod firmware;
pub mod gic;
pub mod lines;
pub mod map;
pub mod psci;
pub mod smp;
pub mod timer;
pub mod trap;
pub mod uart;

core::arch::global_asm!(include_str!("entry.s"), options(raw));

/// Where a guest's own code runs.
pub const LEVEL: &str = "EL1";

/// The number of the CPU this runs on, as given by [`crate::smp`]; 0 is the first.
pub fn cpu() -> usize {
    read_sysreg!("tpidr_el1") as usize
}

/// Nothing has to be known: affinities count from 0.
pub(crate) fn begin(_: usize) {}
