//! Physical memory: who owns which frame, the heap, and what address spaces need.

use alloc::vec::Vec;
use core::fmt;

use axaddrspace::{GuestPhysRange, HostPhysAddr, HostVirtAddr, PagingHandler};
use axalloc::{
    FRAME_SIZE, FrameAllocator, FrameError, HeapHost, KernelHeap, Owner, Purpose, Table,
};
use axhal::boot::BootInfo;
use axhal::machine::Region;
use axhal::{irq, mem, paging};
use spin::Mutex;

use crate::arch;

/// Extents there can be: each VM brings a few.
const MAX_EXTENTS: usize = 512;
/// Frames that a pool of table frames takes at once.
const POOL_CHUNK: usize = 16;
/// A window shows bytes of one block of this size.
const WINDOW: usize = 2 << 20;

/// Every frame of the machine and its owner. Locked with interrupts masked.
static FRAMES: Mutex<FrameAllocator<MAX_EXTENTS>> = Mutex::new(FrameAllocator::new());

/// Guest RAM. Which VM has which frames, each VM knows itself.
const GUEST_RAM: Owner = Owner::Vm(0);

#[global_allocator]
static HEAP: KernelHeap<Heap> = KernelHeap::new();

/// What the hypervisor uses, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The image: code, static data, boot stack.
    pub image: u64,
    /// Heap chunks.
    pub heap: u64,
    /// Stacks and its own tables.
    pub other: u64,
    /// Tables of guests.
    pub guest_tables: u64,
    /// RAM of guests.
    pub guest_ram: u64,
    /// The boot bundle.
    pub bundle: u64,
}

/// Takes stock of the machine's memory: RAM, without what image, bundle, device tree and board
/// have in it.
pub fn init(info: &BootInfo) -> Result<(), FrameError> {
    {
        let mut frames = FRAMES.lock();
        for bank in &info.machine.memory {
            frames.add_ram(address(bank), bank.size as usize)?;
        }
        frames.reserve(address(&info.image), info.image.size as usize, Owner::Image)?;
        let fdt = &info.fdt_region;
        frames.reserve(
            address(fdt),
            fdt.size as usize,
            Owner::Hypervisor(Purpose::Boot),
        )?;
        if let Some(initrd) = &info.initrd {
            frames.reserve(address(initrd), initrd.size as usize, Owner::Bundle)?;
        }
        for reservation in &info.machine.reserved {
            frames.add_reserved(
                address(&reservation.region),
                reservation.region.size as usize,
            )?;
        }
    }
    TABLES.refill();
    paging::set_frame_source(own_frames);
    Ok(())
}

fn address(region: &Region) -> HostPhysAddr {
    HostPhysAddr::from_usize(region.base as usize)
}

/// Who has how much.
pub fn usage() -> Usage {
    let frames = FRAMES.lock();
    let own = |purpose| frames.usage(Owner::Hypervisor(purpose));
    Usage {
        image: frames.usage(Owner::Image),
        heap: own(Purpose::Heap),
        other: own(Purpose::Stack)
            + own(Purpose::PerCpu)
            + own(Purpose::Boot)
            + frames.usage(Owner::Table(Table::Own)),
        guest_tables: frames.usage(Owner::Table(Table::Guest)),
        guest_ram: frames.usage(GUEST_RAM),
        bundle: frames.usage(Owner::Bundle),
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heap = HEAP.stats();
        write!(
            f,
            "memory: image {} KiB, heap {} KiB ({} used), stacks and tables {} KiB; \
             guests: RAM {} KiB, tables {} KiB; bundle {} KiB",
            self.image >> 10,
            self.heap >> 10,
            heap.used >> 10,
            self.other >> 10,
            self.guest_ram >> 10,
            self.guest_tables >> 10,
            self.bundle >> 10,
        )
    }
}

/// Ranges of RAM that VMs to come want.
static SET_ASIDE: Mutex<Vec<(HostPhysAddr, usize)>> = Mutex::new(Vec::new());

/// Keeps exactly these bytes of RAM for the guest that will take them; `false` if they are not
/// free RAM.
pub fn set_aside(base: HostPhysAddr, size: usize) -> bool {
    let taken = take_free(base, size);
    if taken {
        SET_ASIDE.lock().push((base, size));
    }
    taken
}

fn was_set_aside(range: (HostPhysAddr, usize)) -> bool {
    let mut all = SET_ASIDE.lock();
    let at = all.iter().position(|other| *other == range);
    at.map(|at| all.swap_remove(at)).is_some()
}

/// Frees what was set aside, if nobody has taken it.
pub fn release(base: HostPhysAddr, size: usize) {
    if was_set_aside((base, size)) {
        give_back(base, size);
    }
}

/// Takes exactly these bytes of RAM for a guest: what was set aside, or else free RAM. `false` if
/// they are neither.
pub fn take_at(base: HostPhysAddr, size: usize) -> bool {
    was_set_aside((base, size)) || take_free(base, size)
}

fn take_free(base: HostPhysAddr, size: usize) -> bool {
    FRAMES
        .lock()
        .alloc_at(base, size / FRAME_SIZE, GUEST_RAM)
        .is_ok()
}

/// Gives back what [`take_at`] took.
pub fn give_back(base: HostPhysAddr, size: usize) {
    free(base, size / FRAME_SIZE, GUEST_RAM);
}

/// A mistake of ours if it fails: the frames stay with their owner, and the log says so.
fn free(base: HostPhysAddr, count: usize, owner: Owner) {
    if let Err(error) = FRAMES.lock().free(base, count, owner) {
        log::error!("freeing {count} frames at {base:#x}: {error}");
    }
}

/// Frames for the hypervisor's own tables and stacks: see [`paging::set_frame_source`].
fn own_frames(count: usize, align: usize) -> Option<HostPhysAddr> {
    if count == 1 {
        return TABLES.take();
    }
    FRAMES
        .lock()
        .alloc(count, align, Owner::Hypervisor(Purpose::Stack))
}

/// Gives back the frames of a stack.
pub fn free_stack(base: HostPhysAddr, count: usize) {
    free(base, count, Owner::Hypervisor(Purpose::Stack));
}

/// The heap's way to memory.
struct Heap;

// SAFETY: a chunk is frames that nobody else has, from the allocator of all frames, mapped for
// reading and writing for ever: it is never given back.
unsafe impl HeapHost for Heap {
    fn irq_save() -> usize {
        let was_masked = irq::masked();
        core::mem::forget(irq::MaskGuard::new());
        was_masked.into()
    }

    fn irq_restore(state: usize) {
        if state == 0 {
            irq::unmask();
        }
    }

    fn grow(bytes: usize) -> Option<(usize, usize)> {
        let owner = Owner::Hypervisor(Purpose::Heap);
        let base = FRAMES
            .lock()
            .alloc(bytes.div_ceil(FRAME_SIZE), bytes.max(FRAME_SIZE), owner)?;
        match paging::map_direct(base, bytes) {
            Ok(va) => Some((va.as_usize(), bytes)),
            Err(_) => {
                free(base, bytes.div_ceil(FRAME_SIZE), owner);
                None
            }
        }
    }
}

/// Single frames for translation tables, mapped in the direct map and kept there: a frame that was
/// a table becomes a table again, never guest RAM.
struct TablePool {
    /// The first free frame; each holds the address of the next in its first word. 0: none.
    free: Mutex<usize>,
}

static TABLES: TablePool = TablePool {
    free: Mutex::new(0),
};

impl TablePool {
    fn link(frame: HostPhysAddr) -> *mut usize {
        paging::direct(frame).as_mut_ptr().cast()
    }

    /// One frame, content unspecified; `None` if the pool is empty.
    fn take(&self) -> Option<HostPhysAddr> {
        let mut free = self.free.lock();
        if *free == 0 {
            return None;
        }
        let frame = HostPhysAddr::from_usize(*free);
        // SAFETY: frames in the list are mapped in the direct map, belong to the list alone, and
        // `give` stored a word there.
        *free = unsafe { Self::link(frame).read() };
        Some(frame)
    }

    fn give(&self, frame: HostPhysAddr) {
        let mut free = self.free.lock();
        // SAFETY: the frame is mapped in the direct map and the caller gives it away.
        unsafe { Self::link(frame).write(*free) };
        *free = frame.as_usize();
    }

    /// Adds a chunk of frames. The pool is not locked meanwhile, because mapping them may itself
    /// take a table from it.
    fn refill(&self) {
        let owner = Owner::Table(Table::Guest);
        let Some(base) = FRAMES.lock().alloc(POOL_CHUNK, FRAME_SIZE, owner) else {
            return;
        };
        if paging::map_direct(base, POOL_CHUNK * FRAME_SIZE).is_err() {
            return free(base, POOL_CHUNK, owner);
        }
        for frame in (0..POOL_CHUNK).rev() {
            self.give(base + frame * FRAME_SIZE);
        }
    }

    /// `count` contiguous frames aligned to their size. More than one (a root of concatenated
    /// tables) comes fresh from the allocator and goes back into the pool frame by frame.
    fn alloc(&self, count: usize) -> Option<HostPhysAddr> {
        if count == 1 {
            return self.take().or_else(|| {
                self.refill();
                self.take()
            });
        }
        let owner = Owner::Table(Table::Guest);
        let base = FRAMES.lock().alloc(count, count * FRAME_SIZE, owner)?;
        if paging::map_direct(base, count * FRAME_SIZE).is_err() {
            free(base, count, owner);
            return None;
        }
        Some(base)
    }
}

/// What address spaces need.
pub struct Paging;

impl PagingHandler for Paging {
    fn alloc_frames(count: usize, align: usize) -> Option<HostPhysAddr> {
        FRAMES.lock().alloc(count, align, GUEST_RAM)
    }

    fn dealloc_frames(base: HostPhysAddr, count: usize) {
        free(base, count, GUEST_RAM);
    }

    fn phys_to_virt(paddr: HostPhysAddr) -> HostVirtAddr {
        paging::direct(paddr)
    }

    fn alloc_table(count: usize) -> Option<HostPhysAddr> {
        let base = TABLES.alloc(count)?;
        // SAFETY: the frames are mapped in the direct map and belong to nobody else.
        unsafe { mem::zero(paging::direct(base).as_mut_ptr(), count * FRAME_SIZE) };
        Some(base)
    }

    fn dealloc_table(base: HostPhysAddr, count: usize) {
        for frame in 0..count {
            TABLES.give(base + frame * FRAME_SIZE);
        }
    }

    fn publish_tables() {
        arch::publish_tables();
    }

    fn flush_stage2(vmid: u16, range: Option<GuestPhysRange>) {
        arch::flush_stage2(vmid, range);
    }

    fn clean_to_poc(base: HostPhysAddr, len: usize) {
        if arch::guest_ram_is_coherent() {
            return;
        }
        // SAFETY: the window maps the range.
        in_windows(base, len, |ptr, len| unsafe {
            mem::clean_inv_poc(ptr.addr(), len)
        });
    }

    fn sync_icache(base: HostPhysAddr, len: usize) {
        // SAFETY: the window maps the range.
        in_windows(base, len, |ptr, len| unsafe {
            mem::sync_icache(ptr.addr(), len)
        });
    }

    fn with_window<R>(base: HostPhysAddr, len: usize, f: impl FnOnce(*mut u8) -> R) -> R {
        paging::with_window(base, len, f)
    }

    unsafe fn copy_bytes(dst: *mut u8, src: *const u8, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { mem::copy(dst, src, len) };
    }

    unsafe fn zero_bytes(dst: *mut u8, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { mem::zero(dst, len) };
    }
}

/// Shows a range of guest RAM window by window.
fn in_windows(base: HostPhysAddr, len: usize, mut f: impl FnMut(*mut u8, usize)) {
    let mut done = 0;
    while done < len {
        let at = base + done;
        let piece = (len - done).min(WINDOW - at.as_usize() % WINDOW);
        paging::with_window(at, piece, |ptr| f(ptr, piece));
        done += piece;
    }
}
