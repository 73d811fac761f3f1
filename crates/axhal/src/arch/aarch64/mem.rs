//! Zeroing, copying and cache maintenance by address.

use core::arch::asm;

use super::regs::read;

/// FEAT_MOPS: ID_AA64ISAR2_EL1.MOPS. Nothing has to be enabled for EL2.
fn has_mops() -> bool {
    read!("s3_0_c0_c6_2") & 0xf << 16 != 0
}

/// Zeroes `len` bytes at `ptr`, by what the CPU has for it: SETP and its kin, or DC ZVA (Normal
/// memory only).
///
/// # Safety
/// `ptr` is valid for writes of `len` bytes of Normal memory.
pub unsafe fn zero(ptr: *mut u8, len: usize) {
    if has_mops() {
        // SAFETY: the three instructions together write exactly what the caller promised. They run
        // on one CPU: interrupts may come in between, but no other implementation of them.
        unsafe {
            asm!(
                ".arch_extension mops",
                "setp [{at}]!, {len}!, xzr",
                "setm [{at}]!, {len}!, xzr",
                "sete [{at}]!, {len}!, xzr",
                at = inout(reg) ptr => _,
                len = inout(reg) len => _,
                options(nostack),
            );
        }
        return;
    }
    let dczid = read!("dczid_el0");
    let block = 4usize << (dczid & 0xf);
    let head = ptr.align_offset(block);
    if dczid & 1 << 4 != 0 || len < head.saturating_add(block) {
        // SAFETY: the caller's promise.
        unsafe { ptr.write_bytes(0, len) };
        return;
    }
    let blocks = (len - head) / block;
    // SAFETY: head + blocks * block <= len, so each write is within what the caller promised, and
    // DC ZVA writes exactly the aligned blocks in between. `blocks` is at least 1.
    unsafe {
        ptr.write_bytes(0, head);
        let start = ptr.add(head);
        let end = start.add(blocks * block);
        asm!(
            // Four at a time, then what is left.
            "2: subs {n}, {n}, #4",
            "b.lo 3f",
            "dc zva, {at}",
            "add {at}, {at}, {block}",
            "dc zva, {at}",
            "add {at}, {at}, {block}",
            "dc zva, {at}",
            "add {at}, {at}, {block}",
            "dc zva, {at}",
            "add {at}, {at}, {block}",
            "b 2b",
            "3: cmp {at}, {end}",
            "b.hs 4f",
            "dc zva, {at}",
            "add {at}, {at}, {block}",
            "b 3b",
            "4:",
            at = inout(reg) start => _,
            end = in(reg) end,
            block = in(reg) block,
            n = inout(reg) blocks => _,
            options(nostack),
        );
        end.write_bytes(0, len - head - blocks * block);
    }
}

/// Copies `len` bytes: by CPYFP and its kin, or 64 at a time. `from` need not be aligned:
/// SCTLR_EL2.A is 0, and both sides are Normal memory.
///
/// # Safety
/// `from` is valid for reads and `to` for writes of `len` bytes of Normal memory; they don't
/// overlap.
pub unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    if has_mops() {
        // SAFETY: as in `zero`; the ranges don't overlap, so the forward-only copy is right.
        unsafe {
            asm!(
                ".arch_extension mops",
                "cpyfp [{to}]!, [{from}]!, {len}!",
                "cpyfm [{to}]!, [{from}]!, {len}!",
                "cpyfe [{to}]!, [{from}]!, {len}!",
                to = inout(reg) to => _,
                from = inout(reg) from => _,
                len = inout(reg) len => _,
                options(nostack),
            );
        }
        return;
    }
    let head = to.align_offset(16);
    if len < head.saturating_add(64) {
        // SAFETY: the caller's promise.
        unsafe { to.copy_from_nonoverlapping(from, len) };
        return;
    }
    let chunks = (len - head) / 64;
    // SAFETY: head + chunks * 64 <= len, so all three pieces are within what the caller promised.
    // `chunks` is at least 1.
    unsafe {
        to.copy_from_nonoverlapping(from, head);
        let (mut at, mut source) = (to.add(head), from.add(head));
        asm!(
            "2: ldp {a}, {b}, [{from}]",
            "ldp {c}, {d}, [{from}, #16]",
            "ldp {e}, {f}, [{from}, #32]",
            "ldp {g}, {h}, [{from}, #48]",
            "add {from}, {from}, #64",
            "subs {n}, {n}, #1",
            "stp {a}, {b}, [{to}]",
            "stp {c}, {d}, [{to}, #16]",
            "stp {e}, {f}, [{to}, #32]",
            "stp {g}, {h}, [{to}, #48]",
            "add {to}, {to}, #64",
            "b.ne 2b",
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            e = out(reg) _, f = out(reg) _, g = out(reg) _, h = out(reg) _,
            from = inout(reg) source,
            to = inout(reg) at,
            n = inout(reg) chunks => _,
            options(nostack),
        );
        at.copy_from_nonoverlapping(source, len - head - chunks * 64);
    }
}

/// Runs one cache operation per line of `line` bytes of the range; then DSB ISH.
macro_rules! by_line {
    ($op:literal, $va:expr, $len:expr, $line:expr) => {{
        let (line, end) = ($line, $va.saturating_add($len));
        let mut at = $va & !(line - 1);
        while at < end {
            // SAFETY: cleaning, and invalidating an instruction cache, lose no data; the range is
            // mapped, as the caller promises.
            unsafe { asm!(concat!($op, ", {}"), in(reg) at, options(nostack, preserves_flags)) };
            at += line;
        }
        // SAFETY: a barrier.
        unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    }};
}

/// The smallest data cache line (CTR_EL0.DminLine), in bytes.
fn data_line() -> usize {
    4 << (read!("ctr_el0") >> 16 & 0xf)
}

/// Cleans and invalidates `len` bytes at `va` to the point of coherency: observers that don't use
/// caches see them, and no line of them stays.
///
/// # Safety
/// The range is mapped.
pub unsafe fn clean_inv_poc(va: usize, len: usize) {
    by_line!("dc civac", va, len, data_line());
    // SAFETY: a barrier; observers may be outside the inner shareable domain.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}

/// Makes every CPU's instruction fetches see what was written to `len` bytes at `va`, at whatever
/// address they are mapped for execution. By CTR_EL0.IDC and DIC the CPU says which half it
/// doesn't need. (Arm ARM, B2.7.4.2 and D7.5.9.)
///
/// # Safety
/// The range is mapped.
pub unsafe fn sync_icache(va: usize, len: usize) {
    let ctr = read!("ctr_el0");
    if ctr & 1 << 28 == 0 {
        by_line!("dc cvau", va, len, data_line());
    } else {
        // SAFETY: a barrier.
        unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
    }
    if ctr & 1 << 29 == 0 {
        // Another mapping of the same bytes may have other index bits unless the cache is
        // physically indexed (L1Ip = PIPT): then all of it has to go.
        if ctr >> 14 & 0b11 == 0b11 {
            by_line!("ic ivau", va, len, 4usize << (ctr & 0xf));
        } else {
            // SAFETY: an instruction cache holds nothing that memory doesn't.
            unsafe { asm!("ic ialluis", "dsb ish", options(nostack, preserves_flags)) };
        }
    }
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}
