//! What a guest can't recover from ends that guest alone, with its cause.

use crate::Case;
use axhv_tests::Failure;
use axhv_tests::machine::Machine;
use axhv_tests::vm::Vm;

pub const CASES: &[Case] = &[
    ("faults::alone", alone),
    ("faults::neighbour_goes_on", |name| {
        neighbour_goes_on(name, 4)
    }),
    ("faults::neighbour_on_the_same_cpu_goes_on", |name| {
        neighbour_goes_on(name, 1)
    }),
];

const CAUSE: &str = "ended: fault: vCPU 0: no exception handler can be fetched, pc 0x200000200";

fn alone(name: &str) -> Result<(), Failure> {
    let mut running = Machine::new(name).vm(Vm::guest("faulty", 1)).boot()?;
    running.expect("faulty: faults in a moment")?;
    running.expect(CAUSE)?;
    running.finish(1).map(drop)
}

/// The neighbour boots while the fault comes, and answers afterwards.
fn neighbour_goes_on(name: &str, cpus: usize) -> Result<(), Failure> {
    let machine = Machine::new(name)
        .cpus(cpus)
        .vm(Vm::linux(2))
        .vm(Vm::guest("faulty", 1));
    let mut running = machine.boot()?;
    running.expect("faulty: faults in a moment")?;
    running.expect(CAUSE)?;
    running.shell()?;
    let answer = running.run("echo $((6 * 7))")?;
    if !answer.contains("42") {
        return Err(running.failure(&format!("the shell says {answer:?}")));
    }
    running.send("poweroff\n")?;
    let text = running.finish(1)?;
    if text.contains("came back") {
        Err("the faulty guest came back".into())
    } else {
        Ok(())
    }
}
