//! The default layout of a guest, by architecture, where a description leaves addresses out.
//!
//! Where kernel, device tree and ramdisk go is the loader's business: it knows the images' sizes.

use core::ops::RangeInclusive;

use crate::{Arch, Data, EmulatedDeviceType};

/// The most vCPUs a VM can have.
pub const MAX_VCPUS: usize = 8;

/// Ids of VMs are below this: the hypervisor finds VMs by them without a search.
pub const MAX_VMS: usize = 64;

/// Regions start and end at multiples of this.
pub const PAGE: usize = 4096;

/// Guest physical addresses have at most 48 bits. (aarch64: 4 KiB granule without FEAT_LPA2.
/// riscv64: Sv48x4 would have two more. What a machine has is a check against the board.)
pub const GPA_END: usize = 1 << 48;

/// The size of a vCPU's redistributor frames: RD_base and SGI_base, 64 KiB each (IHI 0069,
/// section 12.10).
pub const GICR_STRIDE: usize = 0x2_0000;

/// What is so on one architecture's guests.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where RAM starts. Devices lie below.
    pub ram_base: usize,
    /// Regions that are placed automatically are aligned to this.
    pub ram_align: usize,
    /// The interrupt controller's parts, in the order in which they are added.
    pub controllers: &'static [Registers],
    /// The console.
    pub console: Registers,
    /// The console's interrupt line.
    pub console_line: u32,
    /// The interrupt lines there are.
    pub lines: RangeInclusive<u32>,
    /// Instructions are aligned to this.
    pub code_align: usize,
    /// Bits that a vCPU's id can have.
    pub cpu_id_bits: usize,
    /// The longest command line in bytes.
    pub cmdline: usize,
}

/// Where an emulated device is unless the file says something else, and how large.
#[derive(Debug, PartialEq, Eq)]
pub struct Registers {
    /// Which device.
    pub kind: EmulatedDeviceType,
    /// Its address.
    pub base: usize,
    /// Its address is a multiple of this.
    pub align: usize,
    /// The size of what it has once.
    common: usize,
    /// The size of what it has for each vCPU.
    each: usize,
    /// The most it may take; 0: there is no choice.
    most: usize,
}

impl Registers {
    /// The sizes it can have with so many vCPUs; the largest is the default.
    pub fn sizes(&self, vcpus: usize) -> RangeInclusive<usize> {
        let least = self.common + self.each * vcpus;
        least..=self.most.max(least)
    }
}

impl Layout {
    /// The layout of `arch`.
    pub const fn of(arch: Arch) -> &'static Self {
        match arch {
            Arch::Aarch64 => &AARCH64,
            Arch::Riscv64 => &RISCV64,
        }
    }

    /// The registers of a kind of device; `None`: these guests don't have it.
    pub fn registers(&self, kind: EmulatedDeviceType) -> Option<&Registers> {
        let mut all = self.controllers.iter().chain([&self.console]);
        all.find(|registers| registers.kind == kind)
    }
}

/// An interrupt line as the architecture's people call it.
pub(crate) fn line(arch: Arch, number: u32) -> Data {
    match arch {
        Arch::Aarch64 => Data::Spi(number),
        Arch::Riscv64 => Data::Source(number),
    }
}

static AARCH64: Layout = Layout {
    ram_base: 0x4000_0000,
    ram_align: 2 << 20,
    controllers: &[
        // IHI 0069, 12.8 and 12.10: frames of distributor and redistributors are 64 KiB aligned.
        Registers {
            kind: EmulatedDeviceType::GicDistributor,
            base: 0x0800_0000,
            align: 64 << 10,
            common: 0x1_0000,
            each: 0,
            most: 0,
        },
        Registers {
            kind: EmulatedDeviceType::GicRedistributor,
            base: 0x080a_0000,
            align: 64 << 10,
            common: 0,
            each: GICR_STRIDE,
            most: 0,
        },
    ],
    console: Registers {
        kind: EmulatedDeviceType::Console,
        base: 0x0900_0000,
        align: PAGE,
        common: 0x1000,
        each: 0,
        most: 0,
    },
    console_line: 1,
    // Shared peripheral interrupts, INTID 32 to 1019 (GICv3 architecture specification, IHI 0069,
    // section 2.2.1).
    lines: 0..=987,
    // A64.
    code_align: 4,
    // Aff3 to Aff0 of MPIDR_EL1.
    cpu_id_bits: 0xff_00ff_ff0f,
    // COMMAND_LINE_SIZE of Linux, without the end.
    cmdline: 2047,
};

static RISCV64: Layout = Layout {
    ram_base: 0x8000_0000,
    ram_align: 2 << 20,
    // PLIC specification 1.0.0, chapter 3: priorities, pending and enable bits take 2 MiB, each
    // context another 4 KiB (two for each vCPU), all that there can be 64 MiB.
    controllers: &[Registers {
        kind: EmulatedDeviceType::Plic,
        base: 0x0c00_0000,
        align: PAGE,
        common: 0x20_0000,
        each: 0x2000,
        most: 0x400_0000,
    }],
    console: Registers {
        kind: EmulatedDeviceType::Console,
        base: 0x1000_0000,
        align: PAGE,
        common: 0x100,
        each: 0,
        most: 0,
    },
    console_line: 10,
    // PLIC specification 1.0.0, chapter 3: source 0 doesn't exist.
    lines: 1..=1023,
    // With compressed instructions.
    code_align: 2,
    // A hart id is one cell of a device tree.
    cpu_id_bits: 0xffff_ffff,
    // COMMAND_LINE_SIZE of Linux, without the end.
    cmdline: 1023,
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
    fn defaults_are_sound() {
        for arch in Arch::ALL {
            let layout = Layout::of(*arch);
            let all = layout.controllers.iter().chain([&layout.console]);
            let ranges: Vec<_> = all.map(|r| (r.base, *r.sizes(MAX_VCPUS).end())).collect();
            for (n, range) in ranges.iter().enumerate() {
                assert!(range.0 + range.1 <= layout.ram_base, "{arch:?}");
                assert!(ranges.iter().take(n).all(|other| !meet(*other, *range)));
            }
            assert!(layout.lines.contains(&layout.console_line));
            assert!(layout.registers(EmulatedDeviceType::Console).is_some());
        }
        assert!(
            Layout::of(Arch::Aarch64)
                .registers(EmulatedDeviceType::Plic)
                .is_none()
        );
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
