//! Walking and changing translation tables. Pure: the hardware side is [`Frames`] and what the
//! caller does with the addresses it gets.

use core::sync::atomic::{AtomicU64, Ordering};

use memory_addr::PhysAddr;

use super::{Attr, PAGE, PagingError};
use crate::arch::layout::ROOT_LEVEL;
use crate::arch::pte::{self, Entry};

/// One table: 512 descriptors that hardware reads at any time.
pub(crate) type Table = [AtomicU64; 512];

/// Where tables come from, and where they are.
pub(crate) trait Frames {
    /// A zeroed frame.
    fn alloc(&mut self) -> Option<PhysAddr>;
    /// The table in a frame given out by `alloc`, or in the root.
    fn table(&self, frame: PhysAddr) -> &Table;
}

/// How many bytes a descriptor of `level` maps.
const fn span(level: usize) -> usize {
    PAGE << (9 * (3 - level))
}

/// Which descriptor of a table of `level` is the one for `va`.
const fn index(va: usize, level: usize) -> usize {
    va >> (39 - 9 * level) & 511
}

/// Maps `len` bytes at `va` to `pa`, with the largest blocks that fit. All three are multiples of
/// 4 KiB. What is mapped there already has to be the same; nothing valid is ever changed, so there
/// is nothing to flush. After an error part of it may be mapped.
pub(crate) fn map(
    root: PhysAddr,
    (va, pa, len): (usize, PhysAddr, usize),
    attr: Attr,
    frames: &mut impl Frames,
) -> Result<(), PagingError> {
    let mut done = 0;
    while done < len {
        done += map_one(root, (va + done, pa + done, len - done), attr, frames)?;
    }
    Ok(())
}

/// Makes all tables there are above pages of the 2 MiB at `va`, so that mapping them can't fail for
/// want of a frame.
pub(crate) fn prepare(
    root: PhysAddr,
    va: usize,
    frames: &mut impl Frames,
) -> Result<(), PagingError> {
    let mut table = root;
    for level in ROOT_LEVEL..3 {
        table = match pte::decode(
            frames.table(table)[index(va, level)].load(Ordering::Relaxed),
            level,
        ) {
            Entry::Table(next) => next,
            Entry::Invalid => link(table, index(va, level), frames)?,
            Entry::Leaf(..) => return Err(PagingError::Conflict { va }),
        };
    }
    Ok(())
}

/// A new table behind descriptor `at` of `table`.
fn link(table: PhysAddr, at: usize, frames: &mut impl Frames) -> Result<PhysAddr, PagingError> {
    let next = frames.alloc().ok_or(PagingError::NoFrame)?;
    // Release: the walkers see the new table's zeroes before they see the table.
    frames.table(table)[at].store(pte::table(next), Ordering::Release);
    Ok(next)
}

/// Maps the first block or page; returns how many bytes it maps from `va` on.
fn map_one(
    root: PhysAddr,
    (va, pa, len): (usize, PhysAddr, usize),
    attr: Attr,
    frames: &mut impl Frames,
) -> Result<usize, PagingError> {
    let mut table = root;
    for level in ROOT_LEVEL..=3 {
        let size = span(level);
        let at = index(va, level);
        let old = frames.table(table)[at].load(Ordering::Relaxed);
        match pte::decode(old, level) {
            Entry::Invalid if level > 0 && (va | pa.as_usize()) % size == 0 && len >= size => {
                let new = pte::leaf(pa, attr, level);
                frames.table(table)[at].store(new, Ordering::Release);
                return Ok(size);
            }
            Entry::Invalid => table = link(table, at, frames)?,
            Entry::Table(next) => table = next,
            Entry::Leaf(old, bits) => {
                let offset = va % size;
                if old + offset != pa || bits != pte::attributes(attr) {
                    return Err(PagingError::Conflict { va });
                }
                return Ok(size - offset);
            }
        }
    }
    Err(PagingError::Conflict { va })
}

/// Makes invalid what maps `len` bytes at `va`, calling `flush` with the address of each block or
/// page; holes are skipped. A block that isn't wholly inside is an error and stays. Tables stay.
pub(crate) fn unmap(
    root: PhysAddr,
    va: usize,
    len: usize,
    frames: &impl Frames,
    mut flush: impl FnMut(usize),
) -> Result<(), PagingError> {
    let mut done = 0;
    while done < len {
        let at = va + done;
        let (entry, size, found) = find(root, at, frames);
        let start = at & !(size - 1);
        if let Entry::Leaf(..) = found {
            if start < va || start + size > va + len {
                return Err(PagingError::PartOfBlock { va: at });
            }
            entry.store(0, Ordering::Relaxed);
            flush(start);
        }
        done = start + size - va;
    }
    Ok(())
}

/// The descriptor that maps `va` or says that it isn't mapped, how many bytes it stands for, and
/// whether it maps.
fn find(root: PhysAddr, va: usize, frames: &impl Frames) -> (&AtomicU64, usize, Entry) {
    let mut table = root;
    let mut level = ROOT_LEVEL;
    loop {
        let entry = &frames.table(table)[index(va, level)];
        match pte::decode(entry.load(Ordering::Relaxed), level) {
            Entry::Table(next) => table = next,
            found => return (entry, span(level), found),
        }
        // Tables are found at levels up to 2 only, so this ends at 3.
        level += 1;
    }
}

/// The physical address `va` is mapped to.
pub(crate) fn translate(root: PhysAddr, va: usize, frames: &impl Frames) -> Option<PhysAddr> {
    match find(root, va, frames) {
        (_, size, Entry::Leaf(pa, _)) => Some(pa + va % size),
        _ => None,
    }
}
