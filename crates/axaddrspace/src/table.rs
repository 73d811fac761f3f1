//! Table frames: the only place that touches their memory.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::format::{Entry, INDEX_BITS, TableFormat};
use crate::{HostPhysAddr, PagingHandler};

/// Ends a list of frames. Not the address of a frame, and empty as an entry.
const END: u64 = !0xfff;

/// One table, the root or one frame. A plain handle: whoever holds the address space decides when
/// the frames go back.
pub(crate) struct Table<H> {
    base: HostPhysAddr,
    frames: usize,
    host: PhantomData<fn() -> H>,
}

impl<H> Clone for Table<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Table<H> {}

impl<H: PagingHandler> Table<H> {
    /// A new, empty table of `frames` frames (a power of two).
    pub fn alloc(frames: usize) -> Option<Self> {
        let base = H::alloc_table(frames)?;
        Some(Self::at(base, frames))
    }

    /// The one-frame table that a table entry points to.
    pub fn child(base: HostPhysAddr) -> Self {
        Self::at(base, 1)
    }

    fn at(base: HostPhysAddr, frames: usize) -> Self {
        Self {
            base,
            frames,
            host: PhantomData,
        }
    }

    /// Where it is.
    pub fn base(self) -> HostPhysAddr {
        self.base
    }

    /// How many entries it has.
    pub fn len(self) -> usize {
        self.frames << INDEX_BITS
    }

    fn entry(&self, index: usize) -> &AtomicU64 {
        let entries = H::phys_to_virt(self.base).as_ptr().cast::<AtomicU64>();
        // SAFETY: `base` came from `H::alloc_table(frames)` and has not been given back, so
        // `phys_to_virt` yields `frames` aligned, initialised frames that are used as atomics
        // only (hardware walkers read whole entries as well). The mask keeps the index inside:
        // the number of entries is a power of two.
        unsafe { &*entries.add(index & (self.len() - 1)) }
    }

    /// Entry `index`, modulo the table's size.
    pub fn get(self, index: usize) -> u64 {
        self.entry(index).load(Ordering::Relaxed)
    }

    /// Sets entry `index`, modulo the table's size, in a single store. Walkers on other CPUs may
    /// follow it at once: what it points to has been published before.
    pub fn set(self, index: usize, value: u64) {
        self.entry(index).store(value, Ordering::Release);
    }

    /// Whether all entries are empty.
    pub fn is_empty<F: TableFormat>(self, format: &F, height: u32) -> bool {
        (0..self.len()).all(|i| format.decode(self.get(i), height) == Entry::Empty)
    }

    /// The tables that entries of this one point to.
    pub fn children<F: TableFormat>(self, format: &F, height: u32) -> impl Iterator<Item = Self> {
        (0..self.len()).filter_map(move |i| match format.decode(self.get(i), height) {
            Entry::Table(base) if height > 0 => Some(Self::child(base)),
            _ => None,
        })
    }

    /// Gives the frames back. No walker may reach them any more.
    pub fn free(self) {
        H::dealloc_table(self.base, self.frames);
    }
}

/// One-frame tables that are in no address space, given back when the list is dropped. Chained through their first entries. While it
/// is chained a table that a walker still sees is all empty there: a link has bit 0 clear.
pub(crate) struct TableList<H: PagingHandler> {
    head: Option<Table<H>>,
}

impl<H: PagingHandler> TableList<H> {
    pub fn new() -> Self {
        Self { head: None }
    }

    /// Adds `count` new tables, or as many as there are.
    pub fn reserve(&mut self, count: usize) -> Option<()> {
        for _ in 0..count {
            self.push(Table::alloc(1)?);
        }
        Some(())
    }

    pub fn push(&mut self, table: Table<H>) {
        let next = self.head.map_or(END, |next| next.base.as_usize() as u64);
        table.set(0, next);
        self.head = Some(table);
    }

    /// A table whose first entry is empty again.
    pub fn pop(&mut self) -> Option<Table<H>> {
        let table = self.head?;
        let next = table.get(0);
        self.head = (next != END).then(|| Table::child(HostPhysAddr::from(next as usize)));
        table.set(0, 0);
        Some(table)
    }

    /// Adds a table at `height` and all below it.
    pub fn push_tree<F: TableFormat>(&mut self, table: Table<H>, format: &F, height: u32) {
        for child in table.children(format, height) {
            self.push_tree(child, format, height - 1);
        }
        self.push(table);
    }
}

impl<H: PagingHandler> Drop for TableList<H> {
    fn drop(&mut self) {
        while let Some(table) = self.pop() {
            table.free();
        }
    }
}
