//! What the frame allocator promises beyond what the model knows.

use axalloc::{FRAME_SIZE, FrameAllocator, FrameError, Kind, Owner, PhysAddr, Purpose};

const MIB: usize = 1 << 20;
const RAM: usize = 0x4000_0000;
const HEAP: Owner = Owner::Hypervisor(Purpose::Heap);

fn at(addr: usize) -> PhysAddr {
    PhysAddr::from_usize(addr)
}

fn machine() -> FrameAllocator<64> {
    let mut frames = FrameAllocator::new();
    frames.add_ram(at(RAM), 64 * MIB).unwrap();
    frames
}

#[test]
fn small_allocations_leave_the_big_blocks_whole() {
    let mut frames = machine();
    for _ in 0..100 {
        frames.alloc(1, FRAME_SIZE, HEAP).unwrap();
    }
    // All of them lie in the last 2 MiB block: 31 are left, and one extent each.
    let blocks = 31 * 2 * MIB / FRAME_SIZE;
    assert_eq!(
        frames.alloc(blocks, 2 * MIB, Owner::Vm(1)),
        Some(at(RAM)),
        "guest RAM comes from the bottom"
    );
    assert_eq!(frames.usage(HEAP), 100 * FRAME_SIZE as u64);
    assert_eq!(frames.extents().count(), 3);
}

#[test]
fn guests_take_the_smallest_hole_that_fits() {
    let mut frames = machine();
    // Holes of 32, 4 and 26 MiB.
    frames.alloc_at(at(RAM + 32 * MIB), 256, HEAP).unwrap();
    frames.alloc_at(at(RAM + 37 * MIB), 256, HEAP).unwrap();
    let got = frames.alloc(4 * MIB / FRAME_SIZE, FRAME_SIZE, Owner::Vm(1));
    assert_eq!(got, Some(at(RAM + 33 * MIB)));
}

#[test]
fn guest_ram_of_several_extents() {
    let mut frames = machine();
    frames.alloc_at(at(RAM + 20 * MIB), 1, HEAP).unwrap();
    let mut left = 60 * MIB / FRAME_SIZE;
    let mut runs = Vec::new();
    for align in [2 * MIB, FRAME_SIZE] {
        while let Some((base, count)) = frames.alloc_largest(left, align, Owner::Vm(1)) {
            runs.push((base.as_usize(), count * FRAME_SIZE));
            left -= count;
        }
    }
    assert_eq!(left, 0);
    assert_eq!(runs, [(RAM + 22 * MIB, 42 * MIB), (RAM, 18 * MIB)]);
}

#[test]
fn owners_are_named() {
    let mut frames = machine();
    frames.reserve(at(RAM + 5000), 100, Owner::Image).unwrap();
    let base = at(RAM + FRAME_SIZE);
    let owned = |owner| Err(FrameError::WrongOwner { base, owner });
    assert_eq!(
        frames.alloc_at(at(RAM), 2, Owner::Vm(1)),
        owned(Owner::Image)
    );
    assert_eq!(frames.free(base, 1, HEAP), owned(Owner::Image));
    frames.free(base, 1, Owner::Image).unwrap();
    assert_eq!(frames.free(base, 1, Owner::Image), owned(Owner::Free));
    assert_eq!(
        frames.free(at(RAM - FRAME_SIZE), 1, HEAP),
        Err(FrameError::Unmanaged {
            base: at(RAM - FRAME_SIZE)
        })
    );
    assert_eq!(
        frames.free(at(RAM + 1), 1, HEAP),
        Err(FrameError::BadRange {
            base: RAM + 1,
            len: FRAME_SIZE
        })
    );
}

#[test]
fn a_reserved_range_is_claimed_once() {
    let mut frames = machine();
    let base = at(RAM + 16 * MIB);
    frames.add_reserved(base, 2 * MIB).unwrap();
    frames.add_device(at(0x900_0000), 0x200).unwrap();
    assert_eq!(
        frames.alloc_at(base, 512, Owner::Vm(1)),
        Err(FrameError::WrongKind {
            base,
            kind: Kind::Reserved
        })
    );
    frames.claim(base, 512, Owner::Vm(1)).unwrap();
    frames.claim(at(0x900_0000), 1, Owner::Vm(1)).unwrap();
    assert_eq!(
        frames.claim(base, 1, Owner::Vm(2)),
        Err(FrameError::WrongOwner {
            base,
            owner: Owner::Vm(1)
        })
    );
    assert_eq!(frames.free_all(Owner::Vm(1)), 513);
    // Given back, it is the board's again, and not RAM.
    assert_eq!(frames.lookup(base).unwrap().kind(), Kind::Reserved);
    assert_eq!(frames.ram_where(|_| true), 62 * MIB as u64);
}

#[test]
fn a_full_table_is_an_error() {
    let mut frames = FrameAllocator::<8>::new();
    frames.add_ram(at(RAM), MIB).unwrap();
    let mut taken = Vec::new();
    let error = loop {
        let base = at(RAM + taken.len() * 2 * FRAME_SIZE);
        match frames.alloc_at(base, 1, HEAP) {
            Ok(()) => taken.push(base),
            Err(error) => break error,
        }
    };
    assert_eq!(error, FrameError::TableFull);
    assert_eq!(frames.usage(HEAP), (taken.len() * FRAME_SIZE) as u64);
    for base in taken {
        frames.free(base, 1, HEAP).unwrap();
    }
    assert_eq!(frames.extents().count(), 1);
}
