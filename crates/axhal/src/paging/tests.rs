use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

use memory_addr::PhysAddr;
use proptest::prelude::*;

use super::table::{Frames, Table, map, prepare, translate, unmap};
use super::{Attr, PAGE, PagingError};
use crate::arch::pte::{self, Entry};

const M2: usize = 2 << 20;
const G1: usize = 1 << 30;

/// Frames whose physical addresses count up from 1 TiB; the first is the root.
struct Fake {
    tables: Vec<Box<Table>>,
    limit: usize,
}

const FIRST: usize = 1 << 40;

impl Fake {
    fn new(limit: usize) -> Self {
        let mut fake = Self {
            tables: Vec::new(),
            limit: limit + 1,
        };
        fake.alloc();
        fake
    }

    fn root(&self) -> PhysAddr {
        PhysAddr::from_usize(FIRST)
    }

    fn map(&mut self, va: usize, pa: usize, len: usize, attr: Attr) -> Result<(), PagingError> {
        map(self.root(), (va, PhysAddr::from_usize(pa), len), attr, self)
    }

    fn unmap(&self, va: usize, len: usize) -> (Result<(), PagingError>, Vec<usize>) {
        let mut flushed = Vec::new();
        let result = unmap(self.root(), va, len, self, |va| flushed.push(va));
        (result, flushed)
    }

    fn translate(&self, va: usize) -> Option<usize> {
        translate(self.root(), va, self).map(|pa| pa.as_usize())
    }
}

impl Frames for Fake {
    fn alloc(&mut self) -> Option<PhysAddr> {
        let frame = FIRST + self.tables.len() * PAGE;
        (self.tables.len() < self.limit).then(|| {
            self.tables
                .push(Box::new([const { AtomicU64::new(0) }; 512]));
            PhysAddr::from_usize(frame)
        })
    }

    fn table(&self, frame: PhysAddr) -> &Table {
        &self.tables[(frame.as_usize() - FIRST) / PAGE]
    }
}

#[test]
fn the_largest_leaves_that_fit_are_used() {
    let mut fake = Fake::new(8);
    let base = super::DIRECT_BASE;
    // The last page below 1 GiB, 1 GiB, 2 MiB, a page.
    let (pa, len) = (G1 - PAGE, PAGE + G1 + M2 + PAGE);
    fake.map(base + pa, pa, len, Attr::Data).unwrap();
    // Level 1, level 2 and 3 for the first page; level 2 and 3 for what is above 2 GiB.
    assert_eq!(fake.tables.len(), 1 + 1 + 2 + 2);
    for offset in [0, PAGE - 1, PAGE, G1, G1 + PAGE, G1 + PAGE + M2, len - 1] {
        assert_eq!(
            fake.translate(base + pa + offset),
            Some(pa + offset),
            "{offset:#x}"
        );
    }
    assert_eq!(fake.translate(base + pa - 1), None);
    assert_eq!(fake.translate(base + pa + len), None);
    let (result, flushed) = fake.unmap(base + pa, len);
    assert_eq!(result, Ok(()));
    let leaves = [pa, G1, 2 * G1, 2 * G1 + M2].map(|pa| base + pa);
    assert_eq!(flushed, leaves);
    assert_eq!(fake.translate(base + G1), None);
}

#[test]
fn a_misaligned_physical_address_takes_pages() {
    let mut fake = Fake::new(8);
    fake.map(M2, M2 + PAGE, M2, Attr::Data).unwrap();
    assert_eq!(fake.unmap(M2, M2).1.len(), 512);
}

#[test]
fn mapping_again_must_say_the_same() {
    let mut fake = Fake::new(8);
    fake.map(0, 0, M2, Attr::Data).unwrap();
    assert_eq!(fake.map(PAGE, PAGE, 2 * PAGE, Attr::Data), Ok(()));
    assert_eq!(fake.map(0, 0, 2 * M2, Attr::Data), Ok(()));
    assert_eq!(fake.translate(M2), Some(M2));
    let conflict = Err(PagingError::Conflict { va: PAGE });
    assert_eq!(fake.map(PAGE, PAGE, PAGE, Attr::ReadOnly), conflict);
    assert_eq!(fake.map(PAGE, 0, PAGE, Attr::Data), conflict);
}

#[test]
fn no_block_is_split() {
    let mut fake = Fake::new(8);
    fake.map(0, 0, M2, Attr::Data).unwrap();
    for (va, len) in [(PAGE, PAGE), (0, PAGE), (M2 - PAGE, 2 * PAGE)] {
        let (result, flushed) = fake.unmap(va, len);
        assert_eq!(result, Err(PagingError::PartOfBlock { va }));
        assert!(flushed.is_empty());
    }
    assert_eq!(fake.translate(PAGE), Some(PAGE));
}

#[test]
fn running_out_of_frames_is_an_error() {
    for limit in 0..3 {
        let mut fake = Fake::new(limit);
        assert_eq!(fake.map(0, 0, PAGE, Attr::Data), Err(PagingError::NoFrame));
    }
    assert_eq!(Fake::new(3).map(0, 0, PAGE, Attr::Data), Ok(()));
}

#[test]
fn prepared_pages_need_no_frame() {
    let mut fake = Fake::new(3);
    assert_eq!(prepare(fake.root(), G1 + M2, &mut fake), Ok(()));
    assert_eq!(fake.translate(G1 + M2), None);
    assert_eq!(fake.map(G1 + M2, PAGE, M2, Attr::Data), Ok(()));
    assert_eq!(
        prepare(fake.root(), 2 * G1, &mut fake),
        Err(PagingError::NoFrame)
    );
    let mut fake = Fake::new(2);
    fake.map(0, 0, M2, Attr::Data).unwrap();
    assert_eq!(
        prepare(fake.root(), 0, &mut fake),
        Err(PagingError::Conflict { va: 0 })
    );
}

#[test]
fn descriptors_are_the_manuals() {
    assert_eq!(pte::MAIR.to_le_bytes()[..2], [0xff, 0x04]);
    // Arm ARM D8.3.1: Normal, AP[1], inner shareable, AF, XN; read-only; device.
    assert_eq!(
        pte::leaf(0x1000.into(), Attr::Data, 3),
        0x0040_0000_0000_1743
    );
    assert_eq!(
        pte::leaf(0x1000.into(), Attr::ReadOnly, 3),
        0x0040_0000_0000_17c3
    );
    assert_eq!(
        pte::leaf(0x20_0000.into(), Attr::Device, 2),
        0x0040_0000_0020_0745
    );
    assert_eq!(pte::CODE | pte::TABLE_OR_PAGE, 0x7c3);
    assert_eq!(pte::decode(0x1003, 0), Entry::Table(0x1000.into()));
    // A block at levels 0 and 3 is reserved, and so invalid.
    assert_eq!(pte::decode(0x1001, 0), Entry::Invalid);
    assert_eq!(pte::decode(0x1001, 3), Entry::Invalid);
    assert_eq!(pte::decode(0x1002, 3), Entry::Invalid);
}

proptest! {
    /// Any mapping and unmapping does what a map of single pages does.
    #[test]
    fn like_a_map_of_pages(steps in prop::collection::vec(
        (any::<bool>(), 0usize..1600, 1usize..1100), 1..20))
    {
        let mut fake = Fake::new(64);
        let mut model = BTreeMap::new();
        for (mapping, page, count) in steps {
            let (va, len) = (page * PAGE, count * PAGE);
            if mapping {
                prop_assert_eq!(fake.map(G1 + va, va, len, Attr::Data), Ok(()));
                model.extend((page..page + count).map(|page| (page, page * PAGE)));
            } else {
                // Where it meets part of a block it stops; what went until then is inside.
                let inside = |other: usize| page <= other && other < page + count;
                match fake.unmap(G1 + va, len).0 {
                    Ok(()) => model.retain(|&other, _| !inside(other)),
                    Err(_) => model.retain(|&other, _| {
                        !inside(other) || fake.translate(G1 + other * PAGE).is_some()
                    }),
                }
            }
            for page in 0..2800 {
                prop_assert_eq!(fake.translate(G1 + page * PAGE), model.get(&page).copied());
            }
        }
    }
}

#[test]
fn tables_are_linked_after_they_are_empty() {
    // A frame with old content would be a table full of garbage; `alloc` gives zeroed ones, and
    // nothing but descriptors of the range may be in them.
    let mut fake = Fake::new(3);
    fake.map(5 * PAGE, 0, PAGE, Attr::Data).unwrap();
    let set = |table: &Table| {
        table
            .iter()
            .filter(|e| e.load(Ordering::Relaxed) != 0)
            .count()
    };
    assert!(fake.tables.iter().all(|table| set(table) == 1));
}

#[test]
fn entries_of_sv39_are_the_manuals() {
    use crate::arch::riscv_pte::{self as pte, Entry};
    // Privileged ISA, 12.3.1: V, R, W, X, A, D are bits 0 to 3, 6 and 7; PPN begins at bit 10.
    assert_eq!(pte::leaf(0x1000.into(), Attr::Data, 3), 0x4c7);
    assert_eq!(pte::leaf(0x1000.into(), Attr::ReadOnly, 3), 0x443);
    assert_eq!(pte::leaf(0x20_0000.into(), Attr::Device, 2), 0x8_00c7);
    assert_eq!(pte::CODE | pte::VALID, 0x4b);
    assert_eq!(pte::table(0x1000.into()), 0x401);
    for attr in [Attr::Data, Attr::ReadOnly, Attr::Device] {
        let far = 0x00ff_ffff_ffff_f000.into();
        let leaf = Entry::Leaf(far, pte::attributes(attr));
        assert_eq!(pte::decode(pte::leaf(far, attr, 3), 3), leaf);
    }
    assert_eq!(pte::decode(0x401, 1), Entry::Table(0x1000.into()));
    // Not valid; a table of tables' last level; writable but not readable.
    for (raw, level) in [(0x4c6, 3), (0x401, 3), (0x405, 2), (0x40d, 3)] {
        assert_eq!(pte::decode(raw, level), Entry::Invalid);
    }
}
