//! What the machine is made of, read from its device tree into a struct of our own. Touches no
//! hardware and needs no heap: it runs before both.
//!
//! The tree comes from a boot loader and is hostile until checked: all numbers are checked when
//! they are read, and what is wrong becomes a [`MachineError`].
//!
//! `axhal` boots with this reader (as `axhal::machine`), the host's `axvmconfig` command checks
//! descriptions with it, and `axloader` reads the device trees that guests get parts of.
#![cfg_attr(not(test), no_std)]

mod arm;
mod chosen;
pub mod cmdline;
mod cpus;
mod device;
mod error;
pub mod fdt;
mod irq;
mod memory;
mod regs;
mod riscv;
#[cfg(test)]
mod tests;

pub use arm::{Arm, Conduit, GicV3, MAX_REDIST_REGIONS, Psci, PsciVersion, Timer, psci};
pub use chosen::{Console, SEED, Uart, bootargs, console};
pub use cpus::{Cpu, Cpus, EnableMethod, MAX_CPUS};
pub use device::DmaFacts;
pub use error::MachineError;
pub use fdt::{Fdt, Node};
pub use irq::{Controller, Interrupt, MAX_INTERRUPTS, Trigger};
pub use memory::{MAX_BANKS, MAX_RESERVATIONS, Reservation};
pub use regs::{MAX_REGS, Region};
pub use riscv::{Extensions, Hart, Mmu, Plic, Riscv};

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
    /// Random bytes from the boot loader, if it passed on as many as [`SEED`].
    pub rng_seed: Option<[u8; SEED]>,
    /// The console of `/chosen/stdout-path`.
    pub console: Option<Console>,
    /// What differs between architectures.
    pub platform: Platform,
}

/// A machine's architecture, 64 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Arm.
    Arm,
    /// RISC-V.
    Riscv,
}

impl Architecture {
    /// The one of the machine that a tree describes: by its CPUs.
    pub fn of(fdt: &Fdt<'_>) -> Self {
        if riscv::has_cpus(fdt) {
            Self::Riscv
        } else {
            Self::Arm
        }
    }
}

/// What differs between architectures.
#[derive(Clone, Debug)]
pub enum Platform {
    /// 64-bit Arm.
    Arm(Arm),
    /// 64-bit RISC-V.
    Riscv(Riscv),
}

impl Machine {
    /// Reads all of a machine of `architecture`. For a console to report errors of this on, see
    /// [`console`].
    pub fn new(fdt: &Fdt<'_>, architecture: Architecture) -> Result<Self, MachineError> {
        let cpus = cpus::read(fdt, architecture)?;
        Ok(Self {
            memory: memory::banks(fdt)?,
            reserved: memory::reservations(fdt)?,
            initrd: chosen::initrd(fdt)?,
            rng_seed: chosen::rng_seed(fdt),
            console: console(fdt)?,
            platform: match architecture {
                Architecture::Arm => Platform::Arm(arm::read(fdt)?),
                Architecture::Riscv => Platform::Riscv(riscv::read(fdt, &cpus)?),
            },
            cpus,
        })
    }

    /// What is Arm's about it; `None` if it is another machine.
    pub fn arm(&self) -> Option<&Arm> {
        match &self.platform {
            Platform::Arm(arm) => Some(arm),
            Platform::Riscv(_) => None,
        }
    }

    /// What is RISC-V's about it; `None` if it is another machine.
    pub fn riscv(&self) -> Option<&Riscv> {
        match &self.platform {
            Platform::Riscv(riscv) => Some(riscv),
            Platform::Arm(_) => None,
        }
    }
}
