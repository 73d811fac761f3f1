//! Page table entries of Sv39 (privileged ISA, 12.3.1 and 12.4). Pure: host tests use them too.
//!
//! Memory and devices have the same entries: what an address is, its physical attributes say
//! (privileged ISA, 3.6).

use memory_addr::PhysAddr;

use crate::paging::Attr;

/// The entry is valid; without R, W and X it is the next level's table.
pub const VALID: u64 = 1 << 0;
const READ: u64 = 1 << 1;
const WRITE: u64 = 1 << 2;
const EXECUTE: u64 = 1 << 3;
/// Set from the start: some harts fault where these are clear, others write them (Svadu).
const ACCESSED: u64 = 1 << 6;
const DIRTY: u64 = 1 << 7;
/// Bits 53 to 10: bits 55 to 12 of the address.
const PPN: u64 = 0x003f_ffff_ffff_fc00;

/// Attributes of code: the only executable thing there is.
pub const CODE: u64 = READ | EXECUTE | ACCESSED;

/// The attribute bits of `attr`.
pub const fn attributes(attr: Attr) -> u64 {
    match attr {
        Attr::Data | Attr::Device => READ | WRITE | ACCESSED | DIRTY,
        Attr::ReadOnly => READ | ACCESSED,
    }
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing is mapped.
    Invalid,
    /// The next level's table.
    Table(PhysAddr),
    /// A page of whatever size, and its attribute bits.
    Leaf(PhysAddr, u64),
}

/// Reads the entry `raw`, found at `level` (1 to 3; the specification counts them from 2 to 0).
pub fn decode(raw: u64, level: usize) -> Entry {
    let address = PhysAddr::from_usize(((raw & PPN) << 2) as usize);
    let kind = raw & (READ | WRITE | EXECUTE);
    match (raw & VALID, kind) {
        (0, _) | (_, WRITE) => Entry::Invalid,
        // Writable and executable, but not readable: reserved too.
        (_, kind) if kind == WRITE | EXECUTE => Entry::Invalid,
        (_, 0) if level < 3 => Entry::Table(address),
        (_, 0) => Entry::Invalid,
        _ => Entry::Leaf(address, raw & !(PPN | VALID)),
    }
}

/// Where an address is in an entry.
fn ppn(address: PhysAddr) -> u64 {
    address.as_usize() as u64 >> 2 & PPN
}

/// The entry of a next level's table.
pub fn table(address: PhysAddr) -> u64 {
    ppn(address) | VALID
}

/// The entry of a page of whatever size.
pub fn leaf(address: PhysAddr, attr: Attr, _level: usize) -> u64 {
    ppn(address) | attributes(attr) | VALID
}
