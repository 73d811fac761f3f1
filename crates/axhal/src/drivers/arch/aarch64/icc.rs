//! The GICv3's CPU interface: Arm IHI 0069, section 12.2.

use super::{isb, read, write};

/// ICC_SRE_EL2: SRE, DFB, DIB, Enable.
const SRE_ALL: u64 = 0xf;
const SRE_SRE: u64 = 1 << 0;
/// ICC_CTLR_EL1: one binary point register for both groups.
const CTLR_CBPR: u64 = 1 << 0;
/// ICC_CTLR_EL1: EOIR drops the priority, DIR deactivates.
const CTLR_EOIMODE: u64 = 1 << 1;

/// Reads ICC_IAR1_EL1: acknowledges the most urgent pending interrupt. 1023 if there is none.
#[inline]
pub fn read_iar1() -> u32 {
    let intid: u64;
    // SAFETY: makes an interrupt active; memory is not touched. Not `nomem`: what the handler
    // reads must not be read earlier.
    unsafe {
        core::arch::asm!("mrs {}, ICC_IAR1_EL1", out(reg) intid, options(nostack, preserves_flags));
    }
    intid as u32
}

/// Writes ICC_EOIR1_EL1.
#[inline]
pub fn write_eoir1(intid: u32) {
    write!("ICC_EOIR1_EL1", intid.into());
}

/// Writes ICC_DIR_EL1.
#[inline]
pub fn write_dir(intid: u32) {
    write!("ICC_DIR_EL1", intid.into());
}

/// Writes ICC_SGI1R_EL1.
#[inline]
pub fn write_sgi1r(value: u64) {
    write!("ICC_SGI1R_EL1", value);
}

/// Turns this CPU's interface on for Group 1, with EOImode 1 and everything more urgent than
/// `priority_mask` let through. Returns false if it has no system registers.
pub fn enable_cpu_interface(priority_mask: u8) -> bool {
    // ID_AA64PFR0_EL1.GIC, bits 27:24.
    if read!("ID_AA64PFR0_EL1") >> 24 & 0xf == 0 {
        return false;
    }
    write!("ICC_SRE_EL2", read!("ICC_SRE_EL2") | SRE_ALL);
    // The other registers exist for us only once this has taken effect.
    isb();
    if read!("ICC_SRE_EL2") & SRE_SRE == 0 {
        return false;
    }
    write!("ICC_IGRPEN1_EL1", 0);
    let ctlr = read!("ICC_CTLR_EL1") & !CTLR_CBPR;
    write!("ICC_CTLR_EL1", ctlr | CTLR_EOIMODE);
    write!("ICC_PMR_EL1", priority_mask.into());
    // 0 is rounded up to the least there is: as many levels of preemption as possible.
    write!("ICC_BPR1_EL1", 0);
    // The active priorities are unknown after reset, and a loader may have left in a handler. How
    // many registers there are follows from the number of priority bits: section 12.2.4.
    let priority_bits = (ctlr >> 8 & 7) + 1;
    if priority_bits > 6 {
        write!("ICC_AP1R3_EL1", 0);
        write!("ICC_AP1R2_EL1", 0);
    }
    if priority_bits > 5 {
        write!("ICC_AP1R1_EL1", 0);
    }
    write!("ICC_AP1R0_EL1", 0);
    isb();
    write!("ICC_IGRPEN1_EL1", 1);
    isb();
    true
}
