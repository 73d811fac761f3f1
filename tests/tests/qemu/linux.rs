//! Debian's stock kernel: its shell, its interrupts, its reboots.

use crate::{Case, case};
use axhv_tests::arch::{Arch, counted, word};
use axhv_tests::log;
use axhv_tests::machine::{Machine, Running};
use axhv_tests::vm::Vm;
use axhv_tests::{Failure, Test};
use std::time::Duration;

pub fn cases(arch: &'static Arch) -> Vec<Case> {
    let mut cases = vec![
        case("linux::one_vcpu", one_vcpu),
        case("linux::four_vcpus", four_vcpus),
        case("linux::ctrl_c", ctrl_c),
        case(
            "linux::input_waits_for_the_guest",
            input_waits_for_the_guest,
        ),
        case("linux::end_of_input", end_of_input),
        case("linux::long_output", long_output),
        case("linux::typing_while_busy", typing_while_busy),
    ];
    for &(name, board) in arch.other_boards {
        cases.push(case(format!("linux::{name}"), move |test| {
            let machine = Machine::new(test).board(board).cpu(arch.rich_cpu);
            off(boot(machine.vm(Vm::linux(2)))?)
        }));
    }
    for &model in arch.models {
        for cpus in [1, 4] {
            cases.push(case(
                format!("linux::{}_on_{}", word(model), counted(cpus, "cpu")),
                move |test| two_vcpus(test, model, cpus),
            ));
        }
    }
    cases
}

/// How often a guest reboots in a row.
const REBOOTS: usize = 10;

fn boot(machine: Machine) -> Result<Running, Failure> {
    let mut running = machine.boot()?;
    running.shell()?;
    Ok(running)
}

/// Boots a machine on which may be typed before the guest listens.
fn boot_for_early_input(test: &Test, machine: Machine) -> Result<Running, Failure> {
    let mut running = machine.boot()?;
    if test.arch.firmware {
        running.expect("axhv: ")?;
    }
    Ok(running)
}

/// Switches the guest off; the machine follows.
fn off(mut running: Running) -> Result<(), Failure> {
    running.send("poweroff\n")?;
    running.finish(0).map(drop)
}

fn one_vcpu(test: &Test) -> Result<(), Failure> {
    let mut running = boot(Machine::new(test).cpus(1).vm(Vm::linux(1)))?;
    let answer = running.run("uname -m; nproc")?;
    if answer != format!("{}\n1\n", test.arch.name) {
        return Err(running.failure(&format!("uname and nproc say {answer:?}")));
    }
    // The seed in its device tree, before it can have gathered any of its own.
    let answer = running.run("dmesg | grep -c '0.000000. random: crng init done'")?;
    if answer != "1\n" {
        return Err(running.failure("its random number generator began without a seed"));
    }
    off(running)
}

/// More vCPUs than CPUs.
fn four_vcpus(test: &Test) -> Result<(), Failure> {
    let mut running = boot(Machine::new(test).vm(Vm::linux(4)))?;
    let answer = running.run("nproc")?;
    if answer != "4\n" {
        return Err(running.failure(&format!("nproc says {answer:?}")));
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

fn two_vcpus(test: &Test, cpu: &str, cpus: usize) -> Result<(), Failure> {
    let mut running = boot(Machine::new(test).cpu(cpu).cpus(cpus).vm(Vm::linux(2)))?;
    let answer = running.run("nproc")?;
    if answer != "2\n" {
        return Err(running.failure(&format!("nproc says {answer:?}")));
    }
    for row in test.arch.linux_interrupts {
        counting(&mut running, row)?;
    }
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

fn ctrl_c(test: &Test) -> Result<(), Failure> {
    let mut running = boot(Machine::new(test).vm(Vm::linux(2)))?;
    running.send("echo start''ed; sleep 10000\n")?;
    running.expect("started")?;
    std::thread::sleep(Duration::from_millis(500));
    running.send("\u{3}")?;
    running.shell()?;
    off(running)
}

/// What is typed before the guest listens reaches it whole, also if it fills every buffer on the way.
fn input_waits_for_the_guest(test: &Test) -> Result<(), Failure> {
    let mut running = boot_for_early_input(test, Machine::new(test).vm(Vm::linux(1)))?;
    let word = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(5);
    running.send(&format!(
        "echo typed-\"\"{word}\necho early-\"\"{word}; poweroff\n"
    ))?;
    running.expect(&format!("typed-{word}"))?;
    running.expect(&format!("early-{word}"))?;
    running.finish(0).map(drop)
}

/// A pipe that ends leaves the guest running.
fn end_of_input(test: &Test) -> Result<(), Failure> {
    let mut running = boot_for_early_input(test, Machine::new(test).vm(Vm::linux(1)))?;
    running.send("sleep 3; echo still\" \"here; poweroff\n")?;
    running.close_input();
    running.expect("still here")?;
    running.finish(0).map(drop)
}

/// No character is lost or changed.
fn long_output(test: &Test) -> Result<(), Failure> {
    let mut running = boot(Machine::new(test).vm(Vm::linux(1)))?;
    let text = running.run("n=0; while [ $n -lt 2000 ]; do echo line-$n; n=$((n+1)); done")?;
    let wanted: String = (0..2000).map(|n| format!("line-{n}\n")).collect();
    if text != wanted {
        return Err(running.failure("2000 lines did not arrive as they were written"));
    }
    off(running)
}

/// 100 lines of 60 characters.
fn lines() -> String {
    const SIGNS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let sign = |n: usize, at: usize| char::from(SIGNS[(n * 5 + at * (n % 7 + 1)) % SIGNS.len()]);
    let line = |n| {
        (0..60)
            .map(|at| sign(n, at))
            .chain(['\n'])
            .collect::<String>()
    };
    (0..100).map(line).collect()
}

/// What `md5sum` says to [`lines`].
const SUM: &str = "85aad863ea8cf06658d1daa591b806c8";

/// No character that is typed is lost while the guest prints, and another one prints and is started
/// again and again.
fn typing_while_busy(test: &Test) -> Result<(), Failure> {
    let restless = Vm::guest("chaos", 1).memory("4MiB").cmdline("chaos=reset");
    let machine = Machine::new(test).vm(Vm::linux(2)).vm(restless);
    let mut running = boot_for_early_input(test, machine)?;
    // The sum is said again and again: lines of several VMs may break one another.
    running.send(
        "while usleep 20000; do echo noise; done & head -n 100 | md5sum > /tmp/sum; kill $!; \
         while sleep 1; do cat /tmp/sum; done\n",
    )?;
    // The first lines wait while the guest boots and the other VM restarts.
    let text = lines();
    let (early, text) = text.split_at(610);
    running.send(early)?;
    running.expect("] noise")?;
    // Small pieces, each of which may arrive at another moment of the console's work; then all.
    let (pieces, rest) = text.split_at(text.len() / 4);
    for piece in pieces.as_bytes().chunks(7) {
        running.send(&String::from_utf8_lossy(piece))?;
        std::thread::sleep(Duration::from_millis(2));
    }
    running.send(rest)?;
    running.expect(SUM)?;
    match log::alarm(&running.text()) {
        Some(line) => Err(running.failure(&format!("the console says {line:?}"))),
        None => Ok(()),
    }
}
