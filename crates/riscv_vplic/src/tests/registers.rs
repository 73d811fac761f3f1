//! Registers, one by one: reset values, writable bits, access sizes; and single properties of the
//! specification.

use super::*;
use crate::{ConfigError, SIZE};
use axdevice::IrqSink;

const ONES: u32 = u32::MAX;

#[test]
fn what_can_not_be() {
    let new = |contexts, sources, passthrough: &[u32]| {
        let config = Config {
            contexts,
            sources,
            passthrough,
        };
        Vplic::new(&config, Log::default()).err()
    };
    assert_eq!(new(0, 32, &[]), Some(ConfigError::Contexts(0)));
    assert_eq!(new(65, 32, &[]), Some(ConfigError::Contexts(65)));
    assert_eq!(new(1, 0, &[]), Some(ConfigError::Sources(0)));
    assert_eq!(new(1, 1024, &[]), Some(ConfigError::Sources(1024)));
    assert_eq!(new(1, 32, &[3, 33]), Some(ConfigError::Passthrough(33)));
    assert_eq!(new(1, 32, &[0]), Some(ConfigError::Passthrough(0)));
    assert_eq!(new(64, 1023, &[1, 1023]), None);
}

#[test]
fn reset_values_and_what_they_hold() {
    let p = plic(2, 40, &[]);
    for round in 0..2 {
        for source in 0..=41 {
            assert_eq!(get(&p, priority(source)), 0, "round {round}");
            set(&p, priority(source), ONES);
            let expected = if (1..=40).contains(&source) { 7 } else { 0 };
            assert_eq!(get(&p, priority(source)), expected, "source {source}");
        }
        for context in 0..3 {
            let exists = context < 2;
            for (word, mask) in [(0, !1), (1, 0x1ff), (2, 0), (31, 0)] {
                assert_eq!(get(&p, enables(context, word)), 0);
                set(&p, enables(context, word), ONES);
                let expected = if exists { mask } else { 0 };
                assert_eq!(get(&p, enables(context, word)), expected);
            }
            assert_eq!(get(&p, threshold(context)), 0);
            set(&p, threshold(context), 0x1_000d);
            assert_eq!(get(&p, threshold(context)), if exists { 5 } else { 0 });
            assert_eq!(get(&p, claim(context)), 0);
        }
        for word in [0, 1, 2, 31] {
            set(&p, pending(word), ONES);
            assert_eq!(get(&p, pending(word)), 0, "read-only");
        }
        MmioDevice::reset(&p);
    }
}

#[test]
fn other_widths_are_refused_and_reserved_offsets_read_as_zero() {
    use AccessWidth::*;
    let p = plic(1, 1023, &[]);
    set(&p, priority(1), 3);
    for (offset, width) in [
        (4, Byte),
        (4, Half),
        (0, Double),
        (5, Byte),
        (6, Word),
        (5, Word),
        (claim(0), Byte),
    ] {
        assert_eq!(p.read(access(offset, width)), Err(BusFault));
        assert_eq!(
            p.write(access(offset, width), 1),
            Err(axdevice::WriteFault::Refused)
        );
    }
    assert_eq!(get(&p, priority(1)), 3);
    for offset in [
        0,
        0x1080,
        0x1ffc,
        // Machine mode's.
        0x2000,
        0x207c,
        0x20_0000,
        0x20_0004,
        // The next vCPU's.
        0x2100,
        0x2180,
        0x1f_2000,
        0x1f_fffc,
        0x20_1008,
        0x20_1ffc,
        0x20_2000,
        0x20_3000,
        SIZE - 4,
        SIZE,
        u64::MAX - 3,
    ] {
        set(&p, offset, ONES);
        assert_eq!(get(&p, offset), 0, "{offset:#x}");
    }
}

/// Everything in the region, and beyond it.
#[test]
fn no_offset_or_value_is_too_much() {
    let p = plic(64, 1023, &[7]);
    for line in [0, 1, 31, 32, 1023, 1024, u32::MAX] {
        p.set_level(line, true);
        p.pulse(line);
        assert_eq!(p.fired(line), line == 7);
    }
    for offset in (0..0x30_0000).step_by(4) {
        for value in [ONES, 0, 1023, 1024] {
            set(&p, offset, value);
            get(&p, offset);
        }
    }
    assert!(!p.external_pending(64) && !p.external_pending(usize::MAX));
}

#[test]
fn the_last_source_of_the_last_context() {
    let p = plic(64, 1023, &[]);
    set(&p, priority(1023), 1);
    set(&p, enables(63, 31), 1 << 31);
    p.pulse(1023);
    assert_eq!(get(&p, pending(31)), 1 << 31);
    assert!(p.external_pending(63) && !p.external_pending(62));
    assert_eq!(told(&p), [Told::External(63)]);
    assert_eq!(get(&p, claim(62)), 0);
    assert_eq!(get(&p, claim(63)), 1023);
    assert_eq!(get(&p, claim(63)), 0);
}

#[test]
fn a_level_is_looked_at_again_at_completion() {
    let p = plic(1, 32, &[]);
    set(&p, priority(10), 1);
    set(&p, enables(0, 0), 1 << 10);
    p.set_level(10, true);
    assert!(p.external_pending(0));
    assert_eq!(get(&p, claim(0)), 10);
    assert!(!p.external_pending(0), "in service");
    set(&p, claim(0), 10);
    assert!(p.external_pending(0), "still high");
    assert_eq!(get(&p, claim(0)), 10);
    p.set_level(10, false);
    set(&p, claim(0), 10);
    assert!(!p.external_pending(0));
    // What the gateway let through stays, though the line falls.
    p.set_level(10, true);
    p.set_level(10, false);
    assert_eq!(get(&p, claim(0)), 10);
    set(&p, claim(0), 10);
    assert_eq!(get(&p, pending(0)), 0);
}

#[test]
fn an_edge_in_service_is_remembered_once() {
    let p = plic(1, 32, &[]);
    set(&p, priority(3), 1);
    set(&p, enables(0, 0), 1 << 3);
    p.pulse(3);
    p.pulse(3);
    assert_eq!(get(&p, claim(0)), 3);
    assert_eq!(get(&p, pending(0)), 0);
    p.pulse(3);
    p.pulse(3);
    assert_eq!(get(&p, pending(0)), 0, "the gateway is closed");
    set(&p, claim(0), 3);
    assert_eq!(get(&p, claim(0)), 3);
    set(&p, claim(0), 3);
    assert_eq!(get(&p, claim(0)), 0);
}

#[test]
fn priorities_decide_then_numbers() {
    let p = plic(1, 100, &[]);
    for (source, prio) in [(5, 1), (40, 7), (41, 7), (90, 2), (6, 0)] {
        set(&p, priority(source), prio);
        p.pulse(source);
    }
    for word in 0..4 {
        set(&p, enables(0, word), ONES);
    }
    // The threshold masks the line, not the claim.
    set(&p, threshold(0), 7);
    assert!(!p.external_pending(0));
    set(&p, threshold(0), 6);
    assert!(p.external_pending(0));
    assert_eq!([(); 5].map(|()| get(&p, claim(0))), [40, 41, 90, 5, 0]);
    set(&p, priority(6), 1);
    assert_eq!(get(&p, claim(0)), 6);
}

#[test]
fn completions_that_are_ignored() {
    let p = plic(2, 32, &[4]);
    set(&p, priority(4), 1);
    set(&p, enables(0, 0), 1 << 4);
    assert!(p.fired(4));
    told(&p);
    set(&p, claim(0), 4);
    assert_eq!(told(&p), [], "not claimed yet");
    assert_eq!(get(&p, claim(0)), 4);
    told(&p);
    set(&p, claim(1), 4);
    assert_eq!(told(&p), [], "not enabled there");
    for other in [0, 5, 33, 1024, u32::MAX] {
        set(&p, claim(0), other);
    }
    assert_eq!(told(&p), []);
    set(&p, claim(0), 4);
    assert_eq!(told(&p), [Told::Completed(4)]);
    set(&p, claim(0), 4);
    assert_eq!(told(&p), []);
}

#[test]
fn a_passthrough_source_that_fires_in_service_stays_claimed() {
    let p = plic(1, 32, &[4]);
    set(&p, priority(4), 1);
    set(&p, enables(0, 0), 1 << 4);
    assert!(p.fired(4));
    assert_eq!(get(&p, claim(0)), 4);
    assert!(p.fired(4));
    told(&p);
    set(&p, claim(0), 4);
    assert_eq!(told(&p), [Told::External(0)]);
    assert_eq!(get(&p, claim(0)), 4);
    set(&p, claim(0), 4);
    assert_eq!(told(&p), [Told::External(0), Told::Completed(4)]);
}

/// What the guest does to a source in service does not complete the physical one, unless it is a
/// completion; and it is not masked for good.
#[test]
fn a_passthrough_source_is_claimed_as_long_as_the_guests_is() {
    let p = plic(2, 32, &[4]);
    let completed = |p: &TestPlic| told(p).contains(&Told::Completed(4));
    set(&p, priority(4), 1);
    set(&p, enables(0, 0), 1 << 4);
    // It pends, is taken back, and waits.
    assert!(p.fired(4));
    set(&p, enables(0, 0), 0);
    set(&p, claim(0), 4);
    assert_eq!(get(&p, claim(0)), 0);
    set(&p, priority(4), 0);
    set(&p, enables(0, 0), 1 << 4);
    set(&p, threshold(0), 7);
    assert_eq!(get(&p, claim(0)), 0);
    assert_eq!(get(&p, pending(0)), 1 << 4);
    assert!(!completed(&p));
    set(&p, priority(4), 1);
    set(&p, threshold(0), 0);
    assert_eq!(get(&p, claim(0)), 4);
    // In service, and switched off: a completion is ignored.
    set(&p, enables(0, 0), 0);
    set(&p, claim(0), 4);
    assert!(!completed(&p));
    // Elsewhere it counts: no matter who claimed it.
    set(&p, enables(1, 0), 1 << 4);
    set(&p, priority(4), 0);
    set(&p, claim(1), 4);
    assert!(completed(&p));
    set(&p, claim(1), 4);
    assert!(!completed(&p), "once");
}

#[test]
fn what_a_passthrough_source_targets_is_told() {
    let p = plic(3, 64, &[4, 33, 34]);
    set(&p, enables(2, 0), 1 << 4 | 1 << 5);
    assert_eq!(told(&p), [Told::Routed(4, Some(2))]);
    set(&p, enables(1, 0), 1 << 4);
    assert_eq!(told(&p), [Told::Routed(4, Some(1))], "the first");
    set(&p, enables(2, 0), 0);
    assert_eq!(told(&p), []);
    set(&p, enables(2, 0), 1 << 4);
    set(&p, enables(1, 0), 0);
    assert_eq!(told(&p), [Told::Routed(4, Some(2))]);
    set(&p, enables(2, 0), 0);
    assert_eq!(told(&p), [Told::Routed(4, None)]);
    set(&p, enables(2, 1), ONES);
    let both = [33, 34].map(|source| Told::Routed(source, Some(2)));
    assert_eq!(told(&p), both);
    p.moved(1);
    assert_eq!(told(&p), []);
    p.moved(2);
    assert_eq!(told(&p), both);
    set(&p, enables(0, 0), 1 << 4);
    told(&p);
    p.reset();
    assert_eq!(
        told(&p),
        [4, 33, 34].map(|source| Told::Routed(source, None))
    );
    p.reset();
    p.moved(2);
    assert_eq!(told(&p), []);
}

#[test]
fn reset_forgets_all_requests() {
    let p = plic(1, 32, &[]);
    let setup = || {
        set(&p, priority(1), 1);
        set(&p, priority(2), 1);
        set(&p, enables(0, 0), 6);
    };
    setup();
    p.set_level(1, true);
    p.pulse(2);
    assert_eq!(get(&p, claim(0)), 1);
    told(&p);
    p.reset();
    assert!(!p.external_pending(0));
    assert_eq!(told(&p), [Told::External(0)]);
    setup();
    assert_eq!(get(&p, pending(0)), 0);
    // Not in service either: it is let through again.
    p.set_level(1, true);
    assert_eq!(get(&p, claim(0)), 1);
}
