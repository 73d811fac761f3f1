//! The guests on QEMU's board itself, without the hypervisor: it tells whether what they expect of
//! a machine is right.

use crate::Case;
use axhv_tests::Failure;
use axhv_tests::machine::Machine;
use axhv_tests::testguest::verdict;

pub const CASES: &[Case] = &[
    ("board::hello", hello),
    ("board::testguest_cortex_a53", |name| {
        testguest(name, "cortex-a53", 4)
    }),
    ("board::testguest_cortex_a72", |name| {
        testguest(name, "cortex-a72", 1)
    }),
    ("board::testguest_neoverse_n1", |name| {
        testguest(name, "neoverse-n1", 4)
    }),
    ("board::testguest_max", |name| testguest(name, "max", 4)),
];

fn hello(name: &str) -> Result<(), Failure> {
    let kernel = "hello.bin";
    let mut machine = Machine::without_hypervisor(name, kernel).boot()?;
    machine.expect("the timer interrupt came")?;
    machine.expect("CPU 1 answered")?;
    machine.expect("hello: done")?;
    machine.finish(0).map(drop)
}

fn testguest(name: &str, cpu: &str, cpus: usize) -> Result<(), Failure> {
    let kernel = "testguest.bin";
    let machine = Machine::without_hypervisor(name, kernel)
        .cpu(cpu)
        .cpus(cpus)
        .boot()?;
    verdict(machine, 90)
}
