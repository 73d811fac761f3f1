//! axhal on the machine, without the rest of the hypervisor: what must work, and what must be
//! reported, with names in the backtrace.

use crate::{Case, case};
use axhv_tests::arch::{Arch, counted, word};
use axhv_tests::artifacts::Image;
use axhv_tests::machine::Machine;
use axhv_tests::{Failure, Test};

pub fn cases(arch: &'static Arch) -> Vec<Case> {
    let mut cases = vec![
        case("selftest::unfit_machine", unfit_machine),
        case("selftest::panic_in_panic", panic_in_panic),
    ];
    for &(model, cpus, memory) in arch.selftests {
        cases.push(case(
            format!("selftest::{}_{}", word(model), counted(cpus, "cpu")),
            move |test| passes(test, model, cpus, memory),
        ));
    }
    for (name, fault, function) in FAULTS {
        cases.push(case(*name, |test| reports(test, fault, function)));
    }
    cases
}

/// What axhal must report: the test's name, the fault, and a function of its backtrace.
const FAULTS: &[(&str, &str, &str)] = &[
    ("selftest::unmapped", "unmapped", "inner"),
    ("selftest::write_text", "write-text", "write"),
    ("selftest::write_rodata", "write-rodata", "write"),
    ("selftest::execute_data", "execute-data", "main"),
    ("selftest::overflow", "overflow", "overflow"),
    (
        "selftest::overflow_secondary",
        "overflow-secondary",
        "overflow",
    ),
    ("selftest::behind_window", "behind-window", "main"),
    ("selftest::panic", "panic", "cause"),
];

/// All checks, on every kind of CPU.
fn passes(test: &Test, cpu: &str, cpus: usize, memory: &str) -> Result<(), Failure> {
    let machine = Machine::new(test)
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

/// On a machine that can't run a hypervisor there is nothing to do but say so.
fn unfit_machine(test: &Test) -> Result<(), Failure> {
    let (args, says) = test.arch.unfit;
    let machine = Machine::new(test).image(Image::Selftest).args(args);
    let mut running = machine.boot()?;
    running.expect(says)?;
    running.finish(100).map(drop)
}

/// A fault of the hypervisor itself is reported, and the backtrace leads to `function`.
fn reports(test: &Test, fault: &str, function: &str) -> Result<(), Failure> {
    let mut running = Machine::new(test)
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
fn panic_in_panic(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test)
        .image(Image::Selftest)
        .append("panic-in-panic");
    let mut running = machine.boot()?;
    running.expect("axhv: another fault while reporting this one")?;
    running.finish_broken(101).map(drop)
}
