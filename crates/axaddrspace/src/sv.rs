//! RISC-V's G-stage translation tables: Sv39x4 and Sv48x4 (privileged ISA, "Two-Stage Address
//! Translation" of the hypervisor extension, and "Sv39: Page-Based 39-bit Virtual-Memory System"
//! for the entries' format). Plain bit arithmetic.

use crate::format::{Entry, TableFormat};
use crate::{HostPhysAddr, MappingFlags};

const V: u64 = 1 << 0;
const R: u64 = 1 << 1;
const W: u64 = 1 << 2;
const X: u64 = 1 << 3;
/// G-stage translation treats every access as one from U-mode.
const U: u64 = 1 << 4;
/// Accessed and dirty, set from the start: no walker has to write entries, and none that leaves it
/// to software (Svade) faults.
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;

/// Bits \[9:8\], RSW: software's. Here the memory type, which entries hold nowhere else on a
/// machine without Svpbmt.
const SOFT_DEVICE: u64 = 1 << 8;
const SOFT_UNCACHED: u64 = 1 << 9;

const PPN_SHIFT: u32 = 10;
const PPN_BITS: u32 = 44;
const PPN: u64 = (1 << PPN_BITS) - 1;

/// Bits \[62:61\], PBMT ("Svpbmt"): what the memory is, if not what its physical attributes say.
const PBMT_NC: u64 = 1 << 61;
const PBMT_IO: u64 = 2 << 61;

/// G-stage tables: of three levels (Sv39x4) or four (Sv48x4). Either way two bits more than the
/// scheme's name says are translated, by a root of four frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sv {
    levels: u32,
    svpbmt: bool,
}

impl Sv {
    /// Sv39x4: guest physical addresses of 41 bits. With `svpbmt` the memory type is in the
    /// entries: the machine has Svpbmt and its firmware has set menvcfg.PBMTE. Without, the
    /// physical memory attributes alone say what is a device.
    pub const fn sv39x4(svpbmt: bool) -> Self {
        Self { levels: 3, svpbmt }
    }

    /// Sv48x4: guest physical addresses of 50 bits. `svpbmt` as for [`sv39x4`](Self::sv39x4).
    pub const fn sv48x4(svpbmt: bool) -> Self {
        Self { levels: 4, svpbmt }
    }

    /// How many levels the tables have: 3 or 4.
    pub const fn levels(&self) -> u32 {
        self.levels
    }

    /// hgatp.MODE: 8 is Sv39x4, 9 Sv48x4.
    pub const fn mode(&self) -> u64 {
        self.levels as u64 + 5
    }

    /// hgatp for these tables: MODE in bits \[63:60\], VMID in \[57:44\], PPN in \[43:0\].
    pub const fn hgatp(&self, root: HostPhysAddr, vmid: u16) -> u64 {
        const VMID: u64 = 0x3fff;
        self.mode() << 60 | (vmid as u64 & VMID) << 44 | (root.as_usize() as u64 >> 12) & PPN
    }

    fn ppn(address: HostPhysAddr) -> u64 {
        (address.as_usize() as u64 >> 12 & PPN) << PPN_SHIFT
    }
}

impl TableFormat for Sv {
    /// Sv48x4 knows blocks of 512 GiB too; nothing here is that large.
    const MAX_LEAF_HEIGHT: u32 = 2;

    fn ipa_bits(&self) -> u32 {
        12 + 9 * self.levels + 2
    }

    fn pa_bits(&self) -> u32 {
        12 + PPN_BITS
    }

    fn root_height(&self) -> u32 {
        self.levels - 1
    }

    fn leaf(&self, hpa: HostPhysAddr, flags: MappingFlags, _: u32) -> u64 {
        let mut entry = Self::ppn(hpa) | D | A | U | R | V;
        if flags.contains(MappingFlags::WRITE) {
            entry |= W;
        }
        if flags.contains(MappingFlags::DEVICE) {
            entry |= SOFT_DEVICE | if self.svpbmt { PBMT_IO } else { 0 };
        } else if flags.contains(MappingFlags::EXECUTE) {
            entry |= X;
        }
        if flags.contains(MappingFlags::UNCACHED) {
            entry |= SOFT_UNCACHED | if self.svpbmt { PBMT_NC } else { 0 };
        }
        entry
    }

    /// R, W and X clear make it a table; U, A, D and PBMT are reserved there.
    fn table(&self, table: HostPhysAddr) -> u64 {
        Self::ppn(table) | V
    }

    fn decode(&self, entry: u64, height: u32) -> Entry {
        if entry & V == 0 {
            return Entry::Empty;
        }
        let address = HostPhysAddr::from((((entry >> PPN_SHIFT) & PPN) << 12) as usize);
        if height > 0 && entry & (R | W | X) == 0 {
            return Entry::Table(address);
        }
        let mut flags = MappingFlags::empty();
        flags.set(MappingFlags::READ, entry & R != 0);
        flags.set(MappingFlags::WRITE, entry & W != 0);
        flags.set(MappingFlags::EXECUTE, entry & X != 0);
        flags.set(MappingFlags::DEVICE, entry & SOFT_DEVICE != 0);
        flags.set(MappingFlags::UNCACHED, entry & SOFT_UNCACHED != 0);
        Entry::Leaf(address, flags)
    }
}

#[cfg(test)]
mod tests;
