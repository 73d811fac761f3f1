//! Priorities: which interrupt comes first, and which one interrupts another (Arm IHI 0069, 4.8).

use super::gic::{SPI, fresh};
use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{mask, on_interrupt, taken, unmask};
use guest_support::gic::*;
use guest_support::sync::wait_for;
use guest_support::{cpu, read_sysreg, write_sysreg};

pub const CASES: &[Case] = &[
    ("gic::highest_priority_first", 1, highest_first),
    ("gic::lowest_number_first", 1, lowest_number_first),
    ("gic::priority_mask", 1, priority_mask),
    ("gic::preemption", 1, preemption),
    (
        "gic::no_preemption_within_a_group_priority",
        1,
        binary_point,
    ),
    ("gic::deep_preemption", 1, deep_preemption),
    ("gic::running_priority", 1, running_priority),
];

/// The order in which interrupts came: four bits each, the last one lowest.
static ORDER: AtomicU64 = AtomicU64::new(0);

fn note(intid: u32) {
    let order = ORDER.load(Ordering::SeqCst);
    ORDER.store(order << 4 | u64::from(intid - SPI + 1), Ordering::SeqCst);
}

fn order() -> u64 {
    ORDER.swap(0, Ordering::SeqCst)
}

fn highest_first() -> Outcome {
    order();
    on_interrupt(Some(note), true);
    mask();
    for (n, priority) in [(0, 0x90), (1, 0x50), (2, 0x70), (3, 0x10)] {
        let intid = fresh(n, true);
        set_priority(intid, priority);
        set(Bits::SetPending, intid);
    }
    unmask();
    check!(wait_for(1000, || (0..4).all(|n| taken(cpu(), SPI + n) == 1)));
    let order = order();
    check!(order == 0x4231, order = order);
    Ok(())
}

fn lowest_number_first() -> Outcome {
    order();
    on_interrupt(Some(note), true);
    mask();
    for n in [3, 1, 0, 2] {
        set(Bits::SetPending, fresh(n, true));
    }
    unmask();
    check!(wait_for(1000, || (0..4).all(|n| taken(cpu(), SPI + n) == 1)));
    let order = order();
    // Between equal priorities the choice is IMPLEMENTATION DEFINED; each comes once.
    let mut seen = 0;
    for n in 0..4 {
        seen |= 1 << (order >> (n * 4) & 0xf);
    }
    check!(seen == 0b11110, order = order);
    Ok(())
}

fn priority_mask() -> Outcome {
    let intid = fresh(0, true);
    set_priority(intid, 0x80);
    write_sysreg!("icc_pmr_el1", 0x80);
    set(Bits::SetPending, intid);
    check!(!wait_for(2, || taken(cpu(), intid) != 0));
    check!(acknowledge() == SPURIOUS);
    write_sysreg!("icc_pmr_el1", 0x90);
    check!(wait_for(1000, || taken(cpu(), intid) == 1));
    Ok(())
}

/// In the handler of the first, lets the second come in between.
fn nest(intid: u32) {
    note(intid);
    if intid == SPI {
        set(Bits::SetPending, SPI + 1);
        unmask();
        wait_for(2, || false);
        mask();
        note(intid);
    }
}

fn preemption() -> Outcome {
    order();
    on_interrupt(Some(nest), true);
    set_priority(fresh(0, true), 0x80);
    set_priority(fresh(1, true), 0x40);
    set(Bits::SetPending, SPI);
    check!(wait_for(1000, || taken(cpu(), SPI + 1) == 1
        && ORDER.load(Ordering::SeqCst) > 0xff));
    let first = order();
    check!(first == 0x121, order = first);
    // The other way round nothing is interrupted.
    set_priority(SPI + 1, 0xc0);
    set(Bits::SetPending, SPI);
    check!(wait_for(1000, || taken(cpu(), SPI + 1) == 2));
    let second = order();
    check!(second == 0x112, order = second);
    Ok(())
}

/// ICC_BPR1_EL1 says which bits of the priority count for preemption.
fn binary_point() -> Outcome {
    order();
    on_interrupt(Some(nest), true);
    set_priority(fresh(0, true), 0x88);
    set_priority(fresh(1, true), 0x80);
    // At most bits 7 and 6 are the group priority then (4.8.5).
    write_sysreg!("icc_bpr1_el1", 6);
    set(Bits::SetPending, SPI);
    check!(wait_for(1000, || taken(cpu(), SPI + 1) == 1));
    let order = order();
    check!(order == 0x112, order = order);
    Ok(())
}

/// Each level's handler raises the next one, until eight are active.
fn deeper(intid: u32) {
    note(intid);
    let level = intid - SPI;
    if level < 7 {
        set(Bits::SetPending, intid + 1);
        unmask();
        wait_for(1000, || taken(cpu(), intid + 1) == 1);
        mask();
    }
    note(intid);
}

fn deep_preemption() -> Outcome {
    order();
    on_interrupt(Some(deeper), true);
    for n in 0..8 {
        set_priority(fresh(n, true), 0xf0 - 0x10 * n as u8);
    }
    set(Bits::SetPending, SPI);
    check!(wait_for(5000, || ORDER.load(Ordering::SeqCst) >> 60 == 1
        && ORDER.load(Ordering::SeqCst) & 0xf == 1));
    let order = order();
    check!(order == 0x1234_5678_8765_4321, order = order);
    for n in 0..8 {
        check!(!get(Bits::SetActive, SPI + n), n = n);
    }
    Ok(())
}

fn running_priority() -> Outcome {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    check!(read_sysreg!("icc_rpr_el1") == 0xff);
    on_interrupt(
        Some(|_| SEEN.store(read_sysreg!("icc_rpr_el1"), Ordering::SeqCst)),
        true,
    );
    let intid = fresh(0, true);
    set_priority(intid, 0x60);
    set(Bits::SetPending, intid);
    check!(wait_for(1000, || taken(cpu(), intid) == 1));
    let seen = SEEN.load(Ordering::SeqCst);
    check!(seen == 0x60, seen = seen);
    check!(read_sysreg!("icc_rpr_el1") == 0xff);
    Ok(())
}
