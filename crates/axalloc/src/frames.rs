//! The frame allocator.

use core::ops::Range;

use arrayvec::ArrayVec;
use memory_addr::PhysAddr;

use crate::extent::{
    Extent, FRAME_SHIFT, FrameError, Kind, Owner, address, exactly, inside, touched,
};

/// Entries only `free` may use, so that what was allocated can be given back although the table is
/// nearly full: a free in the middle of an extent makes two more.
const KEPT_FOR_FREE: usize = 2;

/// The ownership of physical memory, as sorted and disjoint extents, at most `N` of them.
/// Neighbours of one kind and owner are one extent.
///
/// The memory itself is never touched, and nothing is said of its content: whoever gets a frame
/// clears it, or overwrites it.
///
/// *Placement.* The hypervisor's own allocations are small and live long; they are taken from the
/// top of the highest hole that fits, where they lie together. Guest RAM is taken from the bottom
/// of the smallest hole that fits, so that the big holes, which 2 MiB and 1 GiB blocks need, stay
/// whole. All searches are linear in the number of extents: this is not for hot paths.
#[derive(Debug)]
pub struct FrameAllocator<const N: usize> {
    extents: ArrayVec<Extent, N>,
}

impl<const N: usize> Default for FrameAllocator<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> FrameAllocator<N> {
    /// Knows of nothing.
    pub const fn new() -> Self {
        Self {
            extents: ArrayVec::new_const(),
        }
    }

    /// Adds free RAM: the frames that lie wholly in these bytes. Refused if a part of it is known
    /// already. No bytes, or less than a frame, are no error.
    pub fn add_ram(&mut self, base: PhysAddr, len: usize) -> Result<(), FrameError> {
        let frames = inside(base, len)?;
        if frames.is_empty() {
            return Ok(());
        }
        let at = self.find(frames.start);
        match self.extents.get(at) {
            Some(next) if next.first < frames.end => Err(FrameError::WrongKind {
                base: address(next.first.max(frames.start)),
                kind: next.kind,
            }),
            _ => self.insert(at, frames, Kind::Ram),
        }
    }

    /// Adds a device's registers: the frames these bytes touch. Frames may hold more than one
    /// device; RAM is refused. After an error a part of it may have been added.
    pub fn add_device(&mut self, base: PhysAddr, len: usize) -> Result<(), FrameError> {
        self.cover(touched(base, len)?, Kind::Device)
    }

    /// Sets aside what the board reserves: the frames these bytes touch, in RAM or not. What
    /// somebody owns already, and devices, stay what they are: a board's reservations
    /// often name the loader's files again. After an error a part of it may have been set aside.
    pub fn add_reserved(&mut self, base: PhysAddr, len: usize) -> Result<(), FrameError> {
        self.cover(touched(base, len)?, Kind::Reserved)
    }

    /// Takes what the boot loader put somewhere: the frames of RAM these bytes touch. Frames that
    /// have an owner keep it (two files may meet in a frame), and so does what isn't RAM. After an
    /// error a part of it may have been taken.
    pub fn reserve(&mut self, base: PhysAddr, len: usize, owner: Owner) -> Result<(), FrameError> {
        let frames = touched(base, len)?;
        not_free(owner)?;
        let mut at = frames.start;
        while at < frames.end {
            let Some(extent) = self.extents.get(self.find(at)) else {
                break;
            };
            let (part, free) = (
                extent.first.max(at)..extent.end().min(frames.end),
                extent.is_free_ram(),
            );
            if part.start >= frames.end {
                break;
            }
            at = part.end;
            if free {
                self.assign(part, owner)?;
            }
        }
        Ok(())
    }

    /// Takes `count` contiguous frames of RAM, the first at a multiple of `align` bytes (a power
    /// of two). `None` if there are none, if `count` is zero or `owner` is `Free`, or if the table
    /// of extents is full.
    pub fn alloc(&mut self, count: usize, align: usize, owner: Owner) -> Option<PhysAddr> {
        let align = align_frames(align)?;
        not_free(owner).ok()?;
        if count == 0 {
            return None;
        }
        let holes = self.extents.iter().filter(|extent| extent.is_free_ram());
        let first = if let Owner::Vm(_) = owner {
            holes
                .filter_map(|hole| Some((hole.frames, lowest_fit(hole, count, align)?)))
                .min()?
                .1
        } else {
            holes
                .rev()
                .find_map(|hole| highest_fit(hole, count, align))?
        };
        self.assign(first..first + count, owner).ok()?;
        Some(address(first))
    }

    /// Takes the longest run of free RAM that starts at a multiple of `align` bytes (a power of
    /// two), at most `max` frames; it is `max` frames or a multiple of `align`. Among runs of `max`
    /// frames it is the one from the smallest hole. For RAM built of several extents: ask again
    /// for the rest, and with a smaller `align` after `None`.
    pub fn alloc_largest(
        &mut self,
        max: usize,
        align: usize,
        owner: Owner,
    ) -> Option<(PhysAddr, usize)> {
        let align = align_frames(align)?;
        not_free(owner).ok()?;
        let (frames, _, first) = self
            .extents
            .iter()
            .filter(|extent| extent.is_free_ram())
            .filter_map(|hole| {
                let first = hole.first.checked_next_multiple_of(align)?;
                let room = hole.end().checked_sub(first)?;
                let frames = if room >= max {
                    max
                } else {
                    room & !(align - 1)
                };
                (frames > 0).then_some((frames, core::cmp::Reverse(hole.frames), first))
            })
            // The last of equals is taken: prefer the lowest address.
            .rev()
            .max_by_key(|&(frames, hole, _)| (frames, hole))?;
        self.assign(first..first + frames, owner).ok()?;
        Some((address(first), frames))
    }

    /// Takes exactly these frames of RAM. The error names who owns the first that isn't free.
    pub fn alloc_at(
        &mut self,
        base: PhysAddr,
        count: usize,
        owner: Owner,
    ) -> Result<(), FrameError> {
        self.take(base, count, owner, |kind| kind == Kind::Ram)
    }

    /// Takes exactly these frames, which the board reserves or where devices are. The error names
    /// who owns the first that isn't free.
    pub fn claim(&mut self, base: PhysAddr, count: usize, owner: Owner) -> Result<(), FrameError> {
        self.take(base, count, owner, |kind| kind != Kind::Ram)
    }

    /// Gives back exactly these frames, which `owner` must own. Their content stays. If the table
    /// of extents is full, `owner` keeps them.
    pub fn free(&mut self, base: PhysAddr, count: usize, owner: Owner) -> Result<(), FrameError> {
        let frames = exactly(base, count)?;
        not_free(owner)?;
        self.check(&frames, |extent, base| {
            if extent.owner == owner {
                Ok(())
            } else {
                Err(FrameError::WrongOwner {
                    base,
                    owner: extent.owner,
                })
            }
        })?;
        self.change(frames, N, |extent| extent.owner = Owner::Free)
    }

    /// Gives back all that `owner` owns, and says how many frames that was. Needs no room in the
    /// table, so it can't fail.
    pub fn free_all(&mut self, owner: Owner) -> usize {
        let mut frames = 0;
        for extent in &mut self.extents {
            if extent.owner == owner {
                frames += extent.frames;
                extent.owner = Owner::Free;
            }
        }
        self.merge(0..self.extents.len());
        frames
    }

    /// All extents, by ascending address.
    pub fn extents(&self) -> impl DoubleEndedIterator<Item = &Extent> {
        self.extents.iter()
    }

    /// What is known of an address.
    pub fn lookup(&self, addr: PhysAddr) -> Option<&Extent> {
        let frame = addr.as_usize() >> FRAME_SHIFT;
        self.extents
            .get(self.find(frame))
            .filter(|extent| extent.first <= frame)
    }

    /// Bytes of RAM that `owner` owns.
    pub fn usage(&self, owner: Owner) -> u64 {
        self.ram_where(|of| of == owner)
    }

    /// Bytes of RAM whose owner `counts`.
    pub fn ram_where(&self, counts: impl Fn(Owner) -> bool) -> u64 {
        self.extents
            .iter()
            .filter(|extent| extent.kind == Kind::Ram && counts(extent.owner))
            .map(Extent::bytes)
            .sum()
    }

    fn take(
        &mut self,
        base: PhysAddr,
        count: usize,
        owner: Owner,
        kind: impl Fn(Kind) -> bool,
    ) -> Result<(), FrameError> {
        let frames = exactly(base, count)?;
        not_free(owner)?;
        self.check(&frames, |extent, base| match extent {
            extent if !kind(extent.kind) => Err(FrameError::WrongKind {
                base,
                kind: extent.kind,
            }),
            extent if extent.owner != Owner::Free => Err(FrameError::WrongOwner {
                base,
                owner: extent.owner,
            }),
            _ => Ok(()),
        })?;
        self.assign(frames, owner)
    }

    /// Index of the first extent that ends behind `frame`.
    fn find(&self, frame: usize) -> usize {
        self.extents.partition_point(|extent| extent.end() <= frame)
    }

    /// Whether all of `frames` is known, and `ok` with each extent it meets; `ok` also gets the
    /// first address in question there.
    fn check(
        &self,
        frames: &Range<usize>,
        ok: impl Fn(&Extent, PhysAddr) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        let mut at = frames.start;
        for extent in self.extents.iter().skip(self.find(at)) {
            if at >= frames.end || extent.first > at {
                break;
            }
            ok(extent, address(at))?;
            at = extent.end();
        }
        if at < frames.end {
            return Err(FrameError::Unmanaged { base: address(at) });
        }
        Ok(())
    }

    fn assign(&mut self, frames: Range<usize>, owner: Owner) -> Result<(), FrameError> {
        self.change(frames, N.saturating_sub(KEPT_FOR_FREE), |extent| {
            extent.owner = owner;
        })
    }

    /// Changes the state of all extents in `frames`, which are cut out first. Before anything is
    /// changed it is made sure that there are at most `limit` extents then.
    fn change(
        &mut self,
        frames: Range<usize>,
        limit: usize,
        set: impl Fn(&mut Extent),
    ) -> Result<(), FrameError> {
        let cuts = [frames.start, frames.end].map(|frame| self.straddling(frame).is_some());
        if self.extents.len() + cuts.iter().filter(|&&cut| cut).count() > limit {
            return Err(FrameError::TableFull);
        }
        self.cut(frames.start)?;
        self.cut(frames.end)?;
        let from = self.find(frames.start);
        let to = self.find(frames.end);
        for extent in self.extents.iter_mut().take(to).skip(from) {
            set(extent);
        }
        self.merge(from.saturating_sub(1)..to + 1);
        Ok(())
    }

    /// The extent which has `frame` inside, and not as its first.
    fn straddling(&self, frame: usize) -> Option<usize> {
        let at = self.find(frame);
        let extent = self.extents.get(at)?;
        (extent.first < frame).then_some(at)
    }

    /// Makes `frame` the first of an extent if it is inside one.
    fn cut(&mut self, frame: usize) -> Result<(), FrameError> {
        let Some(at) = self.straddling(frame) else {
            return Ok(());
        };
        let Some(extent) = self.extents.get_mut(at) else {
            return Ok(());
        };
        let mut tail = *extent;
        extent.frames = frame - extent.first;
        tail.frames -= extent.frames;
        tail.first = frame;
        self.extents
            .try_insert(at + 1, tail)
            .map_err(|_| FrameError::TableFull)
    }

    /// Makes one extent of neighbours with one state, among those of index `range`.
    fn merge(&mut self, range: Range<usize>) {
        let mut at = range.start;
        let mut left = range.len();
        while left > 1 {
            left -= 1;
            let (Some(&this), Some(&next)) = (self.extents.get(at), self.extents.get(at + 1))
            else {
                return;
            };
            if this.end() == next.first && (this.kind, this.owner) == (next.kind, next.owner) {
                if let Some(this) = self.extents.get_mut(at) {
                    this.frames += next.frames;
                }
                self.extents.remove(at + 1);
            } else {
                at += 1;
            }
        }
    }

    /// Adds frames of which nothing is known, at index `at`.
    fn insert(&mut self, at: usize, frames: Range<usize>, kind: Kind) -> Result<(), FrameError> {
        if self.extents.len() >= N.saturating_sub(KEPT_FOR_FREE) {
            return Err(FrameError::TableFull);
        }
        let extent = Extent {
            first: frames.start,
            frames: frames.len(),
            kind,
            owner: Owner::Free,
        };
        self.extents
            .try_insert(at, extent)
            .map_err(|_| FrameError::TableFull)?;
        self.merge(at.saturating_sub(1)..at + 2);
        Ok(())
    }

    /// Adds the unknown parts of `frames` as `kind`; free RAM in it becomes `Reserved`.
    fn cover(&mut self, frames: Range<usize>, kind: Kind) -> Result<(), FrameError> {
        let mut at = frames.start;
        while at < frames.end {
            let index = self.find(at);
            let next = self.extents.get(index).copied();
            let Some(extent) = next.filter(|extent| extent.first <= at) else {
                let end = next.map_or(frames.end, |next| next.first.min(frames.end));
                self.insert(index, at..end, kind)?;
                at = end;
                continue;
            };
            let part = at..extent.end().min(frames.end);
            at = part.end;
            match (kind, extent.kind) {
                (Kind::Reserved, Kind::Ram) if extent.owner == Owner::Free => {
                    self.change(part, N.saturating_sub(KEPT_FOR_FREE), |extent| {
                        extent.kind = kind;
                    })?;
                }
                (Kind::Device, Kind::Ram) => {
                    return Err(FrameError::WrongKind {
                        base: address(part.start),
                        kind: Kind::Ram,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn not_free(owner: Owner) -> Result<(), FrameError> {
    if owner == Owner::Free {
        return Err(FrameError::FreeIsNoOwner);
    }
    Ok(())
}

/// An alignment in frames from one in bytes.
fn align_frames(align: usize) -> Option<usize> {
    align
        .is_power_of_two()
        .then_some((align >> FRAME_SHIFT).max(1))
}

fn lowest_fit(hole: &Extent, count: usize, align: usize) -> Option<usize> {
    let first = hole.first.checked_next_multiple_of(align)?;
    (count <= hole.end().checked_sub(first)?).then_some(first)
}

fn highest_fit(hole: &Extent, count: usize, align: usize) -> Option<usize> {
    let first = hole.end().checked_sub(count)? & !(align - 1);
    (first >= hole.first).then_some(first)
}
