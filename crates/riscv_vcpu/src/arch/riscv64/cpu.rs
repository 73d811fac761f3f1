//! This physical CPU: what it offers, and how it is set up for guests.

use axaddrspace::{HostPhysAddr, Sv};
use spin::Once;

use super::regs::{read, set, vs, write};
use super::{context, fetch, fp, tlb};
use crate::RiscvHost;
use crate::features::{
    CpuError, Described, Features, HCOUNTEREN, HEDELEG, HIDELEG, HSTATEEN0, henvcfg, hstatus,
};

static FEATURES: Once<Features> = Once::new();

/// What the CPUs offer. The first CPU's, which stands for all: [`init_cpu`] refuses others. That comes
/// first: nobody has been told of a description before.
#[inline]
pub fn features() -> &'static Features {
    FEATURES.call_once(|| probe().as_described(Described::default()))
}

/// Looks what is there: fields that can be written are.
fn probe() -> Features {
    write!(VSATP, 0);
    write!(HENVCFG, henvcfg::KNOWN);
    let env = read!(HENVCFG);
    write!(HENVCFG, 0);
    let zicbom = henvcfg::CBCFE | henvcfg::CBIE_FLUSH;
    let (sv39x4, vmid_bits) = probe_hgatp(Sv::sv39x4(false));
    let (sv48x4, vmid_bits_48) = probe_hgatp(Sv::sv48x4(false));
    write!(HGATP, 0);
    tlb::forget_stage2();
    Features {
        sstc: env & henvcfg::STCE != 0,
        svpbmt: env & henvcfg::PBMTE != 0,
        zicbom: env & zicbom == zicbom,
        zicboz: env & henvcfg::CBZE != 0,
        stateen: fetch::has_stateen(),
        float: fp::probe_float(),
        vlenb: fp::probe_vectors(),
        vmid_bits: vmid_bits.max(vmid_bits_48),
        sv39x4,
        sv48x4,
    }
}

/// Whether a scheme is there, and how many bits of the VMID can be written ("hgatp": fields are
/// WARL, also with a MODE that is not supported).
fn probe_hgatp(sv: Sv) -> (bool, u32) {
    const VMID: u64 = 0x3fff;
    write!(HGATP, sv.hgatp(HostPhysAddr::from_usize(0), VMID as u16));
    let hgatp = read!(HGATP);
    if hgatp >> 60 == sv.mode() {
        (true, (hgatp >> 44 & VMID).count_ones())
    } else {
        (false, 0)
    }
}

/// G-stage tables as this machine has them.
pub fn stage2_format() -> Result<Sv, CpuError> {
    features().stage2().ok_or(CpuError::NoStage2)
}

/// Sets this CPU up for guests. Once on each CPU, with interrupts masked; an error is a CPU to be
/// parked.
pub fn init_cpu<H: RiscvHost>(described: Described) -> Result<(), CpuError> {
    let here = probe().as_described(described);
    here.check()?;
    let features = FEATURES.call_once(|| here);
    if !here.can_stand_in_for(features) {
        return Err(CpuError::Features { here });
    }
    fp::init(H::MAX_CPUS);
    write!(VSATP, 0);
    write!(HGATP, 0);
    write!(HSTATUS, hstatus::GUEST);
    write!(HEDELEG, HEDELEG);
    write!(HIDELEG, HIDELEG);
    write!(HCOUNTEREN, HCOUNTEREN);
    write!(HGEIE, 0);
    write!(HENVCFG, features.henvcfg());
    write!(HTIMEDELTA, 0);
    if features.stateen {
        // hstateen1 to hstateen3 have no bits that mean anything yet, and firmware that gives away
        // none of mstateen1 to mstateen3 makes their use here illegal.
        write!(HSTATEEN0, HSTATEEN0);
    }
    context::quiet(features);
    tlb::forget_stage2();
    Ok(())
}

/// The machine's counter.
#[inline]
pub fn time() -> u64 {
    read!(TIME)
}

/// Interrupts that would wake the guest from WFI: pending, and enabled for itself, whether or not
/// its sstatus.SIE lets it take them ("Wait for Interrupt").
#[inline]
pub fn wakes() -> bool {
    read!(HIP) & read!(HIE) & vs::ALL != 0
}

/// The guest enables its timer interrupt.
#[inline]
pub fn timer_enabled() -> bool {
    read!(HIE) & vs::TIMER != 0
}

/// SRET goes to the guest.
#[inline]
pub fn return_to_guest() {
    set!(HSTATUS, hstatus::SPV);
}
