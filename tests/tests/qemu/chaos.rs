//! A guest that does what no guest should harms itself only: its neighbour's ticks come, and the
//! hypervisor ends as usual.

use crate::{Case, case};
use axhv_tests::arch::Arch;
use axhv_tests::machine::{Machine, Running};
use axhv_tests::vm::Vm;
use axhv_tests::{Failure, Test};

pub fn cases(arch: &'static Arch) -> Vec<Case> {
    let [vectors, registers, devices, interrupts, calls] = arch.chaos;
    let [usual, rich] = [arch.cpu, arch.rich_cpu];
    let of = |name, cpu, cpus, class, seed| {
        case(name, move |test| harms_itself(test, cpu, cpus, class, seed))
    };
    vec![
        of("chaos::all_on_2_cpus", usual, 2, "all", 2),
        of("chaos::all_on_1_cpu", usual, 1, "all", 4),
        of("chaos::vectors", rich, 4, vectors, 5),
        of("chaos::system_registers", rich, 2, registers, 6),
        of("chaos::devices", usual, 2, devices, 7),
        of("chaos::interrupts", rich, 2, interrupts, 8),
        of("chaos::calls", usual, 4, calls, 9),
        case("chaos::resets", resets),
    ]
}

/// How late a tick of the neighbour may come. Its own CPU time is a fair part, and emulation on a
/// busy machine takes its own breaks: what this finds is a hypervisor that is stuck.
const LATE: u64 = 2000;

/// The hostile guest has four vCPUs, and runs for as long as its neighbour watches.
fn harms_itself(
    test: &Test,
    cpu: &str,
    cpus: usize,
    class: &str,
    seed: u64,
) -> Result<(), Failure> {
    let line = format!("chaos={class} seed={seed} ms=1500");
    let mut running = beside_a_watch(test, cpu, cpus, &line)?;
    running.expect(&format!("chaos: {class} seed {seed} begins"))?;
    running.expect("VM 1 chaos ended: ")?;
    let cause = running.expect("\n")?;
    let status = u32::from(cause.starts_with("fault"));
    if status == 0 && !cause.starts_with("powered off") {
        return Err(running.failure("the hostile guest ended in a way of its own"));
    }
    let text = running.finish(status)?;
    was_in_time(&text)
}

/// The VM resets itself at once, whenever it is started: the neighbour doesn't mind.
fn resets(test: &Test) -> Result<(), Failure> {
    let mut running = beside_a_watch(test, test.arch.cpu, 2, "chaos=reset")?;
    running.expect("VM 2 watch ended: powered off")?;
    let text = running.text();
    was_in_time(&text)?;
    let starts = text.matches("chaos: reset seed 1 begins").count();
    if starts < 3 {
        return Err(running.failure(&format!("the VM was started {starts} times")));
    }
    Ok(())
}

fn beside_a_watch(test: &Test, cpu: &str, cpus: usize, line: &str) -> Result<Running, Failure> {
    Machine::new(test)
        .cpu(cpu)
        .cpus(cpus)
        .vm(Vm::guest("chaos", 4).cmdline(line))
        .vm(Vm::guest("chaos", 1)
            .named("watch")
            .cmdline("chaos=watch ms=2500"))
        .boot()
}

/// What the neighbour says: `watch: N ticks, the worst M ms late`.
fn was_in_time(text: &str) -> Result<(), Failure> {
    let late = text
        .split_once(" ticks, the worst ")
        .and_then(|(_, rest)| rest.split(' ').next())
        .and_then(|number| number.parse::<u64>().ok());
    match late {
        Some(late) if late < LATE => Ok(()),
        Some(late) => Err(format!("a tick of the neighbour came {late} ms late")),
        None => Err("the neighbour did not say how it went".into()),
    }
}
