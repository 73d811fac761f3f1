//! A guest's physical address space: its stage-2 tables, and changes to them.

mod edit;
mod map;

use crate::format::{Entry, PAGE_SHIFT, TableFormat, entry_size};
use crate::table::{Table, TableList};
use crate::{
    AddrSpaceError, Flush, GuestPhysAddr, GuestPhysRange, HostPhysAddr, MappingFlags,
    PagingHandler, Vmid,
};

const PAGE_MASK: usize = (1 << PAGE_SHIFT) - 1;

/// A guest's physical address space.
///
/// Its tables use the largest blocks that fit. No table but the root is ever empty. Dropping it
/// flushes its VMID on all CPUs and frees its tables; no CPU may run under it any more, nor have
/// its root in a translation register.
pub struct AddrSpace<H: PagingHandler, F: TableFormat> {
    format: F,
    root: Table<H>,
    /// Taken in `drop` only.
    vmid: Option<Vmid<H>>,
    id: u16,
    /// The hull of what was unmapped since the last `map`: CPUs may still hold it, and an entry
    /// there must not become valid again before they have forgotten it.
    stale: Option<GuestPhysRange>,
}

/// Where a guest physical address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The host physical address.
    pub hpa: HostPhysAddr,
    /// What the guest may do there.
    pub flags: MappingFlags,
    /// Bytes from this address to the end of the page or block that maps it: so many are
    /// contiguous on both sides.
    pub len: usize,
}

/// A mapped range, contiguous on both sides and with the same flags throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First guest physical address.
    pub gpa: GuestPhysAddr,
    /// First host physical address.
    pub hpa: HostPhysAddr,
    /// Bytes.
    pub len: usize,
    /// What the guest may do there.
    pub flags: MappingFlags,
}

/// What a walk ends with, and the height of the entry it ended at.
enum Step {
    /// The first address of the page or block, and its flags.
    Leaf(HostPhysAddr, MappingFlags, u32),
    Hole(u32),
}

impl<H: PagingHandler, F: TableFormat> AddrSpace<H, F> {
    /// An empty address space under `vmid`.
    pub fn new(format: F, vmid: Vmid<H>) -> Result<Self, AddrSpaceError> {
        let root = Table::alloc(format.root_frames()).ok_or(AddrSpaceError::NoMemory)?;
        H::publish_tables();
        Ok(Self {
            format,
            root,
            id: vmid.id(),
            vmid: Some(vmid),
            stale: None,
        })
    }

    /// The root table, for VTTBR_EL2.BADDR or hgatp.PPN.
    pub fn root(&self) -> HostPhysAddr {
        self.root.base()
    }

    /// The VMID it was made with.
    pub fn vmid(&self) -> u16 {
        self.id
    }

    /// The format it was made with.
    pub fn format(&self) -> &F {
        &self.format
    }

    /// Bytes of the guest physical address space.
    pub fn size(&self) -> usize {
        1 << self.format.ipa_bits()
    }

    /// Where `gpa` leads; `None` if nothing is mapped there.
    pub fn translate(&self, gpa: GuestPhysAddr) -> Option<Mapping> {
        match self.walk(gpa.as_usize())? {
            Step::Leaf(base, flags, height) => {
                let offset = gpa.as_usize() & (entry_size(height) - 1);
                Some(Mapping {
                    hpa: base + offset,
                    flags,
                    len: entry_size(height) - offset,
                })
            }
            Step::Hole(_) => None,
        }
    }

    /// What is mapped, in ascending order, in the largest possible pieces.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        let mut at = 0;
        core::iter::from_fn(move || {
            let mut extent: Option<Extent> = None;
            while let Some(step) = self.walk(at) {
                let height = match step {
                    Step::Hole(height) if extent.is_none() => height,
                    Step::Hole(_) => break,
                    Step::Leaf(hpa, flags, height) => {
                        let e = extent.get_or_insert(Extent {
                            gpa: at.into(),
                            hpa,
                            len: 0,
                            flags,
                        });
                        if e.flags != flags || e.hpa.as_usize() + e.len != hpa.as_usize() {
                            break;
                        }
                        e.len += entry_size(height);
                        height
                    }
                };
                at = (at | (entry_size(height) - 1)) + 1;
            }
            extent
        })
    }

    /// Walks the tables; `None` outside the address space.
    fn walk(&self, at: usize) -> Option<Step> {
        if at >= self.size() {
            return None;
        }
        let mut table = self.root;
        let mut height = self.format.root_height();
        loop {
            let entry = table.get(at >> entry_size(height).trailing_zeros());
            match self.format.decode(entry, height) {
                Entry::Empty => return Some(Step::Hole(height)),
                Entry::Leaf(hpa, flags) => return Some(Step::Leaf(hpa, flags, height)),
                // A format makes no tables at height 0, so this ends there at the latest.
                Entry::Table(base) => {
                    table = Table::child(base);
                    height = height.saturating_sub(1);
                }
            }
        }
    }

    /// The range as numbers, start and end, if it is aligned, not empty and inside the space.
    fn check(&self, gpa: GuestPhysAddr, len: usize) -> Result<(usize, usize), AddrSpaceError> {
        let start = gpa.as_usize();
        if (start | len) & PAGE_MASK != 0 || len == 0 {
            let hpa = HostPhysAddr::from(0);
            return Err(AddrSpaceError::Misaligned { gpa, hpa, len });
        }
        match start.checked_add(len) {
            Some(end) if end <= self.size() => Ok((start, end)),
            _ => Err(AddrSpaceError::GuestRange { gpa, len }),
        }
    }

    fn check_range(&self, range: GuestPhysRange) -> Result<(usize, usize), AddrSpaceError> {
        let len = range.end.as_usize().saturating_sub(range.start.as_usize());
        self.check(range.start, len)
    }
}

impl<H: PagingHandler, F: TableFormat> Drop for AddrSpace<H, F> {
    fn drop(&mut self) {
        // Flushes, so that no walker knows the tables any more.
        drop(self.vmid.take());
        let height = self.format.root_height();
        let mut tables = TableList::new();
        for child in self.root.children(&self.format, height) {
            tables.push_tree(child, &self.format, height - 1);
        }
        drop(tables);
        self.root.free();
    }
}

#[cfg(test)]
mod tests;
