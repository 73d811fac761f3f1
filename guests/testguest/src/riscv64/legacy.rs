//! The legacy extensions, which many kernels still call (SBI specification 2.0, chapter 5): they
//! change a0 only, and name harts by the virtual address of a mask.

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{Fault, Resume, catch, mask, on_interrupt, taken, unmask};
use guest_support::lines::{IPI as LINE, enable};
use guest_support::map::{FREE, NO_DEVICE, NO_MEMORY};
use guest_support::sbi::*;
use guest_support::sync::wait_for;
use guest_support::{cpu, read_csr, smp, timer};

use super::rfence::remap;

pub const CASES: &[Case] = &[
    ("legacy::probe", 1, probe),
    ("legacy::console", 1, console),
    ("legacy::timer", 1, set_timer),
    ("legacy::ipi_to_self", 1, ipi_to_self),
    ("legacy::ipi_to_mask", 2, ipi_to_mask),
    ("legacy::ipi_to_all", 1, ipi_to_all),
    ("legacy::bad_mask", 1, bad_mask),
    ("legacy::remap_page", 2, remap_page),
    ("legacy::remap_page_by_asid", 2, remap_page_by_asid),
    ("legacy::remap_all", 2, remap_all),
    ("legacy::fence_i", 1, fence_i),
];

fn probe() -> Outcome {
    for extension in LEGACY_SET_TIMER..=LEGACY_SHUTDOWN {
        let answer = call(BASE, 3, [extension]);
        check!(
            answer.error == SUCCESS && answer.value != 0,
            extension = extension,
            answer = answer
        );
    }
    Ok(())
}

fn console() -> Outcome {
    for byte in *b"(legacy console)\r\n" {
        // Of the argument only the lowest byte counts.
        let answer = legacy(LEGACY_PUT_CHARACTER, [u64::from(byte), 2, 3, 4]);
        check!(answer == Some(SUCCESS), answer = answer);
    }
    // Nothing was typed: it doesn't wait.
    let answer = legacy(LEGACY_GET_CHARACTER, [1, 2, 3, 4]);
    check!(answer == Some(-1), answer = answer);
    Ok(())
}

fn set_timer() -> Outcome {
    enable(timer::LINE);
    on_interrupt(
        Some(|_| {
            legacy(LEGACY_SET_TIMER, [u64::MAX, 2, 3, 4]);
        }),
        true,
    );
    let start = timer::now();
    let answer = legacy(LEGACY_SET_TIMER, [start + timer::ticks(5), 2, 3, 4]);
    check!(answer == Some(SUCCESS), answer = answer);
    check!(wait_for(1000, || taken(cpu(), timer::LINE) == 1));
    check!(timer::now() - start >= timer::ticks(5));
    wait_for(2, || false);
    check!(taken(cpu(), timer::LINE) == 1);
    Ok(())
}

/// One word: the harts of these guests have small numbers.
fn address(mask: &u64) -> u64 {
    core::ptr::from_ref(mask) as u64
}

fn ipi_to_self() -> Outcome {
    mask();
    let me = 1 << smp::id(cpu());
    check!(legacy(LEGACY_CLEAR_IPI, [0, 2, 3, 4]) == Some(0));
    check!(legacy(LEGACY_SEND_IPI, [address(&me), 2, 3, 4]) == Some(SUCCESS));
    check!(wait_for(1000, || read_csr!("sip") & 2 != 0));
    let was_pending = legacy(LEGACY_CLEAR_IPI, [0, 2, 3, 4]);
    // OpenSBI always says 0.
    check!(
        was_pending.is_some_and(|was| was > 0 || crate::on_board() && was == 0),
        was_pending = was_pending
    );
    check!(read_csr!("sip") & 2 == 0);
    check!(legacy(LEGACY_SEND_IPI, [address(&me), 2, 3, 4]) == Some(SUCCESS));
    unmask();
    check!(wait_for(1000, || taken(cpu(), LINE) == 1));
    // Nobody.
    check!(legacy(LEGACY_SEND_IPI, [address(&0), 2, 3, 4]) == Some(SUCCESS));
    wait_for(2, || false);
    check!(taken(cpu(), LINE) == 1);
    Ok(())
}

fn nothing() {}

fn ipi_to_mask() -> Outcome {
    check!(smp::run(1, nothing));
    let other = 1 << smp::id(1);
    check!(legacy(LEGACY_SEND_IPI, [address(&other), 2, 3, 4]) == Some(SUCCESS));
    check!(wait_for(1000, || taken(1, LINE) == 1));
    let both = other | 1 << smp::id(0);
    check!(legacy(LEGACY_SEND_IPI, [address(&both), 2, 3, 4]) == Some(SUCCESS));
    check!(wait_for(1000, || taken(1, LINE) == 2 && taken(0, LINE) == 1));
    Ok(())
}

/// Without a mask: all harts, as Linux has it.
fn ipi_to_all() -> Outcome {
    for n in 1..smp::count() {
        check!(smp::run(n, nothing), n = n);
    }
    check!(legacy(LEGACY_SEND_IPI, [0, 2, 3, 4]) == Some(SUCCESS));
    for n in 0..smp::count() {
        check!(wait_for(1000, || taken(n, LINE) == 1), n = n);
    }
    Ok(())
}

/// A mask that can't be read is the caller's fault, as if it had read it itself.
fn bad_mask() -> Outcome {
    for extension in [
        LEGACY_SEND_IPI,
        LEGACY_FENCE_I,
        LEGACY_SFENCE_VMA,
        LEGACY_SFENCE_VMA_ASID,
    ] {
        for (mask, cause) in [
            (FREE, Fault::LOAD_PAGE),
            (NO_MEMORY, Fault::LOAD),
            (NO_DEVICE, Fault::LOAD),
        ] {
            let mut kept = None;
            let fault = catch(Resume::Next, || {
                kept = legacy(extension, [mask as u64, 2, 3, 4]);
            });
            check!(
                fault.is_some_and(|f| f.cause == cause && f.value == mask as u64),
                extension = extension,
                mask = mask,
                fault = fault
            );
            check!(kept == Some(mask as i64), kept = kept);
        }
    }
    Ok(())
}

fn remap_page() -> Outcome {
    let page = (FREE + 3 * 4096) as u64;
    let other = 1 << smp::id(1);
    remap(|| legacy(LEGACY_SFENCE_VMA, [address(&other), page, 4096, 4]).unwrap_or(1))
}

fn remap_page_by_asid() -> Outcome {
    let page = (FREE + 3 * 4096) as u64;
    let other = 1 << smp::id(1);
    remap(|| legacy(LEGACY_SFENCE_VMA_ASID, [address(&other), page, 4096, 0]).unwrap_or(1))
}

fn remap_all() -> Outcome {
    remap(|| legacy(LEGACY_SFENCE_VMA, [0, 0, 0, 4]).unwrap_or(1))?;
    remap(|| legacy(LEGACY_SFENCE_VMA, [0, 0, u64::MAX, 4]).unwrap_or(1))
}

fn fence_i() -> Outcome {
    let me = 1 << smp::id(cpu());
    for mask in [0, address(&me)] {
        let answer = legacy(LEGACY_FENCE_I, [mask, 2, 3, 4]);
        check!(answer == Some(SUCCESS), answer = answer);
    }
    Ok(())
}
