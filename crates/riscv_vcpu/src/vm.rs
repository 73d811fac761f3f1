//! The part of a riscv64 VM that its vCPUs share.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use axaddrspace::{GuestPhysRange, HostPhysAddr};
use axdevice::{Bus, ConsolePort, IrqSink, MmioDevice};
use axerrno::{AxError, AxResult};
use axvcpu::{ArchVm, GuestMemory, IrqchipRole, Kick, Request, VCpuSync, VmSetup};
use riscv_vplic::{Config, Notify, Vplic};
use spin::Once;

use crate::RiscvHost;
use crate::sbi::Offer;

/// No vCPU of the VM ran on this CPU yet; or a vCPU ran nowhere yet.
pub(crate) const NOBODY: u32 = u32::MAX;
/// Sources every guest's PLIC has, if its highest passthrough interrupt needs no more: QEMU's.
const MIN_SOURCES: u32 = 96;

/// How many sources the PLIC of a VM has that gets these physical lines.
pub fn sources(passthrough_lines: &[u32]) -> u32 {
    let highest = passthrough_lines.iter().copied().max().unwrap_or(0);
    highest.max(MIN_SOURCES)
}

/// What others have recorded for a vCPU, besides interrupts of the PLIC: bits.
pub(crate) mod pending {
    /// A software interrupt (SBI IPI).
    pub const SOFTWARE: u32 = 1 << 0;
    /// Its CPU's VS-stage translations are to be forgotten before it runs again.
    pub const TRANSLATIONS: u32 = 1 << 1;
    /// Its CPU's instruction fetches are to see all stores before it runs again.
    pub const INSTRUCTIONS: u32 = 1 << 2;
}

/// How vCPUs are reached: by their request bits, then an interrupt or their task.
pub struct Reach<H> {
    vm_id: usize,
    sync: Arc<[VCpuSync]>,
    /// Where each vCPU is bound, or was last. Written by its own task, when it moves.
    cpus: Arc<[AtomicU32]>,
    wake: fn(usize, usize, usize),
    host: PhantomData<fn() -> H>,
}

impl<H> Clone for Reach<H> {
    fn clone(&self) -> Self {
        Self {
            vm_id: self.vm_id,
            sync: self.sync.clone(),
            cpus: self.cpus.clone(),
            wake: self.wake,
            host: PhantomData,
        }
    }
}

impl<H: RiscvHost> Reach<H> {
    /// Something is recorded for a vCPU: it is to look.
    #[inline]
    fn interrupt(&self, vcpu: usize) {
        let Some(sync) = self.sync.get(vcpu) else {
            return;
        };
        match sync.request(Request::Interrupt) {
            Kick::None => {}
            // It runs right here: this is one of its exits, which looks at requests at its end.
            Kick::Interrupt(cpu) if cpu == H::cpu() => {}
            Kick::Interrupt(cpu) => H::kick(cpu),
            Kick::Wake => (self.wake)(self.vm_id, vcpu, 0),
        }
    }

    /// The CPU that takes interrupts for a vCPU: its own, or while it has none this one.
    fn cpu_of(&self, vcpu: usize) -> usize {
        let cpu = self.cpus.get(vcpu).map(|cpu| cpu.load(Ordering::Relaxed));
        cpu.filter(|&cpu| cpu != NOBODY)
            .map_or_else(H::cpu, |cpu| cpu as usize)
    }
}

impl<H: RiscvHost> Notify for Reach<H> {
    #[inline]
    fn external(&self, vcpu: usize) {
        self.interrupt(vcpu);
    }

    fn completed(&self, source: u32) {
        H::complete_line(source);
    }

    fn routed(&self, source: u32, vcpu: Option<usize>) {
        match vcpu {
            Some(vcpu) => H::enable_line(source, self.cpu_of(vcpu)),
            None => H::disable_line(source),
        }
    }
}

/// The guest's interrupt controller.
pub(crate) type Plic<H> = Vplic<Reach<H>>;

/// Shared state, read by all vCPUs without a lock.
pub struct RiscvVm<H: RiscvHost> {
    /// Each vCPU's hart id.
    pub(crate) harts: Box<[u64]>,
    pub(crate) sync: Arc<[VCpuSync]>,
    pub(crate) memory: Arc<dyn GuestMemory>,
    /// `None`: a VM without interrupts.
    pub(crate) vplic: Option<Arc<Plic<H>>>,
    irqchip: Vec<GuestPhysRange>,
    passthrough: Box<[u32]>,
    reach: Reach<H>,
    /// [`pending`] for each vCPU.
    pending: Box<[AtomicU32]>,
    /// Whether each vCPU has suspended itself (SBI HSM). Written by its own task.
    suspended: Box<[AtomicBool]>,
    /// Written once, before any vCPU runs. No device leads back here: their lines end at the
    /// interrupt controller.
    pub(crate) bus: Once<Arc<Bus>>,
    /// Likewise.
    pub(crate) console: Once<Arc<dyn ConsolePort>>,
    /// The G-stage's root table. Written once, before any vCPU runs.
    root: AtomicU64,
    vmid: AtomicU32,
    /// htimedelta. Written by `start`, while no vCPU runs.
    clock: AtomicU64,
    /// Which vCPU of this VM ran last on each physical CPU. An entry is touched by its own CPU
    /// only, with interrupts masked.
    last_on: Box<[AtomicU32]>,
}

impl<H: RiscvHost> RiscvVm<H> {
    /// Remembers that `vcpu`, which ran on `last_cpu` last, runs on this CPU, `cpu`, now. `true` if
    /// its TLB and instruction cache may hold what is stale for it.
    ///
    /// All vCPUs of a VM share a VMID, and SFENCE.VMA and FENCE.I of a guest act on the hart it is
    /// on. So there is something stale if another vCPU of the VM ran here after it (what that one
    /// left is of the same VMID, and may be its own use of an ASID), and also if it ran elsewhere
    /// since: what it fenced there is still here.
    #[inline]
    pub(crate) fn entered_here(&self, vcpu: usize, last_cpu: u32, cpu: usize) -> bool {
        let Some(last) = self.last_on.get(cpu) else {
            return true;
        };
        let vcpu = vcpu as u32;
        let before = last.load(Ordering::Relaxed);
        last.store(vcpu, Ordering::Relaxed);
        before != vcpu || last_cpu != cpu as u32
    }

    /// `vcpu` comes to this CPU, `cpu`, from another one or from nowhere: the physical lines that
    /// target it follow it.
    #[cold]
    pub(crate) fn moved_here(&self, vcpu: usize, cpu: usize) {
        if let Some(place) = self.reach.cpus.get(vcpu) {
            // Before the model's lock is taken: who routes a line to it after that sees it.
            place.store(cpu as u32, Ordering::Relaxed);
        }
        if let Some(vplic) = self.vplic.as_ref().filter(|_| !self.passthrough.is_empty()) {
            vplic.moved(vcpu);
        }
    }

    /// The G-stage's root table and VMID.
    pub(crate) fn stage2(&self) -> (HostPhysAddr, u16) {
        let root = self.root.load(Ordering::Relaxed) as usize;
        let vmid = self.vmid.load(Ordering::Relaxed) as u16;
        (HostPhysAddr::from_usize(root), vmid)
    }

    /// htimedelta: what the guest's clock is ahead of the machine's.
    #[inline]
    pub(crate) fn clock(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// The vCPU with this hart id.
    pub(crate) fn vcpu_of(&self, hart: u64) -> Option<usize> {
        self.harts.iter().position(|&h| h == hart)
    }

    /// What a guest's calls depend on.
    pub(crate) fn offer(&self) -> Offer {
        Offer {
            machine_ids: H::machine_ids(),
            console: self.console.get().is_some(),
        }
    }

    /// Takes what was recorded for a vCPU.
    #[inline]
    pub(crate) fn take_pending(&self, vcpu: usize) -> u32 {
        match self.pending.get(vcpu) {
            Some(bits) if bits.load(Ordering::Relaxed) != 0 => bits.swap(0, Ordering::Acquire),
            _ => 0,
        }
    }

    /// Records bits of [`pending`].
    #[inline]
    fn record(&self, vcpu: usize, bits: u32) {
        if let Some(word) = self.pending.get(vcpu) {
            // Release: who takes the bit sees what was stored before.
            word.fetch_or(bits, Ordering::Release);
        }
    }

    /// A software interrupt for these vCPUs, a bit each.
    #[inline]
    pub(crate) fn send_ipi(&self, targets: u64) {
        for vcpu in bits(targets) {
            self.record(vcpu, pending::SOFTWARE);
            self.reach.interrupt(vcpu);
        }
    }

    /// A fence on the CPUs of these vCPUs, a bit each, of which the caller's own is none; `kind` are
    /// bits of [`pending`]. Returns the CPUs, a bit each, on which the caller has to have it made
    /// before the guest's call returns (SBI RFENCE: it is complete then).
    ///
    /// # Why that is enough
    ///
    /// A vCPU that is in the guest is fenced by the firmware on its CPU: no exit, no waiting here
    /// for code of the hypervisor. One that is not gets a bit, which it takes before it enters. That
    /// no vCPU falls between:
    ///
    /// 1. The caller's stores (page tables, code) are before the full fence in `kick` and `request`,
    ///    and that is before the look at the vCPU's place.
    /// 2. *Seen in the guest on CPU c.* The fence on c is executed after that look, whatever runs
    ///    there. If the vCPU is still there, it is fenced. If it has left c and come back, too. If it
    ///    has gone to another CPU, it was bound there after it left c, so after the look and after
    ///    the stores; and a vCPU that comes to a CPU from another flushes there (`entered_here`).
    /// 3. *Not seen in the guest.* Its bit is recorded, then a request is set, then (`request`) comes
    ///    a full fence and a second look. Entering is the same the other way round: the place is
    ///    published, then comes a full fence, then requests are looked at. So either the vCPU
    ///    finds the request, flushes, and enters after that; or the second look finds it in the
    ///    guest, and 2 holds.
    /// 4. A vCPU that sleeps need not be woken: it looks before it enters. One that is off starts
    ///    with a flush.
    ///
    /// The place may say "in the guest" while its CPU serves an exit: the firmware's fence does not
    /// care. And the caller waits for the firmware only, which waits for machine-mode interrupts
    /// that nothing in HS- or VS-mode masks: two vCPUs that fence each other do not wait in a circle.
    #[inline(always)]
    pub(crate) fn fence_others(&self, targets: u64, kind: u32) -> u64 {
        let mut cpus = 0;
        for vcpu in bits(targets) {
            let Some(sync) = self.sync.get(vcpu) else {
                continue;
            };
            let mut place = sync.kick();
            if !matches!(place, Kick::Interrupt(_)) {
                self.record(vcpu, kind);
                place = sync.request(Request::Interrupt);
            }
            if let Kick::Interrupt(cpu) = place {
                cpus |= 1u64.checked_shl(cpu as u32).unwrap_or(0);
            }
        }
        cpus
    }

    /// A vCPU suspends itself, or goes on.
    #[inline]
    pub(crate) fn set_suspended(&self, vcpu: usize, suspended: bool) {
        if let Some(flag) = self.suspended.get(vcpu) {
            flag.store(suspended, Ordering::Relaxed);
        }
    }

    /// Whether a vCPU has suspended itself.
    pub(crate) fn is_suspended(&self, vcpu: usize) -> bool {
        let flag = self.suspended.get(vcpu);
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// A vCPU starts from its reset state: what was recorded for its earlier life does not count.
    pub(crate) fn forget(&self, vcpu: usize) {
        if let Some(word) = self.pending.get(vcpu) {
            word.store(0, Ordering::Relaxed);
        }
        self.set_suspended(vcpu, false);
    }
}

/// The bits that are set.
#[inline]
fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}

impl<H: RiscvHost> ArchVm for RiscvVm<H> {
    fn new(setup: VmSetup<'_>) -> AxResult<Arc<Self>> {
        const { assert!(H::MAX_CPUS <= 64, "sets of CPUs have 64 bits") };
        let reach = Reach {
            vm_id: setup.vm_id,
            sync: setup.sync.clone(),
            cpus: setup
                .phys_ids
                .iter()
                .map(|_| AtomicU32::new(NOBODY))
                .collect(),
            wake: setup.notify,
            host: PhantomData,
        };
        let irqchip: Vec<GuestPhysRange> = setup
            .irqchip
            .iter()
            .filter(|region| region.role == IrqchipRole::Distributor)
            .map(|region| region.range)
            .collect();
        let vplic = if irqchip.is_empty() {
            None
        } else {
            let config = Config {
                contexts: setup.phys_ids.len(),
                sources: sources(setup.passthrough_lines),
                passthrough: setup.passthrough_lines,
            };
            let vplic = Vplic::new(&config, reach.clone());
            Some(Arc::new(vplic.map_err(|_| AxError::InvalidInput)?))
        };
        Ok(Arc::new(Self {
            harts: setup.phys_ids.iter().map(|&id| id as u64).collect(),
            sync: setup.sync,
            memory: setup.memory,
            vplic,
            irqchip,
            passthrough: setup.passthrough_lines.into(),
            reach,
            pending: setup.phys_ids.iter().map(|_| AtomicU32::new(0)).collect(),
            suspended: setup
                .phys_ids
                .iter()
                .map(|_| AtomicBool::new(false))
                .collect(),
            bus: Once::new(),
            console: Once::new(),
            root: AtomicU64::new(0),
            vmid: AtomicU32::new(0),
            clock: AtomicU64::new(0),
            last_on: (0..H::MAX_CPUS).map(|_| AtomicU32::new(NOBODY)).collect(),
        }))
    }

    fn mmio_devices(self: &Arc<Self>) -> Vec<(GuestPhysRange, Arc<dyn MmioDevice>)> {
        let Some(vplic) = &self.vplic else {
            return Vec::new();
        };
        let device = |&range: &GuestPhysRange| (range, vplic.clone() as Arc<dyn MmioDevice>);
        self.irqchip.iter().map(device).collect()
    }

    fn irq_sink(self: &Arc<Self>) -> Arc<dyn IrqSink> {
        match &self.vplic {
            Some(vplic) => vplic.clone(),
            None => Arc::new(NoLines),
        }
    }

    fn attach_bus(&self, bus: &Arc<Bus>) {
        self.bus.call_once(|| bus.clone());
    }

    fn attach_console(&self, console: &Arc<dyn ConsolePort>) {
        self.console.call_once(|| console.clone());
    }

    fn set_stage2(&self, root: HostPhysAddr, vmid: u16) {
        self.root.store(root.as_usize() as u64, Ordering::Relaxed);
        self.vmid.store(vmid.into(), Ordering::Relaxed);
    }

    fn line_fired(&self, line: u32) -> bool {
        self.vplic.as_ref().is_some_and(|vplic| vplic.fired(line))
    }

    /// The guest's clock begins at 0.
    fn start(&self) {
        self.clock
            .store(0u64.wrapping_sub(H::now()), Ordering::Relaxed);
    }

    fn reset(&self) {
        if let Some(vplic) = &self.vplic {
            vplic.reset();
        }
        for &line in &self.passthrough {
            H::reset_line(line);
        }
        for vcpu in 0..self.harts.len() {
            self.forget(vcpu);
        }
        for cpu in self.reach.cpus.iter().chain(&self.last_on) {
            cpu.store(NOBODY, Ordering::Relaxed);
        }
    }
}

/// The lines of a VM without an interrupt controller.
struct NoLines;

impl IrqSink for NoLines {
    fn set_level(&self, _: u32, _: bool) {}

    fn pulse(&self, _: u32) {}
}

#[cfg(test)]
mod tests;
