use std::{cell::RefCell, vec, vec::Vec};

use proptest::prelude::*;

use crate::drivers::sbi::{Call, FenceRange, HartMask, HartState, Sbi, SbiError, extension};
use crate::drivers::{
    arch::{OPS, Op},
    timer::{Timer, riscv::Clock},
};
use crate::machine::Extensions;

type Asked = (usize, usize, [usize; 5]);

/// A firmware that answers the same to all, and remembers what it was asked.
struct Fake<'a> {
    answer: (isize, usize),
    calls: &'a RefCell<Vec<Asked>>,
}

impl Call for Fake<'_> {
    fn call(&self, extension: usize, function: usize, args: [usize; 5]) -> (isize, usize) {
        self.calls.borrow_mut().push((extension, function, args));
        self.answer
    }
}

/// Runs something on a firmware with this answer; returns also what was called.
fn with<R>(answer: (isize, usize), run: impl FnOnce(Sbi<Fake<'_>>) -> R) -> (R, Vec<Asked>) {
    let calls = RefCell::new(Vec::new());
    let result = run(Sbi::new(Fake {
        answer,
        calls: &calls,
    }));
    (result, calls.into_inner())
}

#[test]
fn functions_and_arguments() {
    let harts = HartMask { mask: 5, base: 64 };
    let range = FenceRange::new(0x1000, 0x2000);
    assert_eq!(
        with((0, 0x200_0001), |sbi| sbi.version()),
        (Ok((2, 1)), vec![(0x10, 0, [0; 5])])
    );
    assert_eq!(
        with((0, 1), |sbi| sbi.has(extension::DBCN)),
        (true, vec![(0x10, 3, [0x4442_434e, 0, 0, 0, 0])])
    );
    let (ids, calls) = with((0, 5), |sbi| sbi.machine_ids());
    assert_eq!(ids, [5; 3]);
    assert_eq!(calls, [4, 5, 6].map(|function| (0x10, function, [0; 5])));
    assert_eq!(with((-2, 5), |sbi| sbi.machine_ids()).0, [0; 3]);
    assert!(!with((0, 0), |sbi| sbi.has(0)).0);
    assert!(!with((-2, 1), |sbi| sbi.has(0)).0);
    assert_eq!(
        with((0, 0), |sbi| sbi.set_timer(77)),
        (Ok(()), vec![(0x5449_4d45, 0, [77, 0, 0, 0, 0])])
    );
    assert_eq!(
        with((0, 0), |sbi| sbi.send_ipi(harts)),
        (Ok(()), vec![(0x73_5049, 0, [5, 64, 0, 0, 0])])
    );
    let fence = |function, args| (Ok(()), vec![(0x5246_4e43, function, args)]);
    assert_eq!(
        with((0, 0), |sbi| sbi.remote_fence_i(harts)),
        fence(0, [5, 64, 0, 0, 0])
    );
    assert_eq!(
        with((0, 0), |sbi| sbi.remote_sfence_vma(harts, FenceRange::ALL)),
        fence(1, [5, 64, 0, usize::MAX, 0])
    );
    assert_eq!(
        with((0, 0), |sbi| sbi.remote_hfence_gvma_vmid(harts, range, 3)),
        fence(3, [5, 64, 0x1000, 0x2000, 3])
    );
    assert_eq!(
        with((0, 0), |sbi| sbi.remote_hfence_gvma(harts, range)),
        fence(4, [5, 64, 0x1000, 0x2000, 0])
    );
    assert_eq!(
        with((0, 0), |sbi| sbi.remote_hfence_vvma_asid(harts, range, 9)),
        fence(5, [5, 64, 0x1000, 0x2000, 9])
    );
    assert_eq!(
        with((0, 0), |sbi| sbi.remote_hfence_vvma(harts, range)),
        fence(6, [5, 64, 0x1000, 0x2000, 0])
    );
    assert_eq!(
        // SAFETY: nothing is started here.
        with((0, 0), |sbi| unsafe { sbi.hart_start(3, 0x8020_0000, 7) }),
        (Ok(()), vec![(0x48_534d, 0, [3, 0x8020_0000, 7, 0, 0])])
    );
    for (answer, state) in [
        (0, HartState::Started),
        (1, HartState::Stopped),
        (2, HartState::Other(2)),
    ] {
        assert_eq!(
            with((0, answer), |sbi| sbi.hart_status(3)),
            (Ok(state), vec![(0x48_534d, 2, [3, 0, 0, 0, 0])])
        );
    }
    let reset = |kind, reason| vec![(0x5352_5354, 0, [kind, reason, 0, 0, 0])];
    assert_eq!(
        with((-2, 0), |sbi| sbi.shutdown(false)),
        (SbiError::NotSupported, reset(0, 0))
    );
    assert_eq!(
        with((-1, 0), |sbi| sbi.shutdown(true)),
        (SbiError::Failed, reset(0, 1))
    );
    assert_eq!(
        with((0, 0), |sbi| sbi.cold_reboot()),
        (SbiError::Unknown(0), reset(1, 0))
    );
    assert_eq!(
        with((0, 0), |sbi| sbi.write_byte(b'x')),
        (Ok(()), vec![(0x4442_434e, 2, [0x78, 0, 0, 0, 0])])
    );
    assert_eq!(
        with((7, 7), |sbi| sbi.legacy_putchar(b'x')).1,
        vec![(1, 0, [0x78, 0, 0, 0, 0])]
    );
}

#[test]
fn errors() {
    use SbiError::*;
    for (code, error) in [
        (-1, Failed),
        (-2, NotSupported),
        (-3, InvalidParam),
        (-4, Denied),
        (-5, InvalidAddress),
        (-6, AlreadyAvailable),
        (-7, AlreadyStarted),
        (-8, AlreadyStopped),
        (-9, Unknown(-9)),
        (1, Unknown(1)),
    ] {
        assert_eq!(with((code, 5), |sbi| sbi.version()).0, Err(error));
    }
}

#[test]
fn timers() {
    let machine = super::riscv_machine(Extensions::SSTC);
    let clock = Clock::new(&machine);
    assert_eq!(Clock::frequency(&machine), (0, Some(10_000_000)));
    OPS.take();
    clock.set_deadline(77);
    clock.clear_deadline();
    assert_eq!(OPS.take(), [Op::Stimecmp(77), Op::Stimecmp(u64::MAX)]);
    // Without Sstc nothing but the firmware is asked.
    let clock = Clock::new(&super::riscv_machine(Extensions::empty()));
    clock.set_deadline(77);
    assert!(OPS.take().is_empty());
    // The host's timer is Arm's, and this machine isn't.
    assert!(Timer::new(&machine).is_err());
}

proptest! {
    /// Every hart is in one mask, and nothing else is.
    #[test]
    fn masks_cover_harts(ids in prop::collection::btree_set(
        prop_oneof![0_u64..200, any::<u64>()], 0..8))
    {
        let mut found = Vec::new();
        for HartMask { mask, base } in HartMask::cover(ids.iter().copied()) {
            prop_assert!(mask & 1 != 0);
            found.extend((0..64).filter(|bit| mask >> bit & 1 != 0).map(|bit| base as u64 + bit));
        }
        prop_assert_eq!(found, ids.into_iter().collect::<Vec<_>>());
    }
}
