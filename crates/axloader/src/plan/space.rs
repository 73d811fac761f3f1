//! The guest's RAM, and which parts of it are taken.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{PlanError, What, sort_by_key};

/// `gpa..gpa + size`, if that doesn't wrap.
pub(super) fn span(what: What, gpa: u64, size: u64) -> Result<Range<u64>, PlanError> {
    match gpa.checked_add(size) {
        Some(end) => Ok(gpa..end),
        None => Err(PlanError::Wraps { what, gpa, size }),
    }
}

/// The next multiple of `align` (a power of two).
pub(super) fn align_up(value: u64, align: u64) -> Option<u64> {
    value.checked_next_multiple_of(align)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// RAM and what is in it.
#[derive(Clone, Debug)]
pub(super) struct Space {
    /// Ascending, not empty, apart from each other.
    ram: Vec<Range<u64>>,
    taken: Vec<(What, Range<u64>)>,
    /// Kept free for the device tree until its size is known.
    room: Option<Range<u64>>,
}

impl Space {
    pub fn new(ram: &[Range<u64>]) -> Result<Self, PlanError> {
        let mut ram = ram.to_vec();
        if ram.is_empty() || ram.iter().any(|region| region.is_empty()) {
            return Err(PlanError::NoRam);
        }
        sort_by_key(&mut ram, |region| region.start);
        for (low, high) in ram.iter().zip(ram.iter().skip(1)) {
            if overlap(low, high) {
                return Err(PlanError::RamOverlaps(low.clone(), high.clone()));
            }
        }
        Ok(Self {
            ram,
            taken: Vec::new(),
            room: None,
        })
    }

    pub fn is_ram(&self, gpa: u64) -> bool {
        self.ram.iter().any(|region| region.contains(&gpa))
    }

    /// The middle of the region that `gpa` is in, or `far` from its start if that is less.
    pub fn middle(&self, gpa: u64, far: u64) -> u64 {
        let region = self.ram.iter().find(|region| region.contains(&gpa));
        region.map_or(gpa, |region| {
            region.start + ((region.end - region.start) / 2).min(far)
        })
    }

    pub fn is_taken_by(&self, what: What, gpa: u64) -> bool {
        self.taken
            .iter()
            .any(|(by, range)| *by == what && range.contains(&gpa))
    }

    /// From the first to the last byte that `what` has.
    pub fn extent_of(&self, what: What) -> Range<u64> {
        let ranges = || {
            self.taken
                .iter()
                .filter(move |(by, _)| *by == what)
                .map(|(_, r)| r)
        };
        let start = ranges().map(|range| range.start).min().unwrap_or(0);
        start..ranges().map(|range| range.end).max().unwrap_or(start)
    }

    /// Takes a range that must be free and inside one region.
    pub fn take(&mut self, what: What, range: Range<u64>) -> Result<(), PlanError> {
        let inside = |region: &Range<u64>| region.start <= range.start && range.end <= region.end;
        if !self.ram.iter().any(inside) {
            return Err(PlanError::OutsideRam { what, range });
        }
        let room = self.room.iter().map(|room| (What::Dtb, room));
        let taken = self.taken.iter().map(|(by, taken)| (*by, taken));
        if let Some((by, other)) = taken.chain(room).find(|(_, other)| overlap(&range, other)) {
            return Err(PlanError::Overlap {
                first: by,
                first_range: other.clone(),
                second: what,
                second_range: range,
            });
        }
        self.taken.push((what, range));
        Ok(())
    }

    /// Keeps `size` bytes free for the device tree; an explicit place may have less, which its
    /// real size will show.
    pub fn keep_room(&mut self, gpa: u64, size: u64) {
        let mut end = gpa.saturating_add(size);
        for (_, taken) in &self.taken {
            if taken.start >= gpa {
                end = end.min(taken.start);
            }
        }
        self.room = Some(gpa..end);
    }

    /// The device tree takes its real size in place of the room that was kept for it.
    pub fn replace_room(&mut self, range: Range<u64>) -> Result<(), PlanError> {
        self.room = None;
        self.take(What::Dtb, range)
    }

    /// What is not free, ascending.
    fn used(&self) -> Vec<Range<u64>> {
        let taken = self.taken.iter().map(|(_, range)| range);
        let mut used: Vec<_> = taken.chain(self.room.iter()).cloned().collect();
        sort_by_key(&mut used, |range| range.start);
        used
    }

    /// The lowest free multiple of `align` at or above `from` with `size` bytes behind it.
    pub fn lowest(&self, from: u64, size: u64, align: u64) -> Option<u64> {
        let used = self.used();
        self.ram.iter().find_map(|region| {
            let mut gpa = align_up(region.start.max(from), align)?;
            for range in &used {
                if overlap(range, &(gpa..gpa.checked_add(size)?)) {
                    gpa = align_up(range.end, align)?;
                }
            }
            (gpa.checked_add(size)? <= region.end).then_some(gpa)
        })
    }

    /// The highest free multiple of `align` with `size` bytes behind it, inside `window`.
    pub fn highest(&self, window: Range<u64>, size: u64, align: u64) -> Option<u64> {
        let used = self.used();
        let down = |value: u64| value / align * align;
        self.ram.iter().rev().find_map(|region| {
            let mut gpa = down(region.end.min(window.end).checked_sub(size)?);
            for range in used.iter().rev() {
                if overlap(range, &(gpa..gpa.checked_add(size)?)) {
                    gpa = down(range.start.checked_sub(size)?);
                }
            }
            (gpa >= region.start.max(window.start)).then_some(gpa)
        })
    }

    /// The lowest free place in RAM, a multiple of `align` plus `offset`, with `size` bytes behind
    /// it.
    pub fn lowest_with_offset(
        &self,
        what: What,
        size: u64,
        align: u64,
        offset: u64,
    ) -> Result<u64, PlanError> {
        let used = self.used();
        self.ram
            .iter()
            .find_map(|region| {
                let mut gpa = align_up(region.start, align)?.checked_add(offset)?;
                for range in &used {
                    if overlap(range, &(gpa..gpa.checked_add(size)?)) {
                        gpa = align_up(range.end, align)?.checked_add(offset)?;
                    }
                }
                (gpa.checked_add(size)? <= region.end).then_some(gpa)
            })
            .ok_or(PlanError::NoRoom { what, size })
    }
}
