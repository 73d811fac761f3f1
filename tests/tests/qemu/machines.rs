//! Machines of all sizes, ways to boot, and options of the hypervisor.

use crate::{Case, case};
use axhv_tests::arch::Arch;
use axhv_tests::machine::{Machine, Running};
use axhv_tests::vm::Vm;
use axhv_tests::{Failure, Test};
use std::time::Duration;

pub fn cases(_: &'static Arch) -> Vec<Case> {
    vec![
        case("machine::ram_512m", ram_512m),
        case("machine::ram_64g", ram_64g),
        case("machine::ram_at_an_address", ram_at_an_address),
        case("machine::cpus_8", cpus_8),
        case("machine::no_bundle", no_bundle),
        case("machine::two_vms", two_vms),
        case("machine::two_vms_by_booti", two_vms_by_booti),
        case("machine::lines_stay_whole", lines_stay_whole),
        case("machine::console_of_one", console_of_one),
        case("machine::when_idle_stay", when_idle_stay),
        case("machine::loglevel", loglevel),
        case("machine::bad_option", bad_option),
    ]
}

fn hello_runs(mut running: Running) -> Result<(), Failure> {
    running.expect("hello: done")?;
    running.finish(0).map(drop)
}

fn ram_512m(test: &Test) -> Result<(), Failure> {
    let linux = Vm::linux(2).memory("256MiB");
    let mut running = Machine::new(test).memory("512M").vm(linux).boot()?;
    running.shell()?;
    running.send("poweroff\n")?;
    running.finish(0).map(drop)
}

/// A VM before it has half of the machine's RAM, and doesn't get what the second one asks for.
fn ram_at_an_address(test: &Test) -> Result<(), Failure> {
    let address = test.arch.ram + (1 << 30);
    let mut running = Machine::new(test)
        .memory("2G")
        .vm(Vm::guest("hello", 1).memory("1GiB"))
        .vm(Vm::linux(1).identical("512MiB", address))
        .boot()?;
    running.shell()?;
    let answer = running.run("grep 'System RAM' /proc/iomem | head -n 1")?;
    if !answer.contains(&format!("{address:x}-")) {
        return Err(running.failure(&format!("its RAM is {answer:?}")));
    }
    running.send("poweroff\n")?;
    running.finish(0).map(drop)
}

/// The host has less: QEMU reserves nothing until it is touched.
fn ram_64g(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test)
        .memory("64G")
        .args(&["-object", "memory-backend-ram,id=m,size=64G,reserve=off"])
        .board(&format!("{},memory-backend=m", test.arch.board));
    hello_runs(machine.vm(Vm::guest("hello", 2)).boot()?)
}

/// Two guests that print a lot, and interrupt each other by sharing a CPU, don't tear each other's
/// lines.
fn lines_stay_whole(test: &Test) -> Result<(), Failure> {
    let running = Machine::new(test)
        .cpus(1)
        // The guests' time is what they execute: however busy the host is, a line takes as long.
        .args(&["-icount", "shift=3,sleep=off"])
        .vm(Vm::guest("testguest", 1).named("one"))
        .vm(Vm::guest("testguest", 1).named("two"))
        .boot()?;
    let text = running.finish_within(0, Duration::from_secs(300))?;
    for vm in ["one", "two"] {
        let line_of = |line: &&str| line.starts_with(&format!("[{vm}] "));
        let ended = text.lines().rfind(line_of);
        if !ended.is_some_and(|line| line.ends_with(" skipped")) {
            return Err(format!("the last line of {vm} is {ended:?}"));
        }
    }
    // In parentheses: what a case says on other ways than the others.
    let whole = ["PASS ", "SKIP ", "testguest", "("];
    let torn = text.lines().filter_map(|line| {
        let said = line
            .strip_prefix("[one] ")
            .or(line.strip_prefix("[two] "))?;
        (!whole.iter().any(|start| said.starts_with(start))).then_some(line)
    });
    match torn.collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        torn => Err(format!("torn lines: {torn:#?}")),
    }
}

fn cpus_8(test: &Test) -> Result<(), Failure> {
    hello_runs(
        Machine::new(test)
            .cpus(8)
            .vm(Vm::guest("hello", 8))
            .boot()?,
    )
}

fn no_bundle(test: &Test) -> Result<(), Failure> {
    let mut running = Machine::new(test).boot()?;
    running.expect("no VMs")?;
    running.finish(2).map(drop)
}

/// Both VMs' lines have their names; one ends and the other goes on.
fn two_vms_run(mut running: Running) -> Result<(), Failure> {
    running.expect("[hello] hello: done")?;
    running.shell()?;
    let answer = running.run("echo $((6 * 7))")?;
    if !answer.contains("42") {
        return Err(running.failure(&format!("the shell says {answer:?}")));
    }
    running.send("poweroff\n")?;
    running.finish(0).map(drop)
}

fn two_vms(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test)
        .vm(Vm::linux(2))
        .vm(Vm::guest("hello", 2));
    two_vms_run(machine.boot()?)
}

fn two_vms_by_booti(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test)
        .vm(Vm::linux(2))
        .vm(Vm::guest("hello", 2));
    two_vms_run(machine.boot_by_uboot()?)
}

/// `console=NAME` shows that VM only, without a prefix.
fn console_of_one(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test)
        .vm(Vm::guest("hello", 1).named("first"))
        .vm(Vm::guest("hello", 1).named("second"));
    let mut running = machine.append("console=second").boot()?;
    running.expect("hello: done")?;
    let text = running.finish(0)?;
    let count = text
        .lines()
        .filter(|line| line.contains("hello: done"))
        .count();
    if count == 1 && !text.contains("[first]") && !text.contains("[second]") {
        Ok(())
    } else {
        Err(format!("{count} guests said that they are done:\n{text}"))
    }
}

/// The hypervisor stays when no VM is left.
fn when_idle_stay(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test)
        .append("when-idle=stay")
        .vm(Vm::guest("hello", 1));
    let mut running = machine.boot()?;
    running.expect("hello: done")?;
    running.expect("when-idle=stay")?;
    match running.expect_within("axhv: status", Duration::from_secs(3)) {
        Ok(_) => Err(running.failure("the hypervisor did not stay")),
        Err(_) if running.ended() => Err(running.failure("the machine did not stay")),
        Err(_) => Ok(()),
    }
}

/// With `loglevel=off` the hypervisor says nothing but its final line.
fn loglevel(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test)
        .append("loglevel=off")
        .vm(Vm::guest("hello", 1));
    let mut running = machine.boot()?;
    let before = running.expect("hello: CPU 0 runs")?;
    // Firmware says what it likes.
    let silent = before.trim().is_empty() || test.arch.firmware && !before.contains("axhv");
    if !silent {
        return Err(running.failure(&format!("the hypervisor said {before:?}")));
    }
    running.finish(0).map(drop)
}

fn bad_option(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test)
        .append("loglevel=loud")
        .vm(Vm::guest("hello", 1));
    let mut running = machine.boot()?;
    running.expect("loglevel=loud is not understood")?;
    running.finish(100).map(drop)
}
