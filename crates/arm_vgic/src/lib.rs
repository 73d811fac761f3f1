//! A model of the GICv3 that a guest sees (Arm IHI 0069): distributor, redistributors, and the
//! interrupts of each vCPU as images of list registers. It touches no hardware: what it needs of
//! the physical CPU it reaches through [`CpuInterface`].
//!
//! The guest's controller has one security state (GICD_CTLR.DS=1), affinity routing only
//! (ARE=1), both groups, no LPIs, no message-based SPIs and no 1-of-N routing.
//!
//! # Who owns an interrupt
//!
//! The model, or a list register of a *live* vCPU. Loading a vCPU ([`Vgic::load`]) puts its CPU
//! interface into the hardware; [`Vgic::sync_in`] moves interrupts to list registers and makes it
//! live; across ordinary exits they stay there. [`Vgic::fold`] takes them all back, [`Vgic::put`]
//! the CPU interface too. Linked interrupts (timer PPIs, passthrough SPIs) stand for a physical
//! one, which is physically active from when it fired until the guest deactivates it.
//!
//! # What a vCPU's run loop does
//!
//! With interrupts masked, on the CPU where the vCPU runs:
//!
//! - Switched in: restore the guest's timers, then [`Vgic::load`].
//! - Before each entry: if Fold is requested, [`Vgic::fold`]; then, if Sync is, [`Vgic::sync_in`];
//!   enter only if that returned `true` and no request has come since, else look again.
//! - After an exit by the maintenance interrupt: [`Vgic::maintenance`]; by a linked PPI:
//!   [`Vgic::ppi_fired`]; by a passthrough SPI: [`Vgic::spi_fired`] of the VM it belongs to.
//! - WFI: [`Vgic::has_deliverable`]; if `false`, [`Vgic::put`], stop the timers, and only then
//!   sleep. The same when it is switched out: nobody who is live sleeps, as others may wait for
//!   it to fold.
//! - Switched off: [`Vgic::put`]. [`Vgic::reset`] needs all of them put.
//!
//! # Locks
//!
//! The distributor's lock protects all SPIs; each vCPU's bank has its own. Order: distributor,
//! then a bank; never two banks. None is held while waiting for another CPU (`hold.rs`) or while
//! [`Notify`] is called.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod cpu;
mod deliver;
mod hold;
mod inject;
mod irq;
mod load;
mod mmio;
mod power;
pub mod regs;
mod sgi;
mod spis;
mod vcpu;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};

use spin::Mutex;

pub use cpu::{CpuInterface, Notify, Wanted};
pub use mmio::{DIST_SIZE, REDIST_STRIDE};
pub use sgi::SgiRegister;
use spis::Spis;
use vcpu::Vcpu;

/// Most vCPUs of a VM.
pub const MAX_VCPUS: usize = 64;
/// Most SPIs of a VM (INTIDs 32..=1019).
pub const MAX_SPIS: u32 = 988;

/// What a VM's controller is made from.
pub struct Config<'a> {
    /// Each vCPU's affinity, as in MPIDR_EL1: Aff3 in bits \[39:32\], Aff2..Aff0 in \[23:0\].
    /// Distinct; 1..=[`MAX_VCPUS`]. Aff0 above 15 works if the CPU interface has ICC_CTLR.RSS.
    pub affinities: &'a [u64],
    /// Number of SPIs, rounded up to a multiple of 32; at most [`MAX_SPIS`].
    pub spis: u32,
    /// Linked PPIs, the same for each vCPU: (virtual INTID, physical INTID), both in 16..32.
    pub linked_ppis: &'a [(u32, u32)],
    /// SPIs that stand for the physical ones of the same INTID.
    pub passthrough_spis: &'a [u32],
}

/// A controller that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Not 1..=[`MAX_VCPUS`] vCPUs.
    VcpuCount(usize),
    /// An affinity with bits outside its four fields.
    Affinity(u64),
    /// Two vCPUs with this affinity.
    DuplicateAffinity(u64),
    /// More than [`MAX_SPIS`] SPIs.
    SpiCount(u32),
    /// Not a pair of PPIs.
    LinkedPpi(u32, u32),
    /// A passthrough interrupt that is none of the SPIs.
    PassthroughSpi(u32),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VcpuCount(n) => write!(f, "{n} vCPUs; 1 to {MAX_VCPUS} are possible"),
            Self::Affinity(a) => write!(f, "{a:#x} is not an affinity"),
            Self::DuplicateAffinity(a) => write!(f, "two vCPUs with affinity {a:#x}"),
            Self::SpiCount(n) => write!(f, "{n} SPIs; at most {MAX_SPIS} are possible"),
            Self::LinkedPpi(v, p) => write!(f, "PPI {v} linked to physical PPI {p}: not PPIs"),
            Self::PassthroughSpi(n) => write!(f, "passthrough interrupt {n} is not an SPI here"),
        }
    }
}

impl core::error::Error for ConfigError {}

const AFFINITY_MASK: u64 = 0xff_00ff_ffff;

/// A VM's interrupt controller.
pub struct Vgic<C: CpuInterface, N: Notify> {
    /// GICD_CTLR.EnableGrp0 and EnableGrp1. Changed under the distributor's lock; whoever reads
    /// it without is notified of the change afterwards.
    ctlr: AtomicU32,
    /// How many accesses wait for vCPUs to fold: see `hold.rs`.
    hold: AtomicU32,
    vcpus: Box<[Vcpu]>,
    /// Immutable: where SGIs go.
    clusters: Box<[sgi::Cluster]>,
    /// Immutable: bits of priority that exist.
    prio_mask: u8,
    /// Immutable: GICD_TYPER.
    typer: u32,
    /// Immutable: some SPIs are passed through.
    passthrough: bool,
    spis: Mutex<Spis>,
    notify: N,
    cpu: PhantomData<fn() -> C>,
}

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// A controller in its state after power-on.
    pub fn new(config: &Config<'_>, notify: N) -> Result<Self, ConfigError> {
        let affinities = config.affinities;
        if affinities.is_empty() || affinities.len() > MAX_VCPUS {
            return Err(ConfigError::VcpuCount(affinities.len()));
        }
        for (i, &a) in affinities.iter().enumerate() {
            if a & !AFFINITY_MASK != 0 {
                return Err(ConfigError::Affinity(a));
            }
            if affinities[..i].contains(&a) {
                return Err(ConfigError::DuplicateAffinity(a));
            }
        }
        if config.spis > MAX_SPIS {
            return Err(ConfigError::SpiCount(config.spis));
        }
        let mut spis = Spis::new(config.spis, affinities.len());
        spis.reset::<C>(0, 0);
        for &intid in config.passthrough_spis {
            let Some((_, w, bit)) = spis.place(intid) else {
                return Err(ConfigError::PassthroughSpi(intid));
            };
            spis.words[w].linked |= bit;
        }
        let vcpus: Vec<_> = affinities.iter().map(|&a| Vcpu::new(a)).collect();
        for &(virt, phys) in config.linked_ppis {
            if !(16..32).contains(&virt) || !(16..32).contains(&phys) {
                return Err(ConfigError::LinkedPpi(virt, phys));
            }
            for vcpu in &vcpus {
                let mut bank = vcpu.bank.lock();
                bank.irqs.linked |= 1 << virt;
                bank.pintid[virt as usize] = phys as u8;
            }
        }
        let vgic = Self {
            ctlr: AtomicU32::new(0),
            hold: AtomicU32::new(0),
            clusters: sgi::clusters(affinities),
            prio_mask: !(u8::MAX >> C::pri_bits().min(8)),
            typer: mmio::typer(affinities, spis.words.len() as u32),
            passthrough: !config.passthrough_spis.is_empty(),
            vcpus: vcpus.into(),
            spis: Mutex::new(spis),
            notify,
            cpu: PhantomData,
        };
        vgic.reset();
        Ok(vgic)
    }

    /// Back to the state after power-on. No vCPU is loaded. Passthrough SPIs are physically
    /// disabled, inactive and not pending afterwards; a VM that stops for good calls it too.
    pub fn reset(&self) {
        self.ctlr.store(0, Ordering::Relaxed);
        let first = &self.vcpus[0];
        let cpu = first.cpu.load(Ordering::Relaxed);
        self.spis.lock().reset::<C>(first.affinity, cpu);
        for vcpu in &self.vcpus {
            let mut bank = vcpu.bank.lock();
            bank.reset();
            vcpu.live.store(false, Ordering::Relaxed);
            vcpu.group1.store(0, Ordering::Relaxed);
            vcpu.inbox.store(0, Ordering::Relaxed);
            vcpu.spi_words.store(0, Ordering::Relaxed);
        }
    }

    /// The notifier given to [`new`](Self::new).
    pub fn notifier(&self) -> &N {
        &self.notify
    }

    /// Number of vCPUs.
    pub fn vcpu_count(&self) -> usize {
        self.vcpus.len()
    }

    #[inline]
    fn ctlr(&self) -> u32 {
        self.ctlr.load(Ordering::Relaxed)
    }

    /// Without locks: asks each vCPU of a mask to synchronise.
    #[inline]
    fn notify_mask(&self, mut mask: u64) {
        while mask != 0 {
            self.notify
                .notify(mask.trailing_zeros() as usize, Wanted::Sync);
            mask &= mask - 1;
        }
    }

    /// The vCPU of an affinity, as `target` of an SPI.
    fn target_of(&self, affinity: u64) -> u8 {
        self.vcpus
            .iter()
            .position(|v| v.affinity == affinity)
            .map_or(spis::NOBODY, |i| i as u8)
    }
}

#[cfg(test)]
mod tests;
