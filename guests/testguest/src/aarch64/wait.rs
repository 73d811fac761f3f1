//! Waiting instructions: they end when they should, whatever PSTATE masks (Arm ARM, D1.6).

use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{mask, taken, unmask};
use guest_support::gic::{Bits, enable, send_sgi, set};
use guest_support::sync::wait_for;
use guest_support::timer::{PHYSICAL_PPI, VIRTUAL_PPI, arm_physical, arm_virtual, now, ticks};
use guest_support::{cpu, read_sysreg, smp};

pub const CASES: &[Case] = &[
    ("wait::wfi_virtual_timer", 1, wfi_virtual_timer),
    ("wait::wfi_physical_timer", 1, wfi_physical_timer),
    ("wait::wfi_pending_already", 1, wfi_pending_already),
    ("wait::wfi_open", 1, wfi_open),
    ("wait::wfi_sgi_from_other", 2, wfi_sgi_from_other),
    ("wait::wfi_many_times", 1, wfi_many_times),
    ("wait::wfe_event", 1, wfe_event),
    ("wait::wfit", 1, wfit),
    ("wait::wfet", 1, wfet),
];

fn wfi() {
    // SAFETY: waits.
    unsafe { core::arch::asm!("dsb sy", "wfi", options(nostack)) };
}

fn wfi_virtual_timer() -> Outcome {
    mask();
    enable(VIRTUAL_PPI);
    let start = now();
    arm_virtual(5);
    while now() - start < ticks(5) {
        wfi();
    }
    check!(wait_for(1000, || read_sysreg!("isr_el1") & 0x80 != 0));
    Ok(())
}

fn wfi_physical_timer() -> Outcome {
    mask();
    enable(PHYSICAL_PPI);
    let start = now();
    arm_physical(5);
    while now() - start < ticks(5) {
        wfi();
    }
    check!(wait_for(1000, || read_sysreg!("isr_el1") & 0x80 != 0));
    Ok(())
}

fn wfi_pending_already() -> Outcome {
    mask();
    set(Bits::SetPending, 9);
    wait_for(1, || false);
    wfi();
    set(Bits::ClearPending, 9);
    Ok(())
}

/// Masked between the look and the wait, so that the interrupt can't come there.
fn wait_until_taken(count: u64) {
    loop {
        mask();
        if taken(cpu(), VIRTUAL_PPI) >= count {
            unmask();
            return;
        }
        wfi();
        unmask();
    }
}

fn wfi_open() -> Outcome {
    enable(VIRTUAL_PPI);
    guest_support::exception::on_interrupt(Some(|_| guest_support::timer::stop_virtual()), true);
    arm_virtual(3);
    wait_until_taken(1);
    Ok(())
}

fn wfi_sgi_from_other() -> Outcome {
    static MASKED: AtomicU64 = AtomicU64::new(0);
    static WOKEN: AtomicU64 = AtomicU64::new(0);
    MASKED.store(0, Ordering::SeqCst);
    WOKEN.store(0, Ordering::SeqCst);
    smp::give(1, || {
        mask();
        MASKED.store(1, Ordering::SeqCst);
        wfi();
        while read_sysreg!("isr_el1") & 0x80 == 0 {
            wfi();
        }
        WOKEN.store(1, Ordering::SeqCst);
        unmask();
    });
    // Before that it would take the interrupt, and then wait for another.
    check!(wait_for(1000, || MASKED.load(Ordering::SeqCst) != 0));
    check!(!wait_for(20, || WOKEN.load(Ordering::SeqCst) != 0));
    send_sgi(10, 0b10);
    check!(wait_for(1000, || WOKEN.load(Ordering::SeqCst) != 0));
    check!(wait_for(1000, || taken(1, 10) == 1));
    check!(smp::wait(1));
    Ok(())
}

fn wfi_many_times() -> Outcome {
    guest_support::exception::on_interrupt(Some(|_| guest_support::timer::stop_virtual()), true);
    enable(VIRTUAL_PPI);
    for round in 1..=50 {
        arm_virtual(1);
        wait_until_taken(round);
    }
    Ok(())
}

fn wfe_event() -> Outcome {
    // SAFETY: the event register is set, so this ends at once.
    unsafe { core::arch::asm!("sevl", "wfe", options(nostack)) };
    Ok(())
}

/// Waits with a limit, by the instruction given.
macro_rules! limited {
    ($instruction:literal) => {{
        let wfxt = read_sysreg!("id_aa64isar2_el1") & 0xf;
        skip!(wfxt < 2, "no FEAT_WFxT");
        mask();
        let start = now();
        // It may end early for any reason, but not be late for ever.
        while now() - start < ticks(5) {
            // SAFETY: waits until the count passes x0.
            unsafe {
                core::arch::asm!($instruction, in("x0") start + ticks(5), options(nostack));
            }
        }
        let took = now() - start;
        check!(took < ticks(3000), took = took);
        // A limit in the past doesn't wait.
        // SAFETY: as above.
        unsafe { core::arch::asm!($instruction, in("x0") 0_u64, options(nostack)) };
        Ok(())
    }};
}

fn wfit() -> Outcome {
    limited!(".inst 0xd5031020")
}

fn wfet() -> Outcome {
    limited!(".inst 0xd5031000")
}
