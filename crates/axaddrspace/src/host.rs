//! What an address space needs from the hypervisor.

use crate::{GuestPhysRange, HostPhysAddr, HostVirtAddr};

/// The host side of an address space. Implemented by the hypervisor on top of its allocator and
/// page tables; host tests implement it over ordinary memory.
pub trait PagingHandler: Sized + 'static {
    /// Takes `count` contiguous 4 KiB frames whose first address is a multiple of `align` bytes
    /// (a power of two, at least 4096). The frames' content is unspecified. `None` when there are
    /// none.
    fn alloc_frames(count: usize, align: usize) -> Option<HostPhysAddr>;

    /// Gives back frames taken by [`alloc_frames`](Self::alloc_frames).
    fn dealloc_frames(base: HostPhysAddr, count: usize);

    /// Where a frame that holds a *translation table* can be read and written by the hypervisor.
    /// Valid for frames from [`alloc_table`](Self::alloc_table) only: guest RAM is not mapped.
    fn phys_to_virt(paddr: HostPhysAddr) -> HostVirtAddr;

    /// Takes `count` contiguous *zeroed* frames, aligned to `count * 4096`, for translation tables.
    fn alloc_table(count: usize) -> Option<HostPhysAddr>;

    /// Gives back what [`alloc_table`](Self::alloc_table) took.
    fn dealloc_table(base: HostPhysAddr, count: usize);

    /// Makes written table entries visible to the table walkers of all CPUs (DSB ISHST on
    /// aarch64, plus a clean to PoC where walkers are not coherent).
    fn publish_tables();

    /// Invalidates stage-2 translations of `vmid` on every CPU that may hold them, and the
    /// combined stage-1 and stage-2 entries derived from them; all of them if `range` is `None`.
    /// Complete when it returns.
    fn flush_stage2(vmid: u16, range: Option<GuestPhysRange>);

    /// Cleans and invalidates `len` bytes of guest RAM at `base` to the point of coherency, where
    /// the machine needs it for guests that run with their caches off; otherwise does nothing.
    fn clean_to_poc(base: HostPhysAddr, len: usize);

    /// Makes instruction fetches see what was written to `len` bytes of guest RAM at `base`.
    fn sync_icache(base: HostPhysAddr, len: usize);

    /// Maps `len` bytes of guest RAM at `base` (within one 2 MiB aligned block) into this CPU's
    /// window, runs `f` with the address of the first byte, and unmaps it again. `f` must not
    /// block, enter another window, or keep the pointer.
    fn with_window<R>(base: HostPhysAddr, len: usize, f: impl FnOnce(*mut u8) -> R) -> R;

    /// Copies `len` bytes between guest RAM in a window and the hypervisor's memory, either way.
    /// The guest may change its side meanwhile. Hosts override it with what their CPU does best.
    ///
    /// # Safety
    /// `src` is readable and `dst` writable for `len` bytes; they don't overlap.
    unsafe fn copy_bytes(dst: *mut u8, src: *const u8, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { crate::memory::copy_volatile(dst, src, len) }
    }

    /// Fills `len` bytes of guest RAM in a window with zeros.
    ///
    /// # Safety
    /// `dst` is writable for `len` bytes.
    unsafe fn zero_bytes(dst: *mut u8, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { crate::memory::zero_volatile(dst, len) }
    }
}
