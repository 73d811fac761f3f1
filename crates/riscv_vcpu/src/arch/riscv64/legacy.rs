//! The guest's legacy calls: what [`crate::sbi::legacy`] decodes is done here.

use axvcpu::AxVCpuExitReason;

use super::fetch;
use super::regs::{clear, read, vs, write};
use super::sbi::{ECALL_LENGTH, FIRST_ARGUMENT};
use super::vcpu::{Exception, RiscvVCpu};
use crate::RiscvHost;
use crate::inject::{access_fault, cause};
use crate::sbi::legacy::{self, Legacy};
use crate::sbi::{Answer, Error, HartMask};

impl<H: RiscvHost> RiscvVCpu<H> {
    /// a0 is all that a legacy call returns.
    #[inline(never)]
    pub(super) fn legacy_call(&mut self) -> bool {
        let Some(call) = legacy::decode(self.arguments()) else {
            return true;
        };
        let answer = match call {
            Legacy::SetTimer(value) => {
                self.set_timer(value);
                Ok(0)
            }
            Legacy::PutCharacter(byte) => match self.put_character(byte) {
                true => Ok(0),
                false => {
                    // It is called again until there is room, and interrupts come in between.
                    self.call_again();
                    return self.again();
                }
            },
            Legacy::GetCharacter => Ok(self.get_character()),
            Legacy::ClearIpi => Ok(self.clear_ipi().into()),
            Legacy::SendIpi(mask) => match self.harts(mask) {
                Ok(mask) => self.send_ipi(mask),
                Err(exception) => return self.bad_mask(exception),
            },
            Legacy::RemoteFence(mask, fence) => match self.harts(mask) {
                Ok(mask) => self.remote_fence(mask, fence),
                Err(exception) => return self.bad_mask(exception),
            },
            Legacy::Shutdown => return self.leave(AxVCpuExitReason::SystemDown),
        };
        self.legacy_answer(answer);
        self.serve_requests();
        self.go_on()
    }

    fn legacy_answer(&mut self, answer: Answer) {
        let value = answer.unwrap_or_else(|error| error as i64 as u64);
        self.frame.set_gpr(FIRST_ARGUMENT, value);
    }

    /// Back to the ECALL.
    fn call_again(&mut self) {
        write!(SEPC, read!(SEPC).wrapping_sub(ECALL_LENGTH));
    }

    /// The caller takes the exception that it would have taken by reading the mask.
    fn bad_mask(&mut self, exception: Exception) -> bool {
        self.call_again();
        self.inject_now(exception)
    }

    /// `false` if there is no room. Without a console it is gone.
    fn put_character(&self, byte: u8) -> bool {
        match self.vm.console.get() {
            Some(console) => console.firmware_send(&[byte]) == 1,
            None => true,
        }
    }

    fn get_character(&self) -> u64 {
        const NONE: u64 = Error::Failed as i64 as u64;
        let mut byte = [0];
        match self.vm.console.get() {
            Some(console) if console.firmware_receive(&mut byte) == 1 => byte[0].into(),
            _ => NONE,
        }
    }

    /// Whether one was pending.
    fn clear_ipi(&self) -> bool {
        self.serve_requests();
        let pending = read!(HVIP) & vs::SOFTWARE != 0;
        clear!(HVIP, vs::SOFTWARE);
        pending
    }

    /// The mask at the guest's virtual address `at`: one word, harts 0 to 63, and address 0 means all
    /// harts. Both as in OpenSBI.
    fn harts(&self, at: u64) -> Result<HartMask, Exception> {
        if at == 0 {
            return Ok(HartMask::ALL);
        }
        // SAFETY: in a handler, so the last trap was this vCPU's, which is bound.
        match unsafe { fetch::double(at) } {
            Ok(mask) => Ok(HartMask::legacy(mask, &self.vm.harts)),
            Err(scause) => Err(Exception {
                cause: match scause {
                    cause::LOAD_GUEST_PAGE_FAULT => access_fault(scause),
                    own => own,
                },
                value: at,
            }),
        }
    }
}
