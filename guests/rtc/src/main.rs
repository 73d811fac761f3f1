//! A guest with a physical device: QEMU's PL031 real-time clock (Arm DDI 0224). It takes the alarm's
//! interrupt while it waits, while it works, and on its second vCPU, and restarts its machine with
//! the interrupt pending and active and with something in its memory: neither must be there
//! afterwards.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::gic::{self, Bits};
use guest_support::map::RAM;
use guest_support::mmio::{read32, write32};
use guest_support::sync::wait_for;
use guest_support::{cpu, exception, println, psci, smp};

guest_support::guest!(main);

const RTC: usize = 0x0901_0000;
const DATA: usize = RTC;
const MATCH: usize = RTC + 0x4;
const LOAD: usize = RTC + 0x8;
const MASK: usize = RTC + 0x10;
const RAW_STATUS: usize = RTC + 0x14;
const CLEAR: usize = RTC + 0x1c;
/// PrimeCell part number 0x031, in the lowest bytes of the first two id registers.
const PART: usize = RTC + 0xfe0;

/// The clock's interrupt on QEMU's board.
const INTID: u32 = 34;
/// The time it has at its start; a later time tells a restarted guest that it is one.
const START: u32 = 1000;

/// A place in RAM that no image is loaded to.
const SECRET: usize = RAM + (12 << 20);

/// The CPU that took the last alarm, plus 1.
static TAKEN_BY: AtomicU64 = AtomicU64::new(0);

fn main() {
    let part = read32(PART) & 0xff | (read32(PART + 4) & 0xf) << 8;
    println!("rtc: part {part:#x}");
    exception::on_interrupt(Some(alarm), true);
    if (START..START + 1000).contains(&read32(DATA)) {
        after_restart();
        return;
    }
    write32(LOAD, START);
    write32(MASK, 1);
    gic::enable(INTID);
    gic::route(INTID, smp::id(0));
    report("while it works", 0, || wait_for(5000, taken));
    report("while it waits", 0, sleep);
    if smp::count() > 1 {
        gic::route(INTID, smp::id(1));
        smp::give(1, || while !sleep() {});
        report("on the other CPU", 1, || wait_for(5000, taken));
        smp::wait(1);
    }
    if read32(DATA).wrapping_sub(START) > 100 {
        println!("rtc: the clock went wrong");
    }
    println!("rtc: restarting with the interrupt pending and active");
    gic::set(Bits::ClearEnable, INTID);
    exception::on_interrupt(None, false);
    gic::route(INTID, smp::id(0));
    write32(MATCH, read32(DATA));
    gic::set(Bits::SetEnable, INTID);
    wait_for(5000, || gic::get(Bits::SetActive, INTID));
    write32(SECRET, 0x5ec2_e700);
    psci::call(psci::SYSTEM_RESET, [0; 3]);
}

/// The alarm of before the restart is on still, and must come once it is enabled.
fn after_restart() {
    println!(
        "rtc: restarted, enabled {} active {} asserted {}",
        gic::get(Bits::SetEnable, INTID),
        gic::get(Bits::SetActive, INTID),
        read32(RAW_STATUS),
    );
    println!("rtc: memory reads {:#x}", read32(SECRET));
    gic::enable(INTID);
    gic::route(INTID, smp::id(0));
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
    write32(MATCH, read32(DATA) + 1);
    let came = wait() && TAKEN_BY.load(Ordering::SeqCst) == expected + 1;
    println!("rtc: the alarm {} {when}", verb(came));
}

fn taken() -> bool {
    TAKEN_BY.load(Ordering::SeqCst) != 0
}

/// Waits in WFI.
fn sleep() -> bool {
    exception::mask();
    while !taken() {
        // SAFETY: waits for an interrupt, which is then taken, and taken out of the way, here.
        unsafe {
            asm!(
                "wfi",
                "msr daifclr, #2",
                "isb",
                "msr daifset, #2",
                options(nostack)
            )
        };
    }
    exception::unmask();
    true
}

fn alarm(intid: u32) {
    if intid == INTID {
        write32(CLEAR, 1);
        // The line has fallen before the interrupt is ended.
        let _ = read32(RAW_STATUS);
        TAKEN_BY.store(cpu() as u64 + 1, Ordering::SeqCst);
    }
}
