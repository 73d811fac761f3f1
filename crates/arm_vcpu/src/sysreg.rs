//! System registers as a guest sees them: the values of its ID registers, and what a trapped
//! access means. Pure.

mod id;
mod trapped;

pub use id::{IPA_BITS, guest_id, hcrx, without_gic};
pub use trapped::{Answer, answer};

/// A System register's encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SysReg {
    /// op0: 2 for debug and trace, 3 for the others; 1 for System instructions.
    pub op0: u8,
    /// op1.
    pub op1: u8,
    /// CRn.
    pub crn: u8,
    /// CRm.
    pub crm: u8,
    /// op2.
    pub op2: u8,
}

impl SysReg {
    /// S`op0`_`op1`_C`crn`_C`crm`_`op2`.
    pub const fn new(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8) -> Self {
        Self {
            op0,
            op1,
            crn,
            crm,
            op2,
        }
    }
}
