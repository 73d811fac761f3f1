//! Interrupts between harts (SBI specification 2.0, chapter 7), and the pending bit they set
//! (privileged ISA, "Supervisor Interrupt Registers").

use super::hsm::nobodys;
use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{mask, on_interrupt, taken, unmask};
use guest_support::lines::IPI as LINE;
use guest_support::sbi::*;
use guest_support::sync::wait_for;
use guest_support::{clear_csr, cpu, lines, read_csr, set_csr, smp};

pub const CASES: &[Case] = &[
    ("ipi::to_self", 1, to_self),
    ("ipi::pending_bit", 1, pending_bit),
    ("ipi::to_nobody", 1, to_nobody),
    ("ipi::invalid", 1, invalid),
    ("ipi::to_mask", 2, to_mask),
    ("ipi::to_all", 1, to_all),
    ("ipi::ping_pong", 2, ping_pong),
    ("ipi::to_the_stopped", 2, to_the_stopped),
];

fn send(mask: u64, base: u64) -> i64 {
    call(IPI, 0, [mask, base]).error
}

/// How often this CPU was interrupted, after giving what is on its way time to come.
fn settled(cpu: usize) -> u64 {
    wait_for(2, || false);
    taken(cpu, LINE)
}

fn to_self() -> Outcome {
    for round in 1..=20 {
        check!(send(1, smp::id(cpu())) == SUCCESS);
        check!(
            wait_for(1000, || taken(cpu(), LINE) == round),
            round = round
        );
    }
    check!(settled(cpu()) == 20);
    Ok(())
}

/// SSIP shows it, and is the guest's to clear and to set.
fn pending_bit() -> Outcome {
    mask();
    check!(read_csr!("sip") & 2 == 0);
    check!(send(1, smp::id(cpu())) == SUCCESS);
    check!(wait_for(1000, || read_csr!("sip") & 2 != 0));
    clear_csr!("sip", 2);
    check!(read_csr!("sip") & 2 == 0);
    set_csr!("sip", 2);
    check!(read_csr!("sip") & 2 != 0);
    check!(taken(cpu(), LINE) == 0);
    unmask();
    check!(wait_for(1000, || taken(cpu(), LINE) == 1));
    check!(settled(cpu()) == 1);
    Ok(())
}

fn to_nobody() -> Outcome {
    check!(send(0, 0) == SUCCESS);
    check!(send(0, smp::id(cpu())) == SUCCESS);
    check!(settled(cpu()) == 0);
    Ok(())
}

fn invalid() -> Outcome {
    skip_on_board!("the board ignores harts that aren't there");
    for hart in nobodys() {
        if hart != ALL_HARTS {
            let answer = send(1, hart);
            check!(answer == INVALID_PARAM, hart = hart, answer = answer);
        }
    }
    // A good one beside a bad one.
    let answer = send(1 | 1 << 63, smp::id(cpu()));
    check!(answer == INVALID_PARAM, answer = answer);
    // Beyond the last number.
    let answer = send(0b11, u64::MAX - 1);
    check!(answer == INVALID_PARAM, answer = answer);
    Ok(())
}

fn nothing() {}

fn to_mask() -> Outcome {
    check!(smp::run(1, nothing));
    let [me, other] = [smp::id(0), smp::id(1)];
    check!(send(1 << other, 0) == SUCCESS);
    check!(wait_for(1000, || taken(1, LINE) == 1));
    check!(settled(0) == 0);
    // The same hart by another base.
    check!(send(1, other) == SUCCESS);
    check!(wait_for(1000, || taken(1, LINE) == 2));
    let base = me.min(other);
    check!(send(1 << (me - base) | 1 << (other - base), base) == SUCCESS);
    check!(wait_for(1000, || taken(1, LINE) == 3 && taken(0, LINE) == 1));
    check!(settled(0) == 1 && settled(1) == 3);
    Ok(())
}

/// With base -1 the mask is ignored.
fn to_all() -> Outcome {
    for n in 1..smp::count() {
        check!(smp::run(n, nothing), n = n);
    }
    for [round, mask] in [[1, 0], [2, 1], [3, u64::MAX]] {
        check!(send(mask, ALL_HARTS) == SUCCESS);
        for n in 0..smp::count() {
            check!(
                wait_for(1000, || taken(n, LINE) == round),
                n = n,
                round = round
            );
        }
    }
    Ok(())
}

fn ping_pong() -> Outcome {
    check!(smp::run(1, nothing));
    on_interrupt(
        Some(|_| {
            if cpu() == 1 {
                lines::send(0);
            }
        }),
        true,
    );
    for round in 1..=200 {
        lines::send(1);
        check!(
            wait_for(2000, || taken(0, LINE) == round),
            round = round,
            there = taken(1, LINE)
        );
    }
    check!(taken(1, LINE) == 200);
    Ok(())
}

/// A hart that is stopped is valid, and isn't started by an interrupt.
fn to_the_stopped() -> Outcome {
    check!(smp::run(1, nothing));
    smp::give(1, || {
        smp::off();
    });
    let status = || call(HSM, HART_STATUS, [smp::id(1)]).value;
    check!(wait_for(2000, || status() == STOPPED));
    check!(send(1, smp::id(1)) == SUCCESS);
    check!(settled(1) == 0);
    check!(status() == STOPPED);
    check!(smp::run(1, nothing));
    Ok(())
}
