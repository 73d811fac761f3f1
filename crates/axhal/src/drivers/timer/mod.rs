//! The system counter, and the timer that each CPU has for the hypervisor.
//!
//! Inside the hypervisor time is ticks of the counter, which all CPUs and guests share;
//! nanoseconds are for interfaces.

#[cfg(not(target_arch = "riscv64"))]
mod arm;
// A host has both, and its timer is of the first kind.
#[cfg(not(target_arch = "aarch64"))]
#[cfg_attr(not(target_arch = "riscv64"), allow(dead_code))]
pub(crate) mod riscv;
#[cfg(not(target_arch = "aarch64"))]
mod shared;

use core::fmt;

#[cfg(not(target_arch = "riscv64"))]
use arm::Clock;
#[cfg(target_arch = "riscv64")]
use riscv::Clock;
#[cfg(not(target_arch = "aarch64"))]
pub use shared::Deadlines;

use crate::machine::Machine;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The fastest counter accepted: a frequency has 32 bits.
const MAX_FREQUENCY: u64 = u32::MAX as u64;
/// The slowest: below, a tick is too long for a scheduler.
const MIN_FREQUENCY: u64 = 1_000;

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

/// The counter's frequency can't be, or the tree is another architecture's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrequency {
    /// CNTFRQ_EL0, in Hz, where there is such a register.
    pub register: u64,
    /// What the device tree says, in Hz.
    pub property: Option<u32>,
}

impl fmt::Display for BadFrequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no frequency from 1 kHz to 4.29 GHz: ")?;
        match self.property {
            Some(property) => write!(f, "the device tree says {property} Hz")?,
            None => write!(f, "the device tree says none")?,
        }
        match self.register {
            0 => Ok(()),
            register => write!(f, ", CNTFRQ_EL0 {register} Hz"),
        }
    }
}

/// The counter and the timer of the CPU that calls.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    scale: Scale,
    clock: Clock,
}

impl Timer {
    /// The timer of a machine.
    pub fn new(machine: &Machine) -> Result<Self, BadFrequency> {
        let (register, property) = Clock::frequency(machine);
        let scale = Scale::new(register)
            .or_else(|| Scale::new(property?.into()))
            .ok_or(BadFrequency { register, property })?;
        Ok(Self {
            scale,
            clock: Clock::new(machine),
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
        self.clock.now()
    }

    /// Lets this CPU's timer interrupt when the counter reaches `ticks`; at once if it has.
    #[inline]
    pub fn set_deadline(&self, ticks: u64) {
        self.clock.set_deadline(ticks);
    }

    /// Stops this CPU's timer. Its line falls, so that an interrupt that was pending is withdrawn.
    #[inline]
    pub fn clear_deadline(&self) {
        self.clock.clear_deadline();
    }
}
