//! FP and SIMD registers belong to a vCPU: exits, switches and other vCPUs leave them alone.

use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{self, on_interrupt, taken};
use guest_support::gic::{enable, send_sgi};
use guest_support::mmio::read32;
use guest_support::psci::{VERSION, call};
use guest_support::sync::wait_for;
use guest_support::timer::{VIRTUAL_PPI, arm_virtual, stop_virtual};
use guest_support::{cpu, smp, uart};

pub const CASES: &[Case] = &[
    ("fp::across_exits", 1, across_exits),
    ("fp::across_a_wait", 1, across_a_wait),
    ("fp::control_registers", 1, control_registers),
    ("fp::between_cpus", 2, between_cpus),
];

core::arch::global_asm!(
    ".arch_extension fp",
    ".arch_extension simd",
    // fp_fill(seed): q0 to q31 get different values in both halves.
    ".global fp_fill",
    "fp_fill:",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "add x1, x0, #\\n",
    "fmov d\\n, x1",
    "mvn x1, x1",
    "fmov v\\n\\().d[1], x1",
    ".endr",
    "ret",
    // fp_differs(seed): the bits that differ from what fp_fill put there.
    ".global fp_differs",
    "fp_differs: mov x4, #0",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "add x1, x0, #\\n",
    "fmov x2, d\\n",
    "eor x2, x2, x1",
    "orr x4, x4, x2",
    "mvn x1, x1",
    "fmov x2, v\\n\\().d[1]",
    "eor x2, x2, x1",
    "orr x4, x4, x2",
    ".endr",
    "mov x0, x4",
    "ret",
);

unsafe extern "C" {
    fn fp_fill(seed: u64);
    fn fp_differs(seed: u64) -> u64;
}

/// The guest is built without FP: nothing but this file touches its registers.
fn fill(seed: u64) {
    // SAFETY: changes vector registers, which no other code of the guest uses.
    unsafe { fp_fill(seed) }
}

fn differs(seed: u64) -> u64 {
    // SAFETY: reads vector registers.
    unsafe { fp_differs(seed) }
}

fn across_exits() -> Outcome {
    fill(0x1111_0000);
    for _ in 0..100 {
        call(VERSION, [0; 3]);
        read32(uart::BASE + 0x18);
    }
    let bits = differs(0x1111_0000);
    check!(bits == 0, bits = bits);
    Ok(())
}

fn across_a_wait() -> Outcome {
    enable(VIRTUAL_PPI);
    on_interrupt(Some(|_| stop_virtual()), true);
    fill(0x2222_0000);
    for _ in 0..5 {
        exception::mask();
        arm_virtual(2);
        // SAFETY: waits; the timer's interrupt ends it.
        unsafe { core::arch::asm!("wfi", options(nostack)) };
        exception::unmask();
    }
    let bits = differs(0x2222_0000);
    check!(bits == 0, bits = bits);
    Ok(())
}

fn control_registers() -> Outcome {
    let [fpcr, fpsr]: [u64; 2];
    // SAFETY: changes FPCR and FPSR, which no other code of the guest uses.
    unsafe {
        core::arch::asm!("msr s3_3_c4_c4_0, {c}", "msr s3_3_c4_c4_1, {s}", c = in(reg) 3_u64 << 22,
            s = in(reg) 0x1f_u64, options(nostack));
    }
    wait_for(3, || false);
    call(VERSION, [0; 3]);
    // SAFETY: reads them, and puts zero back.
    unsafe {
        core::arch::asm!("mrs {c}, s3_3_c4_c4_0", "mrs {s}, s3_3_c4_c4_1", "msr s3_3_c4_c4_0, xzr", "msr s3_3_c4_c4_1, xzr",
            c = out(reg) fpcr, s = out(reg) fpsr, options(nostack));
    }
    check!(fpcr == 3 << 22, fpcr = fpcr);
    check!(fpsr == 0x1f, fpsr = fpsr);
    Ok(())
}

/// All CPUs hold patterns of their own while they interrupt each other and sleep.
fn between_cpus() -> Outcome {
    static BITS: AtomicU64 = AtomicU64::new(0);
    fn work() {
        let me = cpu() as u64;
        for round in 0..20 {
            let seed = me << 48 | round << 16;
            fill(seed);
            send_sgi(11, 1 << ((cpu() + 1) % smp::count()));
            wait_for(1, || false);
            BITS.fetch_or(differs(seed), Ordering::SeqCst);
        }
    }
    BITS.store(0, Ordering::SeqCst);
    for n in 1..smp::count() {
        smp::give(n, work);
    }
    work();
    for n in 1..smp::count() {
        check!(smp::wait(n), n = n);
    }
    check!(
        BITS.load(Ordering::SeqCst) == 0,
        bits = BITS.load(Ordering::SeqCst)
    );
    check!(taken(0, 11) > 0);
    Ok(())
}
