//! Stage-2 TLB maintenance (DDI 0487, D8.16).

use axaddrspace::GuestPhysRange;

use super::regs::{barrier, isb, read, write};

/// Pages of a range that are flushed one by one; a larger one costs less as a whole.
const MAX_PAGES: usize = 64;
const PAGE: usize = 4096;

/// Makes all CPUs forget translations of `vmid`: those of `range`, or all and with them what is in
/// instruction caches. Complete on return.
/// `idle_vttbr` is a VTTBR_EL2 of VMID 0 whose tables map nothing.
///
/// Interrupts are masked.
pub fn flush_stage2(idle_vttbr: u64, vmid: u16, range: Option<GuestPhysRange>) {
    // TLB maintenance by VMID means the current one; meanwhile walks find empty tables.
    let before = read!("VTTBR_EL2");
    // Stores to the tables, and to memory that is executed, come first.
    barrier!("dsb ishst");
    write!("VTTBR_EL2", idle_vttbr | u64::from(vmid) << 48);
    isb();
    match range {
        Some(range) if range.size() <= MAX_PAGES * PAGE => {
            for page in 0..range.size().div_ceil(PAGE) {
                let ipa = (range.start.as_usize() / PAGE + page) as u64;
                // SAFETY: drops translations only; bits 35:0 are the IPA's bits 47:12.
                unsafe {
                    core::arch::asm!("tlbi ipas2e1is, {}", in(reg) ipa, options(nostack, preserves_flags))
                };
            }
            barrier!("dsb ish");
            // What stage 1 and 2 made together is not tagged with the IPA.
            barrier!("tlbi vmalle1is");
        }
        _ => {
            barrier!("tlbi vmalls12e1is");
            // A VM's memory gets another content, or another owner: nobody executes the old one.
            barrier!("ic ialluis");
        }
    }
    barrier!("dsb ish");
    isb();
    write!("VTTBR_EL2", before);
    isb();
}
