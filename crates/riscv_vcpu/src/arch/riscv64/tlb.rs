//! Translations and instruction fetches: local fences, and G-stage maintenance (privileged ISA,
//! "Hypervisor Memory-Management Fence Instructions").

use axaddrspace::GuestPhysRange;

use super::regs::barrier;
use crate::RiscvHost;
use crate::sbi::Fence;

/// Pages that are fenced one by one; more cost less as a whole.
const MAX_PAGES: u64 = 16;
const PAGE: u64 = 4096;

/// Forgets this hart's VS-stage translations of the VMID in hgatp.
#[inline]
pub fn forget_translations() {
    barrier!(
        ".option push",
        ".option arch, +h",
        "hfence.vvma zero, zero",
        ".option pop"
    );
}

/// This hart's fetches see all stores before.
#[inline]
pub fn forget_instructions() {
    barrier!(
        ".option push",
        ".option arch, +zifencei",
        "fence.i",
        ".option pop"
    );
}

/// What a guest's RFENCE asks for, on this hart, for the VMID in hgatp.
#[inline(always)]
pub fn local(fence: Fence) {
    let Fence::Translations { start, size, asid } = fence else {
        return forget_instructions();
    };
    let pages = size.div_ceil(PAGE).saturating_add(1);
    if size == 0 || pages > MAX_PAGES {
        return match asid {
            None => forget_translations(),
            Some(asid) => {
                // SAFETY: drops translations only.
                unsafe {
                    core::arch::asm!(
                        ".option push",
                        ".option arch, +h",
                        "hfence.vvma zero, {0}",
                        ".option pop",
                        in(reg) asid,
                        options(nostack, preserves_flags)
                    )
                }
            }
        };
    }
    // The pages that the range touches: one more if it does not begin at one's first byte.
    let mut at = start & !(PAGE - 1);
    let end = start.saturating_add(size);
    for _ in 0..pages {
        if at >= end {
            break;
        }
        match asid {
            // SAFETY: as above.
            None => unsafe {
                core::arch::asm!(
                    ".option push",
                    ".option arch, +h",
                    "hfence.vvma {0}, zero",
                    ".option pop",
                    in(reg) at,
                    options(nostack, preserves_flags)
                )
            },
            // SAFETY: as above.
            Some(asid) => unsafe {
                core::arch::asm!(
                    ".option push",
                    ".option arch, +h",
                    "hfence.vvma {0}, {1}",
                    ".option pop",
                    in(reg) at,
                    in(reg) asid,
                    options(nostack, preserves_flags)
                )
            },
        }
        let Some(next) = at.checked_add(PAGE) else {
            break;
        };
        at = next;
    }
}

/// Makes all CPUs forget the translations of `vmid`; without a `range` also what is in instruction
/// caches. Complete on return.
///
/// All translations, with a `range` too: a fence by address is about leaf entries only ("Supervisor
/// Memory-Management Fence Instruction"), and tables may have been taken out together with what
/// they mapped. A walker that remembers one of them must not look there when its frame is used anew.
///
/// HFENCE.GVMA also forgets what VS-stage and G-stage made together: an HFENCE.VVMA after it is not
/// needed. Interrupts are masked.
pub fn flush_stage2<H: RiscvHost>(vmid: u16, range: Option<GuestPhysRange>) {
    // Stores to the tables, and to memory that is executed, come first.
    barrier!("fence rw, rw");
    H::remote_hfence_gvma(vmid, 0, u64::MAX);
    if range.is_none() {
        // A VM's memory gets another content, or another owner: nobody executes the old one.
        H::fence_i_everywhere();
    }
}

/// Forgets all G-stage translations of this hart.
pub fn forget_stage2() {
    barrier!(
        ".option push",
        ".option arch, +h",
        "hfence.gvma zero, zero",
        ".option pop"
    );
}
