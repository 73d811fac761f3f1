//! Calls to the firmware: SMC Calling Convention, Arm DEN 0028.

use core::arch::asm;

use crate::{drivers::psci::Call, machine::Conduit};

/// Makes real calls.
#[derive(Clone, Copy, Debug)]
pub struct Firmware(Conduit);

impl Firmware {
    /// Calls by this instruction.
    pub fn new(conduit: Conduit) -> Self {
        Self(conduit)
    }
}

/// Version 1.0 of the convention lets x4 to x17 be changed too (section 2.6), 1.1 only x0 to x3.
macro_rules! call {
    ($instruction:literal, $id:expr, $args:expr) => {{
        let x0: u64;
        // SAFETY: all registers that the callee may change are named. What the function does is
        // for the caller to answer for; those that start code elsewhere are `unsafe` in `Psci`.
        unsafe {
            asm!(
                $instruction,
                inlateout("x0") u64::from($id) => x0,
                inlateout("x1") $args[0] => _,
                inlateout("x2") $args[1] => _,
                inlateout("x3") $args[2] => _,
                lateout("x4") _, lateout("x5") _, lateout("x6") _, lateout("x7") _,
                lateout("x8") _, lateout("x9") _, lateout("x10") _, lateout("x11") _,
                lateout("x12") _, lateout("x13") _, lateout("x14") _, lateout("x15") _,
                lateout("x16") _, lateout("x17") _,
                options(nostack)
            );
        }
        x0
    }};
}

impl Call for Firmware {
    fn call(&self, id: u32, args: [u64; 3]) -> u64 {
        match self.0 {
            Conduit::Smc => call!("smc #0", id, args),
            Conduit::Hvc => call!("hvc #0", id, args),
        }
    }
}
