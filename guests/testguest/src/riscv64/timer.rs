//! The timer: `stimecmp` (Sstc) and SBI's TIME (SBI specification 2.0, chapter 6).

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{mask, on_interrupt, taken, unmask};
use guest_support::lines::{disable, enable};
use guest_support::sync::wait_for;
use guest_support::timer::*;
use guest_support::{clear_csr, cpu, isa, read_csr, sbi, smp};

pub const CASES: &[Case] = &[
    ("timer::count", 1, count),
    ("timer::sstc_fires", 1, sstc_fires),
    ("timer::sbi_fires", 1, sbi_fires),
    ("timer::level_comes_again", 1, level_comes_again),
    ("timer::masked", 1, masked),
    ("timer::disabled_then_enabled", 1, disabled_then_enabled),
    ("timer::past_deadline", 1, past_deadline),
    ("timer::far_deadline", 1, far_deadline),
    ("timer::pending_bit_follows", 1, pending_bit_follows),
    ("timer::sbi_clears_pending", 1, sbi_clears_pending),
    ("timer::hundred_in_a_row", 1, hundred_in_a_row),
    ("timer::each_cpu_has_its_own", 2, each_cpu_has_its_own),
];

/// STIP and STIE.
const BIT: u64 = 1 << 5;

fn is_pending() -> bool {
    read_csr!("sip") & BIT != 0
}

fn halt(_: u32) {
    stop();
}

/// Both ways to set a deadline, as far as they are there.
fn ways() -> impl Iterator<Item = fn(u64)> {
    let sstc = has_sstc().then_some(arm_sstc as fn(u64));
    sstc.into_iter().chain([arm_sbi as fn(u64)])
}

/// No deadline by any way.
fn stop_all() {
    ways().for_each(|arm| arm(u64::MAX));
}

fn count() -> Outcome {
    check!(frequency() >= 1_000_000, frequency = frequency());
    let mut last = now();
    for _ in 0..1000 {
        let next = now();
        check!(next >= last, last = last, next = next);
        last = next;
    }
    check!(wait_for(100, || now() > last));
    Ok(())
}

fn fires(arm: fn(u64)) -> Outcome {
    on_interrupt(Some(|_| stop_all()), true);
    enable(LINE);
    let before = taken(cpu(), LINE);
    let start = now();
    arm(start + ticks(5));
    check!(wait_for(1000, || taken(cpu(), LINE) == before + 1));
    let took = now() - start;
    check!(took >= ticks(5), took = took);
    wait_for(2, || false);
    check!(taken(cpu(), LINE) == before + 1);
    Ok(())
}

fn sstc_fires() -> Outcome {
    check!(has_sstc() || !isa::has("sstc"));
    skip!(!has_sstc(), "no Sstc");
    fires(arm_sstc)
}

fn sbi_fires() -> Outcome {
    fires(arm_sbi)
}

/// While the condition holds, the interrupt comes again.
fn level_comes_again() -> Outcome {
    for arm in ways() {
        let before = taken(cpu(), LINE);
        on_interrupt(
            Some(|line| {
                if taken(cpu(), line).is_multiple_of(4) {
                    stop_all();
                }
            }),
            true,
        );
        enable(LINE);
        arm(now() + ticks(1));
        check!(wait_for(1000, || taken(cpu(), LINE) == before + 4));
        wait_for(2, || false);
        check!(taken(cpu(), LINE) == before + 4);
    }
    Ok(())
}

/// Without STIE it is pending, and doesn't come.
fn masked() -> Outcome {
    on_interrupt(Some(halt), true);
    disable(LINE);
    arm_at(now());
    check!(wait_for(1000, is_pending));
    check!(taken(cpu(), LINE) == 0);
    enable(LINE);
    check!(wait_for(1000, || taken(cpu(), LINE) == 1));
    Ok(())
}

fn disabled_then_enabled() -> Outcome {
    on_interrupt(Some(halt), true);
    enable(LINE);
    arm(50);
    stop();
    check!(!wait_for(60, || taken(cpu(), LINE) != 0));
    arm_at(now());
    check!(wait_for(1000, || taken(cpu(), LINE) == 1));
    Ok(())
}

fn past_deadline() -> Outcome {
    on_interrupt(Some(|_| stop_all()), true);
    enable(LINE);
    let mut count = 0;
    for arm in ways() {
        for deadline in [0, 1, now() - 1] {
            count += 1;
            arm(deadline);
            check!(
                wait_for(1000, || taken(cpu(), LINE) == count),
                deadline = deadline
            );
        }
    }
    Ok(())
}

fn far_deadline() -> Outcome {
    on_interrupt(Some(halt), true);
    enable(LINE);
    for arm in ways() {
        for deadline in [u64::MAX, i64::MAX as u64, now() + ticks(3_600_000)] {
            arm(deadline);
            check!(
                !wait_for(3, || taken(cpu(), LINE) != 0),
                deadline = deadline
            );
        }
    }
    if has_sstc() {
        arm_sstc(0x1234_5678_9abc_def0);
        sbi::call(sbi::BASE, 0, []);
        let kept = read_csr!("0x14d");
        check!(kept == 0x1234_5678_9abc_def0, kept = kept);
    }
    Ok(())
}

/// STIP shows the comparison, whoever may not take it; it can't be written.
fn pending_bit_follows() -> Outcome {
    mask();
    enable(LINE);
    check!(!is_pending());
    arm_at(now());
    check!(wait_for(1000, is_pending));
    clear_csr!("sip", BIT);
    check!(is_pending());
    stop();
    check!(wait_for(1000, || !is_pending()));
    guest_support::set_csr!("sip", BIT);
    check!(!is_pending());
    unmask();
    wait_for(1, || false);
    check!(taken(cpu(), LINE) == 0);
    Ok(())
}

/// "This function must clear the pending timer interrupt bit as well."
fn sbi_clears_pending() -> Outcome {
    mask();
    enable(LINE);
    arm_sbi(0);
    check!(wait_for(1000, is_pending));
    arm_sbi(u64::MAX);
    check!(!is_pending());
    Ok(())
}

fn hundred_in_a_row() -> Outcome {
    on_interrupt(Some(|_| arm(1)), true);
    enable(LINE);
    let start = now();
    arm(1);
    check!(wait_for(10_000, || taken(cpu(), LINE) >= 100));
    let took = now() - start;
    stop();
    check!(took >= ticks(100), took = took);
    Ok(())
}

fn each_cpu_has_its_own() -> Outcome {
    on_interrupt(Some(halt), true);
    enable(LINE);
    arm_at(u64::MAX >> 1);
    check!(smp::run(1, || {
        enable(LINE);
        arm(2);
        wait_for(1000, || taken(1, LINE) == 1);
    }));
    check!(taken(1, LINE) == 1 && taken(0, LINE) == 0);
    Ok(())
}
