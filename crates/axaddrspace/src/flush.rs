//! What was taken out of an address space, until no CPU can reach it any more.

use core::mem::ManuallyDrop;

use crate::table::TableList;
use crate::{GuestPhysRange, PagingHandler};

/// Translations were removed or restricted; CPUs may still hold the old ones. Owns what they lead
/// to: table frames, and whatever the caller adds by [`owning`](Self::owning). It comes back by
/// [`flush`](Self::flush), to be called with no locks held.
///
/// A token that is dropped instead frees nothing: memory is lost, but never used twice. Debug
/// builds panic then.
#[must_use = "memory taken out of an address space comes back by `flush` only"]
pub struct Flush<H: PagingHandler, T = ()> {
    vmid: u16,
    range: GuestPhysRange,
    tables: ManuallyDrop<TableList<H>>,
    owned: ManuallyDrop<T>,
}

impl<H: PagingHandler> Flush<H> {
    pub(crate) fn new(vmid: u16, range: GuestPhysRange, tables: TableList<H>) -> Self {
        Self {
            vmid,
            range,
            tables: ManuallyDrop::new(tables),
            owned: ManuallyDrop::new(()),
        }
    }

    /// Makes the token hold `owned` (the guest's frames) until the flush.
    pub fn owning<T>(mut self, owned: T) -> Flush<H, T> {
        // SAFETY: `self` is forgotten on the next lines and never read again.
        let tables = unsafe { ManuallyDrop::take(&mut self.tables) };
        let token = Flush {
            vmid: self.vmid,
            range: self.range,
            tables: ManuallyDrop::new(tables),
            owned: ManuallyDrop::new(owned),
        };
        core::mem::forget(self);
        token
    }
}

impl<H: PagingHandler, T> Flush<H, T> {
    /// The guest physical addresses it is about.
    pub fn range(&self) -> GuestPhysRange {
        self.range
    }

    /// Invalidates the translations on every CPU, frees the table frames, and returns what the
    /// token was made to own.
    pub fn flush(mut self) -> T {
        H::flush_stage2(self.vmid, Some(self.range));
        // SAFETY: `self` is forgotten below and neither field is read again, so each is taken
        // once.
        let (tables, owned) = unsafe {
            (
                ManuallyDrop::take(&mut self.tables),
                ManuallyDrop::take(&mut self.owned),
            )
        };
        core::mem::forget(self);
        drop(tables);
        owned
    }
}

impl<H: PagingHandler, T> Drop for Flush<H, T> {
    fn drop(&mut self) {
        debug_assert!(false, "a flush token was dropped, its memory is lost");
    }
}
