//! The system counter and this CPU's hypervisor timer (CNTHP): Arm DDI 0487, chapter D12.
//!
//! Inside the hypervisor time is ticks of the counter, which all CPUs and guests share;
//! nanoseconds are for interfaces.

use super::arch;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The fastest counter accepted: CNTFRQ_EL0 has 32 bits.
const MAX_FREQUENCY: u64 = u32::MAX as u64;
/// The slowest: below, a tick is too long for a scheduler.
const MIN_FREQUENCY: u64 = 1_000;

const CTL_ENABLE: u64 = 1 << 0;

/// Converts between ticks and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    frequency: u64,
}

impl Scale {
    /// For a counter of `frequency` Hz. `None` outside of 1 kHz to 4.29 GHz.
    pub const fn new(frequency: u64) -> Option<Self> {
        if frequency < MIN_FREQUENCY || frequency > MAX_FREQUENCY {
            return None;
        }
        Some(Self { frequency })
    }

    /// The counter's frequency in Hz.
    pub const fn frequency(&self) -> u64 {
        self.frequency
    }

    /// Nanoseconds, rounded down; the largest number if there are more.
    ///
    /// Exact, in 64 bits: whole seconds and the rest are converted each for itself, and the rest
    /// is less than 2^32 ticks.
    #[inline]
    pub const fn to_nanos(&self, ticks: u64) -> u64 {
        let seconds = ticks / self.frequency;
        let rest = (ticks % self.frequency) * NANOS_PER_SECOND / self.frequency;
        seconds
            .saturating_mul(NANOS_PER_SECOND)
            .saturating_add(rest)
    }

    /// Ticks, rounded up, so that a deadline never comes early; the largest number if there are
    /// more.
    #[inline]
    pub const fn to_ticks(&self, nanos: u64) -> u64 {
        let seconds = nanos / NANOS_PER_SECOND;
        let rest = ((nanos % NANOS_PER_SECOND) * self.frequency).div_ceil(NANOS_PER_SECOND);
        seconds.saturating_mul(self.frequency).saturating_add(rest)
    }
}

/// The counter's frequency can't be: in CNTFRQ_EL0, and in the device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrequency {
    /// CNTFRQ_EL0, in Hz.
    pub register: u64,
    /// `clock-frequency`, in Hz.
    pub property: Option<u32>,
}

/// The counter and the timer of the CPU that calls.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    scale: Scale,
    self_synchronized: bool,
}

impl Timer {
    /// The timer of a machine. `clock-frequency` of its tree counts only if the firmware didn't
    /// set CNTFRQ_EL0, which guests read too.
    pub fn new(machine: &crate::machine::Timer) -> Result<Self, BadFrequency> {
        let register = arch::counter_frequency();
        let property = machine.frequency;
        let scale = Scale::new(register)
            .or_else(|| Scale::new(property?.into()))
            .ok_or(BadFrequency { register, property })?;
        Ok(Self {
            scale,
            self_synchronized: arch::has_self_synchronized_counter(),
        })
    }

    /// The conversions.
    #[inline]
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Ticks of the counter now. Not read early.
    #[inline]
    pub fn now(&self) -> u64 {
        if self.self_synchronized {
            arch::counter_self_synchronized()
        } else {
            arch::counter()
        }
    }

    /// Lets this CPU's timer interrupt when the counter reaches `ticks`; at once if it has.
    #[inline]
    pub fn set_deadline(&self, ticks: u64) {
        arch::write_deadline(ticks);
        arch::write_timer_control(CTL_ENABLE);
        // In effect before the caller sleeps or enters a guest.
        arch::isb();
    }

    /// Stops this CPU's timer. Its line falls, so that an interrupt that was pending is withdrawn.
    #[inline]
    pub fn clear_deadline(&self) {
        arch::write_timer_control(0);
        arch::isb();
    }
}
