//! The generic timer: Arm DDI 0487, chapter D12.

use super::{isb, read, write};

/// CNTFRQ_EL0, in Hz. 0 if the firmware didn't set it.
pub fn counter_frequency() -> u64 {
    read!("CNTFRQ_EL0")
}

/// Whether CNTPCTSS_EL0 is there: FEAT_ECV, ID_AA64MMFR0_EL1 bits 63:60.
pub fn has_self_synchronized_counter() -> bool {
    read!("ID_AA64MMFR0_EL1") >> 60 != 0
}

/// CNTPCT_EL0, not read before what comes before it in the program.
#[inline]
pub fn counter() -> u64 {
    // Reads of the counter may be speculated: D12.1.2.
    isb();
    let ticks: u64;
    // SAFETY: reads a register. Not `nomem`: memory accesses stay on their side of it.
    unsafe {
        core::arch::asm!("mrs {}, CNTPCT_EL0", out(reg) ticks, options(nostack, preserves_flags));
    }
    ticks
}

/// CNTPCTSS_EL0: as [`counter`], but cheaper.
#[inline]
pub fn counter_self_synchronized() -> u64 {
    let ticks: u64;
    // SAFETY: as for `counter`. The number is CNTPCTSS_EL0's.
    unsafe {
        core::arch::asm!("mrs {}, S3_3_C14_C0_5", out(reg) ticks, options(nostack, preserves_flags));
    }
    ticks
}

/// Writes CNTHP_CVAL_EL2.
#[inline]
pub fn write_deadline(ticks: u64) {
    write!("CNTHP_CVAL_EL2", ticks);
}

/// Writes CNTHP_CTL_EL2.
#[inline]
pub fn write_timer_control(value: u64) {
    write!("CNTHP_CTL_EL2", value);
}
