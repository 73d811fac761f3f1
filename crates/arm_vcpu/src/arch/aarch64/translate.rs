//! Which guest physical address a stage-2 fault is about.

use axaddrspace::GuestPhysAddr;
use axvcpu::GuestMemory;

use super::regs::{isb, read, write};
use crate::walk::{self, Stage1};

/// PAR_EL1.F: the translation failed.
const PAR_FAULT: u64 = 1;
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
        return translate_far(esr, far);
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

/// Stage 1 only, as the access would see it.
#[cold]
fn translate_far(esr: u64, far: u64) -> Option<GuestPhysAddr> {
    const WNR: u64 = 1 << 6;
    let data_abort = esr >> 26 == 0x24;
    let par = stage1(far, from_el0(), data_abort && esr & WNR != 0);
    (par & PAR_FAULT == 0).then(|| par_address(par, far))
}

/// The guest physical address an instruction at `va` is fetched from; `None` if stage 1 refuses.
pub fn fetch_ipa(va: u64) -> Option<GuestPhysAddr> {
    let par = stage1(va, from_el0(), false);
    (par & PAR_FAULT == 0).then(|| par_address(par, va))
}

fn from_el0() -> bool {
    const M_EL: u64 = 0xc;
    read!("SPSR_EL2") & M_EL == 0
}

fn par_address(par: u64, va: u64) -> GuestPhysAddr {
    const PA: u64 = 0x000f_ffff_ffff_f000;
    GuestPhysAddr::from_usize((par & PA | va & PAGE_OFFSET) as usize)
}

/// AT S1E0R, S1E0W, S1E1R or S1E1W; the guest's own PAR_EL1 is kept.
fn stage1(va: u64, el0: bool, write: bool) -> u64 {
    let saved = read!("PAR_EL1");
    macro_rules! at {
        ($operation:literal) => {
            // SAFETY: an address translation changes PAR_EL1 only, which is restored below.
            unsafe {
                core::arch::asm!(concat!("at ", $operation, ", {}"), in(reg) va, options(nostack, preserves_flags))
            }
        };
    }
    match (el0, write) {
        (true, true) => at!("s1e0w"),
        (true, false) => at!("s1e0r"),
        (false, true) => at!("s1e1w"),
        (false, false) => at!("s1e1r"),
    }
    isb();
    let par = read!("PAR_EL1");
    write!("PAR_EL1", saved);
    par
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
