//! What an architecture's stage-2 tables look like. Above this trait nothing knows an architecture.
//!
//! All formats share a shape: tables of 512 eight-byte entries in 4 KiB frames, except that the
//! root may be several frames long (Arm's concatenated tables, the four-fold root of RISC-V's
//! Sv39x4). Levels are counted from the bottom and called *heights*: an entry at height 0 maps
//! 4 KiB, at height 1 2 MiB, at height 2 1 GiB, at height 3 512 GiB.

use crate::{HostPhysAddr, MappingFlags};

/// Bits of the offset inside a page.
pub(crate) const PAGE_SHIFT: u32 = 12;
/// Bits of an index into one table frame.
pub(crate) const INDEX_BITS: u32 = 9;

/// Bytes that an entry at `height` maps.
pub(crate) const fn entry_size(height: u32) -> usize {
    1 << (PAGE_SHIFT + INDEX_BITS * height)
}

/// What an entry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing is mapped.
    Empty,
    /// A table one height below.
    Table(HostPhysAddr),
    /// A page or block.
    Leaf(HostPhysAddr, MappingFlags),
}

/// A format of stage-2 tables, with the parameters of one machine.
///
/// An entry with bit 0 clear is empty, whatever its other bits.
pub trait TableFormat: Clone + Send + Sync + 'static {
    /// The largest height at which an entry may map memory.
    const MAX_LEAF_HEIGHT: u32;

    /// Bits of a guest physical address; at most 56.
    fn ipa_bits(&self) -> u32;

    /// Bits of a host physical address that an entry can hold; at most 56.
    fn pa_bits(&self) -> u32;

    /// The height of the root's entries; at most 4.
    fn root_height(&self) -> u32;

    /// An entry at `height` that maps memory at `hpa`, which is aligned to the entry's size.
    /// `flags` are valid.
    fn leaf(&self, hpa: HostPhysAddr, flags: MappingFlags, height: u32) -> u64;

    /// An entry that points to a table.
    fn table(&self, table: HostPhysAddr) -> u64;

    /// What an entry made by [`leaf`](Self::leaf) or [`table`](Self::table), or an empty one,
    /// means at `height`.
    fn decode(&self, entry: u64, height: u32) -> Entry;

    /// Frames of the root table: 1 or a larger power of two.
    fn root_frames(&self) -> usize {
        let one_frame = PAGE_SHIFT + INDEX_BITS * (self.root_height() + 1);
        1 << self.ipa_bits().saturating_sub(one_frame)
    }
}
