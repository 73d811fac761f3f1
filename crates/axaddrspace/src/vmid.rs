//! VMIDs: the tags that keep the TLB entries of different VMs apart.
//!
//! A VM holds one VMID from its creation to its destruction, so nothing rolls over under running
//! VMs. A VMID is handed out again only after all CPUs have forgotten every translation tagged
//! with it. When all are taken, no further VM can be created.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::RangeInclusive;

use axerrno::AxError;
use spin::Mutex;

use crate::PagingHandler;

/// All VMIDs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoVmid {
    /// How many there are.
    pub total: usize,
}

impl From<NoVmid> for AxError {
    fn from(_: NoVmid) -> Self {
        Self::ResourceBusy
    }
}

/// The VMIDs of the machine.
pub struct Vmids {
    ids: RangeInclusive<u16>,
    pool: Mutex<Pool>,
}

struct Pool {
    /// The lowest one that was never handed out; above `u16` when all have been.
    fresh: u32,
    /// Those that came back. Its capacity always suffices for all that are handed out, so that
    /// giving back allocates nothing.
    free: Vec<u16>,
}

impl Vmids {
    /// VMIDs of `bits` (at most 16) bits, but for VMID 0: it stays with CPUs that run no guest.
    pub const fn new(bits: u32) -> Self {
        let bits = if bits < 16 { bits } else { 16 };
        Self::with_ids(1..=((1u32 << bits) - 1) as u16)
    }

    /// These VMIDs.
    pub const fn with_ids(ids: RangeInclusive<u16>) -> Self {
        let fresh = *ids.start() as u32;
        Self {
            ids,
            pool: Mutex::new(Pool {
                fresh,
                free: Vec::new(),
            }),
        }
    }

    /// A VMID that no CPU holds a translation for.
    pub fn alloc<H: PagingHandler>(&'static self) -> Result<Vmid<H>, NoVmid> {
        let exhausted = NoVmid {
            total: self.ids.len(),
        };
        let mut pool = self.pool.lock();
        let id = match pool.free.pop() {
            Some(id) => id,
            None => {
                let id = u16::try_from(pool.fresh).map_err(|_| exhausted)?;
                if !self.ids.contains(&id) {
                    return Err(exhausted);
                }
                let handed_out = usize::from(id - self.ids.start()) + 1;
                // The list is empty here, so this makes room for all of them.
                pool.free.try_reserve(handed_out).map_err(|_| exhausted)?;
                pool.fresh += 1;
                id
            }
        };
        Ok(Vmid {
            id,
            pool: self,
            host: PhantomData,
        })
    }
}

/// A VMID and the right to use it. Dropping it flushes its translations on all CPUs, then gives
/// it back: no CPU may be able to run under it any more.
pub struct Vmid<H: PagingHandler> {
    id: u16,
    pool: &'static Vmids,
    host: PhantomData<fn() -> H>,
}

impl<H: PagingHandler> Vmid<H> {
    /// The number.
    pub fn id(&self) -> u16 {
        self.id
    }
}

impl<H: PagingHandler> Drop for Vmid<H> {
    fn drop(&mut self) {
        H::flush_stage2(self.id, None);
        self.pool.pool.lock().free.push(self.id);
    }
}

#[cfg(test)]
mod tests;
