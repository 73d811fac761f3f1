use super::*;
use crate::fake::{self, Fake, RAM};
use crate::{Vmids, Vmsa};
use proptest::prelude::*;

const PAGE: usize = 4096;

fn space() -> AddrSpace<Fake, Vmsa> {
    let pool: &'static Vmids = Box::leak(Box::new(Vmids::new(8)));
    let format = Vmsa::new(40, 40, false).unwrap();
    AddrSpace::new(format, pool.alloc().unwrap()).unwrap()
}

fn gpa(at: usize) -> GuestPhysAddr {
    at.into()
}

const RW: MappingFlags = MappingFlags::READ.union(MappingFlags::WRITE);

#[test]
fn accesses_are_checked_where_they_go_wrong() {
    let mut space = space();
    space.map(gpa(0x1000), RAM.into(), PAGE, RW).unwrap();
    space
        .map(gpa(0x2000), (RAM + 0x8000).into(), PAGE, MappingFlags::READ)
        .unwrap();
    space
        .map(
            gpa(0x4000),
            0x900_0000.into(),
            PAGE,
            RW | MappingFlags::DEVICE,
        )
        .unwrap();
    let mut buf = [0; 64];
    assert_eq!(
        space.read(gpa(0xff0), &mut buf),
        Err(GuestMemError::NotMapped(gpa(0xff0)))
    );
    assert_eq!(
        space.read(gpa(0x2ff0), &mut buf),
        Err(GuestMemError::NotMapped(gpa(0x3000)))
    );
    assert_eq!(
        space.read(gpa(0x4000), &mut buf),
        Err(GuestMemError::NotMemory(gpa(0x4000)))
    );
    assert_eq!(
        space.write(gpa(0x1fff), &buf),
        Err(GuestMemError::ReadOnly(gpa(0x2000)))
    );
    assert_eq!(
        space.store(gpa(0x2000), 1u32),
        Err(GuestMemError::ReadOnly(gpa(0x2000)))
    );
    assert_eq!(
        space.store(gpa(0x1002), 1u32),
        Err(GuestMemError::Misaligned(gpa(0x1002)))
    );
    assert_eq!(
        space.load::<u64>(gpa(0x1004)),
        Err(GuestMemError::Misaligned(gpa(0x1004)))
    );
    let end = gpa(usize::MAX - 7);
    assert_eq!(space.load::<u64>(end), Err(GuestMemError::NotMapped(end)));
    assert_eq!(
        space.read(end, &mut buf),
        Err(GuestMemError::NotMapped(end))
    );
    assert_eq!(space.read(gpa(0x7000), &mut []), Ok(()));
}

#[test]
fn integers_are_little_endian_and_whole() {
    let mut space = space();
    space.map(gpa(0x1000), RAM.into(), PAGE, RW).unwrap();
    space.store(gpa(0x1008), 0x0102_0304_0506_0708u64).unwrap();
    let mut buf = [0; 8];
    space.read(gpa(0x1008), &mut buf).unwrap();
    assert_eq!(buf, [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(space.load::<u16>(gpa(0x100a)), Ok(0x0506));
    assert_eq!(space.load::<u32>(gpa(0x100c)), Ok(0x0102_0304));
    space.store(gpa(0x100f), 0xffu8).unwrap();
    assert_eq!(space.load::<u64>(gpa(0x1008)), Ok(0xff02_0304_0506_0708));
    fake::with(|s| s.windows.clear());
    space.load::<u32>(gpa(0x1ffc)).unwrap();
    assert_eq!(
        fake::with(|s| s.windows.clone()),
        [((RAM + 0xffc).into(), 4)]
    );
}

#[test]
fn chunks_are_contiguous_and_stay_in_a_block() {
    let mut space = space();
    let (start, len) = (0x4000_0000, 6 << 20);
    space
        .map(gpa(start), (RAM + 0x1000).into(), len, MappingFlags::READ)
        .unwrap();
    let mut next = RAM + 0x1800;
    let range = GuestPhysRange {
        start: gpa(start + 0x800),
        end: gpa(start + len),
    };
    space
        .for_each_chunk(range, |hpa, len| {
            assert_eq!(hpa.as_usize(), next);
            assert!(next >> 21 == (next + len - 1) >> 21);
            next += len;
        })
        .unwrap();
    assert_eq!(next, RAM + 0x1000 + len);
    // One mapping of 1 GiB, in pieces all the same.
    space
        .map(gpa(2 << 30), (2 << 30).into(), 1 << 30, MappingFlags::READ)
        .unwrap();
    let range = GuestPhysRange {
        start: gpa((2 << 30) + 0x1000),
        end: gpa(3 << 30),
    };
    let mut pieces = 0;
    space
        .for_each_chunk(range, |hpa, len| {
            assert_eq!(hpa.as_usize() >> 21, (hpa.as_usize() + len - 1) >> 21);
            pieces += 1;
        })
        .unwrap();
    assert_eq!(pieces, 512);
}

proptest! {
    /// Guest memory behaves as the array it is, whatever frames lie behind it.
    #[test]
    fn reads_give_what_was_written(
        ops in prop::collection::vec((0usize..0x6000, 0usize..0x3000, any::<u8>(), any::<bool>()), 1..40),
        shuffle in Just([5usize, 3, 0, 4, 1, 2]).prop_shuffle(),
    ) {
        let mut space = space();
        for (i, frame) in shuffle.iter().enumerate() {
            space.map(gpa(i * PAGE), (RAM + frame * PAGE).into(), PAGE, RW).unwrap();
        }
        let mut model = vec![0u8; 6 * PAGE];
        let all = GuestPhysRange { start: gpa(0), end: gpa(6 * PAGE) };
        space.zero(all).unwrap();
        for (at, len, seed, zero) in ops {
            let len = len.min(model.len() - at);
            if zero {
                let range = GuestPhysRange { start: gpa(at), end: gpa(at + len) };
                space.zero(range).unwrap();
                model[at..at + len].fill(0);
            } else {
                let data: Vec<u8> = (0..len).map(|i| seed.wrapping_add(i as u8)).collect();
                space.write(gpa(at), &data).unwrap();
                model[at..at + len].copy_from_slice(&data);
            }
            let mut back = vec![0; model.len() - at / 2];
            space.read(gpa(at / 2), &mut back).unwrap();
            prop_assert_eq!(&back[..], &model[at / 2..]);
        }
    }

    /// The portable copy and fill, at every alignment of both sides.
    #[test]
    fn copies_at_any_alignment(dst in 0usize..16, src in 0usize..16, len in 0usize..100) {
        let from: Vec<u8> = (0..128).collect();
        let mut to = vec![0xffu8; 128];
        // SAFETY: offsets and length stay inside both vectors.
        unsafe { copy_volatile(to.as_mut_ptr().add(dst), from.as_ptr().add(src), len) };
        let mut expected = vec![0xffu8; 128];
        expected[dst..dst + len].copy_from_slice(&from[src..src + len]);
        prop_assert_eq!(&to, &expected);
        // SAFETY: likewise.
        unsafe { zero_volatile(to.as_mut_ptr().add(dst), len) };
        expected[dst..dst + len].fill(0);
        prop_assert_eq!(&to, &expected);
    }
}
