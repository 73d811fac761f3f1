//! Which guest physical address a stage-2 fault is about.

use axaddrspace::GuestPhysAddr;
use axvcpu::GuestMemory;

use super::regs::{isb, read, write};
use crate::walk::{self, Stage1, Stage1Fault};

const PAGE_OFFSET: u64 = 0xfff;
const S1PTW: u64 = 1 << 7;

/// The faulting address, or `None` if the guest changed its tables meanwhile and the access is to
/// be made again.
#[inline]
pub fn fault_ipa(esr: u64, far: u64) -> Option<GuestPhysAddr> {
    // HPFAR_EL2 is not valid for permission faults outside a stage-1 walk (DDI 0487, D24.2.61).
    const FSC_TYPE: u64 = 0x3c;
    const PERMISSION: u64 = 0x0c;
    if esr & FSC_TYPE == PERMISSION && esr & S1PTW == 0 {
        return stage1(far).ok();
    }
    // FIPA: bits 43:4 are IPA bits 51:12. On a walk, FAR's offset is not the walk's.
    const FIPA: u64 = 0x0fff_ffff_fff0;
    let page = (read!("HPFAR_EL2") & FIPA) << 8;
    let offset = if esr & S1PTW == 0 {
        far & PAGE_OFFSET
    } else {
        0
    };
    Some(GuestPhysAddr::from_usize((page | offset) as usize))
}

/// The same for a [plain](crate::decode::DataAbort::is_plain) abort.
#[inline(always)]
pub fn plain_fault_ipa() -> GuestPhysAddr {
    const FIPA: u64 = 0x0fff_ffff_fff0;
    let page = (read!("HPFAR_EL2") & FIPA) << 8;
    GuestPhysAddr::from_usize((page | read!("FAR_EL2") & PAGE_OFFSET) as usize)
}

/// What stage 1 makes of `va`; the guest's own PAR_EL1 is kept.
///
/// The access itself, whatever it was, has passed stage 1: what is asked is only where it went. A
/// privileged read (AT S1E1R, which ignores PAN) is allowed on every page that is mapped, also on
/// those that may only be executed or are EL0's alone, and where cache maintenance counts as a
/// write.
pub fn stage1(va: u64) -> Result<GuestPhysAddr, Stage1Fault> {
    const PA: u64 = 0x000f_ffff_ffff_f000;
    let saved = read!("PAR_EL1");
    // SAFETY: an address translation changes PAR_EL1 only, which is restored below.
    unsafe { core::arch::asm!("at s1e1r, {}", in(reg) va, options(nostack, preserves_flags)) };
    isb();
    let par = read!("PAR_EL1");
    write!("PAR_EL1", saved);
    match walk::par_fault(par) {
        None => Ok(GuestPhysAddr::from_usize(
            (par & PA | va & PAGE_OFFSET) as usize,
        )),
        Some(fault) => Err(fault),
    }
}

/// At which level of the guest's own tables a walk for `va` reads the page at `table`.
pub fn walk_level(memory: &dyn GuestMemory, va: u64, table: GuestPhysAddr) -> u8 {
    let stage1 = Stage1 {
        tcr: read!("TCR_EL1"),
        ttbr0: read!("TTBR0_EL1"),
        ttbr1: read!("TTBR1_EL1"),
    };
    walk::level_of(memory, &stage1, va, table)
}
