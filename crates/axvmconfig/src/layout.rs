//! The default layout of a guest, by architecture, where a description leaves addresses out.
//!
//! Where kernel, device tree and ramdisk go is the loader's business: it knows the images' sizes.

use crate::Arch;

/// The most vCPUs a VM can have.
pub const MAX_VCPUS: usize = 8;

/// Ids of VMs are below this: the hypervisor finds VMs by them without a search.
pub const MAX_VMS: usize = 64;

/// Regions start and end at multiples of this.
pub const PAGE: usize = 4096;

/// Shared peripheral interrupts are numbered from 0 below this (INTID 32 to 1019: GICv3
/// architecture specification, IHI 0069, section 2.2.1).
pub const SPI_COUNT: u32 = 988;

/// Guest physical addresses have at most 48 bits (4 KiB granule without FEAT_LPA2).
pub const GPA_END: usize = 1 << 48;

/// The size of a vCPU's redistributor frames: RD_base and SGI_base, 64 KiB each (IHI 0069,
/// section 12.10).
pub const GICR_STRIDE: usize = 0x2_0000;

/// Addresses of one architecture's guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where RAM starts. Devices lie below.
    pub ram_base: usize,
    /// Regions that are placed automatically are aligned to this.
    pub ram_align: usize,
    /// The distributor: base, size.
    pub gicd: (usize, usize),
    /// Where the redistributors start: [`GICR_STRIDE`] for each vCPU.
    pub gicr_base: usize,
    /// The console: base, size.
    pub console: (usize, usize),
    /// The console's shared peripheral interrupt.
    pub console_spi: u32,
}

impl Layout {
    /// The layout of `arch`.
    pub const fn of(arch: Arch) -> &'static Self {
        match arch {
            Arch::Aarch64 => &AARCH64,
        }
    }
}

static AARCH64: Layout = Layout {
    ram_base: 0x4000_0000,
    ram_align: 2 << 20,
    gicd: (0x0800_0000, 0x1_0000),
    gicr_base: 0x080a_0000,
    console: (0x0900_0000, 0x1000),
    console_spi: 1,
};

/// The lowest multiple of `align` (a power of two) from `from` on where `size` bytes meet none of
/// `taken` (start, size); `None` if there is no such place in the guest's address space.
pub fn place(from: usize, size: usize, align: usize, taken: &[(usize, usize)]) -> Option<usize> {
    let mut at = from.checked_next_multiple_of(align)?;
    // Each round moves beyond one of `taken`, so this many are enough.
    for _ in 0..=taken.len() {
        if at.checked_add(size).is_none_or(|end| end > GPA_END) {
            return None;
        }
        match taken.iter().find(|range| meet((at, size), **range)) {
            Some(range) => {
                at = range
                    .0
                    .checked_add(range.1)?
                    .checked_next_multiple_of(align)?;
            }
            None => return Some(at),
        }
    }
    None
}

/// Whether two ranges (start, size) have a byte in common. A range that would end beyond the
/// address space ends there.
pub fn meet(a: (usize, usize), b: (usize, usize)) -> bool {
    a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1) && a.1 > 0 && b.1 > 0
}

/// Whether range `inner` lies in range `outer` (start, size each).
pub fn inside(inner: (usize, usize), outer: (usize, usize)) -> bool {
    match (inner.0.checked_add(inner.1), outer.0.checked_add(outer.1)) {
        (Some(inner_end), Some(outer_end)) => inner.0 >= outer.0 && inner_end <= outer_end,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placing() {
        assert_eq!(place(0x1000, 0x1000, 0x1000, &[]), Some(0x1000));
        assert_eq!(
            place(0x1000, 0x1000, 0x1000, &[(0x1000, 1), (0x2000, 0x1800)]),
            Some(0x4000)
        );
        // Order of the obstacles doesn't matter.
        assert_eq!(
            place(0x1000, 0x1000, 0x1000, &[(0x2000, 0x1800), (0x1000, 1)]),
            Some(0x4000)
        );
        assert_eq!(place(0, GPA_END, PAGE, &[]), Some(0));
        assert_eq!(place(1, GPA_END, PAGE, &[]), None);
        assert_eq!(place(usize::MAX, 1, PAGE, &[]), None);
        assert_eq!(place(0, PAGE, PAGE, &[(0, usize::MAX)]), None);
    }

    #[test]
    fn meeting() {
        assert!(meet((0, 10), (9, 1)));
        assert!(!meet((0, 10), (10, 1)));
        assert!(!meet((5, 0), (0, 10)));
        assert!(meet((usize::MAX - 1, 10), (usize::MAX - 1, 1)));
        assert!(inside((4, 4), (0, 8)));
        assert!(!inside((4, 5), (0, 8)));
        assert!(!inside((usize::MAX, 2), (0, usize::MAX)));
    }
}
