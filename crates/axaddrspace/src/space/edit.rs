//! Removing and restricting mappings.
//!
//! Which changes of a valid entry need break-before-make (Arm ARM D8, "Using break-before-make
//! when updating translation table entries"): those of output address, memory type or block size,
//! among others, not those of permissions. Only splitting a block is of the first kind here.

use super::*;

/// An edit under way.
struct Edit<H: PagingHandler> {
    start: usize,
    end: usize,
    /// The new flags; `None` to unmap.
    flags: Option<MappingFlags>,
    /// For the tables that take the place of blocks.
    spare: TableList<H>,
    /// Tables taken out.
    dead: TableList<H>,
}

impl<H: PagingHandler, F: TableFormat> AddrSpace<H, F> {
    /// Removes what is mapped in `range`, all of which must be mapped.
    pub fn unmap(&mut self, range: GuestPhysRange) -> Result<Flush<H>, AddrSpaceError> {
        let (start, end) = self.check_range(range)?;
        self.check_mapped(start, end, None)?;
        let token = self.apply(start, end, None)?;
        let hull = self.stale.unwrap_or(range);
        self.stale = Some(GuestPhysRange {
            start: hull.start.min(range.start),
            end: hull.end.max(range.end),
        });
        Ok(token)
    }

    /// Changes what the guest may do in `range`, all of which must be mapped, and with the memory
    /// type of `flags` already.
    pub fn protect(
        &mut self,
        range: GuestPhysRange,
        flags: MappingFlags,
    ) -> Result<Flush<H>, AddrSpaceError> {
        let (start, end) = self.check_range(range)?;
        if !flags.is_valid() {
            return Err(AddrSpaceError::Flags(flags));
        }
        self.check_mapped(start, end, Some(flags))?;
        self.apply(start, end, Some(flags))
    }

    /// That all of it is mapped, and with the memory type of `like`.
    fn check_mapped(
        &self,
        start: usize,
        end: usize,
        like: Option<MappingFlags>,
    ) -> Result<(), AddrSpaceError> {
        let mut at = start;
        while at < end {
            let gpa = GuestPhysAddr::from(at);
            let mapping = self
                .translate(gpa)
                .ok_or(AddrSpaceError::NotMapped { gpa })?;
            if like.is_some_and(|like| !mapping.flags.same_memory_type(like)) {
                let existing = mapping.flags;
                return Err(AddrSpaceError::MemoryType { gpa, existing });
            }
            at += mapping.len;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        start: usize,
        end: usize,
        flags: Option<MappingFlags>,
    ) -> Result<Flush<H>, AddrSpaceError> {
        let mut edit = Edit {
            start,
            end,
            flags,
            spare: TableList::new(),
            dead: TableList::new(),
        };
        let needed = self.tables_to_split(start) + self.tables_to_split(end);
        edit.spare.reserve(needed).ok_or(AddrSpaceError::NoMemory)?;
        self.edit(&mut edit, self.root, self.format.root_height(), 0)?;
        H::publish_tables();
        let range = GuestPhysRange {
            start: start.into(),
            end: end.into(),
        };
        Ok(Flush::new(self.id, range, edit.dead))
    }

    /// How many tables it takes at most to put the border of an entry at `at`.
    fn tables_to_split(&self, at: usize) -> usize {
        match self.walk(at) {
            Some(Step::Leaf(_, _, height)) => (1..=height)
                .filter(|&h| at & (entry_size(h) - 1) != 0)
                .count(),
            _ => 0,
        }
    }

    /// Edits one table, whose first entry is for address `base`.
    fn edit(
        &self,
        edit: &mut Edit<H>,
        table: Table<H>,
        height: u32,
        base: usize,
    ) -> Result<(), AddrSpaceError> {
        let size = entry_size(height);
        let first = edit.start.saturating_sub(base) / size;
        let last = (edit.end - 1 - base) / size;
        for index in first..=last.min(table.len() - 1) {
            let here = base + index * size;
            let whole = edit.start <= here && here + size <= edit.end;
            match (self.format.decode(table.get(index), height), edit.flags) {
                (Entry::Empty, _) => {}
                (Entry::Leaf(..), None) if whole => table.set(index, 0),
                (Entry::Leaf(hpa, _), Some(flags)) if whole => {
                    table.set(index, self.format.leaf(hpa, flags, height));
                }
                (Entry::Leaf(hpa, old), _) => {
                    let child = self.split(edit, (hpa, old), height)?;
                    self.break_before_make(table, index, here, size, child);
                    self.edit(edit, child, height - 1, here)?;
                }
                (Entry::Table(child), None) if whole => {
                    table.set(index, 0);
                    edit.dead
                        .push_tree(Table::child(child), &self.format, height - 1);
                }
                (Entry::Table(child), _) => {
                    let child = Table::child(child);
                    self.edit(edit, child, height - 1, here)?;
                    if edit.flags.is_none() && child.is_empty(&self.format, height - 1) {
                        table.set(index, 0);
                        edit.dead.push(child);
                    }
                }
            }
        }
        Ok(())
    }

    /// A table that maps the same as a block at `height`; not linked yet.
    fn split(
        &self,
        edit: &mut Edit<H>,
        (hpa, flags): (HostPhysAddr, MappingFlags),
        height: u32,
    ) -> Result<Table<H>, AddrSpaceError> {
        let child = edit.spare.pop().ok_or(AddrSpaceError::NoMemory)?;
        let part = entry_size(height - 1);
        for i in 0..child.len() {
            child.set(i, self.format.leaf(hpa + i * part, flags, height - 1));
        }
        Ok(child)
    }

    /// Puts a table in the place of a block. Guests that touch it in between fault, and their
    /// vCPUs try again once they find the entry valid.
    fn break_before_make(
        &self,
        table: Table<H>,
        index: usize,
        here: usize,
        size: usize,
        child: Table<H>,
    ) {
        table.set(index, 0);
        H::publish_tables();
        let range = GuestPhysRange {
            start: here.into(),
            end: (here + size).into(),
        };
        H::flush_stage2(self.id, Some(range));
        table.set(index, self.format.table(child.base()));
    }
}
