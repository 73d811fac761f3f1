//! The front door: `make`, as a user calls it.

use crate::Case;
use axhv_tests::artifacts::{self, Image};
use axhv_tests::machine::Machine;
use axhv_tests::vm::{self, Vm};
use axhv_tests::{Failure, log};
use std::process::{Command, Stdio};

pub const CASES: &[Case] = &[
    ("door::run", run),
    ("door::run_returns_a_fault", run_returns_a_fault),
    ("door::run_needs_the_final_line", run_needs_the_final_line),
    ("door::other_architecture", other_architecture),
    ("door::help", help),
    ("door::embedded_bundle", embedded_bundle),
    ("door::handed_over_bundle_wins", handed_over_bundle_wins),
];

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

const HELLO: &str = "VMS=configs/vms/aarch64/hello.toml";

fn run(_: &str) -> Result<(), Failure> {
    let words = [
        "starting QEMU",
        "hello: done",
        "hello ended: powered off",
        "axhv: status 0",
    ];
    says(
        &["ARCH=aarch64", "run", HELLO, "CPUS=4", "CPU=max"],
        true,
        &words,
    )
}

fn run_returns_a_fault(name: &str) -> Result<(), Failure> {
    let dir = artifacts::root()
        .join("build/tests")
        .join(name.replace("::", "-"));
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    vm::bundle(&dir, &[Vm::guest("faulty", 1)])?;
    let vms = format!("VMS={}", dir.join("faulty.toml").display());
    says(
        &["ARCH=aarch64", "run", &vms],
        false,
        &["faulty ended: fault", "axhv: status 1"],
    )
}

/// QEMU returns 0 however the machine ended; a run that lacks the line, or has a bad one, fails.
fn run_needs_the_final_line(_: &str) -> Result<(), Failure> {
    let no_el2 = "QEMU_ARGS=-machine virtualization=off";
    let words = ["started at EL1", "axhv: status 100"];
    says(&["ARCH=aarch64", "run", HELLO, no_el2], false, &words)?;
    // A kernel that is none: the machine is asked to quit before it says anything.
    let quits = "QEMU_ARGS=-S -monitor null -qmp unix:/nonexistent/qmp,server=off";
    says(
        &["ARCH=aarch64", "run", HELLO, quits],
        false,
        &["QEMU ended with status"],
    )
}

fn other_architecture(_: &str) -> Result<(), Failure> {
    says(&["ARCH=mips", "run"], false, &["ARCH=mips isn't there yet"])?;
    says(&["GIC=2", "run"], false, &["GIC=2 isn't there yet"])
}

fn help(_: &str) -> Result<(), Failure> {
    says(
        &["help"],
        true,
        &["make ARCH=aarch64 run", "make test", "CPUS=2", "QEMU_ARGS="],
    )?;
    says(&[], true, &["make ARCH=aarch64 run"])
}

/// `make image VMS=...` makes one file that needs nothing else.
fn embedded_bundle(name: &str) -> Result<(), Failure> {
    let mut running = Machine::new(name).image(Image::Embedded).boot()?;
    running.expect("hello: done")?;
    running.finish(0).map(drop)
}

/// A bundle from the boot loader replaces the embedded one.
fn handed_over_bundle_wins(name: &str) -> Result<(), Failure> {
    let machine = Machine::new(name).image(Image::Embedded);
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
