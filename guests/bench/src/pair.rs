//! Rows of two vCPUs.

use crate::hardware::{self, hvc, now, relax};
use crate::machine;
use crate::measure::{Report, cpu};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const CPU_ON: u64 = 0xc400_0003;
const AFFINITY_INFO: u64 = 0xc400_0004;

/// What the second CPU does: one of the constants below.
static ORDER: AtomicU64 = AtomicU64::new(0);
/// What it does now.
static STATE: AtomicU64 = AtomicU64::new(0);
/// The device tree, for the second CPU.
static TREE: AtomicUsize = AtomicUsize::new(0);

const SPIN: u64 = 1;
const SLEEP: u64 = 2;
const ANSWER: u64 = 3;
const ANSWER_WITH_FP: u64 = 4;
const YIELD: u64 = 5;

unsafe extern "C" {
    fn bench_secondary_entry();
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
extern "C" fn bench_other_cpu(number: usize) -> ! {
    hardware::init_gic(&machine::read(TREE.load(Ordering::Relaxed)), number);
    hardware::unmask();
    let cpu = cpu(number);
    // The interrupts that were answered, or needed no answer: none is missed between two orders.
    let mut done = cpu.irqs();
    loop {
        let order = ORDER.load(Ordering::Relaxed);
        STATE.store(order, Ordering::Relaxed);
        match order {
            SLEEP => {
                sleep(number, done);
                done = cpu.irqs();
            }
            ANSWER | ANSWER_WITH_FP => {
                sleep(number, done);
                done += 1;
                if order == ANSWER_WITH_FP {
                    touch_fp();
                }
                hardware::send_sgi(2, 0);
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

/// Uses a vector register: FMOV D0, XZR.
#[inline(always)]
fn touch_fp() {
    // SAFETY: nothing else uses vector registers.
    unsafe { asm!(".inst 0x9e6703e0", options(nostack)) };
}

/// Starts the second CPU, if there is one.
fn start(tree: usize) -> bool {
    if hvc(AFFINITY_INFO, [1, 0, 0]) < 0 {
        return false;
    }
    TREE.store(tree, Ordering::Relaxed);
    order(YIELD);
    hvc(CPU_ON, [1, bench_secondary_entry as *const () as u64, 1]);
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
pub fn measure(report: &mut Report, tree: usize) {
    if !start(tree) {
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
            hardware::send_sgi(3, 1);
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
        hardware::send_sgi(3, 1);
    }
    reached(what);
    settle(report.ticks(100_000));
    report.row(name, 1, || {
        let seen = me.irqs();
        let from = now();
        if what == ANSWER_WITH_FP {
            touch_fp();
        }
        hardware::send_sgi(3, 1);
        sleep(0, seen);
        now() - from
    });
    // It sleeps, and reads the next order when it was woken.
    order(SLEEP);
    while STATE.load(Ordering::Relaxed) != SLEEP {
        hardware::send_sgi(3, 1);
        settle(report.ticks(20_000));
    }
}

/// Rows of two vCPUs that share a CPU.
pub fn switch(report: &mut Report, tree: usize) {
    if !start(tree) {
        return;
    }
    order(SLEEP);
    reached(SLEEP);
    pingpong(report, "switch_there_and_back", ANSWER);
    pingpong(report, "switch_there_and_back_fp", ANSWER_WITH_FP);
}
