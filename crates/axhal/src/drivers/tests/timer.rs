use proptest::prelude::*;

use crate::drivers::{
    arch::{OPS, Op},
    timer::{BadFrequency, Deadlines, Scale, Timer},
};

#[test]
fn frequencies() {
    assert!(Scale::new(0).is_none());
    assert!(Scale::new(999).is_none());
    assert!(Scale::new(1000).is_some());
    assert!(Scale::new(1 << 32).is_none());
    assert_eq!(Scale::new(62_500_000).unwrap().frequency(), 62_500_000);
}

#[test]
fn round_figures() {
    let scale = Scale::new(62_500_000).unwrap();
    assert_eq!(scale.to_nanos(0), 0);
    assert_eq!(scale.to_nanos(1), 16);
    assert_eq!(scale.to_nanos(62_500_000), 1_000_000_000);
    assert_eq!(scale.to_ticks(16), 1);
    assert_eq!(scale.to_ticks(17), 2);
    assert_eq!(scale.to_ticks(0), 0);
    let slow = Scale::new(1000).unwrap();
    assert_eq!(slow.to_nanos(u64::MAX), u64::MAX);
    assert_eq!(slow.to_ticks(u64::MAX), u64::MAX / 1_000_000 + 1);
}

/// The host has no counter, so the frequency is the tree's, or there is none.
fn timer(frequency: Option<u32>) -> Result<Timer, BadFrequency> {
    Timer::new(&super::arm_machine(frequency))
}

#[test]
fn the_tree_tells_the_frequency_if_the_register_does_not() {
    assert_eq!(
        timer(Some(25_000_000)).unwrap().scale().frequency(),
        25_000_000
    );
    assert_eq!(
        timer(None).unwrap_err(),
        BadFrequency {
            register: 0,
            property: None
        }
    );
}

#[test]
fn deadlines() {
    let timer = timer(Some(25_000_000)).unwrap();
    OPS.take();
    timer.set_deadline(77);
    timer.clear_deadline();
    assert_eq!(
        OPS.take(),
        [
            Op::Deadline(77),
            Op::TimerControl(1),
            Op::Synchronize,
            Op::TimerControl(0),
            Op::Synchronize
        ]
    );
}

/// What the timer was set to since the last look.
fn set_to() -> Vec<u64> {
    let deadline = |op| match op {
        Op::Deadline(ticks) => Some(ticks),
        _ => None,
    };
    OPS.take().into_iter().filter_map(deadline).collect()
}

#[test]
fn the_earlier_of_two_deadlines_counts() {
    let (timer, both) = (timer(Some(25_000_000)).unwrap(), Deadlines::new());
    OPS.take();
    both.set_own(&timer, 70);
    both.set_guest(&timer, 50);
    both.set_own(&timer, 40);
    both.set_own(&timer, u64::MAX);
    assert_eq!(set_to(), [70, 50, 40, 50]);
    both.set_own(&timer, 60);
    assert!(!both.fired(&timer, 50));
    assert!(both.fired(&timer, 60));
    assert_eq!(set_to(), [50, 60, u64::MAX]);
}

#[test]
fn an_interrupt_that_nothing_is_due_for_is_taken_back() {
    let (timer, both) = (timer(Some(25_000_000)).unwrap(), Deadlines::new());
    both.set_own(&timer, 70);
    OPS.take();
    assert!(!both.fired(&timer, 69));
    assert_eq!(set_to(), [70]);
    both.set_own(&timer, u64::MAX);
    OPS.take();
    assert!(!both.fired(&timer, 100));
    assert_eq!(set_to(), [u64::MAX]);
}

proptest! {
    #[test]
    fn exact(frequency in 1000_u64..1 << 32, ticks: u64, nanos: u64) {
        let scale = Scale::new(frequency).unwrap();
        let (f, giga) = (u128::from(frequency), 1_000_000_000_u128);
        let exact = u128::from(ticks) * giga / f;
        prop_assert_eq!(u128::from(scale.to_nanos(ticks)), exact.min(u64::MAX.into()));
        let exact = (u128::from(nanos) * f).div_ceil(giga);
        prop_assert_eq!(u128::from(scale.to_ticks(nanos)), exact.min(u64::MAX.into()));
    }

    #[test]
    fn deadlines_are_not_early(frequency in 1000_u64..1 << 32, nanos in 0..u64::MAX / 8) {
        let scale = Scale::new(frequency).unwrap();
        prop_assert!(scale.to_nanos(scale.to_ticks(nanos)) >= nanos);
    }
}
