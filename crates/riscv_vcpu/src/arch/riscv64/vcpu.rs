//! The vCPU: its state, and how it is entered.

use alloc::sync::Arc;
use core::marker::PhantomData;

use axaddrspace::{GuestPhysAddr, Sv};
use axdevice::{BusFault, LastHit};
use axerrno::{AxError, AxResult};
use axvcpu::{
    AxArchVCpu, AxVCpuExitReason, ConsoleModel, GuestFault, PowerOnError, Request, VCpuSync,
};

use super::context::{self, Context};
use super::fp::Units;
use super::regs::{barrier, clear, read, set, vs, write};
use super::switch::{self, Frame};
use super::{cpu, exit, tlb};
use crate::features::Features;
use crate::inject::{self, cause, status};
use crate::sbi::{self, Error};
use crate::vm::{NOBODY, pending};
use crate::{CpuError, RiscvHost, RiscvVm, timer};

/// An exception for the guest.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// scause.
    pub cause: u64,
    /// stval.
    pub value: u64,
}

/// a0 and a1.
const A0: usize = 10;
const A1: usize = 11;

/// A virtual CPU. Owned by one task, and used by one CPU at a time.
#[repr(C)]
pub struct RiscvVCpu<H: RiscvHost> {
    /// First: the vector finds the vCPU by its frame.
    pub(super) frame: Frame,
    /// Why the last run ended: set by the handler that ended it.
    pub(super) exit: AxVCpuExitReason,
    pub(super) vm: Arc<RiscvVm<H>>,
    pub(super) id: usize,
    pub(super) features: &'static Features,
    context: Context,
    units: Units,
    /// The physical CPU it was bound to last.
    last_cpu: u32,
    /// What the access that the last exit reported becomes if it is refused.
    pub(super) refused: Option<Exception>,
    /// The device it used last.
    pub(super) last_device: LastHit,
    /// Without Sstc: when its timer fires, by its own clock; all ones: off, or it has fired.
    pub(super) timer: u64,
    /// The value of it that this CPU was told last; all ones: none.
    armed: u64,
    /// Why it can't go on, if it can't.
    pub(super) stuck: Option<GuestFault>,
    _host: PhantomData<H>,
}

impl<H: RiscvHost> RiscvVCpu<H> {
    /// Runs until an exit that is not served here.
    fn run_guest(&mut self) -> AxVCpuExitReason {
        if let Some(fault) = self.stuck {
            return AxVCpuExitReason::FailEntry(fault);
        }
        loop {
            if H::need_resched() {
                return AxVCpuExitReason::Preempted;
            }
            self.serve_requests();
            if !self.features.sstc {
                self.serve_timer();
            }
            let Some(sync) = self.vm.sync.get(self.id) else {
                return AxVCpuExitReason::Nothing;
            };
            if sync.enter(H::cpu()) {
                break;
            }
            if sync.has_requests_beyond(Request::Interrupt as u32) {
                return AxVCpuExitReason::Preempted;
            }
        }
        if self.refused.take().is_some() {
            // The tables have by now what the last access did not find: it is made again, and finds it
            // although this hart may remember that it was not there ("Svvptc" is what rules that out).
            tlb::forget_stage2();
        }
        self.vm.set_suspended(self.id, false);
        write!(SEPC, self.frame.pc);
        // SPIE becomes SIE at SRET: it stays 0 for when the guest is left.
        clear!(SSTATUS, status::SPP | status::SPIE);
        if self.frame.supervisor {
            set!(SSTATUS, status::SPP);
        }
        cpu::return_to_guest();
        let frame = (self as *mut Self).cast::<Frame>();
        // SAFETY: the frame is the first field of this vCPU (repr(C)), which is bound to this CPU
        // (`run`'s contract), and `&mut self` keeps everybody else off it. Interrupts are masked,
        // and sepc, SPP and SPV have just been set.
        unsafe { switch::enter(frame) };
        self.frame.pc = read!(SEPC);
        self.frame.supervisor = read!(SSTATUS) & status::SPP != 0;
        if let Some(sync) = self.vm.sync.get(self.id) {
            sync.leave();
        }
        self.exit
    }

    /// Takes what was recorded for this vCPU into this hart's registers.
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
        // First: what is recorded from here on comes with a new request.
        if !sync.take_request(Request::Interrupt) {
            return;
        }
        let recorded = self.vm.take_pending(self.id);
        if recorded & pending::SOFTWARE != 0 {
            set!(HVIP, vs::SOFTWARE);
        }
        if recorded & pending::TRANSLATIONS != 0 {
            tlb::forget_translations();
        }
        if recorded & pending::INSTRUCTIONS != 0 {
            tlb::forget_instructions();
        }
        if self.external_pending() {
            set!(HVIP, vs::EXTERNAL);
        } else {
            clear!(HVIP, vs::EXTERNAL);
        }
    }

    fn external_pending(&self) -> bool {
        match &self.vm.vplic {
            Some(vplic) => vplic.external_pending(self.id),
            None => false,
        }
    }

    /// The machine's counter and the guest's, in this moment.
    #[inline]
    pub(super) fn clocks(&self) -> (u64, u64) {
        let now = cpu::time();
        (now, now.wrapping_add(self.vm.clock()))
    }

    /// When the guest's timer fires, in the machine's ticks.
    pub(super) fn timer_deadline(&self) -> Option<u64> {
        let (now, guest_now) = self.clocks();
        let value = if self.features.sstc {
            read!(VSTIMECMP)
        } else {
            self.timer
        };
        timer::deadline(value, guest_now, now)
    }

    /// Without Sstc: the guest's timer fires, if it is time; else this CPU is told when.
    pub(super) fn serve_timer(&mut self) {
        let (now, guest_now) = self.clocks();
        match timer::deadline(self.timer, guest_now, now) {
            Some(deadline) if deadline > now => self.arm(deadline),
            Some(_) => {
                set!(HVIP, vs::TIMER);
                self.timer = u64::MAX;
                self.arm(u64::MAX);
            }
            None => self.arm(u64::MAX),
        }
    }

    /// Tells this CPU when the guest's timer fires, if it has not been told.
    fn arm(&mut self, deadline: u64) {
        if self.armed != self.timer {
            self.armed = self.timer;
            H::set_guest_timer(deadline);
        }
    }

    /// Takes an exception to VS-mode, of the instruction at `pc`: where the guest goes on.
    pub(super) fn inject(&mut self, exception: Exception, pc: u64, supervisor: bool) -> u64 {
        write!(VSEPC, pc);
        write!(VSCAUSE, exception.cause);
        write!(VSTVAL, exception.value);
        write!(VSSTATUS, inject::taken(read!(VSSTATUS), supervisor));
        let handler = inject::vector(read!(VSTVEC));
        // The handler of this exception is what could not be fetched: no state changes any more.
        if exception.cause == cause::INSTRUCTION_ACCESS_FAULT && supervisor && handler == pc {
            self.stuck = Some(GuestFault::NoHandler { pc });
        }
        handler
    }

    /// Both registers of a call's answer.
    #[inline]
    pub(super) fn answer(&mut self, answer: sbi::Answer) {
        let (error, value) = sbi::registers(answer);
        self.frame.set_gpr(A0, error);
        self.frame.set_gpr(A1, value);
    }

    /// The registers that a hart starts with (SBI, "HSM": hart start, and resumption after a
    /// non-retentive suspension).
    pub(super) fn start_registers(&mut self, arg: u64) {
        self.frame.x = [0; 32];
        let hart = self.vm.harts.get(self.id).copied().unwrap_or(0);
        self.frame.set_gpr(A0, hart);
        self.frame.set_gpr(A1, arg);
    }
}

impl<H: RiscvHost> AxArchVCpu for RiscvVCpu<H> {
    type Vm = RiscvVm<H>;
    type Stage2 = Sv;

    const CONSOLE: ConsoleModel = ConsoleModel::Ns16550;

    fn stage2_format() -> AxResult<Sv> {
        cpu::stage2_format().map_err(|_: CpuError| AxError::Unsupported)
    }

    fn new(vm: &Arc<RiscvVm<H>>, vcpu_id: usize) -> AxResult<Self> {
        if vcpu_id >= vm.harts.len() {
            return Err(AxError::InvalidInput);
        }
        let features = cpu::features();
        Ok(Self {
            frame: Frame::new(exit::on_trap::<H>),
            exit: AxVCpuExitReason::Nothing,
            vm: vm.clone(),
            id: vcpu_id,
            features,
            context: Context::reset(features),
            units: Units::new(features),
            last_cpu: NOBODY,
            refused: None,
            last_device: LastHit::default(),
            timer: u64::MAX,
            armed: u64::MAX,
            stuck: None,
            _host: PhantomData,
        })
    }

    fn set_entry(&mut self, entry: GuestPhysAddr, arg: usize) -> AxResult {
        self.vm.forget(self.id);
        self.start_registers(arg as u64);
        self.frame.pc = entry.as_usize() as u64;
        self.frame.supervisor = true;
        self.context = Context::reset(self.features);
        self.units.reset();
        // Fences that came while it was off are made good where it is bound first.
        self.last_cpu = NOBODY;
        self.refused = None;
        self.timer = u64::MAX;
        self.stuck = None;
        Ok(())
    }

    fn bind(&mut self) {
        let cpu = H::cpu();
        let (root, vmid) = self.vm.stage2();
        let hgatp = context::hgatp(self.features, root, vmid);
        let external = self.external_pending();
        self.context
            .restore(self.features, hgatp, self.vm.clock(), external);
        if self.vm.entered_here(self.id, self.last_cpu, cpu) {
            // For the VMID in hgatp.
            tlb::forget_translations();
            tlb::forget_instructions();
            // One that was elsewhere is among those.
            if self.last_cpu != cpu as u32 {
                self.last_cpu = cpu as u32;
                self.vm.moved_here(self.id, cpu);
            }
        }
        self.context.restore_translation();
        self.units.load(cpu, self.features);
        switch::forget_reservation();
    }

    fn unbind(&mut self) {
        // What the guest has told devices comes before what it tells them from another hart, where a
        // fence of its own does not reach back. Locks of the scheduler order memory only.
        barrier!("fence iorw, iorw");
        self.units.save();
        self.context.save(self.features);
        if self.armed != u64::MAX {
            self.armed = u64::MAX;
            H::set_guest_timer(u64::MAX);
        }
    }

    fn run(&mut self) -> AxResult<AxVCpuExitReason> {
        Ok(self.run_guest())
    }

    fn complete_mmio(&mut self, result: Result<u64, BusFault>) {
        // A device's accesses are made in the handler: there is nothing to complete. What was
        // reported is a fault, which is refused or made again.
        if let (Err(BusFault), Some(exception)) = (result, self.refused.take()) {
            let (pc, supervisor) = (self.frame.pc, self.frame.supervisor);
            self.frame.pc = self.inject(exception, pc, supervisor);
            self.frame.supervisor = true;
        }
    }

    fn set_gpr(&mut self, reg: usize, value: u64) {
        self.frame.set_gpr(reg, value);
    }

    /// SBI has an error in a0 and a value in a1: all ones is "not supported".
    fn set_return_value(&mut self, value: u64) {
        self.answer(match value {
            u64::MAX => Err(Error::NotSupported),
            value => Ok(value),
        });
    }

    fn complete_cpu_up(&mut self, result: Result<(), PowerOnError>) {
        self.answer(match result {
            Ok(()) => Ok(0),
            Err(PowerOnError::NoSuchCpu) => Err(Error::InvalidParam),
            Err(PowerOnError::AlreadyOn | PowerOnError::Pending) => Err(Error::AlreadyAvailable),
            Err(PowerOnError::InvalidAddress) => Err(Error::InvalidAddress),
        });
    }
}
