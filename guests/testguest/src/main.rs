//! Checks what a guest sees against the manuals. Each case prints `PASS name`, `FAIL name why` or
//! `SKIP name why`; the last line counts them. On QEMU's `virt` board itself the cases tell whether
//! they are right; a few ask what only a hypervisor does, and are skipped there.
#![no_std]
#![no_main]

#[macro_use]
mod outcome;
#[cfg(target_arch = "aarch64")]
#[path = "aarch64/mod.rs"]
mod arch;
#[cfg(target_arch = "riscv64")]
#[path = "riscv64/mod.rs"]
mod arch;
mod shared;

use arch::{AREAS, on_board, reset};
use guest_support::{println, smp};
use outcome::{Outcome, Stop};

guest_support::guest!(main);

/// A case: its name, how many CPUs it needs, and what it does.
type Case = (&'static str, usize, fn() -> Outcome);

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
