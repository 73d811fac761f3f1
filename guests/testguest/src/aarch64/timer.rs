//! The generic timers (Arm ARM, D12): both, by value and by distance, as level interrupts.

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{mask, on_interrupt, taken, unmask};
use guest_support::gic::{Bits, enable, get, set};
use guest_support::sync::wait_for;
use guest_support::timer::*;
use guest_support::{cpu, read_sysreg, smp, write_sysreg};

pub const CASES: &[Case] = &[
    ("timer::count", 1, count),
    ("timer::virtual_fires", 1, virtual_fires),
    ("timer::physical_fires", 1, physical_fires),
    ("timer::both_at_once", 1, both_at_once),
    ("timer::level_comes_again", 1, level_comes_again),
    ("timer::masked", 1, masked),
    ("timer::disabled_then_enabled", 1, disabled_then_enabled),
    ("timer::past_deadline", 1, past_deadline),
    ("timer::far_deadline", 1, far_deadline),
    ("timer::by_distance", 1, by_distance),
    ("timer::pending_bit_follows", 1, pending_bit_follows),
    ("timer::pending_bit_of_disabled", 1, pending_bit_of_disabled),
    ("timer::hundred_in_a_row", 1, hundred_in_a_row),
    ("timer::each_cpu_has_its_own", 2, each_cpu_has_its_own),
];

fn count() -> Outcome {
    check!(read_sysreg!("cntfrq_el0") >= 1_000_000);
    let mut last = now();
    for _ in 0..1000 {
        let next = now();
        check!(next >= last, last = last, next = next);
        last = next;
    }
    check!(wait_for(100, || now() > last));
    // The virtual count lags the physical one by a constant.
    let difference = || read_sysreg!("cntpct_el0").wrapping_sub(now());
    let first = difference();
    wait_for(2, || false);
    let second = difference();
    check!(
        first.abs_diff(second) < ticks(2),
        first = first,
        second = second
    );
    Ok(())
}

fn stop(_: u32) {
    stop_virtual();
    stop_physical();
}

fn virtual_fires() -> Outcome {
    on_interrupt(Some(stop), true);
    enable(VIRTUAL_PPI);
    let start = now();
    arm_virtual(5);
    check!(wait_for(1000, || taken(cpu(), VIRTUAL_PPI) == 1));
    let late = now() - start;
    check!(late >= ticks(5), late = late);
    check!(taken(cpu(), PHYSICAL_PPI) == 0);
    Ok(())
}

fn physical_fires() -> Outcome {
    on_interrupt(Some(stop), true);
    enable(PHYSICAL_PPI);
    let start = now();
    arm_physical(5);
    check!(wait_for(1000, || taken(cpu(), PHYSICAL_PPI) == 1));
    let late = now() - start;
    check!(late >= ticks(4), late = late);
    check!(taken(cpu(), VIRTUAL_PPI) == 0);
    Ok(())
}

fn both_at_once() -> Outcome {
    on_interrupt(
        Some(|intid| {
            if intid == VIRTUAL_PPI {
                stop_virtual()
            } else {
                stop_physical()
            }
        }),
        true,
    );
    enable(PHYSICAL_PPI);
    enable(VIRTUAL_PPI);
    for round in 1..=5 {
        arm_physical(3);
        arm_virtual(3);
        check!(
            wait_for(1000, || taken(cpu(), PHYSICAL_PPI) == round
                && taken(cpu(), VIRTUAL_PPI) == round),
            round = round
        );
    }
    Ok(())
}

/// While the condition holds, the end of the interrupt brings it back.
fn level_comes_again() -> Outcome {
    for (ppi, arm) in [
        (VIRTUAL_PPI, arm_virtual as fn(u64)),
        (PHYSICAL_PPI, arm_physical),
    ] {
        on_interrupt(
            Some(|intid| {
                if taken(cpu(), intid) >= 4 {
                    stop(intid);
                }
            }),
            true,
        );
        enable(ppi);
        arm(1);
        check!(wait_for(1000, || taken(cpu(), ppi) == 4), ppi = ppi);
        wait_for(2, || false);
        check!(taken(cpu(), ppi) == 4, ppi = ppi, taken = taken(cpu(), ppi));
    }
    Ok(())
}

fn masked() -> Outcome {
    on_interrupt(Some(stop), true);
    enable(VIRTUAL_PPI);
    enable(PHYSICAL_PPI);
    write_sysreg!("cntv_cval_el0", now());
    write_sysreg!("cntv_ctl_el0", ENABLE | IMASK);
    write_sysreg!("cntp_cval_el0", read_sysreg!("cntpct_el0"));
    write_sysreg!("cntp_ctl_el0", ENABLE | IMASK);
    wait_for(2, || false);
    check!(read_sysreg!("cntv_ctl_el0") == ENABLE | IMASK | ISTATUS);
    check!(read_sysreg!("cntp_ctl_el0") == ENABLE | IMASK | ISTATUS);
    check!(taken(cpu(), VIRTUAL_PPI) == 0 && taken(cpu(), PHYSICAL_PPI) == 0);
    write_sysreg!("cntv_ctl_el0", ENABLE);
    check!(wait_for(1000, || taken(cpu(), VIRTUAL_PPI) == 1));
    Ok(())
}

fn disabled_then_enabled() -> Outcome {
    on_interrupt(Some(stop), true);
    enable(VIRTUAL_PPI);
    arm_virtual(50);
    stop_virtual();
    check!(!wait_for(60, || taken(cpu(), VIRTUAL_PPI) != 0));
    write_sysreg!("cntv_ctl_el0", ENABLE);
    check!(wait_for(1000, || taken(cpu(), VIRTUAL_PPI) == 1));
    Ok(())
}

fn past_deadline() -> Outcome {
    on_interrupt(Some(stop), true);
    enable(VIRTUAL_PPI);
    write_sysreg!("cntv_cval_el0", 0);
    write_sysreg!("cntv_ctl_el0", ENABLE);
    check!(wait_for(1000, || taken(cpu(), VIRTUAL_PPI) == 1));
    enable(PHYSICAL_PPI);
    write_sysreg!("cntp_cval_el0", 0);
    write_sysreg!("cntp_ctl_el0", ENABLE);
    check!(wait_for(1000, || taken(cpu(), PHYSICAL_PPI) == 1));
    Ok(())
}

fn far_deadline() -> Outcome {
    on_interrupt(Some(stop), true);
    enable(VIRTUAL_PPI);
    // Not u64::MAX: with an offset (CNTVOFF_EL2) QEMU before 8.2 computes a time in the past from
    // it and never comes back.
    for deadline in [u64::MAX >> 1, now() + ticks(3_600_000)] {
        write_sysreg!("cntv_cval_el0", deadline);
        write_sysreg!("cntv_ctl_el0", ENABLE);
        check!(
            !wait_for(3, || taken(cpu(), VIRTUAL_PPI) != 0),
            deadline = deadline
        );
        check!(
            read_sysreg!("cntv_cval_el0") == deadline,
            deadline = deadline
        );
    }
    Ok(())
}

fn by_distance() -> Outcome {
    on_interrupt(Some(stop), true);
    enable(VIRTUAL_PPI);
    write_sysreg!("cntv_tval_el0", ticks(3));
    let left = read_sysreg!("cntv_tval_el0") as i32;
    check!(left > 0 && left as u64 <= ticks(3), left = left);
    write_sysreg!("cntv_ctl_el0", ENABLE);
    check!(wait_for(1000, || taken(cpu(), VIRTUAL_PPI) == 1));
    // Past its deadline it counts on downwards.
    let left = read_sysreg!("cntv_tval_el0") as i32;
    check!(left <= 0, left = left);
    Ok(())
}

/// The pending bit of a level interrupt shows its line, whoever may not take it.
fn pending_bit_follows() -> Outcome {
    mask();
    enable(VIRTUAL_PPI);
    check!(!get(Bits::SetPending, VIRTUAL_PPI));
    arm_virtual(0);
    check!(wait_for(1000, || get(Bits::SetPending, VIRTUAL_PPI)));
    stop_virtual();
    check!(wait_for(1000, || !get(Bits::SetPending, VIRTUAL_PPI)));
    unmask();
    wait_for(1, || false);
    check!(taken(cpu(), VIRTUAL_PPI) == 0);
    Ok(())
}

/// An interrupt that is not enabled shows its timer's state at once, and is not taken.
fn pending_bit_of_disabled() -> Outcome {
    for (ppi, arm, expire, stop) in [
        (
            VIRTUAL_PPI,
            arm_virtual as fn(u64),
            (|| write_sysreg!("cntv_cval_el0", now() - 1)) as fn(),
            stop_virtual as fn(),
        ),
        (
            PHYSICAL_PPI,
            arm_physical,
            || write_sysreg!("cntp_cval_el0", read_sysreg!("cntpct_el0") - 1),
            stop_physical,
        ),
    ] {
        set(Bits::ClearEnable, ppi);
        arm(10_000);
        check!(!get(Bits::SetPending, ppi), ppi = ppi);
        expire();
        check!(get(Bits::SetPending, ppi), ppi = ppi);
        check!(!get(Bits::SetActive, ppi), ppi = ppi);
        stop();
        check!(wait_for(10, || !get(Bits::SetPending, ppi)), ppi = ppi);
        check!(!get(Bits::SetActive, ppi), ppi = ppi);
        set(Bits::SetEnable, ppi);
        wait_for(1, || false);
        check!(taken(cpu(), ppi) == 0, ppi = ppi);
    }
    Ok(())
}

fn hundred_in_a_row() -> Outcome {
    on_interrupt(Some(|_| arm_virtual(1)), true);
    enable(VIRTUAL_PPI);
    let start = now();
    arm_virtual(1);
    check!(wait_for(10_000, || taken(cpu(), VIRTUAL_PPI) >= 100));
    let took = now() - start;
    stop_virtual();
    check!(took >= ticks(100), took = took);
    Ok(())
}

fn each_cpu_has_its_own() -> Outcome {
    on_interrupt(Some(stop), true);
    enable(VIRTUAL_PPI);
    write_sysreg!("cntv_cval_el0", u64::MAX >> 1);
    write_sysreg!("cntv_ctl_el0", ENABLE);
    check!(smp::run(1, || {
        enable(VIRTUAL_PPI);
        arm_virtual(2);
        wait_for(1000, || taken(1, VIRTUAL_PPI) == 1);
    }));
    check!(taken(1, VIRTUAL_PPI) == 1 && taken(0, VIRTUAL_PPI) == 0);
    check!(read_sysreg!("cntv_cval_el0") == u64::MAX >> 1);
    Ok(())
}
