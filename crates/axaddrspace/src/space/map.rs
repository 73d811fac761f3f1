//! Adding mappings. All that can fail comes first: overlap is looked for and the tables are
//! allocated before the first entry changes.

use super::*;
use crate::format::INDEX_BITS;

/// One mapping under way.
struct Cursor {
    gpa: usize,
    hpa: usize,
    end: usize,
}

impl Cursor {
    /// The height of the largest block that fits here.
    fn height<F: TableFormat>(&self) -> u32 {
        let aligned = (self.gpa | self.hpa).trailing_zeros();
        let left = (self.end - self.gpa).ilog2();
        (aligned.min(left).saturating_sub(PAGE_SHIFT) / INDEX_BITS).min(F::MAX_LEAF_HEIGHT)
    }
}

impl<H: PagingHandler, F: TableFormat> AddrSpace<H, F> {
    /// Maps `len` bytes at `gpa` to the host's memory at `hpa`. Nothing may be mapped there yet.
    pub fn map(
        &mut self,
        gpa: GuestPhysAddr,
        hpa: HostPhysAddr,
        len: usize,
        flags: MappingFlags,
    ) -> Result<(), AddrSpaceError> {
        if hpa.as_usize() & PAGE_MASK != 0 {
            return Err(AddrSpaceError::Misaligned { gpa, hpa, len });
        }
        let (start, end) = self.check(gpa, len)?;
        let host_end = hpa.as_usize().checked_add(len);
        if host_end.is_none_or(|end| end > 1 << self.format.pa_bits()) {
            return Err(AddrSpaceError::HostRange { hpa, len });
        }
        if !flags.is_valid() {
            return Err(AddrSpaceError::Flags(flags));
        }
        let mut at = Cursor {
            gpa: start,
            hpa: hpa.as_usize(),
            end,
        };
        let needed = self.tables_needed(&at).map_err(|existing| {
            let existing = existing.into();
            AddrSpaceError::Overlap { gpa, len, existing }
        })?;
        let mut spare = TableList::new();
        spare.reserve(needed).ok_or(AddrSpaceError::NoMemory)?;
        if let Some(stale) = self.stale.take() {
            H::flush_stage2(self.id, Some(stale));
        }
        while at.gpa < at.end {
            self.map_run(&mut at, flags, &mut spare)?;
        }
        H::publish_tables();
        Ok(())
    }

    /// How many tables a mapping takes, or the lowest address in it that is mapped already.
    fn tables_needed(&self, whole: &Cursor) -> Result<usize, usize> {
        let mut needed = 0;
        let mut gpa = whole.gpa;
        while gpa < whole.end {
            let Some(Step::Hole(height)) = self.walk(gpa) else {
                return Err(gpa);
            };
            let end = ((gpa | (entry_size(height) - 1)) + 1).min(whole.end);
            let hpa = whole.hpa + (gpa - whole.gpa);
            needed += new_tables::<F>(Cursor { gpa, hpa, end }, height);
            gpa = end;
        }
        Ok(needed)
    }

    /// Makes as many entries of one table as belong there and are of one size.
    fn map_run(
        &self,
        at: &mut Cursor,
        flags: MappingFlags,
        spare: &mut TableList<H>,
    ) -> Result<(), AddrSpaceError> {
        let target = at.height::<F>();
        let mut table = self.root;
        let mut height = self.format.root_height();
        while height > target {
            let index = at.gpa >> entry_size(height).trailing_zeros();
            table = match self.format.decode(table.get(index), height) {
                Entry::Table(base) => Table::child(base),
                // Not a leaf: `tables_needed` has seen that the range is free.
                _ => {
                    let child = spare.pop().ok_or(AddrSpaceError::NoMemory)?;
                    // Its emptiness must be visible before it can be reached.
                    H::publish_tables();
                    table.set(index, self.format.table(child.base()));
                    child
                }
            };
            height -= 1;
        }
        let size = entry_size(height);
        let mut index = (at.gpa >> size.trailing_zeros()) & (table.len() - 1);
        while index < table.len() && at.gpa < at.end && at.height::<F>() == height {
            table.set(index, self.format.leaf(at.hpa.into(), flags, height));
            at.gpa += size;
            at.hpa += size;
            index += 1;
        }
        Ok(())
    }
}

/// How many tables take the place of an empty entry at `height` for a mapping inside it.
fn new_tables<F: TableFormat>(part: Cursor, height: u32) -> usize {
    let whole = part.height::<F>() == height && part.end - part.gpa == entry_size(height);
    if height == 0 || whole {
        return 0;
    }
    if height == 1 {
        return 1;
    }
    let mut needed = 1;
    let Cursor {
        mut gpa, mut hpa, ..
    } = part;
    while gpa < part.end {
        let end = ((gpa | (entry_size(height - 1) - 1)) + 1).min(part.end);
        needed += new_tables::<F>(Cursor { gpa, hpa, end }, height - 1);
        hpa += end - gpa;
        gpa = end;
    }
    needed
}
