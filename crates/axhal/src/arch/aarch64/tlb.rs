//! Maintenance of EL2's own translations (Arm ARM, D8.16 and D8.17).

use core::arch::asm;

/// TLBI's operand for the page of `va`: VA\[55:12\].
fn operand(va: usize) -> u64 {
    (va as u64 >> 12) & ((1 << 44) - 1)
}

/// Makes table entries written before visible to this CPU's accesses that come after, and to the
/// table walkers of the others.
pub fn publish() {
    // SAFETY: barriers.
    unsafe { asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
}

/// The same, for entries that have become valid in the hypervisor's own tables.
pub fn publish_own() {
    publish();
}

/// The same, for entries of which only this CPU makes use: those of `_pages` pages or blocks from
/// `_va` on.
#[inline]
pub fn publish_local(_va: usize, _pages: usize) {
    // SAFETY: barriers.
    unsafe { asm!("dsb nshst", "isb", options(nostack, preserves_flags)) };
}

/// Invalidates what any CPU remembers of `va`, after its entry was made invalid. Complete after
/// [`sync`].
pub fn flush_page(va: usize) {
    // SAFETY: forgetting a translation is always sound.
    unsafe {
        asm!("dsb ishst", "tlbi vae2is, {}", in(reg) operand(va), options(nostack, preserves_flags))
    };
}

/// Waits until the flushes before it are complete on every CPU.
pub fn sync() {
    // SAFETY: barriers.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// This CPU is one of those that hear of other CPUs' flushes from now on: it always was.
pub fn joined() {}

/// Invalidates what this CPU remembers of `va`, after its entry was made invalid. Complete when
/// it returns.
#[inline]
pub fn flush_local(va: usize) {
    // SAFETY: forgetting a translation is always sound.
    unsafe {
        asm!("dsb nshst", "tlbi vae2, {}", "dsb nsh", "isb", in(reg) operand(va),
            options(nostack, preserves_flags))
    };
}
