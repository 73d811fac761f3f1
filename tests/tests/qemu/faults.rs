//! What a guest can't recover from ends that guest alone, with its cause.

use crate::{Case, case};
use axhv_tests::arch::Arch;
use axhv_tests::machine::Machine;
use axhv_tests::vm::Vm;
use axhv_tests::{Failure, Test};
use std::time::Duration;

pub fn cases(_: &'static Arch) -> Vec<Case> {
    vec![
        case("faults::alone", alone),
        case("faults::neighbour_goes_on", |test| {
            neighbour_goes_on(test, 4)
        }),
        case("faults::neighbour_on_the_same_cpu_goes_on", |test| {
            neighbour_goes_on(test, 1)
        }),
        case("faults::leaves_no_timer", leaves_no_timer),
    ]
}

/// The faulty VM's last words.
fn cause(test: &Test) -> String {
    format!("ended: {}", test.arch.fault)
}

fn alone(test: &Test) -> Result<(), Failure> {
    let mut running = Machine::new(test).vm(Vm::guest("faulty", 1)).boot()?;
    running.expect("faulty: faults in a moment")?;
    running.expect(&cause(test))?;
    running.finish(1).map(drop)
}

/// The neighbour boots while the fault comes, and answers afterwards.
fn neighbour_goes_on(test: &Test, cpus: usize) -> Result<(), Failure> {
    let machine = Machine::new(test)
        .cpus(cpus)
        .vm(Vm::linux(2))
        .vm(Vm::guest("faulty", 1));
    let mut running = machine.boot()?;
    running.expect("faulty: faults in a moment")?;
    running.expect(&cause(test))?;
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

/// The guest faults with its virtual timer armed: on no CPU does that fire afterwards. QEMU's trace
/// tells, as the hypervisor would take such an interrupt for nobody's.
fn leaves_no_timer(test: &Test) -> Result<(), Failure> {
    let trace = std::env::temp_dir().join(format!("axhv-{}-ppis", std::process::id()));
    let file = trace.display().to_string();
    let mut running = Machine::new(test)
        .append("when-idle=stay")
        .args(&["-trace", "gicv3_redist_set_irq", "-D", &file])
        .vm(Vm::guest("faulty", 1))
        .boot()?;
    running.expect(&cause(test))?;
    // It was to fire within a second.
    let stays = running.expect_within("axhv: status", Duration::from_secs(3));
    if stays.is_ok() || running.ended() {
        return Err(running.failure("the hypervisor did not stay"));
    }
    let text = std::fs::read_to_string(&trace).map_err(|e| format!("{file}: {e}"))?;
    // A test machine's leftovers harm nobody.
    let _ = std::fs::remove_file(&trace);
    let rises = |ppi: u32| text.contains(&format!("interrupt {ppi} level changed to 1"));
    if !rises(26) {
        return Err(format!("the hypervisor's own timer is not in {text:?}"));
    }
    if rises(27) {
        return Err(running.failure("the timer fired"));
    }
    Ok(())
}
