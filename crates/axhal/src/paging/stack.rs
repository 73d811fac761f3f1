//! Stacks with a guard: below each lies an unmapped page, so that running over its end faults.

use core::sync::atomic::{AtomicU64, Ordering};

use memory_addr::{PhysAddr, VirtAddr};

use super::space::{SPACE, Space, map_locked, root, unmap_locked};
use super::{Attr, PAGE, PagingError, STACK_SLOT, STACKS_BASE, table};
use crate::irq;

/// Slots: 1 GiB of addresses, 8192 stacks.
const WORDS: usize = (1 << 30) / STACK_SLOT / 64;
static TAKEN: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

/// A stack, mapped until [`free`](Self::free). Dropped without it, it stays for ever.
#[derive(Debug)]
pub struct Stack {
    slot: usize,
    pages: usize,
    frames: PhysAddr,
}

impl Stack {
    /// The address behind its last byte: the initial stack pointer.
    pub fn top(&self) -> VirtAddr {
        VirtAddr::from_usize(STACKS_BASE + (self.slot + 1) * STACK_SLOT)
    }

    /// Its lowest address; the page below is not mapped.
    pub fn bottom(&self) -> VirtAddr {
        self.top() - self.pages * PAGE
    }

    /// Unmaps it on every CPU. Returns its frames (the first, and how many) to go back to where
    /// the frame source took them from.
    ///
    /// # Safety
    /// No CPU runs on it, and none will.
    pub unsafe fn free(self) -> Result<(PhysAddr, usize), PagingError> {
        let _masked = irq::MaskGuard::new();
        unmap_locked(&SPACE.lock(), self.bottom().as_usize(), self.pages * PAGE)?;
        give_back(self.slot);
        Ok((self.frames, self.pages))
    }
}

/// A stack of `pages` pages (2 to 31), with frames from the source. Their content is left as it
/// was.
pub fn alloc_stack(pages: usize) -> Result<Stack, PagingError> {
    if !(2..STACK_SLOT / PAGE).contains(&pages) {
        return Err(PagingError::NoStackSlot { pages });
    }
    let _masked = irq::MaskGuard::new();
    let slot = take().ok_or(PagingError::NoStackSlot { pages })?;
    let result = map_stack(&mut SPACE.lock(), slot, pages);
    if result.is_err() {
        give_back(slot);
    }
    result
}

fn map_stack(space: &mut Space, slot: usize, pages: usize) -> Result<Stack, PagingError> {
    // Tables first: once there are frames, nothing may fail, for they could not be given back.
    table::prepare(root(), STACKS_BASE + slot * STACK_SLOT, space)?;
    let frames = space.frames(pages).ok_or(PagingError::NoFrame)?;
    let stack = Stack {
        slot,
        pages,
        frames,
    };
    let range = (stack.bottom().as_usize(), frames, pages * PAGE);
    map_locked(space, range, Attr::Data)?;
    Ok(stack)
}

/// Does `va` lie in a slot, where nothing is mapped unless a stack is?
pub(crate) fn is_stack_area(va: usize) -> bool {
    va.wrapping_sub(STACKS_BASE) < 1 << 30
}

fn take() -> Option<usize> {
    for (word, bits) in TAKEN.iter().enumerate() {
        let set = |old: u64| (old != u64::MAX).then(|| old | (old + 1));
        if let Ok(old) = bits.fetch_update(Ordering::Acquire, Ordering::Relaxed, set) {
            return Some(word * 64 + old.trailing_ones() as usize);
        }
    }
    None
}

fn give_back(slot: usize) {
    if let Some(bits) = TAKEN.get(slot / 64) {
        bits.fetch_and(!(1 << (slot % 64)), Ordering::Release);
    }
}
