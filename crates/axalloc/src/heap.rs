//! The hypervisor's heap.

use core::alloc::{GlobalAlloc, Layout};
use core::marker::PhantomData;
use core::ptr::{NonNull, null_mut};

use spin::mutex::{SpinMutex, SpinMutexGuard};

/// The least the heap asks its host for, in bytes.
pub const MIN_CHUNK: usize = 256 * 1024;

/// The largest block is half of `1 << ORDERS` bytes: 1 GiB.
const ORDERS: usize = 31;

/// What the heap needs from the hypervisor.
///
/// # Safety
///
/// The heap hands out what [`grow`](Self::grow) returns: it must be memory that is mapped,
/// writable, in nobody else's use, and stays so.
pub unsafe trait HeapHost {
    /// Masks this CPU's interrupts and says how they were.
    fn irq_save() -> usize;

    /// Brings this CPU's interrupts back to what [`irq_save`](Self::irq_save) found.
    fn irq_restore(state: usize);

    /// A chunk of at least `bytes` bytes, as its address and its size in bytes. `bytes` is a power
    /// of two, and the address should be a multiple of it: a block is aligned to its size, so a
    /// chunk that isn't has no room for one block of all of it. Interrupts are masked and the heap
    /// is not locked.
    fn grow(bytes: usize) -> Option<(usize, usize)>;
}

/// Figures of a heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapStats {
    /// Bytes in use, in blocks: a block's size is a power of two.
    pub used: usize,
    /// The most bytes ever in use.
    pub peak: usize,
    /// Bytes the host gave.
    pub chunks: usize,
    /// How many allocations were made since the start; a path that leaves it unchanged on its CPU
    /// (with the others quiet) allocates nothing.
    pub allocations: u64,
    /// How many allocations were refused.
    pub failures: u64,
}

struct Inner {
    buddy: buddy_system_allocator::Heap<ORDERS>,
    peak: usize,
    allocations: u64,
    failures: u64,
}

/// The heap, to be used as `#[global_allocator]`. It starts empty and asks `H` for a chunk
/// whenever it has none that fits; a request is refused (null) when `H` has none either.
///
/// Interrupts are masked while it is locked, so preemptible code may allocate.
pub struct KernelHeap<H> {
    inner: SpinMutex<Inner>,
    host: PhantomData<fn() -> H>,
}

impl<H: HeapHost> Default for KernelHeap<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: HeapHost> KernelHeap<H> {
    /// A heap without memory.
    pub const fn new() -> Self {
        Self {
            inner: SpinMutex::new(Inner {
                buddy: buddy_system_allocator::Heap::new(),
                peak: 0,
                allocations: 0,
                failures: 0,
            }),
            host: PhantomData,
        }
    }

    /// Gives the heap memory before it asks for it, for a start without an allocator of frames.
    ///
    /// # Safety
    ///
    /// `len` bytes at `base` must be mapped, writable, in nobody else's use, and stay so.
    pub unsafe fn add_chunk(&self, base: usize, len: usize) {
        self.locked(|mut inner| {
            // SAFETY: the caller's promise.
            unsafe { inner.add(base, len) }
        });
    }

    /// The figures of this moment.
    pub fn stats(&self) -> HeapStats {
        self.locked(|inner| HeapStats {
            used: inner.buddy.stats_alloc_actual(),
            peak: inner.peak,
            chunks: inner.buddy.stats_total_bytes(),
            allocations: inner.allocations,
            failures: inner.failures,
        })
    }

    /// Runs `f` with interrupts masked and the heap locked.
    fn locked<R>(&self, f: impl FnOnce(SpinMutexGuard<'_, Inner>) -> R) -> R {
        let irqs = H::irq_save();
        // `f` drops the guard, so the heap is unlocked before interrupts open.
        let result = f(self.inner.lock());
        H::irq_restore(irqs);
        result
    }

    /// Gets a chunk that has room for `layout`. Two CPUs may do so at once: the host isn't asked
    /// under the lock, so that it may itself use the heap.
    fn grow(&self, layout: Layout) -> Option<()> {
        // Blocks are powers of two, aligned to their size.
        let block = layout.size().max(layout.align());
        let bytes = block.max(MIN_CHUNK).checked_next_power_of_two()?;
        if bytes >= 1 << ORDERS {
            return None;
        }
        let (base, len) = H::grow(bytes)?;
        // SAFETY: the promise of whoever implemented `HeapHost`.
        unsafe { self.inner.lock().add(base, len) };
        Some(())
    }

    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        if let Some(block) = self.inner.lock().take(layout) {
            return Some(block);
        }
        self.grow(layout)?;
        self.inner.lock().take(layout)
    }
}

impl Inner {
    /// # Safety
    ///
    /// As for [`KernelHeap::add_chunk`].
    unsafe fn add(&mut self, base: usize, len: usize) {
        let Some(end) = base.checked_add(len) else {
            return;
        };
        if len >= 2 * size_of::<usize>() {
            // SAFETY: the caller's promise; there is at least one aligned word.
            unsafe { self.buddy.add_to_heap(base, end) };
        }
    }

    fn take(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let block = self.buddy.alloc(layout).ok()?;
        self.allocations += 1;
        self.peak = self.peak.max(self.buddy.stats_alloc_actual());
        Some(block)
    }
}

// SAFETY: blocks come from the buddy allocator, which hands out disjoint blocks of at least the
// layout's size, aligned to their size, out of memory that is the heap's own (`HeapHost`,
// `add_chunk`); all access to it is under the lock. Nothing here unwinds.
unsafe impl<H: HeapHost> GlobalAlloc for KernelHeap<H> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let irqs = H::irq_save();
        let block = self.allocate(layout);
        if block.is_none() {
            self.inner.lock().failures += 1;
        }
        H::irq_restore(irqs);
        block.map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let Some(ptr) = NonNull::new(ptr) else {
            return;
        };
        self.locked(|mut inner| {
            // SAFETY: the caller got `ptr` from `alloc` with this layout.
            unsafe { inner.buddy.dealloc(ptr, layout) }
        });
    }
}
