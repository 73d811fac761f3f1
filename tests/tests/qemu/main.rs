//! Tests in QEMU. Each has a machine of its own, a time limit, and a log in `build/tests`. They are
//! the same for all architectures, but for what `axhv_tests::arch` says: `ARCH=riscv64 cargo test
//! -p axhv-tests` runs those of one.

mod board;
mod chaos;
mod door;
mod faults;
mod guests;
mod linux;
mod machines;
mod passthrough;
mod selftest;

use axhv_tests::arch::{self, Arch};
use axhv_tests::{Failure, Test};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

/// A test: its name, and what it does.
pub struct Case {
    name: String,
    run: Run,
}

type Run = Box<dyn FnOnce(&Test) -> Result<(), Failure> + Send>;

/// The test `name`, which does `run`.
pub fn case(
    name: impl Into<String>,
    run: impl FnOnce(&Test) -> Result<(), Failure> + Send + 'static,
) -> Case {
    let name = name.into();
    let run = Box::new(run);
    Case { name, run }
}

/// All tests of an architecture, by the file they are in.
const CASES: &[fn(&'static Arch) -> Vec<Case>] = &[
    board::cases,
    chaos::cases,
    door::cases,
    faults::cases,
    selftest::cases,
    guests::cases,
    linux::cases,
    machines::cases,
    passthrough::cases,
];

/// The tests of `arch` without those that make no sense there.
fn trials(arch: &'static Arch) -> Vec<Trial> {
    let mut cases: Vec<Case> = CASES.iter().flat_map(|cases| cases(arch)).collect();
    for (name, why) in arch.without {
        let before = cases.len();
        cases.retain(|case| case.name != *name);
        assert!(cases.len() < before, "no {name} to leave out: {why}");
    }
    let trials = cases.into_iter().map(|Case { name, run }| {
        let test = Test { name, arch };
        let name = test.name.clone();
        Trial::test(name, move || run(&test).map_err(Failed::from)).with_kind(arch.name)
    });
    trials.collect()
}

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // More machines at once than CPUs would run out of time.
    let cpus = std::thread::available_parallelism().map_or(1, Into::into);
    args.test_threads.get_or_insert(cpus);
    let trials = arch::asked().into_iter().flat_map(trials);
    libtest_mimic::run(&args, trials.collect()).exit_code()
}
