//! A host has no interrupt controller, counter or firmware for us. Tests see what the drivers
//! would have done.

use crate::drivers::{psci, sbi};

/// What a driver asked the CPU for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// DSB ISHST.
    StoreBarrier,
    /// DSB SY.
    FullBarrier,
    /// ISB.
    Synchronize,
    /// A write to ICC_EOIR1_EL1.
    End(u32),
    /// A write to ICC_DIR_EL1.
    Deactivate(u32),
    /// A write to ICC_SGI1R_EL1.
    Sgi(u64),
    /// A write to CNTHP_CVAL_EL2.
    Deadline(u64),
    /// A write to CNTHP_CTL_EL2.
    TimerControl(u64),
    /// A write to `stimecmp`.
    Stimecmp(u64),
    /// Bits cleared in `sip`.
    ClearSip(u64),
    /// A write to `sie`.
    Sie(u64),
}

#[cfg(test)]
std::thread_local! {
    /// What this thread's drivers did.
    pub static OPS: std::cell::RefCell<std::vec::Vec<Op>> =
        const { std::cell::RefCell::new(std::vec::Vec::new()) };
}

#[cfg(test)]
fn did(op: Op) {
    OPS.with_borrow_mut(|ops| ops.push(op));
}

#[cfg(not(test))]
fn did(_: Op) {}

pub fn dsb_ishst() {
    did(Op::StoreBarrier);
}

pub fn full_barrier() {
    did(Op::FullBarrier);
}

pub fn isb() {
    did(Op::Synchronize);
}

pub fn read_iar1() -> u32 {
    1023
}

pub fn write_eoir1(intid: u32) {
    did(Op::End(intid));
}

pub fn write_dir(intid: u32) {
    did(Op::Deactivate(intid));
}

pub fn write_sgi1r(value: u64) {
    did(Op::Sgi(value));
}

pub fn enable_cpu_interface(_priority_mask: u8) -> bool {
    false
}

pub fn counter_frequency() -> u64 {
    0
}

pub fn has_self_synchronized_counter() -> bool {
    false
}

pub fn counter() -> u64 {
    0
}

pub fn counter_self_synchronized() -> u64 {
    0
}

pub fn write_deadline(ticks: u64) {
    did(Op::Deadline(ticks));
}

pub fn write_timer_control(value: u64) {
    did(Op::TimerControl(value));
}

pub fn time() -> u64 {
    0
}

pub fn write_stimecmp(ticks: u64) {
    did(Op::Stimecmp(ticks));
}

pub fn clear_sip(bits: u64) {
    did(Op::ClearSip(bits));
}

pub fn write_sie(bits: u64) {
    did(Op::Sie(bits));
}

#[cfg(test)]
std::thread_local! {
    /// What this thread's `sip` has.
    pub static SIP: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
pub fn read_sip() -> u64 {
    SIP.get()
}

#[cfg(not(test))]
pub fn read_sip() -> u64 {
    0
}

/// No firmware answers.
#[derive(Clone, Copy, Debug)]
pub struct Ecall;

impl sbi::Call for Ecall {
    fn call(&self, _extension: usize, _function: usize, _args: [usize; 5]) -> (isize, usize) {
        (-2, 0)
    }
}

/// The firmware is no console.
#[derive(Clone, Copy, Debug)]
pub enum FirmwareConsole {}

impl FirmwareConsole {
    /// Prints a byte.
    pub fn put(&self, _byte: u8) {
        match *self {}
    }
}

/// No firmware answers.
#[derive(Clone, Copy, Debug)]
pub enum Firmware {}

impl psci::Call for Firmware {
    fn call(&self, _id: u32, _args: [u64; 3]) -> u64 {
        match *self {}
    }
}
