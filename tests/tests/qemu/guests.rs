//! The guests of `guests/` as VMs.

use crate::{Case, case};
use axhv_tests::arch::{Arch, counted, word};
use axhv_tests::machine::{Machine, Running};
use axhv_tests::testguest::verdict;
use axhv_tests::vm::Vm;
use axhv_tests::{Failure, Test};

pub fn cases(arch: &'static Arch) -> Vec<Case> {
    let mut cases = vec![
        case("hello::one_vcpu", |test| hello(test, 1, 1)),
        case("hello::two_vcpus", |test| hello(test, 2, 2)),
        case("hello::two_vcpus_on_1_cpu", |test| hello(test, 2, 1)),
        case("uboot::as_a_guest", uboot),
        case("naive::on_1_cpu", |test| naive(test, 1)),
        case("naive::on_4_cpus", |test| naive(test, 4)),
    ];
    let mut testguests = vec![(arch.cpu, 4, 1, "on_1_cpu", arch.board)];
    for model in arch.models {
        let cpus = if *model == arch.cpu { 1 } else { 2 };
        testguests.push((model, 1, cpus, "", arch.board));
        testguests.push((model, 4, 4, "", arch.board));
    }
    for model in arch.reduced {
        testguests.push((model, 4, 4, "", arch.board));
    }
    for (suffix, board) in arch.other_boards {
        testguests.push((arch.rich_cpu, 4, 4, suffix, board));
    }
    for (model, vcpus, cpus, suffix, board) in testguests {
        let name = format!("testguest::{}_{}", word(model), counted(vcpus, "vcpu"));
        let name = match suffix {
            "" => name,
            suffix => format!("{name}_{suffix}"),
        };
        cases.push(case(name, move |test| {
            let machine = Machine::new(test).board(board).cpu(model).cpus(cpus);
            testguest(test, machine, vcpus)
        }));
    }
    cases
}

fn hello(test: &Test, vcpus: usize, cpus: usize) -> Result<(), Failure> {
    let mut running = Machine::new(test)
        .cpus(cpus)
        .vm(Vm::guest("hello", vcpus))
        .boot()?;
    for word in test.arch.hello {
        running.expect(&format!("hello: {word}"))?;
    }
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

fn uboot(test: &Test) -> Result<(), Failure> {
    let mut running = Machine::new(test).vm(Vm::uboot(test)?).boot()?;
    running.expect("U-Boot 20")?;
    running.expect("stop autoboot")?;
    running.send(" ")?;
    running.expect("=> ")?;
    running.send("sleep 1\r")?;
    running.expect("\n=> ")?;
    running.send("poweroff\r")?;
    running.expect("poweroff ...")?;
    running.finish(0).map(drop)
}

fn naive(test: &Test, cpus: usize) -> Result<(), Failure> {
    let vm = Vm::guest("naive", 1);
    naive_lines(test, Machine::new(test).cpus(cpus).vm(vm).boot()?)
}

/// All that it sends without looking for room arrives.
pub fn naive_lines(test: &Test, mut running: Running) -> Result<(), Failure> {
    let text = running.expect("naive: done")?;
    for &way in test.arch.naive {
        let begin = format!("naive: {way} ");
        let numbers: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(begin.as_str()))
            .map(|line| line.trim_end_matches(['.', '\r']))
            .collect();
        let wanted: Vec<_> = (0..1000).map(|n| format!("{n:04}")).collect();
        if numbers != wanted {
            let why = format!("{} of 1000 {way} lines arrived whole", numbers.len());
            return Err(running.failure(&why));
        }
    }
    running.finish(0).map(drop)
}

fn testguest(test: &Test, machine: Machine, vcpus: usize) -> Result<(), Failure> {
    let mut vm = Vm::guest("testguest", vcpus);
    if vcpus > 1 {
        // A second interrupt source for guests whose platform has but one.
        let clock = test.arch.rtc.by_path;
        vm = vm.extra(&format!("[devices]\npassthrough_devices = [{clock}]\n"));
    }
    let running = machine.vm(vm).boot()?;
    let [_, one, more] = test.arch.testguest;
    verdict(running, if vcpus == 1 { one } else { more })
}
