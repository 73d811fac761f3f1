//! axhal on the machine, without the rest of the hypervisor: what must work, and what must be
//! reported, with names in the backtrace.

use crate::Case;
use axhv_tests::Failure;
use axhv_tests::artifacts::Image;
use axhv_tests::machine::Machine;

pub const CASES: &[Case] = &[
    ("selftest::cortex_a53_1_cpu", |name| {
        passes(name, "cortex-a53", 1, "512M")
    }),
    ("selftest::cortex_a72_8_cpus", |name| {
        passes(name, "cortex-a72", 8, "2G")
    }),
    ("selftest::neoverse_n1_4_cpus", |name| {
        passes(name, "neoverse-n1", 4, "2G")
    }),
    ("selftest::max_2_cpus", |name| passes(name, "max", 2, "2G")),
    ("selftest::started_at_el1", started_at_el1),
    ("selftest::unmapped", |name| {
        reports(name, "unmapped", "inner")
    }),
    ("selftest::write_text", |name| {
        reports(name, "write-text", "write")
    }),
    ("selftest::write_rodata", |name| {
        reports(name, "write-rodata", "write")
    }),
    ("selftest::execute_data", |name| {
        reports(name, "execute-data", "main")
    }),
    ("selftest::overflow", |name| {
        reports(name, "overflow", "overflow")
    }),
    ("selftest::overflow_secondary", |name| {
        reports(name, "overflow-secondary", "overflow")
    }),
    ("selftest::behind_window", |name| {
        reports(name, "behind-window", "main")
    }),
    ("selftest::panic", |name| reports(name, "panic", "cause")),
    ("selftest::panic_in_panic", panic_in_panic),
];

/// All checks, on every kind of CPU.
fn passes(name: &str, cpu: &str, cpus: usize, memory: &str) -> Result<(), Failure> {
    let machine = Machine::new(name)
        .image(Image::Selftest)
        .cpu(cpu)
        .cpus(cpus)
        .memory(memory);
    let mut running = machine.boot()?;
    for check in [
        "bundle",
        "stacks",
        "mappings",
        "windows",
        "memory",
        "interrupts",
        "switches",
    ] {
        running.expect(&format!("PASS {check}"))?;
    }
    running.expect(&format!("PASS cpus {cpus}"))?;
    running.finish(0).map(drop)
}

/// Without EL2 there is nothing to do but say so.
fn started_at_el1(name: &str) -> Result<(), Failure> {
    let machine = Machine::new(name)
        .image(Image::Selftest)
        .board("virt,gic-version=3");
    let mut running = machine.boot()?;
    running.expect("axhv: started at EL1, needs EL2")?;
    running.finish(100).map(drop)
}

/// A fault of the hypervisor itself is reported, and the backtrace leads to `function`.
fn reports(name: &str, fault: &str, function: &str) -> Result<(), Failure> {
    let mut running = Machine::new(name)
        .image(Image::Selftest)
        .append(fault)
        .boot()?;
    running.expect("build-id ")?;
    let names = running.finish_broken(101)?;
    if names.contains(function) {
        Ok(())
    } else {
        Err(format!("no {function} in\n{names}"))
    }
}

/// A fault while a fault is reported ends the report, not the power-off.
fn panic_in_panic(name: &str) -> Result<(), Failure> {
    let machine = Machine::new(name)
        .image(Image::Selftest)
        .append("panic-in-panic");
    let mut running = machine.boot()?;
    running.expect("axhv: another fault while reporting this one")?;
    running.finish_broken(101).map(drop)
}
