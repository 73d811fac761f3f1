//! Sets of CPUs.

use crate::MAX_CPUS;

/// A set of physical CPUs, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuMask(u64);

impl CpuMask {
    /// Every CPU.
    pub const ALL: Self = Self(u64::MAX);

    /// The CPUs whose bits are set.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// One CPU; none if there can't be a CPU of this number.
    pub const fn single(cpu: usize) -> Self {
        Self(if cpu < MAX_CPUS { 1 << cpu } else { 0 })
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether it has no CPU.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it has this CPU.
    pub const fn contains(self, cpu: usize) -> bool {
        cpu < MAX_CPUS && self.0 & 1 << cpu != 0
    }

    /// The CPUs both have.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The CPUs the other hasn't.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its CPUs, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let cpu = left.trailing_zeros() as usize;
            // Clears the lowest bit set.
            left &= left.checked_sub(1)?;
            Some(cpu)
        })
        .take_while(|&cpu| cpu < MAX_CPUS)
    }
}
