//! axhal on the machine, without the rest of the hypervisor: what must work, and what must be
//! reported, with names in the backtrace.

use crate::{Case, case};
use axhv_tests::arch::{Arch, counted, word};
use axhv_tests::artifacts::Image;
use axhv_tests::machine::Machine;
use axhv_tests::symbols;
use axhv_tests::{Failure, Test};

pub fn cases(arch: &'static Arch) -> Vec<Case> {
    let mut cases = vec![
        case("selftest::unfit_machine", unfit_machine),
        case("selftest::panic_in_panic", panic_in_panic),
        case(
            "selftest::harts_at_the_images_start",
            harts_at_the_images_start,
        ),
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
    let machine = Machine::new(test).image(Image::Selftest).cpu(cpu);
    all_checks(machine.memory(memory), cpus)
}

fn all_checks(machine: Machine, cpus: usize) -> Result<(), Failure> {
    let mut running = machine.cpus(cpus).boot()?;
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

/// Firmware that lets each secondary hart go at the image's first instruction, as OpenSBI 1.1
/// sometimes does: the instruction where they should begin is a jump there.
fn harts_at_the_images_start(test: &Test) -> Result<(), Failure> {
    // linker/riscv64.ld; the file is the image from its start on.
    const START: u64 = 0xffff_ffc0_0000_0000;
    let (bin, elf) = Image::Selftest.build(test.arch)?;
    let entry = symbols::find(&elf, START..START + 0x1_0000, "axhal_secondary_start")?;
    let at = (entry - START) as usize;
    let mut image = std::fs::read(&bin).map_err(|e| format!("{}: {e}", bin.display()))?;
    let instruction = image.get_mut(at..at + 4).ok_or("the image is too short")?;
    instruction.copy_from_slice(&jump_back(at as u32).to_le_bytes());
    let changed = test.dir()?.join("axhv.bin");
    std::fs::write(&changed, image).map_err(|e| format!("{}: {e}", changed.display()))?;
    all_checks(Machine::new(test).changed_image(changed, elf), 4)
}

/// J (JAL with x0) to `distance` bytes before: less than a mebibyte, and even.
fn jump_back(distance: u32) -> u32 {
    let offset = distance.wrapping_neg();
    let field = |bits: u32, from: u32, to: u32| (offset >> from & ((1 << bits) - 1)) << to;
    field(1, 20, 31) | field(10, 1, 21) | field(1, 11, 20) | field(8, 12, 12) | 0x6f
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
