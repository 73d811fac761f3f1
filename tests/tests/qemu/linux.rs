//! Debian's stock kernel: its shell, its interrupts, its reboots.

use crate::Case;
use axhv_tests::Failure;
use axhv_tests::machine::{Machine, Running};
use axhv_tests::vm::Vm;
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("linux::one_vcpu", one_vcpu),
    ("linux::cortex_a53_on_1_cpu", |name| {
        two_vcpus(name, "cortex-a53", 1)
    }),
    ("linux::cortex_a53_on_4_cpus", |name| {
        two_vcpus(name, "cortex-a53", 4)
    }),
    ("linux::cortex_a72_on_1_cpu", |name| {
        two_vcpus(name, "cortex-a72", 1)
    }),
    ("linux::cortex_a72_on_4_cpus", |name| {
        two_vcpus(name, "cortex-a72", 4)
    }),
    ("linux::neoverse_n1_on_1_cpu", |name| {
        two_vcpus(name, "neoverse-n1", 1)
    }),
    ("linux::neoverse_n1_on_4_cpus", |name| {
        two_vcpus(name, "neoverse-n1", 4)
    }),
    ("linux::max_on_1_cpu", |name| two_vcpus(name, "max", 1)),
    ("linux::max_on_4_cpus", |name| two_vcpus(name, "max", 4)),
    ("linux::ctrl_c", ctrl_c),
    (
        "linux::input_waits_for_the_guest",
        input_waits_for_the_guest,
    ),
    ("linux::end_of_input", end_of_input),
    ("linux::long_output", long_output),
];

/// How often a guest reboots in a row.
const REBOOTS: usize = 10;

fn boot(name: &str, machine: Machine) -> Result<Running, Failure> {
    let _ = name;
    let mut running = machine.boot()?;
    running.shell()?;
    Ok(running)
}

/// Switches the guest off; the machine follows.
fn off(mut running: Running) -> Result<(), Failure> {
    running.send("poweroff\n")?;
    running.finish(0).map(drop)
}

fn one_vcpu(name: &str) -> Result<(), Failure> {
    let mut running = boot(name, Machine::new(name).cpus(1).vm(Vm::linux(1)))?;
    let answer = running.run("uname -m; nproc")?;
    if answer != "aarch64\n1\n" {
        return Err(running.failure(&format!("uname and nproc say {answer:?}")));
    }
    off(running)
}

/// The counts of each CPU in the lines of /proc/interrupts that contain `word`, summed up.
fn interrupts(running: &mut Running, word: &str) -> Result<Vec<u64>, Failure> {
    let table = running.run("cat /proc/interrupts")?;
    let mut sums = Vec::new();
    for line in table.lines().filter(|line| line.contains(word)) {
        let counts = line
            .split_whitespace()
            .skip(1)
            .map_while(|count| count.parse::<u64>().ok());
        for (n, count) in counts.enumerate() {
            match sums.get_mut(n) {
                Some(sum) => *sum += count,
                None => sums.push(count),
            }
        }
    }
    Ok(sums)
}

/// `word`'s interrupts count on both CPUs while both work.
fn counting(running: &mut Running, word: &str) -> Result<(), Failure> {
    let before = interrupts(running, word)?;
    let busy = "for c in 1 2; do taskset $c sh -c 'n=0; while [ $n -lt 300 ]; do n=$((n+1)); \
                sleep 0.01; done' & done; wait";
    running.run(busy)?;
    let after = interrupts(running, word)?;
    let grew = after.len() == 2 && before.len() == 2 && (0..2).all(|n| after[n] > before[n]);
    if grew {
        return Ok(());
    }
    Err(running.failure(&format!("{word}: {before:?} before, {after:?} after")))
}

fn two_vcpus(name: &str, cpu: &str, cpus: usize) -> Result<(), Failure> {
    let mut running = boot(
        name,
        Machine::new(name).cpu(cpu).cpus(cpus).vm(Vm::linux(2)),
    )?;
    let answer = running.run("nproc")?;
    if answer != "2\n" {
        return Err(running.failure(&format!("nproc says {answer:?}")));
    }
    counting(&mut running, "arch_timer")?;
    counting(&mut running, "IPI")?;
    for _ in 0..REBOOTS {
        running.send("reboot\n")?;
        running.expect("reboot: Restarting system")?;
        running.shell()?;
        let uptime = running.run("cut -d. -f1 /proc/uptime")?;
        if !uptime
            .trim()
            .parse::<u64>()
            .is_ok_and(|seconds| seconds < 120)
        {
            return Err(running.failure(&format!("up for {uptime:?}")));
        }
    }
    off(running)
}

fn ctrl_c(name: &str) -> Result<(), Failure> {
    let mut running = boot(name, Machine::new(name).vm(Vm::linux(2)))?;
    running.send("echo start''ed; sleep 10000\n")?;
    running.expect("started")?;
    std::thread::sleep(Duration::from_millis(500));
    running.send("\u{3}")?;
    running.shell()?;
    off(running)
}

/// What is typed before the guest listens reaches it whole, also if it fills every buffer on the way.
fn input_waits_for_the_guest(name: &str) -> Result<(), Failure> {
    let mut running = Machine::new(name).vm(Vm::linux(1)).boot()?;
    let word = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(5);
    running.send(&format!(
        "echo typed-\"\"{word}\necho early-\"\"{word}; poweroff\n"
    ))?;
    running.expect(&format!("typed-{word}"))?;
    running.expect(&format!("early-{word}"))?;
    running.finish(0).map(drop)
}

/// A pipe that ends leaves the guest running.
fn end_of_input(name: &str) -> Result<(), Failure> {
    let mut running = Machine::new(name).vm(Vm::linux(1)).boot()?;
    running.send("sleep 3; echo still\" \"here; poweroff\n")?;
    running.close_input();
    running.expect("still here")?;
    running.finish(0).map(drop)
}

/// No character is lost or changed.
fn long_output(name: &str) -> Result<(), Failure> {
    let mut running = boot(name, Machine::new(name).vm(Vm::linux(1)))?;
    let text = running.run("n=0; while [ $n -lt 2000 ]; do echo line-$n; n=$((n+1)); done")?;
    let wanted: String = (0..2000).map(|n| format!("line-{n}\n")).collect();
    if text != wanted {
        return Err(running.failure("2000 lines did not arrive as they were written"));
    }
    off(running)
}
