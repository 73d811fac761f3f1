//! The vCPU: its state, and how it is entered.

use alloc::sync::Arc;
use core::marker::PhantomData;

use axaddrspace::{GuestPhysAddr, Vmsa};
use axdevice::{BusFault, LastHit};
use axerrno::{AxError, AxResult};
use axvcpu::{
    AxArchVCpu, AxVCpuExitReason, ConsoleModel, GuestFault, PowerOnError, Request, VCpuSync,
};

use super::context::{Context, no_walks};
use super::fp::FpState;
use super::regs::{barrier, isb, read, write};
use super::switch::{self, Frame};
use super::{cpu, debug, exit, irq};
use crate::debug::DebugState;
use crate::decode::{class, exception_class};
use crate::features::{Features, hcr};
use crate::mmio::{Fault, PendingMmio, Registers};
use crate::vm::Gic;
use crate::{ArmHost, ArmVm, inject, psci};

/// PSTATE at a start: EL1h, all interrupts masked (DEN 0022F, 6.4.3.1).
const START_PSTATE: u64 = 0x3c5;
/// ICH_HCR_EL2.{TC, TALL0, TALL1} (IHI 0069, 12.4.8): the CPU interface of a VM that has none.
const ICH_TRAP_ALL: u64 = 0b111 << 10;
/// MPIDR_EL1 bit 31 is RES1.
const MPIDR_RES1: u64 = 1 << 31;

/// A virtual CPU. Owned by one task, and used by one CPU at a time.
#[repr(C)]
pub struct ArmVCpu<H: ArmHost> {
    /// First: the vectors find the vCPU by its frame.
    pub(super) frame: Frame,
    /// Why the last run ended: set by the handler that ended it.
    pub(super) exit: AxVCpuExitReason,
    pub(super) vm: Arc<ArmVm<H>>,
    pub(super) id: usize,
    pub(super) features: &'static Features,
    pub(super) context: Context,
    /// The CPU's vector registers hold this vCPU's state, and do not trap.
    pub(super) fp_live: bool,
    pub(super) fp: FpState,
    pub(super) debug: DebugState,
    /// The access the last exit reported, until it is answered.
    pub(super) mmio: PendingMmio,
    /// The device it used last.
    pub(super) last_device: LastHit,
    /// The guest has maintained its caches by set and way since it switched them on or off last;
    /// all RAM has been cleaned for it, and the next switch is waited for.
    pub(super) caches_cleaned: bool,
    /// The last place (address, TTBR0_EL1, TTBR1_EL1) that waited with WFI and not with WFIT.
    pub(super) plain_wfi: Option<(u64, u64, u64)>,
    /// No instruction of the guest has run since its SErrors were taken.
    errors_taken: bool,
    /// Why it can't go on, if it can't.
    pub(super) stuck: Option<GuestFault>,
    _host: PhantomData<H>,
}

impl<H: ArmHost> ArmVCpu<H> {
    /// Runs until an exit that is not served here.
    fn run_guest(&mut self) -> AxVCpuExitReason {
        if let Some(rest) = self.mmio.next_access() {
            return rest;
        }
        if let Some(fault) = self.stuck {
            return AxVCpuExitReason::FailEntry(fault);
        }
        loop {
            if H::need_resched() {
                return AxVCpuExitReason::Preempted;
            }
            self.serve_requests();
            let Some(sync) = self.vm.sync.get(self.id) else {
                return AxVCpuExitReason::Nothing;
            };
            if sync.enter(H::cpu()) {
                break;
            }
            if sync.has_requests_beyond(Request::Interrupt as u32 | Request::Fold as u32) {
                return AxVCpuExitReason::Preempted;
            }
        }
        self.errors_taken = false;
        let frame = (self as *mut Self).cast::<Frame>();
        // SAFETY: the frame is the first field of this vCPU, which is bound to this CPU (`run`'s
        // contract), and `&mut self` keeps everybody else off it. Interrupts are masked and
        // `cpu::init` set VBAR_EL2.
        unsafe { switch::enter(frame) };
        if let Some(sync) = self.vm.sync.get(self.id) {
            sync.leave();
        }
        // Before it sleeps, perhaps for ever, or forgets its state.
        if matches!(
            self.exit,
            AxVCpuExitReason::Halt { .. } | AxVCpuExitReason::CpuDown
        ) {
            self.take_serror();
            if let Some(fault) = self.stuck {
                return AxVCpuExitReason::FailEntry(fault);
            }
        }
        self.exit
    }

    /// Takes what was recorded for this vCPU into its list registers.
    #[inline(always)]
    pub(super) fn serve_requests(&self) {
        if let Some(sync) = self.vm.sync.get(self.id)
            && sync.has_requests()
        {
            self.take_requests(sync);
        }
    }

    #[inline(never)]
    fn take_requests(&self, sync: &VCpuSync) {
        // Taken also where there is no interrupt controller that would look at them.
        let fold = sync.take_request(Request::Fold);
        if fold && let Some(vgic) = &self.vm.vgic {
            // Asks for what comes next.
            vgic.fold(self.id);
        }
        let interrupt = sync.take_request(Request::Interrupt);
        if interrupt && let Some(vgic) = &self.vm.vgic {
            self.sync_in(vgic);
        }
    }

    #[inline]
    pub(super) fn sync_in(&self, vgic: &Gic<H>) {
        while !vgic.sync_in(self.id) {
            // Held off by an access of another vCPU, which is short.
            core::hint::spin_loop();
        }
    }

    /// Takes the SErrors that this guest has caused, while it is the last to have run here.
    ///
    /// Its stores are completed for that, and with them its TLB and cache maintenance, whose
    /// barrier may come on another CPU, which would not wait for this one's.
    fn take_serror(&mut self) {
        if self.errors_taken {
            return;
        }
        self.errors_taken = true;
        barrier!("dsb sy");
        let syndrome = if self.features.ras {
            // ESB is HINT #16 (C6.2.103). A deferred error is in DISR_EL1, bit 31 (D24.3.6).
            barrier!("hint #16");
            const DEFERRED: u64 = 1 << 31;
            let disr = read!("S3_0_C12_C1_1");
            if disr & DEFERRED != 0 {
                write!("S3_0_C12_C1_1", 0);
                Some(disr)
            } else {
                None
            }
        } else {
            // ISR_EL1.A (D24.2.80). Not read early.
            const PENDING: u64 = 1 << 8;
            isb();
            if read!("ISR_EL1") & PENDING != 0 {
                H::take_serror()
            } else {
                None
            }
        };
        if let Some(syndrome) = syndrome {
            self.stuck = Some(GuestFault::HardwareError {
                syndrome,
                pc: self.frame.elr,
            });
        }
    }

    /// Refuses an access: an external abort, in the frame.
    pub(super) fn refuse(&mut self, fault: Fault) {
        let esr = inject::external_abort_esr(fault.esr, self.frame.spsr, fault.walk_level);
        let pc = self.frame.elr;
        self.inject(esr, Some(fault.far));
        // The handler of this abort is what could not be fetched: no state changes any more.
        let fetch = exception_class(fault.esr) == class::INSTRUCTION_ABORT_LOWER;
        if fetch && self.frame.elr == pc {
            self.stuck = Some(GuestFault::NoHandler { pc });
        }
    }

    /// Takes a synchronous exception to the guest's EL1, from the state in the frame.
    pub(super) fn inject(&mut self, esr: u64, far: Option<u64>) {
        let taken = inject::take(self.frame.spsr, read!("SCTLR_EL1"), self.features.pstate);
        write!("ELR_EL1", self.frame.elr);
        write!("SPSR_EL1", self.frame.spsr);
        write!("ESR_EL1", esr);
        if let Some(far) = far {
            write!("FAR_EL1", far);
        }
        self.frame.elr = read!("VBAR_EL1").wrapping_add(taken.vector);
        self.frame.spsr = taken.pstate;
    }

    /// The state a vCPU is switched on in.
    fn reset(&mut self, entry: u64, arg: u64) {
        self.frame.x = [0; 31];
        self.frame.set_gpr(0, arg);
        self.frame.elr = entry;
        self.frame.spsr = START_PSTATE;
        self.context = Context::reset();
        self.fp = FpState::new();
        self.debug = DebugState::reset();
        self.mmio = PendingMmio::default();
        self.caches_cleaned = false;
        self.plain_wfi = None;
        self.stuck = None;
    }

    /// HCR_EL2 for this vCPU: writes of its translation registers trap while the next switch of
    /// its caches is waited for.
    pub(super) fn hcr(&self) -> u64 {
        self.features.hcr() | if self.caches_cleaned { hcr::TVM } else { 0 }
    }
}

impl<H: ArmHost> AxArchVCpu for ArmVCpu<H> {
    type Vm = ArmVm<H>;
    type Stage2 = Vmsa;

    const CONSOLE: ConsoleModel = ConsoleModel::Pl011;

    fn stage2_format() -> AxResult<Vmsa> {
        Ok(cpu::stage2_format()?)
    }

    fn new(vm: &Arc<ArmVm<H>>, vcpu_id: usize) -> AxResult<Self> {
        if vcpu_id >= vm.affinity.len() {
            return Err(AxError::InvalidInput);
        }
        Ok(Self {
            frame: Frame::new(exit::on_sync::<H>, irq::on_irq::<H>, exit::on_serror::<H>),
            exit: AxVCpuExitReason::Nothing,
            vm: vm.clone(),
            id: vcpu_id,
            features: cpu::features(),
            context: Context::reset(),
            fp_live: false,
            fp: FpState::new(),
            debug: DebugState::reset(),
            mmio: PendingMmio::default(),
            last_device: LastHit::default(),
            caches_cleaned: false,
            plain_wfi: None,
            errors_taken: true,
            stuck: None,
            _host: PhantomData,
        })
    }

    fn set_entry(&mut self, entry: GuestPhysAddr, arg: usize) -> AxResult {
        self.reset(entry.as_usize() as u64, arg as u64);
        if let Some(vgic) = &self.vm.vgic {
            vgic.reset_interface(self.id);
        }
        Ok(())
    }

    fn bind(&mut self) {
        write!("VTTBR_EL2", self.vm.vttbr());
        if self.vm.entered_here(self.id) {
            // Another vCPU of this VM ran here: what it left in this CPU's TLB and instruction
            // cache carries the same VMID (DDI 0487, D8.16.4: the EL1&0 entries of the VMID).
            isb();
            barrier!("tlbi vmalle1");
            barrier!("ic iallu");
            barrier!("dsb nsh");
        }
        write!(
            "VMPIDR_EL2",
            self.vm.affinity.get(self.id).copied().unwrap_or(0) | MPIDR_RES1
        );
        write!("CNTVOFF_EL2", self.vm.cntvoff());
        self.context.restore(self.features);
        write!("CPTR_EL2", self.features.cptr(true));
        write!("HCR_EL2", self.hcr());
        if self.features.ras {
            // VDISR_EL2 is what the guest sees as DISR_EL1 (D24.2.205), RAS hidden or not.
            write!("S3_4_C12_C1_1", 0);
        }
        if self.debug.in_use() {
            debug::restore(&self.debug, self.features);
        }
        // For stage 1; and the timers' status, which `load` reads, is this vCPU's from here on.
        isb();
        self.context.restore_stage1();
        match &self.vm.vgic {
            // A timer that has been firing already may be pending at the CPU before its PPI is
            // made active: the redistributor takes that back (IHI 0069, 4.1.2).
            Some(vgic) => vgic.load(self.id),
            None => write!("S3_4_C12_C11_0", ICH_TRAP_ALL),
        }
        // ERET synchronizes the rest.
    }

    fn unbind(&mut self) {
        self.take_serror();
        // No walk may start from this VM's tables on this CPU any more, speculative ones included,
        // nor with its VMID.
        write!("VTTBR_EL2", H::idle_vttbr());
        isb();
        match &self.vm.vgic {
            Some(vgic) => vgic.put(self.id),
            None => write!("S3_4_C12_C11_0", 0),
        }
        if self.debug.in_use() {
            debug::clear(self.features);
        }
        if self.fp_live {
            self.fp.save();
            self.fp_live = false;
        }
        self.context.save(self.features);
        no_walks();
        isb();
    }

    fn run(&mut self) -> AxResult<AxVCpuExitReason> {
        Ok(self.run_guest())
    }

    fn complete_mmio(&mut self, result: Result<u64, BusFault>) {
        match result {
            Ok(value) => self.mmio.complete(value, &mut self.frame),
            Err(BusFault) => {
                let fault = self.mmio.take_fault();
                self.refuse(fault);
            }
        }
    }

    fn set_gpr(&mut self, reg: usize, value: u64) {
        self.frame.set_gpr(reg, value);
    }

    fn set_return_value(&mut self, value: u64) {
        self.frame.set_gpr(0, value);
    }

    fn complete_cpu_up(&mut self, result: Result<(), PowerOnError>) {
        use psci::ret::*;
        self.frame.set_gpr(
            0,
            match result {
                Ok(()) => SUCCESS,
                Err(PowerOnError::NoSuchCpu) => INVALID_PARAMETERS,
                Err(PowerOnError::AlreadyOn) => ALREADY_ON,
                Err(PowerOnError::Pending) => ON_PENDING,
                Err(PowerOnError::InvalidAddress) => INVALID_ADDRESS,
            },
        );
    }
}
