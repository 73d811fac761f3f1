//! The guests on QEMU's board itself, without the hypervisor: it tells whether what they expect of
//! a machine is right.

use crate::guests::naive_lines;
use crate::{Case, case};
use axhv_tests::arch::{Arch, word};
use axhv_tests::machine::Machine;
use axhv_tests::testguest::verdict;
use axhv_tests::{Failure, Test};

pub fn cases(arch: &'static Arch) -> Vec<Case> {
    let mut cases = vec![case("board::hello", hello), case("board::naive", naive)];
    for &model in arch.models {
        let cpus = if model == arch.cpu { 1 } else { 4 };
        cases.push(case(
            format!("board::testguest_{}", word(model)),
            move |test| testguest(test, model, cpus),
        ));
    }
    cases
}

fn hello(test: &Test) -> Result<(), Failure> {
    let kernel = "hello.bin";
    let mut machine = Machine::without_hypervisor(test, kernel).boot()?;
    machine.expect("the timer interrupt came")?;
    machine.expect("CPU 1 answered")?;
    machine.expect("hello: done")?;
    machine.finish(0).map(drop)
}

fn naive(test: &Test) -> Result<(), Failure> {
    naive_lines(test, Machine::without_hypervisor(test, "naive.bin").boot()?)
}

fn testguest(test: &Test, cpu: &str, cpus: usize) -> Result<(), Failure> {
    let kernel = "testguest.bin";
    let machine = Machine::without_hypervisor(test, kernel)
        .cpu(cpu)
        .cpus(cpus)
        .boot()?;
    verdict(machine, test.arch.testguest[0])
}
