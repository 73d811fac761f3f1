//! Who owns which physical frame, and the hypervisor's heap.
//!
//! [`FrameAllocator`] keeps the ownership of physical memory by extents; it never touches the
//! memory itself. [`KernelHeap`] is a global allocator over chunks which the hypervisor hands it.
//! Nothing here touches hardware.
#![cfg_attr(not(test), no_std)]

mod extent;
mod frames;
mod heap;

pub use extent::{Extent, FRAME_SIZE, FrameError, Kind, Owner, Purpose, Table};
pub use frames::FrameAllocator;
pub use heap::{HeapHost, HeapStats, KernelHeap, MIN_CHUNK};
pub use memory_addr::PhysAddr;
