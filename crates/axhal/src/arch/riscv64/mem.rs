//! Zeroing and copying; and cache maintenance, of which there is little: harts and their devices see
//! the same memory, whatever translation is on (privileged ISA, 3.6.5), but for instruction
//! fetches.

use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::remote;
use crate::machine::{Extensions, Machine};

/// Bytes that CBO.ZERO zeroes, on every hart; 0 if one of them lacks it.
static BLOCK: AtomicUsize = AtomicUsize::new(0);

/// Takes note of what the harts have.
pub fn configure(machine: &Machine) {
    let Some(riscv) = machine.riscv() else { return };
    let mut blocks = riscv.harts.iter().map(|hart| hart.cboz_block);
    let first = blocks.next().flatten();
    if let Some(block) = first
        && riscv.common().contains(Extensions::ZICBOZ)
        && blocks.all(|block| block == first)
    {
        BLOCK.store(block as usize, Ordering::Relaxed);
    }
}

/// Zeroes `len` bytes at `ptr`, by CBO.ZERO where there is one (CMO specification, 2.7).
///
/// # Safety
/// `ptr` is valid for writes of `len` bytes of main memory.
pub unsafe fn zero(ptr: *mut u8, len: usize) {
    let block = BLOCK.load(Ordering::Relaxed);
    let head = if block == 0 {
        len
    } else {
        ptr.align_offset(block)
    };
    if len < head.saturating_add(block.max(1)) {
        // SAFETY: the caller's promise.
        unsafe { ptr.write_bytes(0, len) };
        return;
    }
    let blocks = (len - head) / block;
    // SAFETY: head + blocks * block <= len, so each write is within what the caller promised, and
    // CBO.ZERO writes exactly the aligned blocks in between. `blocks` is at least 1.
    unsafe {
        ptr.write_bytes(0, head);
        let start = ptr.add(head);
        let end = start.add(blocks * block);
        asm!(
            ".option push",
            ".option arch, +zicboz",
            // Four at a time, then what is left.
            "2: addi {n}, {n}, -4",
            "bltz {n}, 3f",
            "cbo.zero ({at})",
            "add {at}, {at}, {block}",
            "cbo.zero ({at})",
            "add {at}, {at}, {block}",
            "cbo.zero ({at})",
            "add {at}, {at}, {block}",
            "cbo.zero ({at})",
            "add {at}, {at}, {block}",
            "j 2b",
            "3: bgeu {at}, {end}, 4f",
            "cbo.zero ({at})",
            "add {at}, {at}, {block}",
            "j 3b",
            "4:",
            ".option pop",
            at = inout(reg) start => _,
            end = in(reg) end,
            block = in(reg) block,
            n = inout(reg) blocks => _,
            options(nostack),
        );
        end.write_bytes(0, len - head - blocks * block);
    }
}

/// Copies `len` bytes: 64 at a time where both sides are aligned alike. (A misaligned access may be
/// an exception, which the firmware emulates, slowly.)
///
/// # Safety
/// `from` is valid for reads and `to` for writes of `len` bytes of main memory; they don't overlap.
pub unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    let head = to.align_offset(8);
    let alike = (to.addr() ^ from.addr()).is_multiple_of(8);
    if !alike || len < head.saturating_add(64) {
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
            "2: ld {a}, 0({from})",
            "ld {b}, 8({from})",
            "ld {c}, 16({from})",
            "ld {d}, 24({from})",
            "ld {e}, 32({from})",
            "ld {f}, 40({from})",
            "ld {g}, 48({from})",
            "ld {h}, 56({from})",
            "addi {from}, {from}, 64",
            "addi {n}, {n}, -1",
            "sd {a}, 0({to})",
            "sd {b}, 8({to})",
            "sd {c}, 16({to})",
            "sd {d}, 24({to})",
            "sd {e}, 32({to})",
            "sd {f}, 40({to})",
            "sd {g}, 48({to})",
            "sd {h}, 56({to})",
            "addi {to}, {to}, 64",
            "bnez {n}, 2b",
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

/// Makes `_len` bytes at `_va` visible to observers that don't use caches. There are none: see
/// above. What was written comes first.
///
/// # Safety
/// The range is mapped.
pub unsafe fn clean_inv_poc(_va: usize, _len: usize) {
    // SAFETY: a barrier.
    unsafe { asm!("fence iorw, iorw", options(nostack, preserves_flags)) };
}

/// Makes every hart's instruction fetches see what was written to `_len` bytes at `_va`, at
/// whatever address they are mapped for execution (unprivileged ISA, "Zifencei": all of a hart's, and
/// the other harts' at their own FENCE.I).
///
/// # Safety
/// The range is mapped.
pub unsafe fn sync_icache(_va: usize, _len: usize) {
    // SAFETY: a barrier; the instruction cache holds nothing that memory doesn't.
    unsafe { asm!("fence rw, rw", "fence.i", options(nostack, preserves_flags)) };
    remote::fence_i(remote::others());
}
