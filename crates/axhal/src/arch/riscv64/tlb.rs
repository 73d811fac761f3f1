//! Maintenance of the hypervisor's own translations (privileged ISA, 12.2.1).
//!
//! A hart forgets nothing on another one's word: those that run are asked by SBI. And it may
//! remember that something was *not* mapped, so what becomes valid is fenced as well, on all of them,
//! unless they all have Svvptc.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use super::remote;
use crate::drivers::sbi::FenceRange;
use crate::machine::{Extensions, Machine};
use crate::paging::PAGE;

/// All harts have Svvptc.
static SEES_VALID: AtomicBool = AtomicBool::new(false);

/// Takes note of what the harts do by themselves.
pub fn configure(machine: &Machine) {
    let common = machine.riscv().map(|riscv| riscv.common());
    let sees = common.is_some_and(|common| common.contains(Extensions::SVVPTC));
    SEES_VALID.store(sees, Ordering::Relaxed);
}

/// Makes table entries written before visible to the table walkers of all harts, as far as they
/// don't remember something else.
pub fn publish() {
    // SAFETY: a barrier.
    unsafe { asm!("fence rw, rw", options(nostack, preserves_flags)) };
}

/// The same, for entries that have become valid in the hypervisor's own tables.
pub fn publish_own() {
    publish();
    if !SEES_VALID.load(Ordering::Relaxed) {
        remote::sfence_vma(remote::others(), FenceRange::ALL);
    }
    // SAFETY: forgetting translations is always sound.
    unsafe { asm!("sfence.vma", options(nostack, preserves_flags)) };
}

/// The same, for entries of which only this hart makes use: those of `pages` pages, or of one
/// block, from `va` on.
#[inline]
pub fn publish_local(va: usize, pages: usize) {
    for page in 0..pages {
        flush_local(va + page * PAGE);
    }
}

/// Invalidates what any hart remembers of `_va`, after its entry was made invalid: all at once in
/// [`sync`], as each request to the others is an interrupt.
pub fn flush_page(_va: usize) {}

/// Waits until the flushes before it are complete on every hart.
pub fn sync() {
    // The changes come before the look at who runs: see `joined`.
    publish();
    remote::sfence_vma(remote::others(), FenceRange::ALL);
    // SAFETY: forgetting translations is always sound.
    unsafe { asm!("sfence.vma", options(nostack, preserves_flags)) };
}

/// This hart is one of those that hear of other harts' flushes from now on. What changed until now
/// it may have missed.
pub fn joined() {
    // SAFETY: forgetting translations is always sound.
    unsafe {
        asm!(
            "fence rw, rw",
            "sfence.vma",
            options(nostack, preserves_flags)
        )
    };
}

/// Invalidates what this hart remembers of the page or block at `va`, after its entry was changed.
/// Complete when it returns.
#[inline]
pub fn flush_local(va: usize) {
    // SAFETY: forgetting a translation is always sound.
    unsafe { asm!("sfence.vma {}, zero", in(reg) va, options(nostack, preserves_flags)) };
}
