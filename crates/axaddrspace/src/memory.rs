//! The hypervisor's access to guest memory.
//!
//! The guest may change its memory at any time, so everything is a copy and no reference to guest
//! memory exists. An access that fails half way has done the part before the address it names.

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::format::{TableFormat, entry_size};
use crate::{
    AddrSpace, GuestMemError, GuestPhysAddr, GuestPhysRange, HostPhysAddr, MappingFlags,
    PagingHandler,
};

/// The largest piece that is touched at once.
const CHUNK: usize = entry_size(1);

/// What an access needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Read,
    Write,
}

/// An integer that guest memory is accessed by in one go. Sealed.
pub trait GuestInt: Copy + sealed::Atomic {}

mod sealed {
    pub trait Atomic: Sized {
        /// # Safety
        /// `at` is valid for reads and writes and aligned to the integer's size.
        unsafe fn load(at: *mut u8) -> Self;
        /// # Safety
        /// `at` is valid for reads and writes and aligned to the integer's size.
        unsafe fn store(at: *mut u8, value: Self);
    }
}

macro_rules! guest_int {
    ($($int:ty, $atomic:ty;)*) => {$(
        impl GuestInt for $int {}

        impl sealed::Atomic for $int {
            unsafe fn load(at: *mut u8) -> Self {
                // SAFETY: the caller's promise; others access it atomically or not at all.
                let cell = unsafe { <$atomic>::from_ptr(at.cast()) };
                <$int>::from_le(cell.load(Ordering::Acquire))
            }

            unsafe fn store(at: *mut u8, value: Self) {
                // SAFETY: the caller's promise; others access it atomically or not at all.
                let cell = unsafe { <$atomic>::from_ptr(at.cast()) };
                cell.store(value.to_le(), Ordering::Release);
            }
        }
    )*};
}

guest_int! {
    u8, AtomicU8;
    u16, AtomicU16;
    u32, AtomicU32;
    u64, AtomicU64;
}

impl<H: PagingHandler, F: TableFormat> AddrSpace<H, F> {
    /// Copies guest memory at `gpa` to `buf`.
    pub fn read(&self, gpa: GuestPhysAddr, buf: &mut [u8]) -> Result<(), GuestMemError> {
        let mut rest = buf;
        self.pieces(gpa, rest.len(), Need::Read, |hpa, len| {
            let (piece, after) = core::mem::take(&mut rest).split_at_mut_checked(len)?;
            // SAFETY: the window is valid for `len` bytes, as is `piece`, which is the
            // hypervisor's own memory and so no part of it.
            H::with_window(hpa, len, |at| unsafe {
                H::copy_bytes(piece.as_mut_ptr(), at, len);
            });
            rest = after;
            Some(())
        })
    }

    /// Copies `data` to guest memory at `gpa`, which the guest may write too.
    pub fn write(&self, gpa: GuestPhysAddr, data: &[u8]) -> Result<(), GuestMemError> {
        let mut rest = data;
        self.pieces(gpa, rest.len(), Need::Write, |hpa, len| {
            let (piece, after) = rest.split_at_checked(len)?;
            // SAFETY: as in `read`, the other way round.
            H::with_window(hpa, len, |at| unsafe {
                H::copy_bytes(at, piece.as_ptr(), len);
            });
            rest = after;
            Some(())
        })
    }

    /// Fills `range` with zeros; the guest may write there too.
    pub fn zero(&self, range: GuestPhysRange) -> Result<(), GuestMemError> {
        let len = range.end.as_usize().saturating_sub(range.start.as_usize());
        self.pieces(range.start, len, Need::Write, |hpa, len| {
            // SAFETY: the window is valid for `len` bytes.
            H::with_window(hpa, len, |at| unsafe { H::zero_bytes(at, len) });
            Some(())
        })
    }

    /// Loads an aligned little-endian integer in one access, with acquire semantics.
    pub fn load<T: GuestInt>(&self, gpa: GuestPhysAddr) -> Result<T, GuestMemError> {
        let hpa = self.atomic_target::<T>(gpa, Need::Read)?;
        // SAFETY: the window is valid for the integer, and aligned as its physical address is.
        Ok(H::with_window(hpa, size_of::<T>(), |at| unsafe {
            T::load(at)
        }))
    }

    /// Stores an aligned little-endian integer in one access, with release semantics.
    pub fn store<T: GuestInt>(&self, gpa: GuestPhysAddr, value: T) -> Result<(), GuestMemError> {
        let hpa = self.atomic_target::<T>(gpa, Need::Write)?;
        // SAFETY: as in `load`.
        H::with_window(hpa, size_of::<T>(), |at| unsafe { T::store(at, value) });
        Ok(())
    }

    /// Calls `f` with each physically contiguous piece of guest memory in `range`, none of which
    /// crosses a 2 MiB border: for cache maintenance.
    pub fn for_each_chunk(
        &self,
        range: GuestPhysRange,
        mut f: impl FnMut(HostPhysAddr, usize),
    ) -> Result<(), GuestMemError> {
        let len = range.end.as_usize().saturating_sub(range.start.as_usize());
        self.pieces(range.start, len, Need::Read, |hpa, len| {
            f(hpa, len);
            Some(())
        })
    }

    /// Where `gpa` is, if it is memory that allows the access; and how far that goes on.
    fn target(
        &self,
        gpa: GuestPhysAddr,
        need: Need,
    ) -> Result<(HostPhysAddr, usize), GuestMemError> {
        let mapping = self.translate(gpa).ok_or(GuestMemError::NotMapped(gpa))?;
        if mapping.flags.contains(MappingFlags::DEVICE) {
            return Err(GuestMemError::NotMemory(gpa));
        }
        if need == Need::Write && !mapping.flags.contains(MappingFlags::WRITE) {
            return Err(GuestMemError::ReadOnly(gpa));
        }
        Ok((mapping.hpa, mapping.len))
    }

    fn atomic_target<T: GuestInt>(
        &self,
        gpa: GuestPhysAddr,
        need: Need,
    ) -> Result<HostPhysAddr, GuestMemError> {
        if gpa.as_usize() & (size_of::<T>() - 1) != 0 {
            return Err(GuestMemError::Misaligned(gpa));
        }
        // Aligned, so it does not leave the page.
        self.target(gpa, need).map(|(hpa, _)| hpa)
    }

    /// Cuts `len` bytes at `gpa` into pieces that are contiguous and inside one 2 MiB block of
    /// the host; until `f` answers `None`, which it does when it has nothing left to copy.
    fn pieces(
        &self,
        gpa: GuestPhysAddr,
        len: usize,
        need: Need,
        mut f: impl FnMut(HostPhysAddr, usize) -> Option<()>,
    ) -> Result<(), GuestMemError> {
        let mut at = gpa;
        let mut left = len;
        while left > 0 {
            let (hpa, here) = self.target(at, need)?;
            let block = CHUNK - (hpa.as_usize() & (CHUNK - 1));
            let piece = left.min(here).min(block);
            if f(hpa, piece).is_none() {
                break;
            }
            left -= piece;
            // Can't wrap: an address that translates is below 2^56.
            at += piece;
        }
        Ok(())
    }
}

/// Copies in the largest units that both sides' alignment allows, each in one access.
///
/// # Safety
/// `src` is readable and `dst` writable for `len` bytes; they don't overlap.
pub(crate) unsafe fn copy_volatile(dst: *mut u8, src: *const u8, len: usize) {
    let apart = dst as usize ^ src as usize;
    // Bytes until both are aligned, if they ever are together.
    let head = if apart & 7 == 0 {
        (dst as usize).wrapping_neg() & 7
    } else {
        len
    }
    .min(len);
    let words = (len - head) / 8;
    // SAFETY: all offsets are below `len`; words are read and written where both pointers are
    // aligned to 8.
    unsafe {
        for i in 0..head {
            dst.add(i).write_volatile(src.add(i).read_volatile());
        }
        let (to, from) = (dst.add(head).cast::<u64>(), src.add(head).cast::<u64>());
        for i in 0..words {
            to.add(i).write_volatile(from.add(i).read_volatile());
        }
        for i in head + words * 8..len {
            dst.add(i).write_volatile(src.add(i).read_volatile());
        }
    }
}

/// Zeroes, in words where they are aligned.
///
/// # Safety
/// `dst` is writable for `len` bytes.
pub(crate) unsafe fn zero_volatile(dst: *mut u8, len: usize) {
    let head = ((dst as usize).wrapping_neg() & 7).min(len);
    let words = (len - head) / 8;
    // SAFETY: all offsets are below `len`; words are written where `dst` is aligned to 8.
    unsafe {
        for i in 0..head {
            dst.add(i).write_volatile(0);
        }
        let to = dst.add(head).cast::<u64>();
        for i in 0..words {
            to.add(i).write_volatile(0);
        }
        for i in head + words * 8..len {
            dst.add(i).write_volatile(0);
        }
    }
}

#[cfg(test)]
mod tests;
