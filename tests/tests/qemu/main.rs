//! Tests in QEMU. Each has a machine of its own, a time limit, and a log in `build/tests`.

mod board;
mod chaos;
mod door;
mod faults;
mod guests;
mod linux;
mod machines;
mod passthrough;
mod selftest;

use axhv_tests::Failure;
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

/// A test: its name, and what it does with a machine of that name.
pub type Case = (&'static str, fn(&str) -> Result<(), Failure>);

/// All tests, by the file they are in.
const CASES: &[&[Case]] = &[
    board::CASES,
    chaos::CASES,
    door::CASES,
    faults::CASES,
    selftest::CASES,
    guests::CASES,
    linux::CASES,
    machines::CASES,
    passthrough::CASES,
];

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // More machines at once than CPUs would run out of time.
    let cpus = std::thread::available_parallelism().map_or(1, Into::into);
    args.test_threads.get_or_insert(cpus);
    let trials = CASES
        .iter()
        .copied()
        .flatten()
        .map(|&(name, case)| Trial::test(name, move || case(name).map_err(Failed::from)));
    libtest_mimic::run(&args, trials.collect()).exit_code()
}
