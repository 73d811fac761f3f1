//! Memory and caches: code that changes itself, fences, atomics between harts.

use crate::Case;
use crate::outcome::Outcome;
use crate::shared::atomics;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{Resume, catch};
use guest_support::sbi::{RFENCE, call};
use guest_support::{isa, smp};

pub const CASES: &[Case] = &[
    ("memory::changed_code", 1, changed_code),
    ("memory::changed_code_on_other", 2, changed_code_on_other),
    ("memory::broadcast_maintenance", 2, broadcast),
    ("memory::atomics", 2, atomics),
    ("memory::mmu_off_and_on", 1, mmu_off_and_on),
    ("memory::cache_blocks", 1, cache_blocks),
    ("memory::misaligned", 1, misaligned),
];

/// A function that is written while the guest runs.
#[repr(C, align(64))]
struct Code(UnsafeCell<[u32; 2]>);

// SAFETY: written by one CPU, with fences, before another one runs it.
unsafe impl Sync for Code {}

static CODE: Code = Code(UnsafeCell::new([0; 2]));

/// Makes the function return `value`: ADDI a0, zero, #value; RET. Then fences this hart's fetches.
fn write_code(value: u16) {
    let code = [0x513 | u32::from(value) << 20, 0x8067];
    // SAFETY: no CPU runs the code now; the fence makes it visible to this hart's fetches.
    unsafe {
        CODE.0.get().write_volatile(code);
        core::arch::asm!("fence.i", options(nostack));
    }
}

fn run_code() -> u64 {
    // SAFETY: `write_code` put a function there that takes nothing and returns a number.
    let code =
        unsafe { core::mem::transmute::<*mut [u32; 2], extern "C" fn() -> u64>(CODE.0.get()) };
    code()
}

fn changed_code() -> Outcome {
    for value in 0..200 {
        write_code(value);
        let seen = run_code();
        check!(seen == value.into(), value = value, seen = seen);
    }
    Ok(())
}

/// The other hart's fetches are fenced by SBI.
fn changed_code_on_other() -> Outcome {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    for value in 1000..1050 {
        write_code(value);
        let answer = call(RFENCE, 0, [1, smp::id(1)]);
        check!(answer.error == 0, answer = answer);
        check!(smp::run(1, || SEEN.store(run_code(), Ordering::SeqCst)));
        let seen = SEEN.load(Ordering::SeqCst);
        check!(seen == value.into(), value = value, seen = seen);
    }
    Ok(())
}

/// Two harts fence each other at the same time. QEMU's firmware may take seconds for that on a busy
/// machine: it waits for CPUs that the emulator doesn't run.
fn broadcast() -> Outcome {
    fn work() {
        for function in [0, 1, 2] {
            for _ in 0..10 {
                call(RFENCE, function, [0, u64::MAX, 0, 0, 0]);
            }
        }
    }
    smp::give(1, work);
    work();
    check!(smp::wait_within(1, 20_000));
    Ok(())
}

/// Without translation memory is what it was.
fn mmu_off_and_on() -> Outcome {
    static MARK: AtomicU64 = AtomicU64::new(0);
    MARK.store(0x4321, Ordering::SeqCst);
    let seen: u64;
    // SAFETY: reads a word without translation; the map is the identity.
    unsafe {
        core::arch::asm!(
            "csrci sstatus, 2", "csrr {s}, satp", "csrw satp, zero", "sfence.vma",
            "ld {v}, 0({a})", "csrw satp, {s}", "sfence.vma", "csrsi sstatus, 2",
            a = in(reg) &raw const MARK, s = out(reg) _, v = out(reg) seen,
            options(nostack)
        );
    }
    check!(seen == 0x4321, seen = seen);
    Ok(())
}

#[repr(C, align(4096))]
struct Line([AtomicU64; 512]);

/// Zicbom and Zicboz in S-mode, where they are advertised.
fn cache_blocks() -> Outcome {
    static LINE: Line = Line([const { AtomicU64::new(0) }; 512]);
    skip!(
        !isa::has("zicbom") && !isa::has("zicboz"),
        "no Zicbom, no Zicboz"
    );
    LINE.0[0].store(0x55, Ordering::SeqCst);
    macro_rules! block {
        ($word:literal) => {
            catch(Resume::Next, || {
                // SAFETY: cleans, or clears, lines of a page that only this case uses.
                unsafe {
                    core::arch::asm!($word, in("a0") &raw const LINE, options(nostack));
                }
            })
        };
    }
    if isa::has("zicbom") {
        for fault in [block!(".word 0x0015200f"), block!(".word 0x0025200f")] {
            check!(fault.is_none(), fault = fault);
        }
        check!(LINE.0[0].load(Ordering::SeqCst) == 0x55);
    }
    if isa::has("zicboz") {
        let fault = block!(".word 0x0045200f");
        check!(fault.is_none(), fault = fault);
        check!(LINE.0[0].load(Ordering::SeqCst) == 0);
    }
    Ok(())
}

/// Main memory takes misaligned accesses, or the trap is the guest's own.
fn misaligned() -> Outcome {
    let memory = [0x8877_6655_4433_2211_u64, 0xffee_ddcc_bbaa_9988];
    for offset in 1..8_usize {
        let mut value = 0x77_u64;
        let address = (&raw const memory).addr() + offset;
        let fault = catch(Resume::Next, || {
            // SAFETY: reads memory of this function.
            unsafe {
                core::arch::asm!("ld {v}, 0({a})", a = in(reg) address, v = inout(reg) value,
                    options(nostack, readonly));
            }
        });
        let shift = offset as u32 * 8;
        let want = memory[0] >> shift | memory[1] << (64 - shift);
        check!(
            fault.map_or(value == want, |f| f.cause == 4 && f.value == address as u64),
            value = value,
            fault = fault
        );
    }
    Ok(())
}
