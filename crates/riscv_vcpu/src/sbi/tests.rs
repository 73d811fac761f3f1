use super::legacy::Legacy;
use super::*;
use proptest::prelude::*;

const ALL: [u64; 7] = [
    eid::BASE,
    eid::TIME,
    eid::IPI,
    eid::RFENCE,
    eid::HSM,
    eid::SRST,
    eid::DBCN,
];

const OFFER: Offer = Offer {
    machine_ids: [1, 2, 3],
    console: true,
};

fn call_with<const N: usize>(extension: u64, function: u64, args: [u64; N], offer: Offer) -> Call {
    let mut a = [0; 8];
    for (slot, arg) in a.iter_mut().zip(args) {
        *slot = arg;
    }
    a[6] = function;
    a[7] = extension;
    decode(a, || offer)
}

fn call<const N: usize>(extension: u64, function: u64, args: [u64; N]) -> Call {
    call_with(extension, function, args, OFFER)
}

const NOT_SUPPORTED: Call = Call::Done(Err(Error::NotSupported));
const INVALID_PARAM: Call = Call::Done(Err(Error::InvalidParam));

#[test]
fn base_says_what_this_is() {
    let base = |function| call(eid::BASE, function, [0]);
    assert_eq!(base(0), Call::Done(Ok(0x0200_0000)));
    assert_eq!([4, 5, 6].map(base), [1, 2, 3].map(|id| Call::Done(Ok(id))));
    assert_eq!(base(7), NOT_SUPPORTED);
}

/// What answers is what a probe finds: all extensions of the specification, ours, and numbers that
/// legacy extensions have and could have had.
#[test]
fn probes_are_true() {
    let others = [
        0,
        1,
        8,
        0xf,
        0x50_4d55,
        0x5355_5350,
        0x4e41_434c,
        0x53_5441,
        0x4650_5543,
        0x0a00_0001,
    ];
    for extension in ALL.into_iter().chain([HYPERVISOR]).chain(others) {
        for console in [false, true] {
            let offer = Offer { console, ..OFFER };
            let answers = call_with(extension, 0, [0; 6], offer) != NOT_SUPPORTED;
            let probed = call_with(eid::BASE, 3, [extension], offer) == Call::Done(Ok(1));
            assert_eq!(answers, probed, "{extension:#x}");
        }
    }
}

#[test]
fn legacy_calls() {
    // They have no function number.
    let decoded = |extension| legacy::decode([0x141, 0x1000, 0x2000, 9, 0, 0, 7, extension]);
    let (start, size) = (0x1000, 0x2000);
    let fence = |asid| Fence::Translations { start, size, asid };
    let expected = [
        Legacy::SetTimer(0x141),
        Legacy::PutCharacter(0x41),
        Legacy::GetCharacter,
        Legacy::ClearIpi,
        Legacy::SendIpi(0x141),
        Legacy::RemoteFence(0x141, Fence::Instructions),
        Legacy::RemoteFence(0x141, fence(None)),
        Legacy::RemoteFence(0x141, fence(Some(9))),
        Legacy::Shutdown,
    ];
    for (extension, legacy) in (0..).zip(expected) {
        assert_eq!(call(extension, 7, []), Call::Legacy);
        assert_eq!(decoded(extension), Some(legacy));
    }
    for extension in 9..0x10 {
        assert_eq!(call(extension, 7, []), NOT_SUPPORTED);
        assert_eq!(decoded(extension), None);
    }
}

#[test]
fn the_frequent_calls() {
    assert_eq!(call(eid::TIME, 0, [77]), Call::SetTimer(77));
    let mask = HartMask { mask: 5, base: 2 };
    assert_eq!(call(eid::IPI, 0, [5, 2]), Call::SendIpi(mask));
    assert_eq!(
        call(eid::RFENCE, 0, [5, 2]),
        Call::RemoteFence(mask, Fence::Instructions)
    );
    let vma = |asid| Fence::Translations {
        start: 0x1000,
        size: 0x2000,
        asid,
    };
    let args = [5, 2, 0x1000, 0x2000, 9];
    assert_eq!(
        call(eid::RFENCE, 1, args),
        Call::RemoteFence(mask, vma(None))
    );
    assert_eq!(
        call(eid::RFENCE, 2, args),
        Call::RemoteFence(mask, vma(Some(9)))
    );
    for function in 3..8 {
        assert_eq!(call(eid::RFENCE, function, args), NOT_SUPPORTED);
    }
    assert_eq!(call(eid::TIME, 1, [0]), NOT_SUPPORTED);
    assert_eq!(call(eid::IPI, 1, [0]), NOT_SUPPORTED);
}

#[test]
fn harts_start_stop_and_sleep() {
    let start = Call::HartStart {
        hart: 3,
        entry: 0x8020_0000,
        arg: 9,
    };
    assert_eq!(call(eid::HSM, 0, [3, 0x8020_0000, 9]), start);
    assert_eq!(call(eid::HSM, 1, []), Call::HartStop);
    assert_eq!(call(eid::HSM, 2, [3]), Call::HartStatus(3));
    let suspend = |kind| call(eid::HSM, 3, [kind, 0x8020_0000, 9]);
    assert_eq!(suspend(0), Call::HartSuspend(None));
    let resume = Call::HartSuspend(Some(Resume {
        entry: 0x8020_0000,
        arg: 9,
    }));
    assert_eq!(suspend(0x8000_0000), resume);
    assert_eq!(suspend(0xffff_ffff_8000_0000), resume);
    for reserved in [
        1,
        0x1000_0000,
        0x7fff_ffff,
        0x8000_0001,
        0x9000_0000,
        0xffff_ffff,
    ] {
        assert_eq!(suspend(reserved), INVALID_PARAM, "{reserved:#x}");
    }
    assert_eq!(call(eid::HSM, 4, [0]), NOT_SUPPORTED);
}

#[test]
fn resets() {
    let reset = |kind, reason| call(eid::SRST, 0, [kind, reason]);
    assert_eq!([reset(0, 0), reset(0, 1)], [Call::Shutdown; 2]);
    assert_eq!([reset(1, 0), reset(2, 1)], [Call::Reboot; 2]);
    for (kind, reason) in [
        (3, 0),
        (0xf000_0000, 0),
        (0, 2),
        (0, 0xe000_0000),
        (1, 0xffff_ffff),
    ] {
        assert_eq!(reset(kind, reason), INVALID_PARAM);
    }
    assert_eq!(call(eid::SRST, 1, [0, 0]), NOT_SUPPORTED);
}

#[test]
fn console_pointers_are_64_bits() {
    let (base, len) = (0x8000_0000, 5);
    assert_eq!(
        call(eid::DBCN, 0, [5, base, 0]),
        Call::ConsoleWrite { base, len }
    );
    assert_eq!(
        call(eid::DBCN, 1, [5, base, 0]),
        Call::ConsoleRead { base, len }
    );
    assert_eq!(call(eid::DBCN, 2, [0x141]), Call::ConsoleWriteByte(b'A'));
    assert_eq!(call(eid::DBCN, 0, [5, base, 1]), INVALID_PARAM);
    assert_eq!(call(eid::DBCN, 1, [5, u64::MAX - 3, 0]), INVALID_PARAM);
    assert_eq!(call(eid::DBCN, 3, [0; 3]), NOT_SUPPORTED);
}

#[test]
fn our_own_calls_are_the_hypervisors() {
    let expected = Call::Hypervisor {
        nr: 7,
        args: [1, 2, 3, 4, 5, 6],
    };
    assert_eq!(call(0x0a61_7868, 7, [1, 2, 3, 4, 5, 6]), expected);
}

#[test]
fn answers_are_two_registers() {
    assert_eq!(registers(Ok(5)), (0, 5));
    assert_eq!(registers(Err(Error::NotSupported)), (-2i64 as u64, 0));
}

#[test]
fn masks_name_harts() {
    let harts = [4, 6, 70];
    let select = |mask, base| HartMask { mask, base }.select(&harts);
    assert_eq!(select(0, 0), Ok(0));
    assert_eq!(select(1 << 4 | 1 << 6, 0), Ok(0b11));
    assert_eq!(select(0b101, 4), Ok(0b11));
    assert_eq!(select(1, 70), Ok(0b100));
    assert_eq!(select(1 << 63 | 1, 7), Err(Error::InvalidParam));
    assert_eq!(select(1 << 63, 7), Ok(0b100));
    // Another VM's, or nobody's.
    assert_eq!(select(1, 5), Err(Error::InvalidParam));
    assert_eq!(select(0b1_0011, 4), Err(Error::InvalidParam));
    // No hart behind the end of the numbers.
    assert_eq!(select(1 << 10, u64::MAX - 5), Err(Error::InvalidParam));
    // All.
    assert_eq!(select(0, u64::MAX), Ok(0b111));
    assert_eq!(
        HartMask {
            mask: 0,
            base: u64::MAX
        }
        .select(&[0; 64]),
        Ok(u64::MAX)
    );
}

proptest! {
    /// A mask selects exactly the harts it names.
    #[test]
    fn masks_are_exact(mask: u64, base in 0u64..70, harts in proptest::collection::btree_set(0u64..140, 1..10)) {
        let harts: Vec<u64> = harts.into_iter().collect();
        let named: Vec<u64> = (0..64).filter(|bit| mask >> bit & 1 != 0).map(|bit| base + bit).collect();
        let expected = named.iter().map(|hart| harts.iter().position(|h| h == hart).map(|at| 1u64 << at)).sum::<Option<u64>>();
        prop_assert_eq!(HartMask { mask, base }.select(&harts).ok(), expected);
    }

    #[test]
    fn any_call(a: [u64; 8]) {
        decode(a, Offer::default);
    }
}

/// Small kernels name harts that aren't there.
#[test]
fn legacy_masks() {
    let harts = [0, 2, 63, 64];
    let legacy = |mask| HartMask::legacy(mask, &harts).select(&harts);
    assert_eq!(legacy(u64::MAX), Ok(0b111));
    assert_eq!(legacy(0b110), Ok(0b010));
    assert_eq!(legacy(0b1010), Ok(0));
    assert_eq!(legacy(1 << 63), Ok(0b100));
}
