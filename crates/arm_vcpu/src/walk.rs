//! The guest's own translation tables, read only to say at which level a walk failed: an external
//! abort on a walk carries the level (DDI 0487, D24.2.40, DFSC 0b0101xx), and the hardware reports
//! the stage-2 level instead. Pure but for reading guest memory.

use axaddrspace::GuestPhysAddr;
use axvcpu::GuestMemory;

/// The registers a walk starts from.
#[derive(Clone, Copy, Debug)]
pub struct Stage1 {
    /// TCR_EL1.
    pub tcr: u64,
    /// TTBR0_EL1.
    pub ttbr0: u64,
    /// TTBR1_EL1.
    pub ttbr1: u64,
}

/// Why stage 1 has no address (PAR_EL1, D24.2.141, with F = 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage1Fault {
    /// The guest's tables map nothing there (any more): a translation or access flag fault.
    Unmapped,
    /// They map something that is not to be had: a permission or address size fault, an external
    /// abort, or tables that stage 2 refuses to read.
    Refused,
}

/// What a PAR_EL1 says of a failed translation; `None` if it did not fail.
pub const fn par_fault(par: u64) -> Option<Stage1Fault> {
    const F: u64 = 1 << 0;
    const S2: u64 = 1 << 9;
    if par & F == 0 {
        return None;
    }
    // FST: 0b0001xx and, at level -1, 0b101011; 0b0010xx.
    Some(match (par & S2, par >> 1 & 0x3f) {
        (0, 0x04..=0x0b | 0x2b) => Stage1Fault::Unmapped,
        _ => Stage1Fault::Refused,
    })
}

/// Bits of a table descriptor that are the next table's address, before the granule's alignment.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
const LAST_LEVEL: u8 = 3;

/// The level whose table lies in the page at `fault`. A walk that never gets there (the guest
/// changed its tables meanwhile) is said to fail at the last level.
pub fn level_of(memory: &dyn GuestMemory, stage1: &Stage1, va: u64, fault: GuestPhysAddr) -> u8 {
    let high = va >> 55 & 1 != 0;
    let (ttbr, size) = if high {
        (stage1.ttbr1, stage1.tcr >> 16 & 0x3f)
    } else {
        (stage1.ttbr0, stage1.tcr & 0x3f)
    };
    // TG0 and TG1 number the granules differently (D24.2.184).
    let page_bits: u64 = if high {
        match stage1.tcr >> 30 & 3 {
            1 => 14,
            3 => 16,
            _ => 12,
        }
    } else {
        match stage1.tcr >> 14 & 3 {
            1 => 16,
            2 => 14,
            _ => 12,
        }
    };
    let bits_per_level = page_bits - 3;
    let va_bits = 64 - size.clamp(12, 48);
    let levels = va_bits
        .saturating_sub(page_bits)
        .div_ceil(bits_per_level)
        .clamp(1, 4);
    let mut level = (4 - levels) as u8;
    let mut table = ttbr & ADDRESS & !1;
    loop {
        let shift = page_bits + bits_per_level * u64::from(LAST_LEVEL - level);
        let width = va_bits.saturating_sub(shift).min(bits_per_level);
        let index = va >> shift & ((1 << width) - 1);
        let entry = table.wrapping_add(index * 8);
        if entry >> 12 == fault.as_usize() as u64 >> 12 || level == LAST_LEVEL {
            return level;
        }
        let mut descriptor = [0; 8];
        if !memory.read(GuestPhysAddr::from_usize(entry as usize), &mut descriptor) {
            return level;
        }
        let descriptor = u64::from_le_bytes(descriptor);
        const TABLE: u64 = 3;
        if descriptor & 3 != TABLE {
            return LAST_LEVEL;
        }
        table = descriptor & ADDRESS & !((1 << page_bits) - 1);
        level += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Memory(BTreeMap<usize, u64>);

    impl GuestMemory for Memory {
        fn read(&self, gpa: GuestPhysAddr, buffer: &mut [u8]) -> bool {
            match self.0.get(&gpa.as_usize()) {
                Some(value) => {
                    buffer.copy_from_slice(&value.to_le_bytes());
                    true
                }
                None => false,
            }
        }

        fn write(&self, _: GuestPhysAddr, _: &[u8]) -> bool {
            false
        }
    }

    /// 4 KiB granule, 48 bits, both halves.
    const TCR_4K: u64 = 16 | 16 << 16 | 2 << 30;

    fn level(memory: &[(usize, u64)], tcr: u64, va: u64, fault: usize) -> u8 {
        let stage1 = Stage1 {
            tcr,
            ttbr0: 0x4000_0000,
            ttbr1: 0x5000_0000,
        };
        level_of(
            &Memory(memory.iter().copied().collect()),
            &stage1,
            va,
            GuestPhysAddr::from_usize(fault),
        )
    }

    #[test]
    fn the_root_table_is_level_0_of_48_bits() {
        assert_eq!(level(&[], TCR_4K, 0x1000, 0x4000_0000), 0);
        assert_eq!(level(&[], TCR_4K, 1 << 63 | 1 << 55, 0x5000_0000), 0);
    }

    #[test]
    fn deeper_tables_follow_the_descriptors() {
        let memory = [(0x4000_0000, 0x6000_0003), (0x6000_0000, 0x7000_0003)];
        assert_eq!(level(&memory, TCR_4K, 0x1000, 0x6000_0000), 1);
        assert_eq!(level(&memory, TCR_4K, 0x1000, 0x7000_0000), 2);
    }

    #[test]
    fn short_address_spaces_start_lower() {
        // 39 bits start at level 1, 64 KiB granule with 42 bits at level 2.
        assert_eq!(level(&[], 25, 0, 0x4000_0000), 1);
        assert_eq!(level(&[], 22 | 1 << 14, 0, 0x4000_0000), 2);
    }

    #[test]
    fn only_what_is_not_mapped_may_be_tried_again() {
        const S2: u64 = 1 << 9;
        assert_eq!(par_fault(0x4000_0000), None);
        for (fst, fault) in [
            (0x04, Stage1Fault::Unmapped),
            (0x07, Stage1Fault::Unmapped),
            (0x0b, Stage1Fault::Unmapped),
            (0x2b, Stage1Fault::Unmapped),
            (0x00, Stage1Fault::Refused),
            (0x0f, Stage1Fault::Refused),
            (0x15, Stage1Fault::Refused),
        ] {
            assert_eq!(par_fault(fst << 1 | 1), Some(fault), "{fst:#x}");
            assert_eq!(par_fault(S2 | fst << 1 | 1), Some(Stage1Fault::Refused));
        }
    }

    #[test]
    fn any_registers_end() {
        for tcr in [0, u64::MAX, 0x3f, 0x3f << 16, 1 << 14, 2 << 14] {
            for va in [0, u64::MAX, 0x7fff_ffff_ffff] {
                assert!(level(&[], tcr, va, 0) <= 3);
            }
        }
    }
}
