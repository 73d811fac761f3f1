//! What other harts are asked for, by way of the firmware (SBI, chapters 7 and 8). CPUs are given
//! as a mask of their numbers, as [`crate::cpu::online`] has them; the one that calls may be among
//! them.
//!
//! Each call is an interrupt of the firmware's to the harts, and the fences wait until all have
//! answered.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::cpu::{self, CPUS};
use crate::drivers::Ecall;
use crate::drivers::sbi::{FenceRange, HartMask, Sbi, SbiError};

/// A request failed once.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Whether a request has ever failed. The firmware lacks an extension then, and this machine
/// can't be used with more than one hart.
pub fn failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Calls `f` with the masks of these CPUs.
#[inline]
fn ask(cpus: usize, f: impl Fn(&Sbi, HartMask) -> Result<(), SbiError>) {
    let ids = CPUS
        .iter()
        .enumerate()
        .filter(|(index, _)| cpus >> index & 1 != 0)
        .map(|(_, cpu)| cpu.id());
    let sbi = Sbi::new(Ecall);
    for mask in HartMask::cover(ids) {
        if f(&sbi, mask).is_err() {
            FAILED.store(true, Ordering::Relaxed);
        }
    }
}

/// The CPUs that run, without this one.
pub fn others() -> usize {
    cpu::online() & !(1 << cpu::index())
}

/// Sends one CPU a supervisor software interrupt, as [`send_ipi`] does.
#[inline]
pub fn kick(cpu: usize) {
    let Some(cpu) = CPUS.get(cpu) else { return };
    let base = cpu.id() as usize;
    if Sbi::new(Ecall)
        .send_ipi(HartMask { mask: 1, base })
        .is_err()
    {
        FAILED.store(true, Ordering::Relaxed);
    }
}

/// Sends a supervisor software interrupt. What was written to memory before is visible to its
/// handler.
#[inline]
pub fn send_ipi(cpus: usize) {
    ask(cpus, |sbi, harts| sbi.send_ipi(harts));
}

/// FENCE.I: their instruction fetches see what was written to memory before.
pub fn fence_i(cpus: usize) {
    ask(cpus, |sbi, harts| sbi.remote_fence_i(harts));
}

/// SFENCE.VMA: the hypervisor's own translations.
pub fn sfence_vma(cpus: usize, range: FenceRange) {
    ask(cpus, |sbi, harts| sbi.remote_sfence_vma(harts, range));
}

/// HFENCE.GVMA: translations of guest physical addresses, of one VMID or of all.
pub fn hfence_gvma(cpus: usize, range: FenceRange, vmid: Option<u16>) {
    ask(cpus, |sbi, harts| match vmid {
        Some(vmid) => sbi.remote_hfence_gvma_vmid(harts, range, vmid),
        None => sbi.remote_hfence_gvma(harts, range),
    });
}

/// HFENCE.VVMA: translations of guest virtual addresses, of one ASID or of all, of the VMID that is
/// in this hart's `hgatp`.
pub fn hfence_vvma(cpus: usize, range: FenceRange, asid: Option<u64>) {
    ask(cpus, |sbi, harts| match asid {
        Some(asid) => sbi.remote_hfence_vvma_asid(harts, range, asid),
        None => sbi.remote_hfence_vvma(harts, range),
    });
}
