//! Synchronous exits. A handler runs on the host's stack with the guest's general registers in the
//! frame and everything else still in the CPU; it returns `true` to go straight back.
//! What most exits run has no rare code inlined, whose registers it would have to save.

use axaddrspace::GuestPhysAddr;
use axdevice::WriteFault;
use axvcpu::{AccessFlags, AxVCpuExitReason, GuestFault, PowerState};

use super::regs::{isb, read, write};
use super::switch::Frame;
use super::vcpu::ArmVCpu;
use super::{sysreg, translate, undecoded};
use crate::decode::{
    DataAbort, Transfer, Wait, class, condition_holds, exception_class, immediate,
    instruction_length, needs_step_over, step_over, wfit_register,
};
use crate::mmio::{BusAccess, Fault, Registers, big_endian, extend, may_be_big_endian};
use crate::{ArmHost, inject, psci, timer};

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

/// SErrors taken from the guest are attributed to it: those of the vCPUs before it have been taken
/// when they left ([`ArmVCpu::take_serror`]), and EL2 itself masks them.
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
    #[inline(always)]
    pub(super) fn leave(&mut self, exit: AxVCpuExitReason) -> bool {
        self.exit = exit;
        false
    }

    /// Goes back to the guest, unless this CPU is to run something else: for handlers that may
    /// have woken a task.
    #[inline(always)]
    pub(super) fn go_on(&mut self) -> bool {
        !H::need_resched() || self.leave(AxVCpuExitReason::Preempted)
    }

    /// Past the trapped instruction.
    #[inline(always)]
    pub(super) fn skip(&mut self, esr: u64) {
        write!(
            "ELR_EL2",
            read!("ELR_EL2").wrapping_add(instruction_length(esr))
        );
        let spsr = read!("SPSR_EL2");
        if needs_step_over(spsr) {
            write!("SPSR_EL2", step_over(spsr));
        }
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
    #[inline(always)]
    fn call(&mut self, esr: u64) -> bool {
        if immediate(esr) != 0 {
            return self.reserved_call(esr);
        }
        let [x0, x1, ..] = self.frame.x;
        match psci::query(x0 as u32, x1 as u32, self.features.mitigations) {
            Some(result) => {
                self.frame.set_gpr(0, result);
                true
            }
            None => self.power_call(),
        }
    }

    /// DEN 0028F, 2.9: a non-zero immediate is reserved.
    #[cold]
    #[inline(never)]
    fn reserved_call(&mut self, esr: u64) -> bool {
        // The exception's address is the instruction's own; that of an HVC is already the next
        // one's (D1.3.4).
        if exception_class(esr) == class::HVC64 {
            write!("ELR_EL2", read!("ELR_EL2").wrapping_sub(4));
        }
        self.undefined()
    }

    #[inline(never)]
    fn power_call(&mut self) -> bool {
        use psci::Call;
        let [x0, x1, x2, x3, ..] = self.frame.x;
        let exit = match psci::decode([x0, x1, x2, x3]) {
            Call::Done(result) => {
                self.frame.set_gpr(0, result);
                return true;
            }
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
    #[inline(never)]
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
        let pc = read!("ELR_EL2");
        self.skip(esr);
        self.wait_for_interrupt(Some((esr, pc)))
    }

    /// The limit of a WFIT, in host ticks.
    fn wait_limit(&mut self, esr: u64, pc: u64) -> Option<u64> {
        let wait = Wait::new(esr);
        let reg = match wait.limit_reg {
            Some(reg) => reg,
            None => self.unreported_wfit(pc)?,
        };
        // By the guest's virtual counter.
        let limit = self.frame.gpr(reg);
        Some(timer::host_ticks(limit, self.vm.cntvoff()))
    }

    /// QEMU (10.0) reports WFIT as WFI, so where WFIT exists, the instruction says which it is. A
    /// kernel idles in one place, whose WFI is looked at once.
    fn unreported_wfit(&mut self, pc: u64) -> Option<usize> {
        if !self.features.wfxt {
            return None;
        }
        let place = (pc, read!("TTBR0_EL1"), read!("TTBR1_EL1"));
        if self.plain_wfi == Some(place) {
            return None;
        }
        let mut word = [0; 4];
        let fetch = translate::stage1(pc).ok()?;
        if !self.vm.memory.read(fetch, &mut word) {
            return None;
        }
        let reg = wfit_register(u32::from_le_bytes(word));
        if reg.is_none() {
            self.plain_wfi = Some(place);
        }
        reg
    }

    /// Waits until an interrupt is signalled, a timer fires or the limit passes that the waiting
    /// instruction has: its syndrome and address.
    fn wait_for_interrupt(&mut self, instruction: Option<(u64, u64)>) -> bool {
        self.serve_requests();
        let signalled = match &self.vm.vgic {
            Some(vgic) => vgic.has_deliverable(self.id),
            None => false,
        };
        if signalled {
            return true;
        }
        let now = read!("CNTPCT_EL0");
        let passed = |deadline: Option<u64>| deadline.is_some_and(|deadline| deadline <= now);
        let mut deadline = self.timer_deadline();
        if passed(deadline) {
            return true;
        }
        if let Some((esr, pc)) = instruction {
            let limit = self.wait_limit(esr, pc);
            if passed(limit) {
                return true;
            }
            deadline = timer::earlier(deadline, limit);
        }
        self.leave(AxVCpuExitReason::Halt { deadline })
    }

    /// When the guest's timers fire next, in host ticks. Those that can't interrupt don't count;
    /// but without an interrupt controller, where none can, a guest may wait for one to poll it.
    fn timer_deadline(&self) -> Option<u64> {
        let can_fire = |ppi| match &self.vm.vgic {
            Some(vgic) => vgic.ppi_can_fire(self.id, ppi),
            None => true,
        };
        let (control, value) = (read!("CNTV_CTL_EL0"), read!("CNTV_CVAL_EL0"));
        let virtual_timer = timer::deadline(control, value, self.vm.cntvoff())
            .filter(|_| can_fire(H::virtual_timer_intid()));
        let (control, value) = (read!("CNTP_CTL_EL0"), read!("CNTP_CVAL_EL0"));
        let physical_timer =
            timer::deadline(control, value, 0).filter(|_| can_fire(H::physical_timer_intid()));
        timer::earlier(virtual_timer, physical_timer)
    }

    /// A data access that stage 2 does not translate: most are a device's, which is asked here.
    #[inline(never)]
    fn data_abort(&mut self, esr: u64) -> bool {
        let spsr = read!("SPSR_EL2");
        // AArch32 and big-endian guests are for the other path, too.
        if !DataAbort::is_plain(esr) || may_be_big_endian(spsr, read!("SCTLR_EL1")) {
            return self.odd_data_abort(esr);
        }
        let ipa = translate::plain_fault_ipa();
        match self.ask_device(ipa, DataAbort::plain_transfer(esr)) {
            Some(Ok(())) => {
                const A64_LENGTH: u64 = 4;
                write!("ELR_EL2", read!("ELR_EL2").wrapping_add(A64_LENGTH));
                if needs_step_over(spsr) {
                    write!("SPSR_EL2", step_over(spsr));
                }
                // The device may have interrupted this vCPU, or woken somebody.
                self.serve_requests();
                self.go_on()
            }
            Some(Err(WriteFault::Refused)) => self.hardware_abort(esr, read!("FAR_EL2")),
            Some(Err(WriteFault::Busy)) => self.access_again(),
            None => self.odd_data_abort(esr),
        }
    }

    /// The device can't take it yet: the guest makes it again, after its interrupts and after what
    /// else this CPU has to run.
    #[cold]
    fn access_again(&mut self) -> bool {
        self.serve_requests();
        self.go_on()
    }

    /// Makes a plain access to the device at `ipa`; `None` if there is none.
    #[inline(always)]
    fn ask_device(
        &mut self,
        ipa: GuestPhysAddr,
        transfer: Transfer,
    ) -> Option<Result<(), WriteFault>> {
        let bus = self.vm.bus.get()?;
        let Transfer {
            reg,
            width,
            load,
            reg_width,
            signed,
        } = transfer;
        Some(if load {
            let value = bus.read(self.id, ipa, width, &mut self.last_device)?;
            let value = value.map(|mut value| {
                if signed {
                    value = extend(value, width, reg_width, signed);
                }
                self.frame.set_gpr(reg, value);
            });
            value.map_err(WriteFault::from)
        } else {
            bus.write(
                self.id,
                ipa,
                width,
                self.frame.gpr(reg),
                &mut self.last_device,
            )?
        })
    }

    /// Data aborts without a syndrome, on the guest's own table walks, or reported by the hardware.
    #[cold]
    fn odd_data_abort(&mut self, esr: u64) -> bool {
        let far = read!("FAR_EL2");
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
        if abort.cache_maintenance {
            // What is not RAM is in no cache.
            self.skip(esr);
            return true;
        }
        if let Some(transfer) = abort.transfer {
            let big_endian = big_endian(read!("SPSR_EL2"), read!("SCTLR_EL1"));
            let access = BusAccess::new(transfer, big_endian, &self.frame);
            let fault = Fault {
                esr,
                far,
                walk_level: None,
            };
            let exit = self
                .mmio
                .single(fault, ipa, access, instruction_length(esr));
            return self.leave(exit);
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
        let fault = Fault {
            esr,
            far,
            walk_level: Some(level),
        };
        if !DataAbort::new(esr).is_permission_fault() {
            return self.page_fault(fault, ipa, AccessFlags::Read);
        }
        // There is memory, and it is not for tables: it can't be read, or not be written where the
        // hardware is to update the access flag or the dirty state, or it is a device (HCR_EL2.PTW).
        // What data accesses may do there does not matter: made again, the walk would fail again.
        self.frame.elr = read!("ELR_EL2");
        self.frame.spsr = read!("SPSR_EL2");
        self.refuse(fault);
        write!("ELR_EL2", self.frame.elr);
        write!("SPSR_EL2", self.frame.spsr);
        match self.stuck {
            None => true,
            Some(fault) => self.leave(AxVCpuExitReason::FailEntry(fault)),
        }
    }

    fn page_fault(&mut self, fault: Fault, addr: GuestPhysAddr, access_flags: AccessFlags) -> bool {
        self.mmio.fault(fault);
        self.leave(AxVCpuExitReason::NestedPageFault { addr, access_flags })
    }
}
