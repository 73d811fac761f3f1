//! Synchronous exits. A handler runs on the host's stack with the guest's general registers in the
//! frame and everything else still in the CPU; it returns `true` to go straight back.

use axaddrspace::GuestPhysAddr;
use axvcpu::{AccessFlags, AxVCpuExitReason, GuestFault, PowerState};

use super::regs::{isb, read, write};
use super::switch::Frame;
use super::vcpu::ArmVCpu;
use super::{sysreg, translate, undecoded};
use crate::decode::{
    DataAbort, Wait, class, condition_holds, exception_class, immediate, instruction_length,
    step_over, wfit_register,
};
use crate::mmio::{BusAccess, Fault, Registers};
use crate::{ArmHost, inject, psci};

/// From this class on: not an instruction that was trapped.
const FIRST_NOT_TRAPPED: u8 = 0x20;
/// The handler of synchronous exceptions from the guest.
///
/// # Safety
/// Called by the vectors with the frame of the vCPU that [`super::switch::enter`] entered.
pub unsafe extern "C" fn on_sync<H: ArmHost>(frame: *mut Frame) -> bool {
    // SAFETY: the frame is the first field of an `ArmVCpu<H>` (repr(C)), whose `run` lent it to
    // the vectors; nobody else touches it until they return.
    let vcpu = unsafe { &mut *frame.cast::<ArmVCpu<H>>() };
    let esr = read!("ESR_EL2");
    match exception_class(esr) {
        class::HVC64 => vcpu.call(esr),
        class::SYS64 => sysreg::trapped(vcpu, esr),
        class::DATA_ABORT_LOWER => vcpu.data_abort(esr),
        class => vcpu.rare(class, esr),
    }
}

/// SErrors taken from the guest are attributed to it: it runs, or was the last to.
///
/// # Safety
/// As [`on_sync`].
pub unsafe extern "C" fn on_serror<H: ArmHost>(frame: *mut Frame) -> bool {
    // SAFETY: as in `on_sync`.
    let vcpu = unsafe { &mut *frame.cast::<ArmVCpu<H>>() };
    let fault = GuestFault::HardwareError {
        syndrome: read!("ESR_EL2"),
        pc: read!("ELR_EL2"),
    };
    vcpu.leave(AxVCpuExitReason::FailEntry(fault))
}

impl<H: ArmHost> ArmVCpu<H> {
    /// Ends the run.
    #[inline]
    pub(super) fn leave(&mut self, exit: AxVCpuExitReason) -> bool {
        self.exit = exit;
        false
    }

    /// Goes back to the guest, unless this CPU is to run something else: for handlers that may
    /// have woken a task.
    #[inline]
    pub(super) fn go_on(&mut self) -> bool {
        !H::need_resched() || self.leave(AxVCpuExitReason::Preempted)
    }

    /// Past the trapped instruction.
    #[inline]
    pub(super) fn skip(&mut self, esr: u64) {
        write!(
            "ELR_EL2",
            read!("ELR_EL2").wrapping_add(instruction_length(esr))
        );
        write!("SPSR_EL2", step_over(read!("SPSR_EL2")));
    }

    /// Takes an exception to EL1 from inside a handler.
    pub(super) fn inject_now(&mut self, esr_el1: u64, far: Option<u64>) -> bool {
        self.frame.elr = read!("ELR_EL2");
        self.frame.spsr = read!("SPSR_EL2");
        self.inject(esr_el1, far);
        write!("ELR_EL2", self.frame.elr);
        write!("SPSR_EL2", self.frame.spsr);
        true
    }

    /// The trapped instruction is UNDEFINED for the guest.
    pub(super) fn undefined(&mut self) -> bool {
        self.inject_now(inject::undefined_esr(), None)
    }

    /// HVC or SMC: PSCI and the SMC Calling Convention, for either conduit.
    #[inline]
    fn call(&mut self, esr: u64) -> bool {
        if immediate(esr) != 0 {
            // DEN 0028F, 2.9: a non-zero immediate is reserved. The exception's address is the
            // instruction's own; that of an HVC is already the next one's (D1.3.4).
            if exception_class(esr) == class::HVC64 {
                write!("ELR_EL2", read!("ELR_EL2").wrapping_sub(4));
            }
            return self.undefined();
        }
        let [x0, x1, x2, x3, ..] = self.frame.x;
        match psci::decode([x0, x1, x2, x3], self.features.mitigations) {
            psci::Call::Done(result) => {
                self.frame.set_gpr(0, result);
                true
            }
            call => self.power_call(call),
        }
    }

    fn power_call(&mut self, call: psci::Call) -> bool {
        use psci::Call;
        let exit = match call {
            Call::Done(_) => return true,
            Call::AffinityInfo(affinity) => {
                let state = self
                    .vm
                    .vcpu_of(affinity)
                    .and_then(|id| self.vm.sync.get(id));
                let result = match state.map(|sync| sync.power()) {
                    Some(PowerState::On) => 0,
                    Some(PowerState::Off) => 1,
                    Some(PowerState::OnPending) => 2,
                    None => psci::ret::INVALID_PARAMETERS,
                };
                self.frame.set_gpr(0, result);
                return true;
            }
            Call::CpuOn {
                target,
                entry,
                context,
            } => AxVCpuExitReason::CpuUp {
                target_cpu: target,
                entry_point: GuestPhysAddr::from_usize(entry as usize),
                arg: context,
            },
            Call::CpuOff => AxVCpuExitReason::CpuDown,
            Call::Suspend => {
                self.frame.set_gpr(0, psci::ret::SUCCESS);
                return self.wait_for_interrupt(None);
            }
            Call::SystemOff => AxVCpuExitReason::SystemDown,
            Call::SystemReset => AxVCpuExitReason::SystemReset,
        };
        self.leave(exit)
    }

    /// All that is neither frequent nor short.
    #[cold]
    fn rare(&mut self, class: u8, esr: u64) -> bool {
        if !condition_holds(esr, read!("SPSR_EL2")) {
            self.skip(esr);
            return true;
        }
        match class {
            class::WFX => self.wfx(esr),
            class::FP => self.load_fp(),
            class::SMC64 => {
                // A trapped SMC's preferred return address is the SMC itself (D1.3.4).
                if immediate(esr) == 0 {
                    self.skip(esr);
                }
                self.call(esr)
            }
            class::INSTRUCTION_ABORT_LOWER => self.instruction_abort(esr),
            class if class < FIRST_NOT_TRAPPED => self.undefined(),
            _ => {
                let pc = read!("ELR_EL2");
                self.leave(AxVCpuExitReason::FailEntry(GuestFault::UnexpectedTrap {
                    syndrome: esr,
                    pc,
                }))
            }
        }
    }

    /// First use of the vector registers since the vCPU was bound.
    fn load_fp(&mut self) -> bool {
        if self.fp_live {
            return self.undefined();
        }
        write!("CPTR_EL2", self.features.cptr(false));
        isb();
        self.fp.restore();
        self.fp_live = true;
        true
    }

    /// WFI or WFIT. (WFE and WFET do not trap.)
    fn wfx(&mut self, esr: u64) -> bool {
        let limit_reg = self.wait_limit(esr);
        self.skip(esr);
        match limit_reg {
            // The limit is by the guest's own counter.
            Some(reg) => {
                let limit = self.frame.gpr(reg).wrapping_add(self.vm.cntvoff());
                self.wait_for_interrupt(Some(limit))
            }
            None => self.wait_for_interrupt(None),
        }
    }

    /// The register with the limit of a WFIT. QEMU (10.0) reports WFIT as WFI, so where WFIT
    /// exists, the instruction says what it is unless the syndrome does.
    fn wait_limit(&self, esr: u64) -> Option<usize> {
        let wait = Wait::new(esr);
        if wait.limit_reg.is_some() || !self.features.wfxt {
            return wait.limit_reg;
        }
        let mut word = [0; 4];
        let fetch = translate::fetch_ipa(read!("ELR_EL2"))?;
        if !self.vm.memory.read(fetch, &mut word) {
            return None;
        }
        wfit_register(u32::from_le_bytes(word))
    }

    /// Waits until an interrupt is signalled, a timer fires or the limit (in host ticks) passes.
    fn wait_for_interrupt(&mut self, limit: Option<u64>) -> bool {
        self.serve_requests();
        let signalled = match &self.vm.vgic {
            Some(vgic) => vgic.has_deliverable(self.id),
            None => false,
        };
        if signalled {
            return true;
        }
        let now = read!("CNTPCT_EL0");
        let deadline = [self.timer_deadline(), limit].into_iter().flatten().min();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return true;
        }
        self.leave(AxVCpuExitReason::Halt { deadline })
    }

    /// When the guest's timers fire next, in host ticks. Those that can't interrupt don't count;
    /// but without an interrupt controller, where none can, a guest may wait for one to poll it.
    fn timer_deadline(&self) -> Option<u64> {
        use super::context::{CTL_ENABLE, CTL_IMASK};
        let can_fire = |ppi| match &self.vm.vgic {
            Some(vgic) => vgic.ppi_can_fire(self.id, ppi),
            None => true,
        };
        let running = |control: u64| control & (CTL_ENABLE | CTL_IMASK) == CTL_ENABLE;
        let virtual_timer = (running(read!("CNTV_CTL_EL0")) && can_fire(H::virtual_timer_intid()))
            .then(|| read!("CNTV_CVAL_EL0").saturating_add(self.vm.cntvoff()));
        let physical_timer = (running(read!("CNTP_CTL_EL0"))
            && can_fire(H::physical_timer_intid()))
        .then(|| read!("CNTP_CVAL_EL0"));
        [virtual_timer, physical_timer].into_iter().flatten().min()
    }

    /// A data access that stage 2 does not translate.
    #[inline]
    fn data_abort(&mut self, esr: u64) -> bool {
        let far = read!("FAR_EL2");
        let abort = DataAbort::new(esr);
        let (Some(transfer), true, false) =
            (abort.transfer, abort.is_stage2_fault(), abort.on_walk)
        else {
            return self.odd_data_abort(&abort, esr, far);
        };
        let Some(ipa) = translate::fault_ipa(esr, far) else {
            return true;
        };
        let access = BusAccess::new(transfer, &self.frame);
        let fault = Fault {
            esr,
            far,
            walk_level: None,
        };
        let exit = self
            .mmio
            .single(fault, ipa, access, instruction_length(esr));
        self.leave(exit)
    }

    /// Data aborts without a syndrome, on the guest's own table walks, or reported by the hardware.
    #[cold]
    fn odd_data_abort(&mut self, abort: &DataAbort, esr: u64, far: u64) -> bool {
        if !abort.is_stage2_fault() {
            return self.hardware_abort(esr, far);
        }
        let Some(ipa) = translate::fault_ipa(esr, far) else {
            return true;
        };
        if abort.on_walk {
            return self.walk_fault(esr, far, ipa);
        }
        if abort.cache_maintenance {
            // What is not RAM is in no cache.
            self.skip(esr);
            return true;
        }
        match undecoded::access(self, esr, far, ipa) {
            undecoded::Outcome::Access(exit) => self.leave(exit),
            undecoded::Outcome::Nothing => {
                self.skip(esr);
                true
            }
            undecoded::Outcome::Retry => true,
            undecoded::Outcome::Unsupported => {
                let access_flags = if abort.write {
                    AccessFlags::Write
                } else {
                    AccessFlags::Read
                };
                self.page_fault(
                    Fault {
                        esr,
                        far,
                        walk_level: None,
                    },
                    ipa,
                    access_flags,
                )
            }
        }
    }

    /// A fetch that stage 2 does not translate.
    fn instruction_abort(&mut self, esr: u64) -> bool {
        let far = read!("FAR_EL2");
        // An instruction abort's syndrome has S1PTW and status where a data abort's has them.
        let abort = DataAbort::new(esr);
        if !abort.is_stage2_fault() {
            return self.hardware_abort(esr, far);
        }
        let Some(ipa) = translate::fault_ipa(esr, far) else {
            return true;
        };
        if abort.on_walk {
            return self.walk_fault(esr, far, ipa);
        }
        self.page_fault(
            Fault {
                esr,
                far,
                walk_level: None,
            },
            ipa,
            AccessFlags::Execute,
        )
    }

    /// An external abort on a passthrough device, or nothing that stage 2 can cause: the guest's
    /// own affair.
    fn hardware_abort(&mut self, esr: u64, far: u64) -> bool {
        let esr_el1 = inject::external_abort_esr(esr, read!("SPSR_EL2"), None);
        self.inject_now(esr_el1, Some(far))
    }

    /// The guest's own translation tables lie where there is no memory.
    fn walk_fault(&mut self, esr: u64, far: u64, ipa: GuestPhysAddr) -> bool {
        let level = translate::walk_level(self.vm.memory.as_ref(), far, ipa);
        // A walk that may read is refused only for updating the access flag or the dirty state.
        let access = if DataAbort::new(esr).is_permission_fault() {
            AccessFlags::Write
        } else {
            AccessFlags::Read
        };
        self.page_fault(
            Fault {
                esr,
                far,
                walk_level: Some(level),
            },
            ipa,
            access,
        )
    }

    fn page_fault(&mut self, fault: Fault, addr: GuestPhysAddr, access_flags: AccessFlags) -> bool {
        self.mmio.fault(fault);
        self.leave(AxVCpuExitReason::NestedPageFault { addr, access_flags })
    }
}
