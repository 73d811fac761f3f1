//! Rows of two vCPUs.

use crate::arch::hardware::{self, now, relax, touch_fp};
use crate::arch::{has_second, start_second};
use crate::measure::{Report, cpu};
use core::sync::atomic::{AtomicU64, Ordering};

/// What the second CPU does: one of the constants below.
static ORDER: AtomicU64 = AtomicU64::new(0);
/// What it does now.
static STATE: AtomicU64 = AtomicU64::new(0);

const SPIN: u64 = 1;
const SLEEP: u64 = 2;
const ANSWER: u64 = 3;
const ANSWER_WITH_FP: u64 = 4;
const YIELD: u64 = 5;

/// What the second CPU does from now on.
pub fn serve(number: usize) -> ! {
    let cpu = cpu(number);
    // The interrupts that were answered, or needed no answer: none is missed between two orders.
    let mut done = cpu.irqs();
    loop {
        let order = ORDER.load(Ordering::Relaxed);
        STATE.store(order, Ordering::Relaxed);
        match order {
            SLEEP => {
                hardware::calm();
                sleep(number, done);
                done = cpu.irqs();
            }
            ANSWER | ANSWER_WITH_FP => {
                hardware::calm();
                sleep(number, done);
                done += 1;
                if order == ANSWER_WITH_FP {
                    touch_fp();
                }
                hardware::send(2, 0);
            }
            _ => {
                done = cpu.irqs();
                relax();
            }
        }
    }
}

/// Waits for an interrupt after the `seen` ones, in WFI.
#[inline(always)]
fn sleep(number: usize, seen: u64) {
    hardware::mask();
    while cpu(number).irqs() == seen {
        hardware::wfi();
        hardware::unmask();
        hardware::mask();
    }
    hardware::unmask();
}

/// Starts the second CPU, if there is one.
fn start() -> bool {
    if !has_second() {
        return false;
    }
    order(YIELD);
    start_second();
    reached(YIELD);
    true
}

fn order(what: u64) {
    ORDER.store(what, Ordering::Relaxed);
}

fn reached(what: u64) {
    while STATE.load(Ordering::Relaxed) != what {
        relax();
    }
}

/// Lets `ticks` pass, so that the other CPU comes to rest.
fn settle(ticks: u64) {
    let end = now() + ticks;
    while now() < end {
        relax();
    }
}

/// Rows of two vCPUs with a CPU each.
pub fn measure(report: &mut Report) {
    if !start() {
        return;
    }
    order(SPIN);
    reached(SPIN);
    settle(report.ticks(100_000));
    let send = |names, rest, report: &mut Report| {
        let rest = report.ticks(rest);
        report.rows(names, 1, || {
            settle(rest);
            let other = cpu(1);
            let seen = other.irqs();
            let from = now();
            hardware::send(3, 1);
            while other.irqs() == seen {
                relax();
            }
            other.times().map(|time| time - from)
        });
    };
    send(["ipi_taken", "ipi_ended"], 1_000, report);
    order(SLEEP);
    reached(SLEEP);
    send(["wfi_wake_taken", "wfi_wake_ended"], 40_000, report);
    pingpong(report, "pingpong_two_cpus", ANSWER);
}

fn pingpong(report: &mut Report, name: &str, what: u64) {
    let me = cpu(0);
    order(what);
    if STATE.load(Ordering::Relaxed) == SLEEP {
        hardware::send(3, 1);
    }
    reached(what);
    settle(report.ticks(100_000));
    hardware::calm();
    report.row(name, 1, || {
        let seen = me.irqs();
        let from = now();
        if what == ANSWER_WITH_FP {
            touch_fp();
        }
        hardware::send(3, 1);
        sleep(0, seen);
        now() - from
    });
    // It sleeps, and reads the next order when it was woken.
    order(SLEEP);
    while STATE.load(Ordering::Relaxed) != SLEEP {
        hardware::send(3, 1);
        settle(report.ticks(20_000));
    }
}

/// Rows of two vCPUs that share a CPU.
pub fn switch(report: &mut Report) {
    if !start() {
        return;
    }
    order(SLEEP);
    reached(SLEEP);
    pingpong(report, "switch_there_and_back", ANSWER);
    pingpong(report, "switch_there_and_back_fp", ANSWER_WITH_FP);
}
