//! A guest with a physical device: the board's real-time clock. It takes the alarm's interrupt while
//! it waits, while it works, on its second vCPU, and with a third also while it moves between two
//! CPUs, and restarts its machine with the interrupt pending and active and with something in its
//! memory: neither must be there afterwards.
#![no_std]
#![no_main]

#[cfg(target_arch = "riscv64")]
#[path = "goldfish.rs"]
mod clock;
#[cfg(target_arch = "aarch64")]
#[path = "pl031.rs"]
mod clock;

use clock::LINE;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use guest_support::map::RAM;
use guest_support::mmio::{read32, write32};
use guest_support::sync::wait_for;
use guest_support::{cpu, exception, firmware, lines, println, smp, timer, tree};

guest_support::guest!(main);

/// The time it has at its start; a later time tells a restarted guest that it is one.
const START: u32 = 1000;

/// A place in RAM that no image is loaded to.
const SECRET: usize = RAM + (12 << 20);

/// The CPU that took the last alarm, plus 1.
static TAKEN_BY: AtomicU64 = AtomicU64::new(0);

fn main() {
    clock::announce();
    announce_seed();
    exception::on_interrupt(Some(alarm), true);
    if (START..START + 1000).contains(&clock::now()) {
        after_restart();
        return;
    }
    clock::start(START);
    lines::enable_for(LINE, 0);
    report("while it works", 0, || wait_for(5000, taken));
    report("while it waits", 0, sleep);
    if smp::count() > 1 {
        TAKEN_BY.store(0, Ordering::SeqCst);
        smp::give(1, || while !sleep() {});
        // Firmware that starts a CPU may begin with all its interrupts off.
        lines::enable_for(LINE, 1);
        report("on the other CPU", 1, || wait_for(5000, taken));
        smp::wait(1);
    }
    if smp::count() > 2 {
        move_about();
    }
    if clock::now().wrapping_sub(START) > 100 {
        println!("rtc: the clock went wrong");
    }
    println!("rtc: restarting with the interrupt pending and active");
    lines::disable(LINE);
    exception::on_interrupt(None, false);
    exception::forget_taken();
    clock::set_alarm(0);
    lines::enable_for(LINE, 0);
    wait_for(5000, || exception::taken(0, LINE) != 0);
    write32(SECRET, 0x5ec2_e700);
    firmware::reset();
}

/// The second and the third CPU have a physical one each, and the first may use both. Where one of
/// them works, the first does not wake: it goes to the other.
fn move_about() {
    lines::enable_for(LINE, 0);
    for round in 0..4 {
        while_works(1 + round % 2, || report("on its way", 0, sleep));
    }
    // The last move was away from the third.
    for other in [1, 2] {
        clock::end_late(true);
        report("before its way", 0, || wait_for(5000, taken));
        while_works(other, nap);
        clock::end_late(false);
        report("after its way", 0, || wait_for(5000, taken));
    }
}

static WORKS: AtomicBool = AtomicBool::new(false);

/// Does something while CPU number `other` works, which is off afterwards: one that waits for work
/// may keep its physical CPU.
fn while_works(other: usize, what: impl Fn()) {
    WORKS.store(true, Ordering::SeqCst);
    smp::give(other, || {
        while WORKS.load(Ordering::SeqCst) {
            core::hint::spin_loop();
        }
        smp::off();
    });
    what();
    WORKS.store(false, Ordering::SeqCst);
    smp::wait(other);
}

/// Sleeps for a moment.
fn nap() {
    const MOMENT: u64 = 200;
    let end = timer::now() + timer::ticks(MOMENT);
    exception::mask();
    lines::enable(timer::LINE);
    timer::arm_at(end);
    while timer::now() < end {
        exception::wait();
    }
    timer::stop();
    lines::disable(timer::LINE);
    exception::unmask();
}

/// Each life has a seed of its own. Only what is left of it when folded is shown.
fn announce_seed() {
    let seed = tree::find("rng-seed").map_or(&[][..], |property| property.value);
    let fold = |sum: u32, &byte: &u8| sum.rotate_left(3) ^ u32::from(byte);
    let sum = seed.iter().fold(0, fold);
    println!("rtc: {} bytes of seed, {sum:#x}", seed.len());
}

/// The alarm of before the restart is on still, and must come once it is enabled.
fn after_restart() {
    let (enabled, active, asserted) = clock::leftovers();
    println!("rtc: restarted, enabled {enabled} active {active} asserted {asserted}");
    println!("rtc: memory reads {:#x}", read32(SECRET));
    lines::enable_for(LINE, 0);
    let came = wait_for(1000, taken);
    println!("rtc: after the restart the alarm {}", verb(came));
    println!("rtc: done");
}

fn verb(came: bool) -> &'static str {
    if came { "came" } else { "did not come" }
}

/// Sets an alarm, waits for it, and says whether it came, to CPU number `expected`.
fn report(when: &str, expected: u64, wait: impl Fn() -> bool) {
    TAKEN_BY.store(0, Ordering::SeqCst);
    clock::set_alarm(1);
    let came = wait() && TAKEN_BY.load(Ordering::SeqCst) == expected + 1;
    println!("rtc: the alarm {} {when}", verb(came));
}

fn taken() -> bool {
    TAKEN_BY.load(Ordering::SeqCst) != 0
}

/// Waits for it asleep.
fn sleep() -> bool {
    exception::mask();
    while !taken() {
        exception::wait();
        exception::unmask();
        exception::mask();
    }
    exception::unmask();
    true
}

fn alarm(line: u32) {
    if line == LINE {
        clock::clear();
        TAKEN_BY.store(cpu() as u64 + 1, Ordering::SeqCst);
    }
}
