//! The heap on chunks from the test's own allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};

use axalloc::{HeapHost, KernelHeap, MIN_CHUNK};
use proptest::prelude::*;

thread_local! {
    static MASKED: Cell<bool> = const { Cell::new(false) };
    static BUDGET: Cell<usize> = const { Cell::new(0) };
    static CHUNKS: RefCell<Vec<(usize, Layout)>> = const { RefCell::new(Vec::new()) };
}

struct Host;

// SAFETY: `System` hands out memory that nobody else uses; it is kept until `chunks` is dropped,
// when the heap is gone.
unsafe impl HeapHost for Host {
    fn irq_save() -> usize {
        MASKED.replace(true).into()
    }

    fn irq_restore(state: usize) {
        assert!(MASKED.replace(state != 0));
    }

    fn grow(bytes: usize) -> Option<(usize, usize)> {
        assert!(MASKED.get() && bytes.is_power_of_two() && bytes >= MIN_CHUNK);
        BUDGET.set(BUDGET.get().checked_sub(bytes)?);
        let layout = Layout::from_size_align(bytes, bytes).ok()?;
        // SAFETY: the layout isn't empty.
        let base = unsafe { System.alloc(layout) } as usize;
        CHUNKS.with_borrow_mut(|chunks| chunks.push((base, layout)));
        Some((base, bytes))
    }
}

/// Frees the chunks of this thread when the heap on them is gone.
struct Chunks;

impl Drop for Chunks {
    fn drop(&mut self) {
        for (base, layout) in CHUNKS.take() {
            // SAFETY: it came from `System.alloc` with this layout.
            unsafe { System.dealloc(base as *mut u8, layout) };
        }
        assert!(!MASKED.get());
    }
}

proptest! {
    #[test]
    fn blocks_are_disjoint_and_keep_their_content(
        steps in prop::collection::vec((0..20_000usize, 0..9u32, any::<prop::sample::Index>(), any::<bool>()), 1..200),
    ) {
        let _chunks = Chunks;
        BUDGET.set(8 * MIN_CHUNK);
        let heap = KernelHeap::<Host>::new();
        let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
        for (number, (size, align, which, free)) in steps.into_iter().enumerate() {
            if free && !live.is_empty() {
                let (ptr, layout, mark) = live.swap_remove(which.index(live.len()));
                // SAFETY: the block is live and has this layout.
                unsafe {
                    let bytes = std::slice::from_raw_parts(ptr, layout.size());
                    prop_assert!(bytes.iter().all(|byte| *byte == mark));
                    heap.dealloc(ptr, layout);
                }
                continue;
            }
            let layout = Layout::from_size_align(size + 1, 1 << align).unwrap();
            let mark = number as u8;
            // SAFETY: the layout isn't empty; the block is written within its size.
            unsafe {
                let ptr = heap.alloc(layout);
                if ptr.is_null() {
                    prop_assert_eq!(BUDGET.get(), 0);
                    continue;
                }
                prop_assert!((ptr as usize).is_multiple_of(layout.align()));
                ptr.write_bytes(mark, layout.size());
                live.push((ptr, layout, mark));
            }
        }
        let used: usize = live.iter().map(|(_, layout, _)| layout.size()).sum();
        let stats = heap.stats();
        prop_assert!(stats.used >= used && stats.peak >= stats.used && stats.chunks >= stats.peak);
        for (ptr, layout, _) in live {
            // SAFETY: as above.
            unsafe { heap.dealloc(ptr, layout) };
        }
        prop_assert_eq!(heap.stats().used, 0);
    }
}

#[test]
fn it_grows_by_what_is_needed_and_fails_with_null() {
    let _chunks = Chunks;
    BUDGET.set(MIN_CHUNK + 4 * MIN_CHUNK);
    let heap = KernelHeap::<Host>::new();
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    // SAFETY: the layouts aren't empty, and blocks are freed with the layout they came with.
    unsafe {
        let small = heap.alloc(layout(24));
        let before = heap.stats();
        assert_eq!(
            (before.chunks, before.used, before.allocations),
            (MIN_CHUNK, 32, 1)
        );
        let large = heap.alloc(layout(3 * MIN_CHUNK));
        assert!(!small.is_null() && !large.is_null());
        assert!(heap.alloc(layout(3 * MIN_CHUNK)).is_null());
        assert!(heap.alloc(layout(isize::MAX as usize - 7)).is_null());
        let stats = heap.stats();
        assert_eq!((stats.chunks, stats.failures), (5 * MIN_CHUNK, 2));
        assert_eq!(stats.allocations, 2);
        heap.dealloc(large, layout(3 * MIN_CHUNK));
        heap.dealloc(small, layout(24));
    }
    assert_eq!(heap.stats().used, 0);
}

#[test]
fn a_chunk_can_be_given_beforehand() {
    let mut chunk = vec![0u64; 8192].into_boxed_slice();
    let heap = KernelHeap::<Host>::new();
    let layout = Layout::from_size_align(4096, 64).unwrap();
    // SAFETY: the chunk is the heap's until the end of the test; the layout isn't empty.
    unsafe {
        heap.add_chunk(chunk.as_mut_ptr() as usize, 8192 * 8);
        let block = heap.alloc(layout);
        assert!(!block.is_null());
        heap.dealloc(block, layout);
    }
}
