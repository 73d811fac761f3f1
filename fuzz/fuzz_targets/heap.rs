//! The heap, with a count of what is out: reading may take so much of it, whatever it reads.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

struct Counting;

static OUT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static HEAP: Counting = Counting;

// SAFETY: all memory comes from and goes to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let out = OUT.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(out, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        OUT.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// Runs `f`, which may have `limit` bytes out at once.
pub fn bounded<R>(limit: usize, f: impl FnOnce() -> R) -> R {
    let before = OUT.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = f();
    let most = PEAK.load(Relaxed).saturating_sub(before);
    assert!(most <= limit, "{most} bytes of heap, {limit} are allowed");
    result
}
