//! The hypervisor's own address space.
//!
//! | virtual address | what | attributes |
//! |---|---|---|
//! | [`IMAGE_BASE`] | the image, 8 MiB at most: text, rodata, data, 64 KiB of nothing, boot stack, .bss | per section |
//! | [`STACKS_BASE`] | stacks, one per [`STACK_SLOT`], the rest of the slot unmapped | data |
//! | [`WINDOWS_BASE`] | per-CPU windows onto guest RAM | data, while open |
//! | [`READONLY_BASE`] + PA | device tree, boot bundle | read-only |
//! | [`DEVICE_BASE`] + PA | device registers | device |
//! | [`DIRECT_BASE`] + PA | frames the hypervisor owns, and nothing else | data |
//!
//! Only the image's text is executable, and nothing is both writable and executable. Guest RAM is mapped nowhere but in a window, while it is open.
//!
//! Lock order: the lock in here comes before the frame source's, so the source may not map
//! anything; see [`set_frame_source`].

#[cfg(any(target_os = "none", test))]
mod table;

#[cfg(target_os = "none")]
mod space;
#[cfg(target_os = "none")]
mod stack;
#[cfg(target_os = "none")]
mod window;

#[cfg(test)]
mod tests;

#[cfg(target_os = "none")]
pub(crate) use space::{BOOT_TABLES, ROOT_LEN, is_memory, root};
#[cfg(target_os = "none")]
pub use space::{
    FrameSource, direct, map_device, map_direct, map_readonly, publish, set_frame_source,
    table_frames, translate, unmap,
};
#[cfg(target_os = "none")]
pub(crate) use stack::is_stack_area;
#[cfg(target_os = "none")]
pub use stack::{Stack, alloc_stack};
#[cfg(target_os = "none")]
pub use window::with_window;
#[cfg(target_os = "none")]
pub(crate) use window::{init_cpu as init_window, set_ram};

pub use crate::arch::layout::{
    DEVICE_BASE, DEVICE_LIMIT, DIRECT_BASE, DIRECT_LIMIT, IMAGE_BASE, READONLY_BASE, READONLY_LIMIT,
};
pub use memory_addr::{PhysAddr, VirtAddr};

/// Bytes in a page and in a frame.
pub const PAGE: usize = 4096;
/// How far the image may reach: four tables of pages.
pub const IMAGE_MAX: usize = 8 << 20;
/// Where stacks are.
pub const STACKS_BASE: usize = IMAGE_BASE + (1 << 30);
/// Distance of stacks from each other.
pub const STACK_SLOT: usize = 128 << 10;
/// Where windows are.
pub const WINDOWS_BASE: usize = IMAGE_BASE + (2 << 30);

/// How something is mapped. Nothing that is mapped at run time can be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attr {
    /// Normal write-back memory, readable and writable.
    Data,
    /// Normal write-back memory, readable.
    ReadOnly,
    /// Device memory (on aarch64 Device-nGnRE), readable and writable.
    Device,
}

/// Why something could not be mapped or unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagingError {
    /// An empty range, or one that the virtual address layout has no room for.
    OutOfRange {
        /// Its first physical or virtual address.
        base: usize,
        /// Its length in bytes.
        len: usize,
    },
    /// Something else is mapped there.
    Conflict {
        /// The first virtual address concerned.
        va: usize,
    },
    /// Only part of a block would be unmapped.
    PartOfBlock {
        /// An address in that block.
        va: usize,
    },
    /// No frame could be had for a table or a stack.
    NoFrame,
    /// Every stack slot is taken, or the stack is larger than a slot.
    NoStackSlot {
        /// Pages asked for.
        pages: usize,
    },
}

impl core::fmt::Display for PagingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::OutOfRange { base, len } => {
                write!(f, "{len:#x} bytes at {base:#x} can't be mapped")
            }
            Self::Conflict { va } => write!(f, "something else is mapped at {va:#x}"),
            Self::PartOfBlock { va } => write!(f, "only part of the block at {va:#x} would go"),
            Self::NoFrame => write!(f, "no free frame"),
            Self::NoStackSlot { pages } => write!(f, "no room for a stack of {pages} pages"),
        }
    }
}
