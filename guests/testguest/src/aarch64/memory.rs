//! Memory and caches: code that changes itself, maintenance, atomics between CPUs.

use crate::Case;
use crate::outcome::Outcome;
use crate::shared::atomics;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::{read_sysreg, smp, write_sysreg};

pub const CASES: &[Case] = &[
    ("memory::changed_code", 1, changed_code),
    ("memory::changed_code_on_other", 2, changed_code_on_other),
    ("memory::set_way", 1, set_way),
    ("memory::broadcast_maintenance", 2, broadcast),
    ("memory::atomics", 2, atomics),
    ("memory::mmu_off_and_on", 1, mmu_off_and_on),
];

/// A function that is written while the guest runs.
#[repr(C, align(64))]
struct Code(UnsafeCell<[u32; 2]>);

// SAFETY: written by one CPU, with maintenance, before another one runs it.
unsafe impl Sync for Code {}

static CODE: Code = Code(UnsafeCell::new([0; 2]));

/// Makes the function return `value`: MOVZ w0, #value; RET. Then cleans and invalidates.
fn write_code(value: u16) {
    let code = [0x5280_0000 | u32::from(value) << 5, 0xd65f_03c0];
    // SAFETY: no CPU runs the code now; the maintenance makes it visible to fetches of all CPUs.
    unsafe {
        CODE.0.get().write_volatile(code);
        core::arch::asm!("dc cvau, {a}", "dsb ish", "ic ivau, {a}", "dsb ish", "isb",
            a = in(reg) CODE.0.get(), options(nostack));
    }
}

fn run_code() -> u64 {
    // SAFETY: `write_code` put a function there that takes nothing and returns a number.
    let code =
        unsafe { core::mem::transmute::<*mut [u32; 2], extern "C" fn() -> u32>(CODE.0.get()) };
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb", options(nostack)) };
    code().into()
}

fn changed_code() -> Outcome {
    for value in 0..200 {
        write_code(value);
        let seen = run_code();
        check!(seen == value.into(), value = value, seen = seen);
    }
    Ok(())
}

fn changed_code_on_other() -> Outcome {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    for value in 1000..1050 {
        write_code(value);
        check!(smp::run(1, || SEEN.store(run_code(), Ordering::SeqCst)));
        let seen = SEEN.load(Ordering::SeqCst);
        check!(seen == value.into(), value = value, seen = seen);
    }
    Ok(())
}

/// Cleans and invalidates the first level by set and way, as boot loaders do.
fn set_way() -> Outcome {
    static MARK: AtomicU64 = AtomicU64::new(0);
    MARK.store(0x1234, Ordering::SeqCst);
    write_sysreg!("csselr_el1", 0);
    let size = read_sysreg!("ccsidr_el1");
    // Without FEAT_CCIDX: line size, ways, sets.
    let [line, ways, sets] = [(size & 7) + 4, size >> 3 & 0x3ff, size >> 13 & 0x7fff];
    let shift = (ways as u32).leading_zeros();
    for way in 0..=ways.min(15) {
        for set in 0..=sets.min(255) {
            let operand = if shift < 32 { way << shift } else { 0 } | set << line;
            // SAFETY: cleans and invalidates a cache line.
            unsafe { core::arch::asm!("dc cisw, {o}", o = in(reg) operand, options(nostack)) };
        }
    }
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("dsb sy", options(nostack)) };
    check!(MARK.load(Ordering::SeqCst) == 0x1234);
    Ok(())
}

fn broadcast() -> Outcome {
    smp::give(1, || {
        for _ in 0..100 {
            // SAFETY: the identity map doesn't change.
            unsafe {
                core::arch::asm!(
                    "tlbi vmalle1is",
                    "ic ialluis",
                    "dsb ish",
                    "isb",
                    options(nostack)
                );
            }
        }
    });
    for _ in 0..100 {
        // SAFETY: as above.
        unsafe {
            core::arch::asm!(
                "tlbi vmalle1",
                "ic iallu",
                "dsb nsh",
                "isb",
                options(nostack)
            )
        };
    }
    check!(smp::wait(1));
    Ok(())
}

/// With the MMU off memory is reached past the caches; what was written before is seen.
fn mmu_off_and_on() -> Outcome {
    static MARK: AtomicU64 = AtomicU64::new(0);
    MARK.store(0x4321, Ordering::SeqCst);
    let seen: u64;
    // SAFETY: cleans the line, and reads it with MMU and data cache off; nothing else is touched
    // meanwhile, and the map is the identity.
    unsafe {
        core::arch::asm!(
            "dc civac, {a}", "dsb sy", "mrs {s}, sctlr_el1", "mov {t}, #5", "bic {t}, {s}, {t}", "msr daifset, #2",
            "msr sctlr_el1, {t}", "isb", "ldr {v}, [{a}]", "msr sctlr_el1, {s}", "isb",
            "msr daifclr, #2",
            a = in(reg) &raw const MARK, s = out(reg) _, t = out(reg) _, v = out(reg) seen,
            options(nostack)
        );
    }
    check!(seen == 0x4321, seen = seen);
    Ok(())
}
