//! FP and vector registers belong to a vCPU: exits, switches and other vCPUs leave them alone.

use super::plic::UART;
use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{Fault, Resume, catch, mask, on_interrupt, taken, unmask, wait};
use guest_support::sbi::{BASE, call};
use guest_support::sync::wait_for;
use guest_support::timer::{self, arm};
use guest_support::{clear_csr, cpu, isa, lines, plic, read_csr, set_csr, smp, write_csr};

pub const CASES: &[Case] = &[
    ("fp::across_exits", 1, across_exits),
    ("fp::across_a_wait", 1, across_a_wait),
    ("fp::control_registers", 1, control_registers),
    ("fp::between_cpus", 2, between_cpus),
    ("fp::status", 1, status),
    ("fp::off", 1, off),
    ("fp::vectors_across_exits", 1, vectors_across_exits),
    ("fp::vectors_between_cpus", 2, vectors_between_cpus),
    ("fp::vectors_off", 1, vectors_off),
];

core::arch::global_asm!(
    ".option push",
    ".option arch, +d, +v",
    // fp_fill(seed): f0 to f31 get different values.
    ".global fp_fill",
    "fp_fill:",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "addi t0, a0, \\n",
    "fmv.d.x f\\n, t0",
    ".endr",
    "ret",
    // fp_differs(seed): the bits that differ from what fp_fill put there.
    ".global fp_differs",
    "fp_differs: li t1, 0",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "addi t0, a0, \\n",
    "fmv.x.d t2, f\\n",
    "xor t2, t2, t0",
    "or t1, t1, t2",
    ".endr",
    "mv a0, t1",
    "ret",
    // vector_fill(seed): all elements of v0 to v31 get values by register; vl and vtype stay set.
    ".global vector_fill",
    "vector_fill: vsetvli t1, zero, e64, m1, ta, ma",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "addi t0, a0, \\n",
    "vmv.v.x v\\n, t0",
    ".endr",
    "ret",
    // vector_differs(seed): the bits that differ in the first elements and in vtype, and all bits
    // if another element differs; v30 and v31 are compared first, and then used.
    ".global vector_differs",
    "vector_differs: li t1, 0",
    "csrr t2, vtype",
    "xori t2, t2, 0xd8",
    "or t1, t1, t2",
    ".irp n, 30,31",
    "addi t0, a0, \\n",
    "vmv.x.s t2, v\\n",
    "xor t2, t2, t0",
    "or t1, t1, t2",
    ".endr",
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29",
    "addi t0, a0, \\n",
    "vmsne.vx v31, v\\n, t0",
    "vcpop.m t2, v31",
    "or t1, t1, t2",
    ".endr",
    "mv a0, t1",
    "ret",
    ".option pop",
);

unsafe extern "C" {
    fn fp_fill(seed: u64);
    fn fp_differs(seed: u64) -> u64;
    fn vector_fill(seed: u64);
    fn vector_differs(seed: u64) -> u64;
}

/// Fills registers, and tells what changed: FP's, or the vector unit's.
#[derive(Clone, Copy)]
struct Unit {
    fill: unsafe extern "C" fn(u64),
    differs: unsafe extern "C" fn(u64) -> u64,
}

const FP: Unit = Unit {
    fill: fp_fill,
    differs: fp_differs,
};
const VECTOR: Unit = Unit {
    fill: vector_fill,
    differs: vector_differs,
};

impl Unit {
    /// The guest is built without FP and vectors: nothing but this file touches their registers.
    fn fill(self, seed: u64) {
        // SAFETY: changes registers that no other code of the guest uses.
        unsafe { (self.fill)(seed) }
    }

    fn differs(self, seed: u64) -> u64 {
        // SAFETY: reads such registers.
        unsafe { (self.differs)(seed) }
    }
}

/// FS and VS of `sstatus`.
const FS: u64 = 3 << 13;
const VS: u64 = 3 << 9;

fn keeps_across_exits(unit: Unit, seed: u64) -> Outcome {
    unit.fill(seed);
    for _ in 0..100 {
        call(BASE, 0, []);
        plic::is_pending(UART);
    }
    let bits = unit.differs(seed);
    check!(bits == 0, bits = bits);
    unit.fill(seed + 0x10_0000);
    wait_for(3, || false);
    let bits = unit.differs(seed + 0x10_0000);
    check!(bits == 0, bits = bits);
    Ok(())
}

fn keeps_across_a_wait(unit: Unit, seed: u64) -> Outcome {
    lines::enable(timer::LINE);
    on_interrupt(Some(|_| timer::stop()), true);
    unit.fill(seed);
    for _ in 0..5 {
        mask();
        arm(2);
        wait();
        unmask();
    }
    let bits = unit.differs(seed);
    check!(bits == 0, bits = bits);
    Ok(())
}

fn across_exits() -> Outcome {
    keeps_across_exits(FP, 0x1111_0000)
}

fn across_a_wait() -> Outcome {
    keeps_across_a_wait(FP, 0x2222_0000)
}

fn control_registers() -> Outcome {
    write_csr!("fcsr", 0x75);
    wait_for(3, || false);
    call(BASE, 0, []);
    let fcsr = read_csr!("fcsr");
    write_csr!("fcsr", 0);
    check!(fcsr == 0x75, fcsr = fcsr);
    Ok(())
}

static BITS: AtomicU64 = AtomicU64::new(0);

/// Holds patterns of this CPU's own while the CPUs interrupt each other and sleep.
fn work(unit: Unit) {
    let me = cpu() as u64;
    for round in 0..20 {
        let seed = me << 48 | round << 16;
        unit.fill(seed);
        lines::send((cpu() + 1) % smp::count());
        wait_for(1, || false);
        BITS.fetch_or(unit.differs(seed), Ordering::SeqCst);
    }
}

fn on_all(work: fn()) -> Outcome {
    BITS.store(0, Ordering::SeqCst);
    for n in 1..smp::count() {
        smp::give(n, work);
    }
    work();
    for n in 1..smp::count() {
        check!(smp::wait(n), n = n);
    }
    let bits = BITS.load(Ordering::SeqCst);
    check!(bits == 0, bits = bits);
    check!(taken(0, lines::IPI) > 0);
    Ok(())
}

fn between_cpus() -> Outcome {
    on_all(|| work(FP))
}

/// FS is Dirty once a register was written, and stays what the guest makes it.
fn status() -> Outcome {
    clear_csr!("sstatus", FS);
    set_csr!("sstatus", 1 << 13);
    FP.fill(1);
    let dirty = read_csr!("sstatus");
    check!(dirty & FS == FS && dirty >> 63 == 1, dirty = dirty);
    clear_csr!("sstatus", 1 << 13);
    call(BASE, 0, []);
    wait_for(2, || false);
    let clean = read_csr!("sstatus");
    check!(clean & FS == 2 << 13, clean = clean);
    let bits = FP.differs(1);
    check!(bits == 0, bits = bits);
    Ok(())
}

/// With FS Off its instructions are illegal, whatever the hypervisor does with the unit.
fn off() -> Outcome {
    FP.fill(5);
    clear_csr!("sstatus", FS);
    let instruction = catch(Resume::Next, || {
        // SAFETY: fmv.d.x f0, zero: takes an exception that is expected.
        unsafe { core::arch::asm!(".word 0xf2000053", options(nostack)) };
    });
    let register = catch(Resume::Next, || {
        read_csr!("fcsr");
    });
    wait_for(2, || false);
    let after = read_csr!("sstatus") & FS;
    set_csr!("sstatus", 1 << 13);
    for fault in [instruction, register] {
        check!(
            fault.is_some_and(|f| f.cause == Fault::ILLEGAL),
            fault = fault
        );
    }
    check!(after == 0, after = after);
    let bits = FP.differs(5);
    check!(bits == 0, bits = bits);
    Ok(())
}

/// Whether there are vectors. `sstatus.VS` can be set without them, too, as on QEMU 7.2 (privileged
/// ISA, "Extension Context Status"): then there is no `vlenb`.
fn has_vectors() -> bool {
    set_csr!("sstatus", 1 << 9);
    let fault = catch(Resume::Next, || {
        read_csr!("0xc22");
    });
    fault.is_none() && read_csr!("sstatus") & VS != 0
}

fn vectors_across_exits() -> Outcome {
    check!(!isa::has("v") || has_vectors());
    skip!(!has_vectors(), "no vectors");
    keeps_across_exits(VECTOR, 0x3333_0000)?;
    keeps_across_a_wait(VECTOR, 0x4444_0000)
}

fn vectors_between_cpus() -> Outcome {
    skip!(!has_vectors(), "no vectors");
    on_all(|| work(VECTOR))
}

fn vectors_off() -> Outcome {
    skip!(!has_vectors(), "no vectors");
    VECTOR.fill(7);
    clear_csr!("sstatus", VS);
    let fault = catch(Resume::Next, || {
        // SAFETY: vmv.v.i v0, 0: takes an exception that is expected.
        unsafe { core::arch::asm!(".word 0x5e003057", options(nostack)) };
    });
    set_csr!("sstatus", 1 << 9);
    check!(
        fault.is_some_and(|f| f.cause == Fault::ILLEGAL),
        fault = fault
    );
    let bits = VECTOR.differs(7);
    check!(bits == 0, bits = bits);
    Ok(())
}
