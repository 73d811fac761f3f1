//! The one address space of the hypervisor, and the frames its tables are made of.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use memory_addr::{PhysAddr, VirtAddr};
use spin::Mutex;

use super::table::{self, Frames, Table};
use super::{
    Attr, DEVICE_BASE, DEVICE_LIMIT, DIRECT_BASE, DIRECT_LIMIT, PAGE, PagingError, READONLY_BASE,
    READONLY_LIMIT,
};
use crate::arch::layout::{self, ROOT_LEVEL};
use crate::arch::tlb;
use crate::image::{self, phys_to_bss};
use crate::irq;

/// Makes table entries written before visible to the table walkers of all CPUs, and to accesses of
/// this CPU that come after.
pub use crate::arch::tlb::publish;

/// Gives `count` contiguous frames (4 KiB) whose address is a multiple of `align` bytes. A single
/// one becomes a table, for ever, and has to be mapped by [`map_direct`]; several become a stack.
pub type FrameSource = fn(count: usize, align: usize) -> Option<PhysAddr>;

/// One of each level from the root's to 2, and the image's four of level 3. Boot code builds them
/// before any Rust runs.
pub(crate) const ROOT_LEN: usize = 7 - ROOT_LEVEL;

/// Tables in .bss.
#[repr(C, align(4096))]
pub(crate) struct Tables<const N: usize>(pub(crate) [Table; N]);

impl<const N: usize> Tables<N> {
    pub(crate) const fn new() -> Self {
        Self([const { [const { AtomicU64::new(0) }; 512] }; N])
    }
}

/// The root and what maps the image.
#[unsafe(link_section = ".bss.boot_tables")]
pub(crate) static BOOT_TABLES: Tables<ROOT_LEN> = Tables::new();

/// Frames for tables until there is a frame source.
const SPARE: usize = 24;
static SPARE_TABLES: Tables<SPARE> = Tables::new();
/// How many are kept for when the source has none: a range below 512 GiB long may need one table
/// of level 1, and of levels 2 and 3 one at each end.
const RESERVE: usize = 5;

pub(super) static SPACE: Mutex<Space> = Mutex::new(Space {
    source: None,
    spare: SPARE,
    reserve: ArrayVec::new_const(),
    taken: 0,
});

/// What the lock guards, besides all changes of tables.
pub(super) struct Space {
    source: Option<FrameSource>,
    /// How many of `SPARE_TABLES` are unused.
    spare: usize,
    /// Frames of the source, kept once there are less than `RESERVE` of the others.
    reserve: ArrayVec<PhysAddr, RESERVE>,
    /// How many frames of the source became tables, or are kept for it.
    taken: usize,
}

impl Space {
    /// Frames from the source.
    pub(super) fn frames(&self, count: usize) -> Option<PhysAddr> {
        self.source.and_then(|source| source(count, PAGE))
    }

    /// Fills the reserve again.
    fn refill(&mut self) {
        while self.spare + self.reserve.len() < RESERVE {
            let Some(frame) = self.frames(1) else {
                return;
            };
            self.taken += 1;
            self.reserve.push(frame);
        }
    }
}

impl Frames for Space {
    fn alloc(&mut self) -> Option<PhysAddr> {
        let frame = if let Some(frame) = self.frames(1) {
            self.taken += 1;
            frame
        } else if let Some(frame) = self.reserve.pop() {
            frame
        } else {
            self.spare = self.spare.checked_sub(1)?;
            image::to_phys(ptr::from_ref(SPARE_TABLES.0.get(self.spare)?).addr())
        };
        for entry in self.table(frame) {
            entry.store(0, Ordering::Relaxed);
        }
        Some(frame)
    }

    fn table(&self, frame: PhysAddr) -> &Table {
        table_at(frame)
    }
}

fn table_at(frame: PhysAddr) -> &'static Table {
    let va = phys_to_bss(frame).unwrap_or_else(|| direct(frame).as_usize());
    // SAFETY: tables are in .bss (mapped by boot code) or came from the frame source, whose frames
    // are mapped by `map_direct`. They are page-aligned, only ever accessed as atomics, and never
    // given back.
    unsafe { &*ptr::with_exposed_provenance::<Table>(va) }
}

/// The tables as they are, without the lock.
struct Unlocked;

impl Frames for Unlocked {
    fn alloc(&mut self) -> Option<PhysAddr> {
        None
    }

    fn table(&self, frame: PhysAddr) -> &Table {
        table_at(frame)
    }
}

/// Is memory mapped at `va`, and no device? For the report of a fault, which may have come while
/// the lock was held: tables are read as they are.
pub(crate) fn is_memory(va: usize) -> bool {
    layout::is_address(va)
        && va.wrapping_sub(DEVICE_BASE) >= DEVICE_LIMIT
        && table::translate(root(), va, &Unlocked).is_some()
}

/// Where the root table lies.
pub(crate) fn root() -> PhysAddr {
    image::to_phys(ptr::from_ref(&BOOT_TABLES).addr())
}

/// From now on frames for tables and stacks come from `source`. It is called with the paging lock
/// held, so it may not map, unmap or make stacks. When it has nothing at hand it returns `None`,
/// and tables are taken from a reserve, enough to map the memory that will fill the source again.
pub fn set_frame_source(source: FrameSource) {
    let _masked = irq::MaskGuard::new();
    SPACE.lock().source = Some(source);
}

/// How many of the source's single frames are in use, as tables or kept to become tables.
pub fn table_frames() -> usize {
    let _masked = irq::MaskGuard::new();
    SPACE.lock().taken
}

/// Where the frame at `pa` is, if it has been mapped by [`map_direct`].
pub fn direct(pa: PhysAddr) -> VirtAddr {
    VirtAddr::from_usize(DIRECT_BASE.wrapping_add(pa.as_usize()))
}

/// Maps `len` bytes of Normal memory at `pa` (multiples of 4 KiB), which from now on belong to
/// the hypervisor, readable and writable at [`direct`]`(pa)`. Mapping them twice is no error.
pub fn map_direct(pa: PhysAddr, len: usize) -> Result<VirtAddr, PagingError> {
    if !(pa.as_usize() | len).is_multiple_of(PAGE) {
        return Err(PagingError::OutOfRange {
            base: pa.as_usize(),
            len,
        });
    }
    map_at(DIRECT_BASE, DIRECT_LIMIT, pa, len, Attr::Data)
}

/// Maps the pages that hold `len` bytes of device registers at `pa`, and returns where `pa` is.
/// Mapping them twice is no error; the address is the same.
pub fn map_device(pa: PhysAddr, len: usize) -> Result<VirtAddr, PagingError> {
    map_at(DEVICE_BASE, DEVICE_LIMIT, pa, len, Attr::Device)
}

/// Maps the pages that hold `len` bytes of Normal memory at `pa` read-only, and returns where `pa`
/// is. Mapping them twice is no error; the address is the same.
pub fn map_readonly(pa: PhysAddr, len: usize) -> Result<VirtAddr, PagingError> {
    map_at(READONLY_BASE, READONLY_LIMIT, pa, len, Attr::ReadOnly)
}

/// Maps whole pages to `base` plus their physical address, which is below `limit`.
fn map_at(
    base: usize,
    limit: usize,
    pa: PhysAddr,
    len: usize,
    attr: Attr,
) -> Result<VirtAddr, PagingError> {
    let start = pa.as_usize();
    let error = PagingError::OutOfRange { base: start, len };
    let end = start
        .checked_add(len)
        .filter(|&end| len > 0 && end <= limit)
        .ok_or(error)?;
    let first = start & !(PAGE - 1);
    let pages = (end - first).next_multiple_of(PAGE);
    let _masked = irq::MaskGuard::new();
    map_locked(
        &mut SPACE.lock(),
        (base + first, PhysAddr::from_usize(first), pages),
        attr,
    )?;
    Ok(VirtAddr::from_usize(base + start))
}

/// Maps and makes it visible.
pub(super) fn map_locked(
    space: &mut Space,
    range: (usize, PhysAddr, usize),
    attr: Attr,
) -> Result<(), PagingError> {
    let result = table::map(root(), range, attr, space);
    tlb::publish_own();
    space.refill();
    result
}

/// Unmaps `len` bytes at `va` (multiples of 4 KiB) that one of the `map_` functions mapped; no CPU
/// can reach them any more when it returns. A block must go as a whole.
///
/// # Safety
/// Nothing uses the range any more.
pub unsafe fn unmap(va: VirtAddr, len: usize) -> Result<(), PagingError> {
    let base = va.as_usize();
    let areas = [
        (READONLY_BASE, READONLY_LIMIT),
        (DEVICE_BASE, DEVICE_LIMIT),
        (DIRECT_BASE, DIRECT_LIMIT),
    ];
    let inside = areas.into_iter().any(|(area, size)| {
        let offset = base.wrapping_sub(area);
        offset < size && len <= size - offset
    });
    if !inside || !(base | len).is_multiple_of(PAGE) {
        return Err(PagingError::OutOfRange { base, len });
    }
    let _masked = irq::MaskGuard::new();
    unmap_locked(&SPACE.lock(), base, len)
}

/// Unmaps, and waits until no CPU remembers it.
pub(super) fn unmap_locked(space: &Space, va: usize, len: usize) -> Result<(), PagingError> {
    let result = table::unmap(root(), va, len, space, tlb::flush_page);
    tlb::sync();
    result
}

/// The physical address that `va` is mapped to, in whichever part of the address space.
pub fn translate(va: VirtAddr) -> Option<PhysAddr> {
    if !layout::is_address(va.as_usize()) {
        return None;
    }
    let _masked = irq::MaskGuard::new();
    table::translate(root(), va.as_usize(), &*SPACE.lock())
}
