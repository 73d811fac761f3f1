//! The hypervisor's physical timer (CNTHP): Arm DDI 0487, chapter D12.

use crate::drivers::arch;
use crate::machine::Machine;

const CTL_ENABLE: u64 = 1 << 0;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    self_synchronized: bool,
}

impl Clock {
    /// `clock-frequency` of the tree counts only if the firmware didn't set CNTFRQ_EL0, which
    /// guests read too.
    pub fn frequency(machine: &Machine) -> (u64, Option<u32>) {
        let property = machine.arm().and_then(|arm| arm.timer.frequency);
        (arch::counter_frequency(), property)
    }

    pub fn new(_machine: &Machine) -> Self {
        Self {
            self_synchronized: arch::has_self_synchronized_counter(),
        }
    }

    #[inline]
    pub fn now(&self) -> u64 {
        if self.self_synchronized {
            arch::counter_self_synchronized()
        } else {
            arch::counter()
        }
    }

    #[inline]
    pub fn set_deadline(&self, ticks: u64) {
        arch::write_deadline(ticks);
        arch::write_timer_control(CTL_ENABLE);
        // In effect before the caller sleeps or enters a guest.
        arch::isb();
    }

    #[inline]
    pub fn clear_deadline(&self) {
        arch::write_timer_control(0);
        arch::isb();
    }
}
