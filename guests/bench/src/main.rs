//! Measures what a hypervisor's operations cost its guest. It runs unmodified under this
//! hypervisor, KVM, Xen, and on QEMU's `virt` board itself: where things are, the device tree
//! tells. (aarch64's has an entry and drivers of its own for that: the other guests' know one
//! platform.) Each row is a line
//!
//! `BENCH name median worst least runs faults number`
//!
//! in instructions, if the emulator counts them (`-icount shift=0`), or else in nanoseconds.
//! Words on the command line choose what is measured: `switch` for two vCPUs that share a CPU,
//! `spin` and `sleep` for a CPU that is left alone, `idle` for a VM that is just there; without one,
//! everything else.
#![no_std]
#![no_main]

#[macro_use]
mod measure;
#[cfg(target_arch = "aarch64")]
#[path = "aarch64/mod.rs"]
mod arch;
#[cfg(target_arch = "riscv64")]
#[path = "riscv64/mod.rs"]
mod arch;
mod pair;
mod quiet;

use measure::Report;

/// Measures what the command line's words say; `alone` are the rows of a CPU by itself.
fn run(report: &mut Report, line: &str, alone: impl FnOnce(&mut Report)) {
    let has = |word: &str| line.split(' ').any(|w| w == word);
    if has("idle") {
        quiet::idle();
    } else if has("spin") {
        quiet::spin(report);
    } else if has("sleep") {
        quiet::sleep(report);
    } else if has("switch") {
        pair::switch(report);
    } else {
        alone(report);
        pair::measure(report);
    }
    report.say(format_args!("BENCH-END"));
}
