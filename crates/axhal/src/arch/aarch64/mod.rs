//! AArch64 at EL2, with HCR_EL2.E2H = 0.

pub mod boot;
pub mod context;
pub mod cpu;
pub mod firmware;
pub mod irq;
pub mod layout;
pub mod mem;
pub mod pte;
pub mod regs;
pub mod tlb;
pub mod trap;

use crate::machine::{Architecture, Machine};

/// What this image runs on.
pub const ARCHITECTURE: Architecture = Architecture::Arm;

/// What is made ready once the machine is known: nothing.
pub fn configure(_machine: &Machine) {}

/// Interrupts all other CPUs, so that they see that the hypervisor stops.
pub fn stop_others() {
    // ID_AA64PFR0_EL1.GIC: the system registers are there; ICC_SRE_EL2.SRE: boot code could enable
    // them.
    let there = regs::read!("id_aa64pfr0_el1") >> 24 & 0xf != 0;
    if there && regs::read!("icc_sre_el2") & 1 != 0 {
        // ICC_SGI1R_EL1: IRM, all CPUs but this one; INTID.
        let sgi = 1u64 << 40 | u64::from(crate::STOP_SGI) << 24;
        // SAFETY: an interrupt to other CPUs; what they do then is sound.
        unsafe {
            core::arch::asm!("msr icc_sgi1r_el1, {}", "isb", in(reg) sgi,
                options(nostack, preserves_flags))
        };
    }
}
