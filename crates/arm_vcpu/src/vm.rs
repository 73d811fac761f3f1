//! The part of an aarch64 VM that its vCPUs share.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arm_vgic::{Config, Notify, Vgic, Wanted};
use axaddrspace::{GuestPhysRange, HostPhysAddr};
use axdevice::{Bus, IrqSink, MmioDevice};
use axerrno::{AxError, AxResult};
use axvcpu::{ArchVm, GuestMemory, IrqchipRole, Kick, Request, VCpuSync, VmSetup};

use spin::Once;

use crate::ArmHost;
use crate::arch::{Ich, counter};
use crate::gic::{DistributorPort, RedistributorPort};

/// No vCPU of the VM ran on this CPU yet.
const NOBODY: u32 = u32::MAX;
/// SPIs every guest has, if its highest passthrough interrupt needs no more.
const MIN_SPIS: u32 = 96;
/// INTID of line 0: lines are shared peripheral interrupts.
const FIRST_SPI: u32 = 32;

/// How vCPUs are reached: by their request bits, then an SGI or their task.
pub struct Reach<H> {
    vm_id: usize,
    sync: Arc<[VCpuSync]>,
    wake: fn(usize, usize, usize),
    host: core::marker::PhantomData<fn() -> H>,
}

impl<H: ArmHost> Reach<H> {
    #[inline]
    fn request(&self, vcpu: usize, request: Request) {
        let Some(sync) = self.sync.get(vcpu) else {
            return;
        };
        match sync.request(request) {
            Kick::None => {}
            // It runs right here: this is one of its exits, which looks at requests at its end.
            Kick::Interrupt(cpu) if cpu == H::cpu() => {}
            Kick::Interrupt(cpu) => H::kick(cpu),
            Kick::Wake => (self.wake)(self.vm_id, vcpu, 0),
        }
    }
}

impl<H: ArmHost> Notify for Reach<H> {
    #[inline]
    fn notify(&self, vcpu: usize, wanted: Wanted) {
        self.request(
            vcpu,
            match wanted {
                Wanted::Sync => Request::Interrupt,
                Wanted::Fold => Request::Fold,
            },
        );
    }
}

/// The guest's interrupt controller.
pub(crate) type Gic<H> = Vgic<Ich<H>, Reach<H>>;

/// Shared state, read by all vCPUs without a lock.
pub struct ArmVm<H: ArmHost> {
    /// Each vCPU's MPIDR affinity fields.
    pub(crate) affinity: Box<[u64]>,
    pub(crate) sync: Arc<[VCpuSync]>,
    pub(crate) memory: Arc<dyn GuestMemory>,
    /// `None`: a VM without interrupts.
    pub(crate) vgic: Option<Arc<Gic<H>>>,
    irqchip: Vec<(IrqchipRole, GuestPhysRange)>,
    /// Written once, before any vCPU runs. No device leads back here: their lines end at the
    /// interrupt controller.
    pub(crate) bus: Once<Arc<Bus>>,
    /// A bit for each physical SPI that belongs to the VM, by INTID.
    passthrough: [u32; 32],
    /// VTTBR_EL2. Written once, before any vCPU runs.
    vttbr: AtomicU64,
    /// CNTVOFF_EL2. Written by `start`, while no vCPU runs.
    cntvoff: AtomicU64,
    /// Which vCPU of this VM ran last on each physical CPU. An entry is touched by its own CPU
    /// only, with interrupts masked.
    last_on: Box<[AtomicU32]>,
}

impl<H: ArmHost> ArmVm<H> {
    /// Remembers that `vcpu` runs on this CPU now; `true` if another one of this VM did so last,
    /// whose stale local TLB and instruction-cache entries carry the same VMID (DESIGN 5).
    pub(crate) fn entered_here(&self, vcpu: usize) -> bool {
        let Some(last) = self.last_on.get(H::cpu()) else {
            return true;
        };
        let vcpu = vcpu as u32;
        let before = last.load(Ordering::Relaxed);
        last.store(vcpu, Ordering::Relaxed);
        before != vcpu && before != NOBODY
    }

    pub(crate) fn vttbr(&self) -> u64 {
        self.vttbr.load(Ordering::Relaxed)
    }

    pub(crate) fn cntvoff(&self) -> u64 {
        self.cntvoff.load(Ordering::Relaxed)
    }

    /// Whether physical interrupt `intid` belongs to this VM.
    #[inline]
    pub(crate) fn is_passthrough(&self, intid: u32) -> bool {
        let word = self.passthrough.get(intid as usize / 32);
        word.is_some_and(|word| word >> (intid % 32) & 1 != 0)
    }

    /// The vCPU with this affinity.
    pub(crate) fn vcpu_of(&self, affinity: u64) -> Option<usize> {
        self.affinity.iter().position(|&a| a == affinity)
    }
}

impl<H: ArmHost> ArchVm for ArmVm<H> {
    fn new(setup: VmSetup<'_>) -> AxResult<Arc<Self>> {
        let mut passthrough = [0; 32];
        for line in setup.passthrough_lines {
            let intid = line.checked_add(FIRST_SPI).ok_or(AxError::InvalidInput)?;
            let word = passthrough
                .get_mut(intid as usize / 32)
                .ok_or(AxError::InvalidInput)?;
            *word |= 1 << (intid % 32);
        }
        let affinity: Box<[u64]> = setup.phys_ids.iter().map(|&id| id as u64).collect();
        let vgic = if setup.irqchip.is_empty() {
            None
        } else {
            Some(Arc::new(new_vgic(&setup, &affinity)?))
        };
        Ok(Arc::new(Self {
            affinity,
            sync: setup.sync,
            memory: setup.memory,
            vgic,
            irqchip: setup
                .irqchip
                .iter()
                .map(|region| (region.role, region.range))
                .collect(),
            passthrough,
            bus: Once::new(),
            vttbr: AtomicU64::new(0),
            cntvoff: AtomicU64::new(0),
            last_on: (0..H::MAX_CPUS).map(|_| AtomicU32::new(NOBODY)).collect(),
        }))
    }

    fn mmio_devices(self: &Arc<Self>) -> Vec<(GuestPhysRange, Arc<dyn MmioDevice>)> {
        let Some(vgic) = &self.vgic else {
            return Vec::new();
        };
        let device = |role| -> Arc<dyn MmioDevice> {
            match role {
                IrqchipRole::Distributor => Arc::new(DistributorPort(vgic.clone())),
                IrqchipRole::Redistributor => Arc::new(RedistributorPort(vgic.clone())),
            }
        };
        self.irqchip
            .iter()
            .map(|&(role, range)| (range, device(role)))
            .collect()
    }

    fn irq_sink(self: &Arc<Self>) -> Arc<dyn IrqSink> {
        Arc::new(Lines(self.vgic.clone()))
    }

    fn attach_bus(&self, bus: &Arc<Bus>) {
        self.bus.call_once(|| bus.clone());
    }

    fn set_stage2(&self, root: HostPhysAddr, vmid: u16) {
        // VTTBR_EL2 (DDI 0487, D24.2.210): VMID in bits 63:48, BADDR below, CnP 0.
        self.vttbr.store(
            u64::from(vmid) << 48 | root.as_usize() as u64,
            Ordering::Relaxed,
        );
    }

    fn line_fired(&self, line: u32) -> bool {
        match (&self.vgic, line.checked_add(FIRST_SPI)) {
            (Some(vgic), Some(spi)) => vgic.spi_fired(spi),
            _ => false,
        }
    }

    fn start(&self) {
        self.cntvoff.store(counter(), Ordering::Relaxed);
    }

    fn reset(&self) {
        if let Some(vgic) = &self.vgic {
            vgic.reset();
        }
        for last in &self.last_on {
            last.store(NOBODY, Ordering::Relaxed);
        }
    }
}

fn new_vgic<H: ArmHost>(setup: &VmSetup<'_>, affinities: &[u64]) -> AxResult<Gic<H>> {
    let spi = |line: u32| line.checked_add(FIRST_SPI);
    let passthrough: Option<Vec<u32>> = setup
        .passthrough_lines
        .iter()
        .map(|&line| spi(line))
        .collect();
    let passthrough = passthrough.ok_or(AxError::InvalidInput)?;
    let highest = passthrough
        .iter()
        .max()
        .map_or(0, |&spi| spi - FIRST_SPI + 1);
    let timers = [H::virtual_timer_intid(), H::physical_timer_intid()];
    let config = Config {
        affinities,
        spis: highest.max(MIN_SPIS),
        linked_ppis: &timers.map(|ppi| (ppi, ppi)),
        passthrough_spis: &passthrough,
    };
    let reach = Reach {
        vm_id: setup.vm_id,
        sync: setup.sync.clone(),
        wake: setup.notify,
        host: core::marker::PhantomData,
    };
    Vgic::new(&config, reach).map_err(|_| AxError::InvalidInput)
}

/// The VM's interrupt lines: shared peripheral interrupts.
struct Lines<H: ArmHost>(Option<Arc<Gic<H>>>);

impl<H: ArmHost> IrqSink for Lines<H> {
    fn set_level(&self, line: u32, asserted: bool) {
        if let (Some(vgic), Some(spi)) = (&self.0, line.checked_add(FIRST_SPI)) {
            vgic.set_level(spi, asserted);
        }
    }

    fn pulse(&self, line: u32) {
        if let (Some(vgic), Some(spi)) = (&self.0, line.checked_add(FIRST_SPI)) {
            vgic.pulse(spi);
        }
    }
}
