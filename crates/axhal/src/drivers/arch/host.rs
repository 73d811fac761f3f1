//! A host has no interrupt controller, counter or firmware for us. Tests see what the drivers
//! would have done.

use crate::drivers::psci::Call;

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

pub fn dsb_sy() {
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

/// No firmware answers.
#[derive(Clone, Copy, Debug)]
pub enum Firmware {}

impl Call for Firmware {
    fn call(&self, _id: u32, _args: [u64; 3]) -> u64 {
        match *self {}
    }
}
