use super::*;
use crate::fake::{self, Fake};
use crate::{Sv, Vmids, Vmsa};
use proptest::prelude::*;
use std::collections::BTreeMap;

use MappingFlags as M;

const PAGE: usize = 1 << 12;
const BLOCK: usize = 1 << 21;
const GIB: usize = 1 << 30;
const RWX: M = M::READ.union(M::WRITE).union(M::EXECUTE);

type Space<F = Vmsa> = AddrSpace<Fake, F>;

fn vmid() -> Vmid<Fake> {
    let pool: &'static Vmids = Box::leak(Box::new(Vmids::with_ids(9..=9)));
    pool.alloc().unwrap()
}

fn space(bits: u32) -> Space {
    AddrSpace::new(Vmsa::new(bits, 48, false).unwrap(), vmid()).unwrap()
}

fn range(start: usize, len: usize) -> GuestPhysRange {
    GuestPhysRange {
        start: start.into(),
        end: (start + len).into(),
    }
}

fn extents<F: TableFormat>(space: &Space<F>) -> Vec<(usize, usize, usize, M)> {
    let numbers = |e: Extent| (e.gpa.as_usize(), e.hpa.as_usize(), e.len, e.flags);
    space.extents().map(numbers).collect()
}

/// Address, permissions (r, w, x), memory attributes, and the size of the page or block.
type Walked = (u64, (bool, bool, bool), u64, u64);

/// A walker written from the manual, not from the code: DDI 0487, D8 "Translation table walk" for
/// a stage-2 walk with VTCR_EL2 and VTTBR_EL2.
fn hardware_walk(vtcr: u64, vttbr: u64, ipa: u64) -> Option<Walked> {
    let t0sz = vtcr & 0x3f;
    let mut level = match vtcr >> 6 & 3 {
        0 => 2,
        1 => 1,
        2 => 0,
        _ => panic!("reserved SL0"),
    };
    let input_bits = 64 - t0sz;
    assert_eq!(ipa >> input_bits, 0);
    let mut base = vttbr;
    let mut top = input_bits;
    loop {
        let low = 39 - 9 * level;
        let index = ipa >> low & ((1 << (top - low)) - 1);
        let at = base + 8 * index;
        // SAFETY: the tables are identity mapped and out; the walk follows valid entries only.
        let entry = unsafe { (at as *const u64).read_volatile() };
        if entry & 1 == 0 {
            return None;
        }
        let address = entry & 0x0000_ffff_ffff_f000;
        if entry & 2 != 0 && level < 3 {
            base = address;
            top = low;
            level += 1;
            continue;
        }
        assert_eq!(entry & 2 != 0, level == 3, "pages at level 3, blocks above");
        assert!(level >= 1, "no blocks at level 0");
        let size = 1u64 << low;
        assert_eq!(address % size, 0, "a block is aligned to its size");
        assert_eq!(entry >> 10 & 1, 1, "AF");
        assert_eq!(entry >> 8 & 3, 3, "inner shareable");
        let execute = entry >> 53 & 3 == 0;
        assert!(matches!(entry >> 53 & 3, 0 | 2));
        let permissions = (entry >> 6 & 1 == 1, entry >> 7 & 1 == 1, execute);
        return Some((address + ipa % size, permissions, entry >> 2 & 0xf, size));
    }
}

/// What a format's manual says, for the tests that all formats go through.
trait Manual: TableFormat {
    /// What the fake checks.
    const RULES: fake::Rules;

    /// Walks the tables as hardware does.
    fn hardware_walk(space: &Space<Self>, ipa: u64) -> Option<Walked>;

    /// What a walk ends with for memory of this type.
    fn attributes(&self, flags: M) -> u64;
}

impl Manual for Vmsa {
    const RULES: fake::Rules = fake::ARM;

    fn hardware_walk(space: &Space<Self>, ipa: u64) -> Option<Walked> {
        let vtcr = space.format().vtcr(false);
        hardware_walk(vtcr, space.root().as_usize() as u64, ipa)
    }

    fn attributes(&self, flags: M) -> u64 {
        if flags.contains(M::DEVICE) {
            1
        } else if flags.contains(M::UNCACHED) {
            5
        } else {
            15
        }
    }
}

impl Manual for Sv {
    const RULES: fake::Rules = fake::RISCV;

    fn hardware_walk(space: &Space<Self>, ipa: u64) -> Option<Walked> {
        let root = space.root();
        riscv_walk(space.format().hgatp(root, space.vmid()), ipa)
    }

    /// PBMT: PMA, NC, IO.
    fn attributes(&self, flags: M) -> u64 {
        if *self == Sv::sv39x4(false) || *self == Sv::sv48x4(false) {
            0
        } else if flags.contains(M::DEVICE) {
            2
        } else if flags.contains(M::UNCACHED) {
            1
        } else {
            0
        }
    }
}

/// A walker written from the manual, not from the code: privileged ISA, "Virtual Address
/// Translation Process" with the changes that "Guest Physical Address Translation" lists.
fn riscv_walk(hgatp: u64, gpa: u64) -> Option<Walked> {
    let levels = match hgatp >> 60 {
        8 => 3,
        9 => 4,
        _ => panic!("not a mode of these tests"),
    };
    assert_eq!(hgatp >> 58 & 3, 0);
    assert_eq!(gpa >> (12 + 9 * levels + 2), 0);
    let mut base = (hgatp & ((1 << 44) - 1)) << 12;
    assert_eq!(base % (16 << 10), 0, "the root is aligned to its 16 KiB");
    for i in (0..levels).rev() {
        let bits = if i == levels - 1 { 11 } else { 9 };
        let low = 12 + 9 * i;
        let at = base + 8 * (gpa >> low & ((1 << bits) - 1));
        // SAFETY: the tables are identity mapped and out; the walk follows valid entries only.
        let pte = unsafe { (at as *const u64).read_volatile() };
        let bit = |n: u32| pte >> n & 1 == 1;
        if !bit(0) {
            return None;
        }
        let ppn = pte >> 10 & ((1 << 44) - 1);
        assert_eq!(pte >> 54 & 0x7f, 0, "reserved");
        assert!(!bit(63), "no Svnapot");
        if !bit(1) && !bit(2) && !bit(3) {
            assert_eq!(pte >> 4 & 0xf, 0, "U, G, A, D are not a table's");
            assert_eq!(pte >> 61, 0, "nor PBMT");
            base = ppn << 12;
            continue;
        }
        assert!(bit(1) || !bit(2), "writable and not readable is reserved");
        assert!(bit(4) && !bit(5) && bit(6) && bit(7), "U, not G, A, D");
        let size = 1u64 << low;
        assert_eq!((ppn << 12) % size, 0, "a superpage is aligned");
        let permissions = (bit(1), bit(2), bit(3));
        return Some(((ppn << 12) + gpa % size, permissions, pte >> 61 & 3, size));
    }
    panic!("a table entry at the lowest level");
}

fn check_page<F: Manual>(
    space: &Space<F>,
    page: usize,
    expected: Option<(usize, M)>,
) -> Result<(), TestCaseError> {
    let at = page + page / PAGE % PAGE;
    let found = space.translate(at.into());
    let offset = at - page;
    prop_assert_eq!(
        found.map(|m| (m.hpa.as_usize(), m.flags)),
        expected.map(|(hpa, flags)| (hpa + offset, flags))
    );
    let walked = F::hardware_walk(space, at as u64);
    prop_assert_eq!(walked.is_some(), expected.is_some());
    if let (Some((hpa, permissions, attributes, size)), Some((expected, flags))) =
        (walked, expected)
    {
        prop_assert_eq!(hpa as usize, expected + offset);
        let has = |flag| flags.contains(flag);
        prop_assert_eq!(permissions, (has(M::READ), has(M::WRITE), has(M::EXECUTE)));
        prop_assert_eq!(attributes, space.format().attributes(flags));
        let left = found.map_or(0, |m| m.len);
        prop_assert_eq!(left, size as usize - at % size as usize);
    }
    Ok(())
}

#[test]
fn largest_blocks_that_fit() {
    let mut space = space(40);
    let size_at = |space: &Space, gpa: usize| space.translate(gpa.into()).map(|m| m.len);
    // 1 GiB + 2 MiB + 4 KiB on both sides of what can be a 1 GiB block.
    let gpa = 2 * GIB - BLOCK - PAGE;
    let hpa = 8 * GIB - BLOCK - PAGE;
    space
        .map(gpa.into(), hpa.into(), 2 * (BLOCK + PAGE) + GIB, RWX)
        .unwrap();
    assert_eq!(size_at(&space, gpa), Some(PAGE));
    assert_eq!(size_at(&space, gpa + PAGE), Some(BLOCK));
    assert_eq!(size_at(&space, 2 * GIB), Some(GIB));
    assert_eq!(size_at(&space, 3 * GIB), Some(BLOCK));
    assert_eq!(size_at(&space, 3 * GIB + BLOCK), Some(PAGE));
    assert_eq!(size_at(&space, 3 * GIB + BLOCK + PAGE), None);
    assert_eq!(extents(&space), [(gpa, hpa, 2 * (BLOCK + PAGE) + GIB, RWX)]);
    // Two tables on each side, and the root.
    assert_eq!(fake::with(|s| s.tables.len()), 5);
    drop(space);
    assert!(fake::with(|s| s.tables.is_empty()));
    assert_eq!(fake::with(|s| s.flushes.last().copied()), Some((9, None)));
}

#[test]
fn what_is_refused_changes_nothing() {
    use AddrSpaceError as E;
    let mut s = space(32);
    s.map(0x20_0000.into(), 0x4020_0000.into(), BLOCK, RWX)
        .unwrap();
    let before = extents(&s);
    let top = 1usize << 32;
    let mut map = |gpa: usize, hpa: usize, len: usize, flags| {
        s.map(gpa.into(), hpa.into(), len, flags).unwrap_err()
    };
    let zero = HostPhysAddr::from(0);
    let mis = |gpa: usize, hpa, len| E::Misaligned {
        gpa: gpa.into(),
        hpa,
        len,
    };
    assert_eq!(map(0x1001, 0, PAGE, RWX), mis(0x1001, zero, PAGE));
    assert_eq!(map(0x1000, 8, PAGE, RWX), mis(0x1000, 8.into(), PAGE));
    assert_eq!(map(0x1000, 0, 12, RWX), mis(0x1000, zero, 12));
    assert_eq!(map(0x1000, 0, 0, RWX), mis(0x1000, zero, 0));
    for (gpa, len) in [
        (top, PAGE),
        (top - PAGE, 2 * PAGE),
        (PAGE, usize::MAX - PAGE + 1),
    ] {
        assert_eq!(
            map(gpa, 0, len, RWX),
            E::GuestRange {
                gpa: gpa.into(),
                len
            }
        );
    }
    for hpa in [(1 << 48) - PAGE, 1 << 48, usize::MAX - PAGE + 1] {
        let len = 2 * PAGE;
        assert_eq!(
            map(0, hpa, len, RWX),
            E::HostRange {
                hpa: hpa.into(),
                len
            }
        );
    }
    for flags in [
        M::empty(),
        M::WRITE,
        M::EXECUTE,
        RWX | M::DEVICE,
        M::READ | M::DEVICE | M::UNCACHED,
    ] {
        assert_eq!(map(0, 0, PAGE, flags), E::Flags(flags));
    }
    for (gpa, len, existing) in [(0, top, 0x20_0000), (0x3f_f000, PAGE, 0x3f_f000)] {
        let error = E::Overlap {
            gpa: gpa.into(),
            len,
            existing: existing.into(),
        };
        assert_eq!(map(gpa, 0, len, RWX), error);
    }
    let gap = E::NotMapped {
        gpa: 0x40_0000.into(),
    };
    assert_eq!(s.unmap(range(0x3f_0000, 0x2_0000)).err(), Some(gap));
    assert_eq!(
        s.protect(range(0x3f_0000, 0x2_0000), M::READ).err(),
        Some(gap)
    );
    let existing = E::MemoryType {
        gpa: 0x20_0000.into(),
        existing: RWX,
    };
    let device = M::READ | M::DEVICE;
    assert_eq!(
        s.protect(range(0x20_0000, PAGE), device).err(),
        Some(existing)
    );
    let flags = E::Flags(M::WRITE);
    assert_eq!(
        s.protect(range(0x20_0000, PAGE), M::WRITE).err(),
        Some(flags)
    );
    let backwards = GuestPhysRange {
        start: 0x21_0000.into(),
        end: 0x20_0000.into(),
    };
    assert!(matches!(s.unmap(backwards), Err(E::Misaligned { .. })));
    assert_eq!(extents(&s), before);
}

#[test]
fn splitting_breaks_before_it_makes() {
    let mut space = space(40);
    space.map(GIB.into(), (4 * GIB).into(), GIB, RWX).unwrap();
    fake::with(|s| s.flushes.clear());
    // One page in the middle: the 1 GiB block becomes 2 MiB blocks, one of them pages.
    let page = GIB + 5 * BLOCK + 7 * PAGE;
    space.protect(range(page, PAGE), M::READ).unwrap().flush();
    let broken = [
        (9, Some(range(GIB, GIB))),
        (9, Some(range(GIB + 5 * BLOCK, BLOCK))),
    ];
    assert_eq!(fake::with(|s| s.flushes.clone())[..2], broken);
    assert_eq!(
        extents(&space),
        [
            (GIB, 4 * GIB, page - GIB, RWX),
            (page, page + 3 * GIB, PAGE, M::READ),
            (
                page + PAGE,
                page + PAGE + 3 * GIB,
                2 * GIB - page - PAGE,
                RWX
            ),
        ]
    );
    space.unmap(range(GIB + PAGE, GIB - PAGE)).unwrap().flush();
    assert_eq!(extents(&space), [(GIB, 4 * GIB, PAGE, RWX)]);
    assert_eq!(fake::with(|s| s.tables.len()), 3);
}

#[test]
fn extents_end_where_either_side_jumps() {
    let mut space = space(40);
    for (gpa, hpa, flags) in [
        (0, GIB, RWX),
        (1, GIB, RWX),
        (2, GIB + PAGE, RWX),
        (3, GIB + 2 * PAGE, M::READ),
    ] {
        space
            .map((gpa * PAGE).into(), hpa.into(), PAGE, flags)
            .unwrap();
    }
    let expected = [
        (0, GIB, PAGE, RWX),
        (PAGE, GIB, 2 * PAGE, RWX),
        (3 * PAGE, GIB + 2 * PAGE, PAGE, M::READ),
    ];
    assert_eq!(extents(&space), expected);
}

#[test]
fn the_token_keeps_what_was_taken_out() {
    let mut space = space(40);
    space
        .map(GIB.into(), GIB.into(), BLOCK - PAGE, RWX)
        .unwrap();
    let tables = fake::with(|s| s.tables.len());
    assert_eq!(tables, 3);
    let token = space
        .unmap(range(GIB, BLOCK - PAGE))
        .unwrap()
        .owning("frames");
    assert_eq!(token.range(), range(GIB, BLOCK - PAGE));
    assert_eq!(space.translate(GIB.into()), None);
    assert_eq!(
        fake::with(|s| s.tables.len()),
        tables,
        "nothing is freed yet"
    );
    fake::with(|s| s.flushes.clear());
    assert_eq!(token.flush(), "frames");
    let flushed = fake::with(|s| s.flushes.clone());
    assert_eq!(flushed, [(9, Some(range(GIB, BLOCK - PAGE)))]);
    assert_eq!(fake::with(|s| s.tables.len()), 1);
}

#[test]
fn mapping_again_before_the_token_ran_flushes_first() {
    let mut space = space(40);
    space.map(0.into(), GIB.into(), PAGE, RWX).unwrap();
    let token = space.unmap(range(0, PAGE)).unwrap();
    fake::with(|s| s.flushes.clear());
    // The fake panics if the entry becomes valid without a flush.
    space.map(0.into(), (4 * GIB).into(), BLOCK, RWX).unwrap();
    assert_eq!(
        fake::with(|s| s.flushes.clone()),
        [(9, Some(range(0, PAGE)))]
    );
    token.flush();
    assert_eq!(space.translate(0.into()).map(|m| m.len), Some(BLOCK));
}

#[test]
#[should_panic(expected = "a flush token was dropped")]
fn a_dropped_token_is_noticed() {
    let mut space = std::mem::ManuallyDrop::new(space(40));
    space.map(0.into(), GIB.into(), PAGE, RWX).unwrap();
    drop(space.unmap(range(0, PAGE)).unwrap());
}

#[test]
fn no_frames_for_the_root() {
    fake::with(|s| s.budget = Some(0));
    let format = Vmsa::new(40, 48, false).unwrap();
    assert_eq!(
        Space::new(format, vmid()).err(),
        Some(AddrSpaceError::NoMemory)
    );
}

/// One operation, around the borders where blocks begin and end.
#[derive(Clone, Debug)]
enum Op {
    Map(usize, usize, usize, M),
    Unmap(usize, usize),
    Protect(usize, usize, M),
}

/// Where an operation goes: anywhere, or at some page of the n-th extent that there is, so that
/// blocks do get split.
#[derive(Clone, Debug)]
enum Place {
    At(usize, usize),
    Inside(prop::sample::Index, prop::sample::Index, usize),
    After(prop::sample::Index, usize),
}

impl Place {
    /// Address and length.
    fn resolve<F: TableFormat>(&self, space: &Space<F>) -> (usize, usize) {
        let extents = extents(space);
        match self {
            _ if extents.is_empty() => (GIB, 3 * BLOCK),
            &Self::At(gpa, len) => (gpa, len),
            Self::Inside(extent, page, len) => {
                let (gpa, _, size, _) = *extent.get(&extents);
                let offset = page.index(size / PAGE) * PAGE;
                (gpa + offset, (*len).min(size - offset))
            }
            Self::After(extent, len) => {
                let (gpa, _, size, _) = *extent.get(&extents);
                (gpa + size, *len)
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Plan {
    Map(Place, usize, M),
    Unmap(Place),
    Protect(Place, M),
}

impl Plan {
    fn resolve<F: TableFormat>(&self, space: &Space<F>) -> Op {
        match self {
            Self::Map(place, hpa, flags) => {
                let (gpa, len) = place.resolve(space);
                Op::Map(gpa, *hpa, len, *flags)
            }
            Self::Unmap(place) => {
                let (gpa, len) = place.resolve(space);
                Op::Unmap(gpa, len)
            }
            Self::Protect(place, flags) => {
                let (gpa, len) = place.resolve(space);
                Op::Protect(gpa, len, *flags)
            }
        }
    }
}

fn place() -> impl Strategy<Value = usize> {
    let near = prop_oneof![Just(0), Just(GIB), Just(2 * GIB), Just(GIB + BLOCK)];
    let step = prop_oneof![Just(PAGE), Just(BLOCK)];
    (near, step, 0usize..20).prop_map(|(near, step, count)| near + step * count)
}

fn length() -> impl Strategy<Value = usize> {
    let parts = prop_oneof![
        3 => (1usize..24).prop_map(|count| count * PAGE),
        2 => (1usize..5).prop_map(|count| count * BLOCK),
    ];
    (parts, prop::bool::ANY).prop_map(|(len, odd)| len + if odd { PAGE } else { 0 })
}

fn flags() -> impl Strategy<Value = M> {
    prop_oneof![
        4 => Just(RWX),
        2 => Just(M::READ),
        1 => Just(M::READ | M::WRITE),
        1 => Just(M::READ | M::DEVICE),
        1 => Just(M::READ | M::WRITE | M::UNCACHED),
    ]
}

fn anywhere() -> impl Strategy<Value = Place> {
    prop_oneof![
        3 => (place(), length()).prop_map(|(gpa, len)| Place::At(gpa, len)),
        1 => (any::<prop::sample::Index>(), length()).prop_map(|(e, len)| Place::After(e, len)),
    ]
}

fn existing() -> impl Strategy<Value = Place> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        5 => (index(), index(), length()).prop_map(|(e, p, len)| Place::Inside(e, p, len)),
        1 => anywhere(),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    prop_oneof![
        3 => (anywhere(), place(), flags()).prop_map(|(p, h, f)| Plan::Map(p, h, f)),
        2 => existing().prop_map(Plan::Unmap),
        2 => (existing(), flags()).prop_map(|(p, f)| Plan::Protect(p, f)),
    ]
}

/// The naive space: a map of pages.
type Model = BTreeMap<usize, (usize, M)>;

/// What the operation does to the model; `false` if it is to be refused.
fn apply_to_model(model: &mut Model, op: &Op) -> bool {
    let pages = |start: usize, len: usize| (start..start + len).step_by(PAGE);
    match *op {
        Op::Map(gpa, hpa, len, flags) => {
            let free = pages(gpa, len).all(|p| !model.contains_key(&p));
            if free {
                model.extend(pages(gpa, len).map(|p| (p, (hpa + p - gpa, flags))));
            }
            free
        }
        Op::Unmap(gpa, len) => {
            let mapped = pages(gpa, len).all(|p| model.contains_key(&p));
            if mapped {
                model.retain(|&p, _| p < gpa || gpa + len <= p);
            }
            mapped
        }
        Op::Protect(gpa, len, flags) => {
            let like = |p| {
                model
                    .get(&p)
                    .is_some_and(|(_, f): &(usize, M)| f.same_memory_type(flags))
            };
            let possible = pages(gpa, len).all(like);
            if possible {
                for page in pages(gpa, len) {
                    model.entry(page).and_modify(|e| e.1 = flags);
                }
            }
            possible
        }
    }
}

fn apply<F: TableFormat>(
    space: &mut Space<F>,
    op: &Op,
) -> Result<Option<Flush<Fake>>, AddrSpaceError> {
    match *op {
        Op::Map(gpa, hpa, len, flags) => {
            space.map(gpa.into(), hpa.into(), len, flags).map(|()| None)
        }
        Op::Unmap(gpa, len) => space.unmap(range(gpa, len)).map(Some),
        Op::Protect(gpa, len, flags) => space.protect(range(gpa, len), flags).map(Some),
    }
}

/// The two spaces agree on every page that is mapped, on those around, and as extents.
fn compare<F: Manual>(space: &Space<F>, model: &Model) -> Result<(), TestCaseError> {
    for (&page, &expected) in model {
        check_page(space, page, Some(expected))?;
        for near in [page.wrapping_sub(PAGE), page + PAGE] {
            if near < space.size() && !model.contains_key(&near) {
                check_page(space, near, None)?;
            }
        }
    }
    let mut naive: Vec<(usize, usize, usize, M)> = Vec::new();
    for (&page, &(hpa, flags)) in model {
        match naive.last_mut() {
            Some(e) if e.0 + e.2 == page && e.1 + e.2 == hpa && e.3 == flags => e.2 += PAGE,
            _ => naive.push((page, hpa, PAGE, flags)),
        }
    }
    prop_assert_eq!(extents(space), naive);
    Ok(())
}

/// Each format that the property tests run with.
#[derive(Clone, Copy, Debug)]
enum AnyFormat {
    Arm(u32),
    Riscv(Sv),
}

fn format() -> impl Strategy<Value = AnyFormat> {
    let arm = prop_oneof![Just(32u32), Just(40), Just(43), Just(48)];
    let riscv = prop_oneof![
        Just(Sv::sv39x4(false)),
        Just(Sv::sv39x4(true)),
        Just(Sv::sv48x4(false)),
    ];
    prop_oneof![
        arm.prop_map(AnyFormat::Arm),
        riscv.prop_map(AnyFormat::Riscv)
    ]
}

fn behaves_as_a_map<F: Manual>(format: F, ops: &[Plan]) -> Result<(), TestCaseError> {
    fake::with(|s| s.rules = F::RULES);
    let mut space = Space::new(format, vmid()).unwrap();
    let mut model = Model::new();
    for plan in ops {
        let op = &plan.resolve(&space);
        let expected = apply_to_model(&mut model, op);
        let done = apply(&mut space, op);
        prop_assert_eq!(done.is_ok(), expected, "{:x?}", op);
        if let Ok(Some(token)) = done {
            token.flush();
        }
        compare(&space, &model)?;
    }
    drop(space);
    prop_assert!(fake::with(|s| s.tables.is_empty()), "all frames are back");
    Ok(())
}

fn refuses_without_frames<F: Manual>(format: F, ops: &[Plan]) -> Result<(), TestCaseError> {
    fake::with(|s| s.rules = F::RULES);
    let mut space = Space::new(format, vmid()).unwrap();
    let mut model = Model::new();
    for plan in ops {
        let op = &plan.resolve(&space);
        let mut wanted = model.clone();
        if !apply_to_model(&mut wanted, op) {
            continue;
        }
        for budget in 0.. {
            let before = fake::with(|s| {
                s.budget = Some(budget);
                s.tables.len()
            });
            match apply(&mut space, op) {
                Err(error) => {
                    prop_assert_eq!(error, AddrSpaceError::NoMemory);
                    prop_assert_eq!(fake::with(|s| s.tables.len()), before);
                    compare(&space, &model)?;
                }
                Ok(token) => {
                    if let Some(token) = token {
                        token.flush();
                    }
                    break;
                }
            }
        }
        fake::with(|s| s.budget = None);
        model = wanted;
        compare(&space, &model)?;
    }
    drop(space);
    prop_assert!(fake::with(|s| s.tables.is_empty()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(72) })]

    #[test]
    fn behaves_as_a_map_of_pages(
        format in format(),
        ops in prop::collection::vec(plan(), 1..24),
    ) {
        match format {
            AnyFormat::Arm(bits) => behaves_as_a_map(Vmsa::new(bits, 48, false).unwrap(), &ops)?,
            AnyFormat::Riscv(sv) => behaves_as_a_map(sv, &ops)?,
        }
    }

    /// Out of frames at any point: refused, nothing changed, nothing lost.
    #[test]
    fn without_frames_nothing_happens(
        format in prop_oneof![Just(AnyFormat::Arm(40)), Just(AnyFormat::Riscv(Sv::sv48x4(true)))],
        ops in prop::collection::vec(plan(), 1..16),
    ) {
        match format {
            AnyFormat::Arm(bits) => {
                refuses_without_frames(Vmsa::new(bits, 48, false).unwrap(), &ops)?;
            }
            AnyFormat::Riscv(sv) => refuses_without_frames(sv, &ops)?,
        }
    }
}

/// The four frames of the root are one table, with borders of 1 GiB entries at 512 GiB like any.
#[test]
fn the_four_frames_of_a_riscv_root() {
    fake::with(|s| s.rules = fake::RISCV);
    let mut space: Space<Sv> = Space::new(Sv::sv39x4(false), vmid()).unwrap();
    assert_eq!(fake::with(|s| s.tables.values().copied().max()), Some(4));
    let gpa = 1536 * GIB - GIB;
    space
        .map(gpa.into(), (8 * GIB).into(), 2 * GIB, RWX)
        .unwrap();
    assert_eq!(extents(&space), [(gpa, 8 * GIB, 2 * GIB, RWX)]);
    for (at, expected) in [(gpa, 8 * GIB), (1536 * GIB, 9 * GIB)] {
        let walked = Sv::hardware_walk(&space, at as u64).unwrap();
        assert_eq!((walked.0 as usize, walked.3 as usize), (expected, GIB));
    }
    assert_eq!(fake::with(|s| s.tables.len()), 1, "blocks in the root");
    let top = (1usize << 41) - PAGE;
    space.map(top.into(), 0.into(), PAGE, RWX).unwrap();
    assert!(
        space
            .map((1usize << 41).into(), 0.into(), PAGE, RWX)
            .is_err()
    );
}
