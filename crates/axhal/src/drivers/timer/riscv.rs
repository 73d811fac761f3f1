//! `time`, and this hart's supervisor timer: `stimecmp` where all harts have Sstc (privileged ISA,
//! 12.1.14), or else the firmware's (SBI, "Timer Extension").

use crate::drivers::arch;
use crate::drivers::sbi::{Call, Sbi};
use crate::machine::{Extensions, Machine};

/// Never: nothing is pending either.
const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    sstc: bool,
}

impl Clock {
    pub fn frequency(machine: &Machine) -> (u64, Option<u32>) {
        (0, machine.riscv().map(|riscv| riscv.timebase))
    }

    pub fn new(machine: &Machine) -> Self {
        let common = machine.riscv().map(|riscv| riscv.common());
        Self {
            sstc: common.is_some_and(|common| common.contains(Extensions::SSTC)),
        }
    }

    /// `time` is the same for all harts, and what one reads is not earlier than what another one
    /// read before (unprivileged ISA, "Zicntr").
    #[inline]
    pub fn now(&self) -> u64 {
        arch::time()
    }

    #[inline]
    pub fn set_deadline(&self, ticks: u64) {
        self.set_with(&Sbi::new(arch::Ecall), ticks);
    }

    #[inline]
    pub fn clear_deadline(&self) {
        self.set_deadline(NEVER);
    }

    #[inline]
    fn set_with<C: Call>(&self, sbi: &Sbi<C>, ticks: u64) {
        if self.sstc {
            arch::write_stimecmp(ticks);
        } else {
            // It can't fail where the extension is there; where not, there is no timer at all.
            let _ = sbi.set_timer(ticks);
        }
    }
}
