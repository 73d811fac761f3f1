//! A VM's RAM: taken, mapped, cleared, given back.

use alloc::sync::Arc;
use alloc::vec::Vec;

use axaddrspace::{
    AddrSpace, GuestMemError, GuestPhysAddr, GuestPhysRange, HostPhysAddr, MappingFlags,
    PagingHandler, TableFormat,
};
use axvcpu::GuestMemory;
use axvmconfig::{MemFlags, VmMemConfig, VmMemMappingType};
use spin::Mutex;

use crate::{AxVMHal, VmError};

const PAGE: usize = 4096;
const BLOCK: usize = 2 << 20;
/// RAM is cleared in pieces of this size, so that interrupts are masked for a few
/// thousand instructions at a time. Between them the caller may do something else.
const PIECE: usize = 64 << 10;

/// Where a piece of RAM came from, and so where it goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// `PagingHandler::alloc_frames`.
    Frames,
    /// `AxVMHal::alloc_memory_region_at`.
    Region,
    /// The board's reservation: nobody's.
    Reserved,
}

/// A piece of RAM, contiguous on both sides.
#[derive(Clone, Copy, Debug)]
struct Piece {
    gpa: usize,
    hpa: HostPhysAddr,
    size: usize,
    origin: Origin,
}

/// The address space of a VM and the RAM in it.
pub(crate) struct VmMemory<H: AxVMHal, F: TableFormat> {
    /// Locked for reading, too: what copies guest memory holds off who unmaps it.
    pub(crate) space: Mutex<AddrSpace<H::PagingHandler, F>>,
    /// What is given back at the end. Grows while the VM is built, then stays.
    pieces: Vec<Piece>,
}

impl<H: AxVMHal, F: TableFormat> VmMemory<H, F> {
    pub fn new(space: AddrSpace<H::PagingHandler, F>) -> Self {
        Self {
            space: Mutex::new(space),
            pieces: Vec::new(),
        }
    }

    /// Takes and maps the RAM of one region.
    pub fn add_region(&mut self, region: &VmMemConfig) -> Result<(), VmError> {
        let origin = match region.map_type {
            VmMemMappingType::MapAlloc => return self.alloc(region),
            VmMemMappingType::MapIdentical => {
                if !H::alloc_memory_region_at(region.gpa.into(), region.size) {
                    return Err(VmError::RegionTaken {
                        base: region.gpa,
                        size: region.size,
                    });
                }
                Origin::Region
            }
            VmMemMappingType::MapReserved => Origin::Reserved,
        };
        let hpa = HostPhysAddr::from_usize(region.gpa);
        self.add(
            Piece {
                gpa: region.gpa,
                hpa,
                size: region.size,
                origin,
            },
            region.flags,
        )
    }

    /// Builds a region from as few extents as the machine has, in large ones first, so that large
    /// blocks map them.
    fn alloc(&mut self, region: &VmMemConfig) -> Result<(), VmError> {
        let mut done = 0;
        let mut try_size = region.size;
        while done < region.size {
            let size = try_size.min(region.size - done);
            let align = if size >= BLOCK && (region.gpa + done).is_multiple_of(BLOCK) {
                BLOCK
            } else {
                PAGE
            };
            match H::PagingHandler::alloc_frames(size / PAGE, align) {
                Some(hpa) => {
                    self.add(
                        Piece {
                            gpa: region.gpa + done,
                            hpa,
                            size,
                            origin: Origin::Frames,
                        },
                        region.flags,
                    )?;
                    done += size;
                }
                None if size > PAGE => {
                    let half = size / 2;
                    let unit = if half >= BLOCK { BLOCK } else { PAGE };
                    try_size = half.next_multiple_of(unit).min(size - PAGE);
                }
                None => {
                    return Err(VmError::OutOfMemory {
                        gpa: region.gpa,
                        size: region.size,
                    });
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, piece: Piece, flags: MemFlags) -> Result<(), VmError> {
        // Owned before it is mapped: an error gives it back.
        self.pieces.push(piece);
        let mut map_flags = MappingFlags::empty();
        for (from, to) in [
            (MemFlags::READ, MappingFlags::READ),
            (MemFlags::WRITE, MappingFlags::WRITE),
            (MemFlags::EXECUTE, MappingFlags::EXECUTE),
        ] {
            if flags.contains(from) {
                map_flags |= to;
            }
        }
        self.space
            .get_mut()
            .map(piece.gpa.into(), piece.hpa, piece.size, map_flags)?;
        Ok(())
    }

    /// Zeroes all RAM but `keep`, which is to be overwritten. `pause` is called between pieces.
    pub fn clear(&self, keep: &[GuestPhysRange], mut pause: impl FnMut()) {
        for piece in &self.pieces {
            let end = piece.gpa + piece.size;
            let mut at = piece.gpa;
            while at < end {
                let inside = keep
                    .iter()
                    .find(|k| (k.start.as_usize()..k.end.as_usize()).contains(&at));
                if let Some(kept) = inside {
                    at = kept.end.as_usize();
                    continue;
                }
                let next_kept = keep
                    .iter()
                    .map(|k| k.start.as_usize())
                    .filter(|&start| start > at)
                    .min();
                let stop = end
                    .min(next_kept.unwrap_or(end))
                    .min((at + 1).next_multiple_of(PIECE));
                zero::<H>(piece.hpa + (at - piece.gpa), stop - at);
                pause();
                at = stop;
            }
        }
    }

    /// Puts an image's bytes into RAM, whatever the guest's own rights to it are, so that the guest
    /// sees them with its caches on or off, as data and as instructions.
    pub fn write_image(&self, gpa: GuestPhysAddr, data: &[u8]) -> Result<(), VmError> {
        let mut rest = data;
        let mut at = gpa.as_usize();
        while !rest.is_empty() {
            let holds = |piece: &&Piece| (piece.gpa..piece.gpa + piece.size).contains(&at);
            let piece = self.pieces.iter().find(holds);
            let piece = piece.ok_or(VmError::Memory(GuestMemError::NotMapped(at.into())))?;
            let hpa = piece.hpa + (at - piece.gpa);
            let here = (piece.gpa + piece.size - at).min(BLOCK - hpa.as_usize() % BLOCK);
            let (now, later) = rest.split_at(here.min(rest.len()));
            H::PagingHandler::with_window(hpa, now.len(), |ptr| {
                // SAFETY: the window shows `now.len()` bytes of guest RAM at `ptr`, which `now`,
                // memory of the hypervisor, is no part of.
                unsafe { H::PagingHandler::copy_bytes(ptr, now.as_ptr(), now.len()) }
            });
            H::PagingHandler::clean_to_poc(hpa, now.len());
            H::PagingHandler::sync_icache(hpa, now.len());
            at += now.len();
            rest = later;
        }
        Ok(())
    }

    /// Cleans and invalidates all RAM to the point of coherency, piece by piece, as long as `go_on`
    /// says so between them.
    pub fn clean(&self, mut go_on: impl FnMut() -> bool) {
        for piece in &self.pieces {
            let mut done = 0;
            while done < piece.size {
                let len = PIECE.min(piece.size - done);
                H::PagingHandler::clean_to_poc(piece.hpa + done, len);
                if !go_on() {
                    return;
                }
                done += len;
            }
        }
    }

    /// The RAM's guest physical ranges.
    pub fn ranges(&self) -> impl Iterator<Item = GuestPhysRange> + '_ {
        self.pieces.iter().map(|piece| GuestPhysRange {
            start: piece.gpa.into(),
            end: (piece.gpa + piece.size).into(),
        })
    }
}

/// Zeroes `len` bytes at `hpa`, whatever the guest's own rights to it are.
fn zero<H: AxVMHal>(hpa: HostPhysAddr, len: usize) {
    let mut done = 0;
    while done < len {
        let at = hpa + done;
        let piece = (len - done).min(BLOCK - at.as_usize() % BLOCK);
        H::PagingHandler::with_window(at, piece, |ptr| {
            // SAFETY: the window shows `piece` bytes at `ptr`.
            unsafe { H::PagingHandler::zero_bytes(ptr, piece) }
        });
        H::PagingHandler::clean_to_poc(at, piece);
        done += piece;
    }
}

impl<H: AxVMHal, F: TableFormat> Drop for VmMemory<H, F> {
    fn drop(&mut self) {
        for range in self.ranges().collect::<Vec<_>>() {
            // A piece whose mapping failed is not mapped: nothing to forget.
            if let Ok(token) = self.space.get_mut().unmap(range) {
                token.flush();
            }
        }
        for piece in &self.pieces {
            match piece.origin {
                Origin::Frames => H::PagingHandler::dealloc_frames(piece.hpa, piece.size / PAGE),
                Origin::Region => H::dealloc_memory_region_at(piece.hpa, piece.size),
                Origin::Reserved => {}
            }
        }
    }
}

/// What vCPUs read through.
pub(crate) struct SharedMemory<H: AxVMHal, F: TableFormat>(pub Arc<VmMemory<H, F>>);

impl<H: AxVMHal, F: TableFormat> GuestMemory for SharedMemory<H, F> {
    fn read(&self, gpa: GuestPhysAddr, buffer: &mut [u8]) -> bool {
        self.0.space.lock().read(gpa, buffer).is_ok()
    }

    fn write(&self, gpa: GuestPhysAddr, data: &[u8]) -> bool {
        self.0.space.lock().write(gpa, data).is_ok()
    }
}
