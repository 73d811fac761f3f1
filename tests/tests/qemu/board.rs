//! The guests on QEMU's board itself, without the hypervisor: it tells whether what they expect of
//! a machine is right.

use crate::Case;
use axhv_tests::Failure;
use axhv_tests::artifacts::guests;
use axhv_tests::machine::Machine;

pub const CASES: &[Case] = &[("board::hello", hello)];

fn hello(name: &str) -> Result<(), Failure> {
    let kernel = guests().join("hello.bin");
    let mut machine = Machine::without_hypervisor(name, kernel).boot()?;
    machine.expect("the timer interrupt came")?;
    machine.expect("CPU 1 answered")?;
    machine.expect("hello: done")?;
    machine.finish(0).map(drop)
}
