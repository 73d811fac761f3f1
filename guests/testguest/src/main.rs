//! Checks what a guest sees against the manuals. Each case prints `PASS name`, `FAIL name why` or
//! `SKIP name why`; the last line counts them. On QEMU's `virt` board itself the cases tell whether
//! they are right; a few ask what only a hypervisor does, and are skipped there.
#![no_std]
#![no_main]

#[macro_use]
mod outcome;
mod abort;
mod debug;
mod fp;
mod gic;
mod gic_active;
mod gic_order;
mod memory;
mod mmio;
mod psci;
mod sysreg;
mod timer;
mod user;
mod wait;

use guest_support::{exception, gic as controller, mmio as device, println, smp, timer as clock};
use outcome::{Outcome, Stop};

guest_support::guest!(main);

/// A case: its name, how many CPUs it needs, and what it does.
type Case = (&'static str, usize, fn() -> Outcome);

const AREAS: &[&[Case]] = &[
    psci::CASES,
    gic::CASES,
    gic_order::CASES,
    gic_active::CASES,
    timer::CASES,
    wait::CASES,
    mmio::CASES,
    abort::CASES,
    user::CASES,
    sysreg::CASES,
    debug::CASES,
    fp::CASES,
    memory::CASES,
];

/// Whether this is QEMU's board without a hypervisor: its distributor's GICD_IIDR.
fn on_board() -> bool {
    device::read32(controller::GICD + 8) == 0x43b
}

fn main() {
    reset();
    let cpus = smp::count();
    println!(
        "testguest: {cpus} CPUs{}",
        if on_board() { ", no hypervisor" } else { "" }
    );
    let [mut passed, mut failed, mut skipped] = [0; 3];
    for &(name, needs, case) in AREAS.iter().copied().flatten() {
        let outcome = if needs > cpus {
            Err(Stop::Skip("needs more CPUs"))
        } else {
            case()
        };
        reset();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("PASS {name}");
            }
            Err(Stop::Skip(why)) => {
                skipped += 1;
                println!("SKIP {name} {why}");
            }
            Err(Stop::Fail) => {
                failed += 1;
                println!("FAIL {name} {}", outcome::why());
            }
        }
    }
    println!("testguest: {passed} passed, {failed} failed, {skipped} skipped");
}

/// Back to what every case finds, whatever the last one left.
fn reset() {
    clock::stop_virtual();
    clock::stop_physical();
    exception::mask();
    gic::quiet();
    exception::on_interrupt(None, true);
    exception::forget_taken();
    exception::unmask();
}
