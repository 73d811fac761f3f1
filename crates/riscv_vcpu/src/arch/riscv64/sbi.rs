//! The guest's calls: what [`crate::sbi`] decodes is done here.

use axaddrspace::GuestPhysAddr;
use axvcpu::{AxVCpuExitReason, PowerState};

use super::regs::{clear, vs, write};
use super::vcpu::RiscvVCpu;
use super::{context, tlb};
use crate::RiscvHost;
use crate::sbi::{self, Answer, Call, Error, Fence, HartMask, Resume, hart};
use crate::vm::pending;

/// Bytes that one call moves to or from the console at most: the guest asks again for the rest.
const CONSOLE_PIECE: usize = 256;
/// An ECALL has no compressed form.
pub(super) const ECALL_LENGTH: u64 = 4;
/// a0 to a7 are x10 to x17.
pub(super) const FIRST_ARGUMENT: usize = 10;

impl<H: RiscvHost> RiscvVCpu<H> {
    /// An ECALL from VS-mode.
    #[inline]
    pub(super) fn call(&mut self) -> bool {
        self.skip(ECALL_LENGTH);
        match sbi::decode(self.arguments(), || self.vm.offer()) {
            Call::SetTimer(value) => {
                self.set_timer(value);
                self.done(Ok(0))
            }
            Call::SendIpi(mask) => {
                let answer = self.send_ipi(mask);
                self.answer(answer);
                self.serve_requests();
                self.go_on()
            }
            Call::RemoteFence(mask, fence) => {
                let answer = self.remote_fence(mask, fence);
                self.done(answer)
            }
            Call::Done(answer) => self.done(answer),
            other => self.rare_call(other),
        }
    }

    /// a0 to a7.
    #[inline(always)]
    pub(super) fn arguments(&self) -> [u64; 8] {
        core::array::from_fn(|n| self.frame.gpr(FIRST_ARGUMENT + n))
    }

    #[inline]
    fn done(&mut self, answer: Answer) -> bool {
        self.answer(answer);
        true
    }

    #[inline(never)]
    fn rare_call(&mut self, call: Call) -> bool {
        let exit = match call {
            Call::HartStart { hart, entry, arg } => AxVCpuExitReason::CpuUp {
                target_cpu: hart,
                entry_point: GuestPhysAddr::from_usize(entry as usize),
                arg,
            },
            Call::HartStop => AxVCpuExitReason::CpuDown,
            Call::HartStatus(hart) => {
                let answer = self.hart_status(hart);
                return self.done(answer);
            }
            Call::HartSuspend(resume) => return self.suspend(resume),
            Call::Shutdown => AxVCpuExitReason::SystemDown,
            Call::Reboot => AxVCpuExitReason::SystemReset,
            Call::ConsoleWrite { base, len } => {
                let answer = self.console_write(base, len);
                return self.console_done(answer);
            }
            Call::ConsoleRead { base, len } => {
                let answer = self.console_read(base, len);
                return self.console_done(answer);
            }
            Call::ConsoleWriteByte(byte) => {
                let answer = self.console_byte(byte);
                return self.console_done(answer);
            }
            Call::Legacy => return self.legacy_call(),
            Call::Hypervisor { nr, args } => AxVCpuExitReason::Hypercall { nr, args },
            // Served by `call`.
            Call::Done(_) | Call::SetTimer(_) | Call::SendIpi(_) | Call::RemoteFence(..) => {
                return true;
            }
        };
        self.leave(exit)
    }

    /// A new time clears the interrupt of the last ("Set Timer").
    #[inline(always)]
    pub(super) fn set_timer(&mut self, value: u64) {
        if self.features.sstc {
            write!(VSTIMECMP, value);
        } else {
            clear!(HVIP, vs::TIMER);
            self.timer = value;
            self.serve_timer();
        }
    }

    #[inline(always)]
    pub(super) fn send_ipi(&mut self, mask: HartMask) -> Answer {
        let targets = mask.select(&self.vm.harts)?;
        self.vm.send_ipi(targets);
        Ok(0)
    }

    /// See [`crate::RiscvVm`]'s `fence_others`.
    #[inline(always)]
    pub(super) fn remote_fence(&mut self, mask: HartMask, fence: Fence) -> Answer {
        let targets = mask.select(&self.vm.harts)?;
        let own = 1u64.checked_shl(self.id as u32).unwrap_or(0);
        let kind = match fence {
            Fence::Instructions => pending::INSTRUCTIONS,
            Fence::Translations { .. } => pending::TRANSLATIONS,
        };
        let cpus = self.vm.fence_others(targets & !own, kind);
        if targets & own != 0 {
            tlb::local(fence);
        }
        if cpus != 0 {
            match fence {
                Fence::Instructions => H::remote_fence_i(cpus),
                Fence::Translations { start, size, asid } => {
                    H::remote_hfence_vvma(cpus, asid, start, size)
                }
            }
        }
        Ok(0)
    }

    fn hart_status(&self, hart: u64) -> Answer {
        let vcpu = self.vm.vcpu_of(hart);
        let sync = vcpu.and_then(|id| self.vm.sync.get(id));
        match sync.ok_or(Error::InvalidParam)?.power() {
            PowerState::On if vcpu.is_some_and(|id| self.vm.is_suspended(id)) => {
                Ok(hart::SUSPENDED)
            }
            PowerState::On => Ok(hart::STARTED),
            PowerState::Off => Ok(hart::STOPPED),
            PowerState::OnPending => Ok(hart::START_PENDING),
        }
    }

    /// A suspended hart waits as with WFI. One that loses its state finds itself, when it wakes,
    /// where and as it asked for: that is arranged before.
    fn suspend(&mut self, resume: Option<Resume>) -> bool {
        let Some(Resume { entry, arg }) = resume else {
            self.answer(Ok(0));
            return self.suspended();
        };
        let gpa = GuestPhysAddr::from_usize(entry as usize);
        if entry % 2 != 0 || !self.vm.memory.read(gpa, &mut [0; 2]) {
            return self.done(Err(Error::InvalidAddress));
        }
        self.start_registers(arg);
        // The call came from VS-mode, and that is where it goes on.
        write!(SEPC, entry);
        context::suspended();
        self.suspended()
    }

    fn suspended(&mut self) -> bool {
        self.vm.set_suspended(self.id, true);
        let goes_on = self.wait_for_interrupt();
        if goes_on {
            self.vm.set_suspended(self.id, false);
        }
        goes_on
    }

    /// Who was given output may have been woken.
    fn console_done(&mut self, answer: Answer) -> bool {
        self.answer(answer);
        self.serve_requests();
        self.go_on()
    }

    /// How much of `len` bytes at `base` is moved now. All of them have to be memory: of what is not
    /// moved yet the end is looked at.
    fn piece(&self, base: u64, len: u64) -> Result<(GuestPhysAddr, usize), Error> {
        let gpa = |address| GuestPhysAddr::from_usize(address as usize);
        if let Some(before_end) = len.checked_sub(1) {
            let end = base.checked_add(before_end).ok_or(Error::InvalidParam)?;
            if !self.vm.memory.read(gpa(end), &mut [0]) {
                return Err(Error::InvalidParam);
            }
        }
        Ok((gpa(base), len.min(CONSOLE_PIECE as u64) as usize))
    }

    /// Fewer bytes than asked for are an answer: "the call may write fewer than the requested
    /// bytes" ("Console Write").
    fn console_write(&self, base: u64, len: u64) -> Answer {
        let console = self.vm.console.get().ok_or(Error::NotSupported)?;
        let (base, len) = self.piece(base, len)?;
        let mut piece = [0; CONSOLE_PIECE];
        let piece = piece.get_mut(..len).ok_or(Error::Failed)?;
        if !piece.is_empty() && !self.vm.memory.read(base, piece) {
            return Err(Error::InvalidParam);
        }
        Ok(console.firmware_send(piece) as u64)
    }

    fn console_read(&self, base: u64, len: u64) -> Answer {
        let console = self.vm.console.get().ok_or(Error::NotSupported)?;
        let (base, len) = self.piece(base, len)?;
        let mut piece = [0; CONSOLE_PIECE];
        let piece = piece.get_mut(..len).ok_or(Error::Failed)?;
        // Before anything is taken, which would be lost.
        if !piece.is_empty() && !self.vm.memory.read(base, piece) {
            return Err(Error::InvalidParam);
        }
        let count = console.firmware_receive(piece);
        match piece.get(..count) {
            Some(got) if got.is_empty() || self.vm.memory.write(base, got) => Ok(count as u64),
            _ => Err(Error::InvalidParam),
        }
    }

    /// "Console Write Byte" returns no count: it is written, or failed.
    fn console_byte(&self, byte: u8) -> Answer {
        let console = self.vm.console.get().ok_or(Error::NotSupported)?;
        match console.firmware_send(&[byte]) {
            0 => Err(Error::Failed),
            _ => Ok(0),
        }
    }
}
