//! WFI ends when an interrupt that `sie` lets through is pending, whatever `sstatus.SIE` says
//! (privileged ISA, "Wait for Interrupt").

use super::plic::UART;
use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{mask, on_interrupt, taken, unmask, wait};
use guest_support::mmio::write8;
use guest_support::sync::wait_for;
use guest_support::timer::{self, LINE, arm, now, ticks};
use guest_support::{cpu, lines, plic, read_csr, set_csr, smp, uart};

pub const CASES: &[Case] = &[
    ("wait::wfi_timer", 1, wfi_timer),
    ("wait::wfi_pending_already", 1, wfi_pending_already),
    ("wait::wfi_open", 1, wfi_open),
    ("wait::wfi_external", 1, wfi_external),
    ("wait::wfi_ipi_from_other", 2, wfi_ipi_from_other),
    ("wait::wfi_many_times", 1, wfi_many_times),
    ("wait::wrs", 1, wrs),
];

/// Pending, let through by `sie`, and masked: WFI ends, and nothing is taken.
fn wfi_timer() -> Outcome {
    mask();
    lines::enable(LINE);
    let start = now();
    arm(5);
    while now() - start < ticks(5) {
        wait();
    }
    check!(wait_for(1000, || read_csr!("sip") & 1 << 5 != 0));
    check!(taken(cpu(), LINE) == 0);
    Ok(())
}

fn wfi_pending_already() -> Outcome {
    mask();
    set_csr!("sip", 2);
    wait();
    check!(taken(cpu(), lines::IPI) == 0);
    Ok(())
}

/// Masked between the look and the wait, so that the interrupt can't come there.
fn wait_until_taken(line: u32, count: u64) {
    loop {
        mask();
        if taken(cpu(), line) >= count {
            unmask();
            return;
        }
        wait();
        unmask();
    }
}

fn wfi_open() -> Outcome {
    lines::enable(LINE);
    on_interrupt(Some(|_| timer::stop()), true);
    arm(3);
    wait_until_taken(LINE, 1);
    Ok(())
}

fn wfi_external() -> Outcome {
    on_interrupt(Some(|_| write8(uart::BASE + 1, 0)), true);
    lines::enable(UART);
    write8(uart::BASE + 1, 2);
    wait_until_taken(UART, 1);
    check!(plic::claim(0) == 0);
    Ok(())
}

fn wfi_ipi_from_other() -> Outcome {
    static MASKED: AtomicU64 = AtomicU64::new(0);
    static WOKEN: AtomicU64 = AtomicU64::new(0);
    MASKED.store(0, Ordering::SeqCst);
    WOKEN.store(0, Ordering::SeqCst);
    smp::give(1, || {
        mask();
        MASKED.store(1, Ordering::SeqCst);
        while read_csr!("sip") & 2 == 0 {
            wait();
        }
        WOKEN.store(1, Ordering::SeqCst);
        unmask();
    });
    // Before that it would take the interrupt, and then wait for another.
    check!(wait_for(1000, || MASKED.load(Ordering::SeqCst) != 0));
    check!(!wait_for(20, || WOKEN.load(Ordering::SeqCst) != 0));
    lines::send(1);
    check!(wait_for(1000, || WOKEN.load(Ordering::SeqCst) != 0));
    check!(wait_for(1000, || taken(1, lines::IPI) == 1));
    check!(smp::wait(1));
    Ok(())
}

fn wfi_many_times() -> Outcome {
    on_interrupt(Some(|_| timer::stop()), true);
    lines::enable(LINE);
    for round in 1..=50 {
        arm(1);
        wait_until_taken(LINE, round);
    }
    Ok(())
}

/// Zawrs: WRS.STO ends in a short time by itself, WRS.NTO when an interrupt is there.
fn wrs() -> Outcome {
    skip!(!guest_support::isa::has("zawrs"), "no Zawrs");
    mask();
    lines::enable(LINE);
    arm(2);
    let place = AtomicU64::new(0);
    // SAFETY: reserves a word of this stack, and waits.
    unsafe {
        core::arch::asm!("lr.d zero, ({p})", ".word 0x01d00073", "lr.d zero, ({p})", ".word 0x00d00073",
            p = in(reg) &place, options(nostack));
    }
    timer::stop();
    Ok(())
}
