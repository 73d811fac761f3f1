//! Translation table descriptors of EL2's own stage 1 (Arm ARM, D8.3: VMSAv8-64, 4 KiB granule).
//! Pure: host tests use them too.

use memory_addr::PhysAddr;

use crate::paging::Attr;

/// Table (levels 0 to 2) or page (level 3).
pub const TABLE_OR_PAGE: u64 = 0b11;
/// A block (levels 1 and 2).
const BLOCK: u64 = 0b01;
const VALID: u64 = 1;
/// AttrIndx: which byte of MAIR_EL2.
const NORMAL: u64 = 0 << 2;
const DEVICE: u64 = 1 << 2;
/// AP\[1\], RES1 in a regime with one privilege level. Under EL1, where boot code uses the same
/// descriptors to say that it can't go on, it gives EL0 access too, which is never entered.
const AP1: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ACCESSED: u64 = 1 << 10;
const NEVER_EXECUTE: u64 = 1 << 54;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// MAIR_EL2: 0 Normal write-back, read and write allocate; 1 Device-nGnRE.
pub const MAIR: u64 = 0x04ff;

/// Attributes of code: the only executable thing there is.
pub const CODE: u64 = NORMAL | AP1 | READ_ONLY | INNER_SHAREABLE | ACCESSED;

/// The attribute bits of `attr`.
pub const fn attributes(attr: Attr) -> u64 {
    let normal = NORMAL | AP1 | INNER_SHAREABLE | ACCESSED | NEVER_EXECUTE;
    match attr {
        Attr::Data => normal,
        Attr::ReadOnly => normal | READ_ONLY,
        Attr::Device => DEVICE | AP1 | INNER_SHAREABLE | ACCESSED | NEVER_EXECUTE,
    }
}

/// What a descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing is mapped.
    Invalid,
    /// The next level's table.
    Table(PhysAddr),
    /// A block or page, and its attribute bits.
    Leaf(PhysAddr, u64),
}

/// Reads the descriptor `raw`, found at `level` (0 to 3).
pub fn decode(raw: u64, level: usize) -> Entry {
    let address = PhysAddr::from_usize((raw & ADDRESS) as usize);
    match (raw & TABLE_OR_PAGE, level) {
        (TABLE_OR_PAGE, 0..=2) => Entry::Table(address),
        (TABLE_OR_PAGE, 3) | (BLOCK, 1 | 2) => {
            Entry::Leaf(address, raw & !(ADDRESS | TABLE_OR_PAGE))
        }
        _ => Entry::Invalid,
    }
}

/// The descriptor of a next level's table.
pub fn table(address: PhysAddr) -> u64 {
    address.as_usize() as u64 & ADDRESS | TABLE_OR_PAGE
}

/// The descriptor of a block (levels 1 and 2) or page (level 3).
pub fn leaf(address: PhysAddr, attr: Attr, level: usize) -> u64 {
    let kind = if level == 3 { TABLE_OR_PAGE } else { BLOCK };
    debug_assert!(kind & VALID != 0);
    address.as_usize() as u64 & ADDRESS | attributes(attr) | kind
}
