//! The memory-mapped bus of a VM.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use axaddrspace::{GuestPhysAddr, GuestPhysRange};
use axerrno::AxError;

use crate::{Access, AccessWidth, BusFault, MmioDevice, WriteFault};

/// A device can't be put on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusError {
    /// The range is empty, or its end lies before its start.
    Range(GuestPhysRange),
    /// Another device has some of these addresses.
    Overlap {
        /// The new device's.
        new: GuestPhysRange,
        /// The other device's.
        existing: GuestPhysRange,
    },
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => write!(
                f,
                "a device at {:#x} has no registers",
                range.start.as_usize()
            ),
            Self::Overlap { new, existing } => write!(
                f,
                "the devices at {:#x} and {:#x} overlap",
                new.start.as_usize(),
                existing.start.as_usize()
            ),
        }
    }
}

impl From<BusError> for AxError {
    fn from(error: BusError) -> Self {
        match error {
            BusError::Range(_) => Self::InvalidInput,
            BusError::Overlap { .. } => Self::AddrInUse,
        }
    }
}

struct Region {
    base: usize,
    size: usize,
    device: Arc<dyn MmioDevice>,
}

impl Region {
    fn range(&self) -> GuestPhysRange {
        GuestPhysRange {
            start: self.base.into(),
            end: (self.base + self.size).into(),
        }
    }
}

/// A bus under construction.
#[derive(Default)]
pub struct BusBuilder {
    /// In ascending order, none of them overlapping.
    regions: Vec<Region>,
}

impl BusBuilder {
    /// An empty bus.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `range` to `device`. A device may have several ranges.
    pub fn add(
        &mut self,
        range: GuestPhysRange,
        device: Arc<dyn MmioDevice>,
    ) -> Result<(), BusError> {
        let (base, end) = (range.start.as_usize(), range.end.as_usize());
        if end <= base {
            return Err(BusError::Range(range));
        }
        let at = self.regions.partition_point(|r| r.base < base);
        let before = at.checked_sub(1).and_then(|i| self.regions.get(i));
        let after = self.regions.get(at);
        let overlaps = |r: &&Region| r.base < end && base < r.base + r.size;
        if let Some(other) = before.into_iter().chain(after).find(overlaps) {
            return Err(BusError::Overlap {
                new: range,
                existing: other.range(),
            });
        }
        let size = end - base;
        self.regions.insert(at, Region { base, size, device });
        Ok(())
    }

    /// The bus; from now on it doesn't change.
    pub fn freeze(self) -> Bus {
        Bus {
            regions: self.regions.into_boxed_slice(),
        }
    }
}

/// Which device a vCPU used last. Each vCPU has its own, for each bus: only a hint, any value is
/// right.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastHit(usize);

/// The memory-mapped devices of a VM. Used by all its vCPUs at once without a lock.
pub struct Bus {
    regions: Box<[Region]>,
}

impl Bus {
    /// Reads from the device at `addr`; `None` if there is none. An access that goes beyond the
    /// end of the device's region is a fault. Bits above `width` are zero.
    #[inline(always)]
    pub fn read(
        &self,
        vcpu: usize,
        addr: GuestPhysAddr,
        width: AccessWidth,
        last: &mut LastHit,
    ) -> Option<Result<u64, BusFault>> {
        let (region, offset) = self.find(addr.as_usize(), last)?;
        Some(match access(region, vcpu, offset, width) {
            Ok(access) => region.device.read(access).map(|value| value & width.mask()),
            Err(fault) => Err(fault),
        })
    }

    /// Writes to the device at `addr`, as [`read`](Self::read) reads.
    #[inline(always)]
    pub fn write(
        &self,
        vcpu: usize,
        addr: GuestPhysAddr,
        width: AccessWidth,
        value: u64,
        last: &mut LastHit,
    ) -> Option<Result<(), WriteFault>> {
        let (region, offset) = self.find(addr.as_usize(), last)?;
        Some(match access(region, vcpu, offset, width) {
            Ok(access) => region.device.write(access, value & width.mask()),
            Err(fault) => Err(fault.into()),
        })
    }

    /// Puts every device in its state after power-on. One with several ranges is reset as often.
    pub fn reset(&self) {
        for region in &self.regions {
            region.device.reset();
        }
    }

    /// The ranges that belong to devices, in ascending order.
    pub fn ranges(&self) -> impl Iterator<Item = GuestPhysRange> + '_ {
        self.regions.iter().map(Region::range)
    }

    #[inline(always)]
    fn find(&self, addr: usize, last: &mut LastHit) -> Option<(&Region, usize)> {
        if let Some(region) = self.regions.get(last.0) {
            let offset = addr.wrapping_sub(region.base);
            if offset < region.size {
                return Some((region, offset));
            }
        }
        self.search(addr, last)
    }

    #[cold]
    fn search(&self, addr: usize, last: &mut LastHit) -> Option<(&Region, usize)> {
        let index = self
            .regions
            .partition_point(|r| r.base <= addr)
            .checked_sub(1)?;
        let region = self.regions.get(index)?;
        let offset = addr - region.base;
        (offset < region.size).then(|| {
            last.0 = index;
            (region, offset)
        })
    }
}

#[inline]
fn access(
    region: &Region,
    vcpu: usize,
    offset: usize,
    width: AccessWidth,
) -> Result<Access, BusFault> {
    if region.size - offset < width.bytes() {
        return Err(BusFault);
    }
    Ok(Access {
        vcpu,
        offset: offset as u64,
        width,
    })
}

#[cfg(test)]
mod tests;
