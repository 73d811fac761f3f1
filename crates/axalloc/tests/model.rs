//! The frame allocator against a model that keeps each frame's state by itself.

use axalloc::{FRAME_SIZE, FrameAllocator, FrameError, Kind, Owner, PhysAddr, Purpose, Table};
use proptest::prelude::*;

const FRAMES: usize = 64;
/// Small enough to be full at times.
const EXTENTS: usize = 24;

type Frames = FrameAllocator<EXTENTS>;

#[derive(Clone, Debug)]
enum Op {
    Add(Kind, usize, usize),
    Reserve(usize, usize, Owner),
    Alloc(usize, usize, Owner),
    Largest(usize, usize, Owner),
    At(bool, usize, usize, Owner),
    Free(usize, usize, Owner),
    FreeAll(Owner),
}

fn owners() -> impl Strategy<Value = Owner> {
    prop_oneof![
        Just(Owner::Free),
        Just(Owner::Image),
        Just(Owner::Hypervisor(Purpose::Heap)),
        Just(Owner::Table(Table::Guest)),
        (1..3usize).prop_map(Owner::Vm),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    let kinds = prop_oneof![Just(Kind::Ram), Just(Kind::Reserved), Just(Kind::Device)];
    // Bytes, to have them lie across frames' borders.
    let bytes = 0..FRAMES * FRAME_SIZE;
    let len = prop_oneof![0..3 * FRAME_SIZE, (1..8usize).prop_map(|n| n * FRAME_SIZE)];
    let at = 0..FRAMES;
    let align = (0..4u32).prop_map(|n| FRAME_SIZE << n);
    prop_oneof![
        1 => (kinds, bytes.clone(), len.clone()).prop_map(|(k, b, l)| Op::Add(k, b, l)),
        1 => (bytes, len, owners()).prop_map(|(b, l, o)| Op::Reserve(b, l, o)),
        3 => (0..9usize, align.clone(), owners()).prop_map(|(c, a, o)| Op::Alloc(c, a, o)),
        2 => (0..20usize, align, owners()).prop_map(|(c, a, o)| Op::Largest(c, a, o)),
        3 => (any::<bool>(), at.clone(), 0..9usize, owners())
            .prop_map(|(r, b, c, o)| Op::At(r, b, c, o)),
        5 => (at, 0..9usize, owners()).prop_map(|(b, c, o)| Op::Free(b, c, o)),
        1 => owners().prop_map(Op::FreeAll),
    ]
}

/// What is known of each frame.
#[derive(Clone)]
struct Model {
    base: usize,
    frames: Vec<Option<(Kind, Owner)>>,
}

impl Model {
    fn free_ram(&self, from: usize, count: usize) -> bool {
        self.frames
            .get(from..from + count)
            .is_some_and(|run| run.iter().all(|f| *f == Some((Kind::Ram, Owner::Free))))
    }

    fn aligned(&self, frame: usize, align: usize) -> bool {
        (self.base / FRAME_SIZE + frame).is_multiple_of(align / FRAME_SIZE)
    }

    fn set(&mut self, from: usize, count: usize, owner: Owner) {
        for frame in &mut self.frames[from..from + count] {
            frame.as_mut().unwrap().1 = owner;
        }
    }

    /// What allocating or freeing a given range has to answer.
    fn verdict(&self, from: usize, count: usize, ok: impl Fn(Kind, Owner) -> bool) -> Verdict {
        let run = &self.frames[from..(from + count).min(FRAMES)];
        match run.iter().position(|f| !f.is_some_and(|(k, o)| ok(k, o))) {
            Some(at) => Verdict::Refused(from + at),
            None if from + count > FRAMES => Verdict::Refused(FRAMES),
            None => Verdict::Granted,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Granted,
    Refused(usize),
}

/// The frame an error is about.
fn culprit(model: &Model, error: FrameError) -> usize {
    let base = match error {
        FrameError::Unmanaged { base } => base,
        FrameError::WrongKind { base, .. } => base,
        FrameError::WrongOwner { base, .. } => base,
        other => panic!("{other:?}"),
    };
    (base.as_usize() - model.base) / FRAME_SIZE
}

fn apply(real: &mut Frames, model: &mut Model, op: Op) {
    let origin = model.base;
    let addr = |frame: usize| PhysAddr::from_usize(origin + frame * FRAME_SIZE);
    match op {
        Op::Add(kind, byte, len) => {
            let len = len.min(FRAMES * FRAME_SIZE - byte);
            let base = PhysAddr::from_usize(model.base + byte);
            let result = match kind {
                Kind::Ram => real.add_ram(base, len),
                Kind::Reserved => real.add_reserved(base, len),
                Kind::Device => real.add_device(base, len),
            };
            let range = if kind == Kind::Ram {
                byte.div_ceil(FRAME_SIZE)..(byte + len) / FRAME_SIZE
            } else if len == 0 {
                0..0
            } else {
                byte / FRAME_SIZE..(byte + len).div_ceil(FRAME_SIZE)
            };
            if result.is_err() {
                // A part may have been added: take over what is there, if it may be.
                for frame in range {
                    let now = real.lookup(addr(frame)).map(|e| (e.kind(), e.owner()));
                    if now != model.frames[frame] {
                        assert!(kind != Kind::Ram);
                        assert!(now == Some((kind, Owner::Free)));
                        assert!(
                            model.frames[frame].is_none()
                                || model.frames[frame] == Some((Kind::Ram, Owner::Free))
                        );
                        model.frames[frame] = now;
                    }
                }
                return;
            }
            for frame in range {
                let state = &mut model.frames[frame];
                match (*state, kind) {
                    (None, _) => *state = Some((kind, Owner::Free)),
                    (Some(_), Kind::Ram) => panic!("known twice"),
                    (Some((Kind::Ram, _)), Kind::Device) => panic!("device over RAM"),
                    (Some((Kind::Ram, Owner::Free)), Kind::Reserved) => {
                        *state = Some((kind, Owner::Free));
                    }
                    _ => {}
                }
            }
        }
        Op::Reserve(byte, len, owner) => {
            let len = len.min(FRAMES * FRAME_SIZE - byte);
            let result = real.reserve(PhysAddr::from_usize(model.base + byte), len, owner);
            if owner == Owner::Free {
                assert_eq!(result, Err(FrameError::FreeIsNoOwner));
                return;
            }
            let end = if len == 0 {
                byte / FRAME_SIZE
            } else {
                (byte + len).div_ceil(FRAME_SIZE)
            };
            for frame in byte / FRAME_SIZE..end {
                if model.free_ram(frame, 1)
                    && (result.is_ok() || real.lookup(addr(frame)).unwrap().owner() == owner)
                {
                    model.set(frame, 1, owner);
                }
            }
        }
        Op::Alloc(count, align, owner) => {
            let fits = |m: &Model, f: &usize| m.aligned(*f, align) && m.free_ram(*f, count);
            match real.alloc(count, align, owner) {
                Some(base) => {
                    let frame = (base.as_usize() - model.base) / FRAME_SIZE;
                    assert!(count > 0 && owner != Owner::Free && fits(model, &frame));
                    if !matches!(owner, Owner::Vm(_)) {
                        // From the top: nothing above would have done.
                        assert!(!(frame + 1..FRAMES).any(|f| fits(model, &f)));
                    }
                    model.set(frame, count, owner);
                }
                None => assert!(
                    count == 0
                        || owner == Owner::Free
                        || real.extents().count() + 2 > EXTENTS - 2
                        || !(0..FRAMES).any(|f| fits(model, &f))
                ),
            }
        }
        Op::Largest(max, align, owner) => {
            let step = align / FRAME_SIZE;
            let best = (1..=max)
                .rev()
                .filter(|n| *n == max || n % step == 0)
                .find(|&n| (0..FRAMES).any(|f| model.aligned(f, align) && model.free_ram(f, n)));
            match real.alloc_largest(max, align, owner) {
                Some((base, count)) => {
                    let frame = (base.as_usize() - model.base) / FRAME_SIZE;
                    assert_eq!(Some(count), best);
                    assert!(model.aligned(frame, align) && model.free_ram(frame, count));
                    assert!(owner != Owner::Free);
                    model.set(frame, count, owner);
                }
                None => assert!(
                    owner == Owner::Free
                        || best.is_none()
                        || real.extents().count() + 2 > EXTENTS - 2
                ),
            }
        }
        Op::At(ram, frame, count, owner) => {
            let result = if ram {
                real.alloc_at(addr(frame), count, owner)
            } else {
                real.claim(addr(frame), count, owner)
            };
            let verdict = model.verdict(frame, count, |kind, owner| {
                (kind == Kind::Ram) == ram && owner == Owner::Free
            });
            settle(model, result, verdict, (frame, count, owner), owner);
        }
        Op::Free(frame, count, owner) => {
            let result = real.free(addr(frame), count, owner);
            let verdict = model.verdict(frame, count, |_, of| of == owner);
            settle(model, result, verdict, (frame, count, owner), Owner::Free);
        }
        Op::FreeAll(owner) => {
            let mut frames = 0;
            for frame in model.frames.iter_mut().flatten() {
                if frame.1 == owner {
                    frame.1 = Owner::Free;
                    frames += 1;
                }
            }
            assert_eq!(real.free_all(owner), frames);
        }
    }
}

/// Compares the answer about a given range with the model's, and carries it out there.
fn settle(
    model: &mut Model,
    result: Result<(), FrameError>,
    verdict: Verdict,
    (frame, count, asked): (usize, usize, Owner),
    becomes: Owner,
) {
    match result {
        Ok(()) => {
            assert_eq!(verdict, Verdict::Granted);
            assert!(count > 0 && asked != Owner::Free);
            model.set(frame, count, becomes);
        }
        Err(FrameError::Empty) => assert_eq!(count, 0),
        Err(FrameError::FreeIsNoOwner) => assert_eq!(asked, Owner::Free),
        Err(FrameError::TableFull) => assert_eq!(verdict, Verdict::Granted),
        // Behind the end of the address space there are no frames to name.
        Err(FrameError::BadRange { .. }) => assert!(frame + count > FRAMES),
        Err(error) => assert_eq!(verdict, Verdict::Refused(culprit(model, error))),
    }
}

fn compare(real: &Frames, model: &Model) {
    let mut end = 0;
    let mut last = None;
    for extent in real.extents() {
        let first = extent.base().as_usize() / FRAME_SIZE;
        assert!(first >= end && extent.frames() > 0);
        // Neighbours that could be one are one.
        assert!(first != end || last != Some((extent.kind(), extent.owner())));
        (end, last) = (
            first + extent.frames(),
            Some((extent.kind(), extent.owner())),
        );
    }
    for (frame, state) in model.frames.iter().enumerate() {
        let addr = PhysAddr::from_usize(model.base + frame * FRAME_SIZE);
        let now = real.lookup(addr).map(|e| (e.kind(), e.owner()));
        assert_eq!(now, *state, "frame {frame}");
    }
    for owner in [Owner::Free, Owner::Image, Owner::Vm(1), Owner::Vm(2)] {
        let frames = model.frames.iter().flatten();
        let count = frames.filter(|f| **f == (Kind::Ram, owner)).count();
        assert_eq!(real.usage(owner), (count * FRAME_SIZE) as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn every_frame_has_the_owner_the_model_says(
        base in prop_oneof![
            Just(0),
            Just(0x4000_0000),
            Just(0x4000_3000),
            // Ends with the address space.
            Just(usize::MAX - (FRAMES * FRAME_SIZE - 1)),
        ],
        ram in 0..FRAMES,
        steps in prop::collection::vec(ops(), 1..60),
    ) {
        let mut real = Frames::new();
        let mut model = Model { base, frames: vec![None; FRAMES] };
        apply(&mut real, &mut model, Op::Add(Kind::Ram, 0, ram * FRAME_SIZE));
        for step in steps {
            apply(&mut real, &mut model, step);
            compare(&real, &model);
        }
    }

    /// Whatever numbers come, nothing panics, and nothing outside the RAM is handed out.
    #[test]
    fn wild_numbers(calls in prop::collection::vec((0..8u8, wild(), wild(), wild()), 1..20)) {
        let mut real = FrameAllocator::<16>::new();
        real.add_ram(PhysAddr::from_usize(0x4000_0000), 0x10_0000).unwrap();
        for (call, a, b, c) in calls {
            let addr = PhysAddr::from_usize(a);
            let owner = Owner::Vm(c);
            match call {
                0 => drop(real.add_reserved(addr, b)),
                1 => drop(real.add_device(addr, b)),
                2 => drop(real.reserve(addr, b, owner)),
                3 => drop(real.alloc(a, b, owner)),
                4 => drop(real.alloc_largest(a, b, owner)),
                5 => drop(real.alloc_at(addr, b, owner)),
                6 => drop(real.free(addr, b, owner)),
                _ => drop(real.claim(addr, b, owner)),
            }
            prop_assert!(real.ram_where(|_| true) <= 0x10_0000);
        }
    }
}

fn wild() -> impl Strategy<Value = usize> {
    prop_oneof![
        any::<usize>(),
        0..3usize,
        (0..4usize).prop_map(|n| usize::MAX - n),
        (0..64u32).prop_map(|n| 1 << n),
        (0..512usize).prop_map(|n| 0x3ff0_0000 + n * FRAME_SIZE),
    ]
}
