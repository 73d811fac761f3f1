//! Instructions and system registers of aarch64, one small function each. Used at EL2 with
//! HCR_EL2.E2H = 0.

mod counter;
mod icc;
mod smc;

pub use counter::*;
pub use icc::*;
pub use smc::Firmware;

/// The firmware is no console.
#[derive(Clone, Copy, Debug)]
pub enum FirmwareConsole {}

impl FirmwareConsole {
    /// Prints a byte.
    pub fn put(&self, _byte: u8) {
        match *self {}
    }
}

use core::arch::asm;

/// Reads a system register whose reading has no effect.
macro_rules! read {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reads a register of this CPU; memory is not touched.
        unsafe {
            core::arch::asm!(
                concat!("mrs {}, ", $register),
                out(reg) value,
                options(nomem, nostack, preserves_flags)
            );
        }
        value
    }};
}

/// Writes a system register that has no bearing on memory or on the flow of this code. Memory
/// accesses aren't moved over it.
macro_rules! write {
    ($register:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the registers that are written in this folder steer interrupts and timers, and
        // don't change what Rust code sees.
        unsafe {
            core::arch::asm!(
                concat!("msr ", $register, ", {}"),
                in(reg) value,
                options(nostack, preserves_flags)
            );
        }
    }};
}

use {read, write};

/// Waits until all stores before it are visible to the inner shareable domain.
#[inline]
pub fn dsb_ishst() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) }
}

/// Waits until all memory accesses before it are complete, for devices too.
#[inline]
pub fn full_barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
}

/// Waits until all system register writes before it have taken effect.
#[inline]
pub fn isb() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) }
}
