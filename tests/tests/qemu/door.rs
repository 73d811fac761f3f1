//! The front door: `make`, as a user calls it.

use crate::{Case, case};
use axhv_tests::arch::Arch;
use axhv_tests::artifacts::{self, Image};
use axhv_tests::machine::Machine;
use axhv_tests::vm::{self, Vm};
use axhv_tests::{Failure, Test, log};
use std::process::{Command, Stdio};

pub fn cases(_: &'static Arch) -> Vec<Case> {
    vec![
        case("door::run", run),
        case("door::run_returns_a_fault", run_returns_a_fault),
        case("door::run_needs_the_final_line", run_needs_the_final_line),
        case("door::other_architecture", other_architecture),
        case("door::help", help),
        case("door::embedded_bundle", embedded_bundle),
        case("door::handed_over_bundle_wins", handed_over_bundle_wins),
    ]
}

/// Calls make at the top of the repository, without input; whether it succeeded, and what it said.
fn make(args: &[&str]) -> Result<(bool, String), Failure> {
    let mut command = Command::new("make");
    // This may run below `make test`, whose variables aren't meant for this call.
    for name in [
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "ARCH",
        "VMS",
        "OUT",
        "APPEND",
        "CPU",
        "GIC",
        "QEMU",
        "QEMU_ARGS",
    ] {
        command.env_remove(name);
    }
    let output = command
        .args(args)
        .current_dir(artifacts::root())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("make: {e}"))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&said).replace('\r', ""),
    ))
}

/// Fails unless make did as `good` says and said all of `words`.
fn says(args: &[&str], good: bool, words: &[&str]) -> Result<(), Failure> {
    let (success, said) = make(args)?;
    if let Some(word) = words.iter().find(|word| !said.contains(**word)) {
        return Err(format!(
            "make {args:?} doesn't say {word:?}:\n{}",
            log::tail(&said, 60)
        ));
    }
    if success == good {
        return Ok(());
    }
    Err(format!(
        "make {args:?}: success is {success}:\n{}",
        log::tail(&said, 60)
    ))
}

/// Calls `make run` for the test's architecture with `hello` and more variables.
fn run_says(test: &Test, more: &[&str], good: bool, words: &[&str]) -> Result<(), Failure> {
    let arch = test.arch.name;
    let vms = format!("VMS=configs/vms/{arch}/hello.toml");
    let arch = format!("ARCH={arch}");
    let qemu = format!("QEMU={}", test.arch.qemu());
    says(&[&[&arch, &qemu, "run", &vms], more].concat(), good, words)
}

fn run(test: &Test) -> Result<(), Failure> {
    let words = [
        "starting QEMU",
        "hello: done",
        "hello ended: powered off",
        "axhv: status 0",
    ];
    let cpu = format!("CPU={}", test.arch.rich_cpu);
    run_says(test, &["CPUS=4", &cpu], true, &words)
}

fn run_returns_a_fault(test: &Test) -> Result<(), Failure> {
    vm::bundle(test, &[Vm::guest("faulty", 1)])?;
    let vms = format!("VMS={}", test.dir()?.join("faulty.toml").display());
    let words = ["faulty ended: fault", "axhv: status 1"];
    run_says(test, &[&vms], false, &words)
}

/// QEMU returns 0 however the machine ended; a run that lacks the line, or has a bad one, fails.
fn run_needs_the_final_line(test: &Test) -> Result<(), Failure> {
    let (args, why) = test.arch.unfit;
    let unfit = format!("QEMU_ARGS={}", args.join(" "));
    run_says(test, &[&unfit], false, &[why, "axhv: status 100"])?;
    // A kernel that is none: the machine is asked to quit before it says anything.
    let quits = "QEMU_ARGS=-S -monitor null -qmp unix:/nonexistent/qmp,server=off";
    run_says(test, &[quits], false, &["QEMU ended with status"])
}

fn other_architecture(_: &Test) -> Result<(), Failure> {
    says(&["ARCH=mips", "run"], false, &["ARCH=mips isn't there yet"])?;
    says(&["ARCH=x86_64", "run"], false, &["isn't there yet"])?;
    says(&["GIC=2", "run"], false, &["GIC=2 isn't there yet"])?;
    let riscv64 = ["ARCH=riscv64", "GIC=3", "run"];
    says(&riscv64, false, &["GIC=3 means nothing here"])
}

fn help(_: &Test) -> Result<(), Failure> {
    says(
        &["help"],
        true,
        &["make ARCH=aarch64 run", "make test", "CPUS=2", "QEMU_ARGS="],
    )?;
    says(&[], true, &["make ARCH=aarch64 run"])
}

/// `make image VMS=...` makes one file that needs nothing else.
fn embedded_bundle(test: &Test) -> Result<(), Failure> {
    let mut running = Machine::new(test).image(Image::Embedded).boot()?;
    running.expect("hello: done")?;
    running.finish(0).map(drop)
}

/// A bundle from the boot loader replaces the embedded one.
fn handed_over_bundle_wins(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test).image(Image::Embedded);
    let mut running = machine.vm(Vm::guest("hello", 1).named("other")).boot()?;
    running.expect("VM 1 other")?;
    running.expect("hello: done")?;
    let text = running.finish(0)?;
    let count = text.matches("hello: done").count();
    if count == 1 {
        Ok(())
    } else {
        Err(format!("{count} guests ran:\n{text}"))
    }
}
