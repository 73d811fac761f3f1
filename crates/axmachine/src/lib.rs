//! What the machine is made of, read from its device tree into a struct of our own. Touches no
//! hardware and needs no heap: it runs before both.
//!
//! The tree comes from a boot loader and is hostile until checked: all numbers are checked when
//! they are read, and what is wrong becomes a [`MachineError`].
//!
//! `axhal` boots with this reader (as `axhal::machine`), the host's `axvmconfig` command checks
//! descriptions with it, and `axloader` reads the device trees that guests get parts of.
#![cfg_attr(not(test), no_std)]

mod chosen;
pub mod cmdline;
mod cpus;
mod device;
mod error;
pub mod fdt;
mod irq;
mod memory;
mod platform;
mod regs;
#[cfg(test)]
mod tests;

pub use chosen::{Console, bootargs, console};
pub use cpus::{Cpu, Cpus, EnableMethod, MAX_CPUS};
pub use device::DmaFacts;
pub use error::MachineError;
pub use fdt::{Fdt, Node};
pub use irq::{Interrupt, MAX_INTERRUPTS, Trigger};
pub use memory::{MAX_BANKS, MAX_RESERVATIONS, Reservation};
pub use platform::{Conduit, GicV3, MAX_REDIST_REGIONS, Psci, PsciVersion, Timer, psci};
pub use regs::{MAX_REGS, Region};

use arrayvec::ArrayVec;

/// A machine, as its device tree describes it. Its command line is read by [`bootargs`].
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its CPUs.
    pub cpus: Cpus,
    /// RAM, in ascending order, without overlaps.
    pub memory: ArrayVec<Region, MAX_BANKS>,
    /// RAM that isn't ours to use. May overlap, and may lie outside of `memory`.
    pub reserved: ArrayVec<Reservation, MAX_RESERVATIONS>,
    /// The ramdisk handed over by the boot loader.
    pub initrd: Option<Region>,
    /// The console of `/chosen/stdout-path`.
    pub console: Option<Console>,
    /// The interrupt controller.
    pub gic: GicV3,
    /// The CPUs' timers.
    pub timer: Timer,
    /// The firmware's power interface, if it has one.
    pub psci: Option<Psci>,
}

impl Machine {
    /// Reads all of a machine. For a console to report errors of this on, see [`console`].
    pub fn new(fdt: &Fdt<'_>) -> Result<Self, MachineError> {
        Ok(Self {
            cpus: cpus::read(fdt)?,
            memory: memory::banks(fdt)?,
            reserved: memory::reservations(fdt)?,
            initrd: chosen::initrd(fdt)?,
            console: console(fdt)?,
            gic: platform::gic(fdt)?,
            timer: platform::timer(fdt)?,
            psci: psci(fdt)?,
        })
    }
}
