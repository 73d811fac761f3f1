//! The guests of `guests/` as VMs.

use crate::Case;
use axhv_tests::Failure;
use axhv_tests::machine::Machine;
use axhv_tests::testguest::verdict;
use axhv_tests::vm::Vm;

pub const CASES: &[Case] = &[
    ("hello::one_vcpu", |name| hello(name, 1, 1)),
    ("hello::two_vcpus", |name| hello(name, 2, 2)),
    ("hello::two_vcpus_on_1_cpu", |name| hello(name, 2, 1)),
    ("testguest::cortex_a53_1_vcpu", |name| {
        testguest(name, "cortex-a53", 1, 2)
    }),
    ("testguest::cortex_a53_4_vcpus", |name| {
        testguest(name, "cortex-a53", 4, 4)
    }),
    ("testguest::cortex_a72_1_vcpu", |name| {
        testguest(name, "cortex-a72", 1, 1)
    }),
    ("testguest::cortex_a72_4_vcpus", |name| {
        testguest(name, "cortex-a72", 4, 4)
    }),
    ("testguest::cortex_a72_4_vcpus_on_1_cpu", |name| {
        testguest(name, "cortex-a72", 4, 1)
    }),
    ("testguest::neoverse_n1_1_vcpu", |name| {
        testguest(name, "neoverse-n1", 1, 2)
    }),
    ("testguest::neoverse_n1_4_vcpus", |name| {
        testguest(name, "neoverse-n1", 4, 4)
    }),
    ("testguest::max_1_vcpu", |name| testguest(name, "max", 1, 2)),
    ("testguest::max_4_vcpus", |name| {
        testguest(name, "max", 4, 4)
    }),
];

fn hello(name: &str, vcpus: usize, cpus: usize) -> Result<(), Failure> {
    let mut running = Machine::new(name)
        .cpus(cpus)
        .vm(Vm::guest("hello", vcpus))
        .boot()?;
    running.expect("hello: CPU 0 runs at EL1")?;
    running.expect("hello: PSCI version 0x10001")?;
    running.expect("hello: the timer interrupt came")?;
    let second = if vcpus > 1 {
        "hello: CPU 1 answered"
    } else {
        "there is no second CPU"
    };
    running.expect(second)?;
    running.expect("hello: done")?;
    running.finish(0).map(drop)
}

fn testguest(name: &str, cpu: &str, vcpus: usize, cpus: usize) -> Result<(), Failure> {
    let vm = Vm::guest("testguest", vcpus);
    let running = Machine::new(name).cpu(cpu).cpus(cpus).vm(vm).boot()?;
    verdict(running, if vcpus == 1 { 105 } else { 120 })
}
