//! Active interrupts: visible, writable, ended in one step or two, and more than there are list
//! registers (Arm IHI 0069, 4.1 and 4.3).

use super::gic::{SPI, fresh};
use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{mask, on_interrupt, taken, unmask};
use guest_support::gic::*;
use guest_support::sync::wait_for;
use guest_support::{cpu, read_sysreg, write_sysreg};

pub const CASES: &[Case] = &[
    ("gic::active_is_visible", 1, visible),
    ("gic::active_by_software", 1, by_software),
    ("gic::sgi_active_by_software", 1, sgi_by_software),
    ("gic::clear_active_in_handler", 1, clear_in_handler),
    ("gic::end_in_two_steps", 1, two_steps),
    ("gic::many_active", 1, many_active),
    ("gic::more_pending_than_list_registers", 1, many_pending),
];

fn visible() -> Outcome {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    on_interrupt(
        Some(|intid| {
            let seen = u64::from(get(Bits::SetActive, intid))
                | u64::from(get(Bits::ClearActive, intid)) << 1
                | u64::from(get(Bits::SetPending, intid)) << 2;
            SEEN.store(seen, Ordering::SeqCst);
        }),
        true,
    );
    for intid in [3, fresh(0, true)] {
        set(Bits::SetPending, intid);
        check!(wait_for(1000, || taken(cpu(), intid) == 1), intid = intid);
        let seen = SEEN.load(Ordering::SeqCst);
        check!(seen == 3, intid = intid, seen = seen);
        check!(!get(Bits::SetActive, intid), intid = intid);
    }
    Ok(())
}

/// An interrupt that software made active isn't taken until it is inactive again.
fn by_software() -> Outcome {
    let intid = fresh(1, true);
    set(Bits::SetActive, intid);
    check!(get(Bits::SetActive, intid));
    set(Bits::SetPending, intid);
    check!(!wait_for(2, || taken(cpu(), intid) != 0));
    set(Bits::ClearActive, intid);
    check!(wait_for(1000, || taken(cpu(), intid) == 1));
    check!(!get(Bits::SetActive, intid));
    Ok(())
}

fn sgi_by_software() -> Outcome {
    set(Bits::SetActive, 8);
    check!(get(Bits::SetActive, 8));
    send_sgi(8, 1 << cpu());
    check!(!wait_for(2, || taken(cpu(), 8) != 0));
    check!(get(Bits::SetPending, 8));
    set(Bits::ClearActive, 8);
    check!(wait_for(1000, || taken(cpu(), 8) == 1));
    Ok(())
}

/// Deactivated by the distributor while its priority still runs; the end drops that only.
fn clear_in_handler() -> Outcome {
    on_interrupt(Some(|intid| set(Bits::ClearActive, intid)), true);
    let intid = fresh(2, true);
    for round in 1..=3 {
        set(Bits::SetPending, intid);
        check!(
            wait_for(1000, || taken(cpu(), intid) == round),
            round = round
        );
    }
    let running = read_sysreg!("icc_rpr_el1");
    check!(running == 0xff, running = running);
    check!(!get(Bits::SetActive, intid));
    Ok(())
}

fn eoi_mode_1() {
    write_sysreg!("icc_ctlr_el1", read_sysreg!("icc_ctlr_el1") | 2);
}

fn two_steps() -> Outcome {
    eoi_mode_1();
    let intid = fresh(3, true);
    set(Bits::SetPending, intid);
    // The handler ends it; with EOImode 1 that drops the priority only.
    check!(wait_for(1000, || taken(cpu(), intid) == 1));
    let running = read_sysreg!("icc_rpr_el1");
    check!(running == 0xff, running = running);
    check!(get(Bits::SetActive, intid));
    set(Bits::SetPending, intid);
    check!(!wait_for(2, || taken(cpu(), intid) != 1));
    deactivate(intid);
    check!(wait_for(1000, || taken(cpu(), intid) == 2));
    deactivate(intid);
    check!(!get(Bits::SetActive, intid));
    Ok(())
}

/// Sixteen active at once, each pending once more, deactivated in an order of their own.
fn many_active() -> Outcome {
    eoi_mode_1();
    let spis = super::gic::SPIS;
    for n in 0..spis {
        set(Bits::SetPending, fresh(n, true));
    }
    check!(wait_for(2000, || (0..spis).all(|n| taken(cpu(), SPI + n) == 1)));
    for n in 0..spis {
        check!(get(Bits::SetActive, SPI + n), n = n);
        set(Bits::SetPending, SPI + n);
    }
    check!(!wait_for(2, || (0..spis).any(|n| taken(cpu(), SPI + n) != 1)));
    for n in 0..spis {
        // 7 and 16 have no common factor.
        let n = n * 7 % spis;
        deactivate(SPI + n);
        check!(wait_for(1000, || taken(cpu(), SPI + n) == 2), n = n);
    }
    for n in 0..spis {
        deactivate(SPI + n);
        check!(!get(Bits::SetActive, SPI + n), n = n);
        check!(taken(cpu(), SPI + n) == 2, n = n);
    }
    Ok(())
}

fn many_pending() -> Outcome {
    let spis = super::gic::SPIS;
    for round in 1..=3 {
        mask();
        for n in 0..spis {
            set(Bits::SetPending, fresh(n, n % 2 == 0));
        }
        for sgi in 0..16 {
            send_sgi(sgi, 1 << cpu());
        }
        unmask();
        check!(
            wait_for(2000, || (0..spis).all(|n| taken(cpu(), SPI + n) == round)
                && (0..16).all(|n| taken(cpu(), n) == round)),
            round = round
        );
    }
    Ok(())
}
