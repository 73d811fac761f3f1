//! Arm's VMSAv8-64 stage-2 translation tables with the 4 KiB granule (Arm ARM, DDI 0487, chapter
//! D8). Plain bit arithmetic.

use crate::format::{Entry, TableFormat};
use crate::{AddrSpaceError, HostPhysAddr, MappingFlags};

/// Bits \[1:0\] of a table entry, and of a page entry at the lowest level.
const TABLE_OR_PAGE: u64 = 0b11;
/// Bits \[1:0\] of a block entry.
const BLOCK: u64 = 0b01;
/// Bits \[47:12\]: the output address.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

const MEMATTR_SHIFT: u32 = 2;
const S2AP_READ: u64 = 1 << 6;
const S2AP_WRITE: u64 = 1 << 7;
const SH_INNER: u64 = 0b11 << 8;
const AF: u64 = 1 << 10;
/// XN\[1:0\] = 0b10 in bits \[54:53\]: no execution at EL1 and EL0, with and without FEAT_XNX.
const XN: u64 = 1 << 54;

/// MemAttr\[3:0\], D8 "Stage 2 memory type and Cacheability attributes". The last three values
/// mean the same with and without FEAT_S2FWB.
const NORMAL_WRITE_BACK: u64 = 0b1111;
/// With HCR_EL2.FWB = 1: write-back, whatever stage 1 says.
const NORMAL_FORCED_WRITE_BACK: u64 = 0b0110;
const NORMAL_NON_CACHEABLE: u64 = 0b0101;
const DEVICE_NGNRE: u64 = 0b0001;
const MEMATTR: u64 = 0b1111 << MEMATTR_SHIFT;

/// The largest output and input address without FEAT_LPA2, which no format here uses.
const MAX_BITS: u32 = 48;

/// Stage-2 tables of VMSAv8-64, 4 KiB granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vmsa {
    ipa_bits: u32,
    pa_bits: u32,
    fwb: bool,
}

impl Vmsa {
    /// Tables for guest physical addresses of `ipa_bits` (32 to 48) on a machine whose physical
    /// addresses have `pa_bits` (ID_AA64MMFR0_EL1.PARange: 32, 36, 40, 42, 44, 48 or 52, of which
    /// 48 are used). `fwb`: the CPUs run with HCR_EL2.FWB set.
    ///
    /// The guest's addresses can't be larger than the machine's: with T0SZ out of the implemented
    /// range every walk ends in a fault at level 0.
    pub fn new(ipa_bits: u32, pa_bits: u32, fwb: bool) -> Result<Self, AddrSpaceError> {
        let known = matches!(pa_bits, 32 | 36 | 40 | 42 | 44 | 48 | 52);
        let usable = pa_bits.min(MAX_BITS);
        if !known || !(32..=usable).contains(&ipa_bits) {
            return Err(AddrSpaceError::AddressSize { ipa_bits, pa_bits });
        }
        Ok(Self {
            ipa_bits,
            pa_bits: usable,
            fwb,
        })
    }

    /// The lookup level of the root table. One of 32 to 39 bits fits in a single table at level
    /// 1; up to 43 bits concatenation (at most 16 tables, D8 "Concatenated translation tables")
    /// saves level 0, which a machine with less than 44 bits does not even have.
    pub const fn start_level(&self) -> u32 {
        if self.ipa_bits <= 43 { 1 } else { 0 }
    }

    /// VTCR_EL2 for these tables; `vmid16` selects 16-bit VMIDs (VS). Walks are inner shareable,
    /// write-back, read- and write-allocate; the access flag is managed by software.
    pub const fn vtcr(&self, vmid16: bool) -> u64 {
        const RES1: u64 = 1 << 31;
        const SH0_INNER: u64 = 0b11 << 12;
        const ORGN0_WRITE_BACK: u64 = 0b01 << 10;
        const IRGN0_WRITE_BACK: u64 = 0b01 << 8;
        let t0sz = 64 - self.ipa_bits as u64;
        // With the 4 KiB granule SL0 counts from the other end: 0b01 is level 1, 0b10 level 0.
        let sl0 = 2 - self.start_level() as u64;
        let ps = match self.pa_bits {
            32 => 0b000,
            36 => 0b001,
            40 => 0b010,
            42 => 0b011,
            44 => 0b100,
            _ => 0b101,
        };
        RES1 | (vmid16 as u64) << 19
            | ps << 16
            | SH0_INNER
            | ORGN0_WRITE_BACK
            | IRGN0_WRITE_BACK
            | sl0 << 6
            | t0sz
    }

    fn memattr(&self, flags: MappingFlags) -> u64 {
        if flags.contains(MappingFlags::DEVICE) {
            DEVICE_NGNRE
        } else if flags.contains(MappingFlags::UNCACHED) {
            NORMAL_NON_CACHEABLE
        } else if self.fwb {
            NORMAL_FORCED_WRITE_BACK
        } else {
            NORMAL_WRITE_BACK
        }
    }
}

impl TableFormat for Vmsa {
    const MAX_LEAF_HEIGHT: u32 = 2;

    fn ipa_bits(&self) -> u32 {
        self.ipa_bits
    }

    fn pa_bits(&self) -> u32 {
        self.pa_bits
    }

    fn root_height(&self) -> u32 {
        3 - self.start_level()
    }

    fn leaf(&self, hpa: HostPhysAddr, flags: MappingFlags, height: u32) -> u64 {
        let kind = if height == 0 { TABLE_OR_PAGE } else { BLOCK };
        let mut entry = hpa.as_usize() as u64 & ADDRESS
            | kind
            | self.memattr(flags) << MEMATTR_SHIFT
            | SH_INNER
            | AF;
        if flags.contains(MappingFlags::READ) {
            entry |= S2AP_READ;
        }
        if flags.contains(MappingFlags::WRITE) {
            entry |= S2AP_WRITE;
        }
        if !flags.contains(MappingFlags::EXECUTE) || flags.contains(MappingFlags::DEVICE) {
            entry |= XN;
        }
        entry
    }

    fn table(&self, table: HostPhysAddr) -> u64 {
        table.as_usize() as u64 & ADDRESS | TABLE_OR_PAGE
    }

    fn decode(&self, entry: u64, height: u32) -> Entry {
        if entry & 1 == 0 {
            return Entry::Empty;
        }
        let address = HostPhysAddr::from((entry & ADDRESS) as usize);
        if height > 0 && entry & TABLE_OR_PAGE == TABLE_OR_PAGE {
            return Entry::Table(address);
        }
        let mut flags = MappingFlags::empty();
        flags.set(MappingFlags::READ, entry & S2AP_READ != 0);
        flags.set(MappingFlags::WRITE, entry & S2AP_WRITE != 0);
        flags.set(MappingFlags::EXECUTE, entry & XN == 0);
        match (entry & MEMATTR) >> MEMATTR_SHIFT {
            DEVICE_NGNRE => flags |= MappingFlags::DEVICE,
            NORMAL_NON_CACHEABLE => flags |= MappingFlags::UNCACHED,
            _ => {}
        }
        Entry::Leaf(address, flags)
    }
}

#[cfg(test)]
mod tests;
