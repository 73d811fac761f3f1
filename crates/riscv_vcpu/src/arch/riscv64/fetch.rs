//! Accesses that may trap in the hypervisor: each runs with a vector of its own around it, because
//! axhal's takes any exception for a fault of the hypervisor. Interrupts are masked.

use core::arch::naked_asm;

use super::regs::{csr, read, write};

/// What was read, if it could be.
#[repr(C)]
struct Tried {
    value: u64,
    /// 1 if it could.
    done: u64,
}

impl Tried {
    fn get(self) -> Option<u64> {
        (self.done != 0).then_some(self.value)
    }
}

/// The instruction at the guest's virtual address `pc`; of one of 16 bits the upper half is zero.
/// `None` if the guest's tables do not allow to execute there (any more), in the mode it was in:
/// when it runs again, that is what it finds out itself.
///
/// # Safety
/// The vCPU's translation registers are loaded, and hstatus.SPVP is what its last trap left.
pub unsafe fn instruction(pc: u64) -> Option<u32> {
    // A trap from HS-mode overwrites them.
    let (sepc, sstatus, hstatus) = (read!(SEPC), read!(SSTATUS), read!(HSTATUS));
    // SAFETY: HLVX reads as the guest would, whatever `pc` is, and its traps end in `fetch`.
    let tried = unsafe { fetch(pc) };
    if tried.done == 0 {
        write!(SEPC, sepc);
        write!(SSTATUS, sstatus);
        write!(HSTATUS, hstatus);
    }
    tried.get().map(|bits| bits as u32)
}

/// A trap comes back at label 1 with all general registers as they were, so with `done` 0.
///
/// # Safety
/// As [`instruction`]; changes sepc, scause, stval, htval, htinst, sstatus and hstatus if it traps.
#[unsafe(naked)]
unsafe extern "C" fn fetch(pc: u64) -> Tried {
    naked_asm!(
        ".option push",
        ".option arch, +h",
        "la t0, 1f",
        "csrrw t0, stvec, t0",
        "mv t1, a0",
        "li a1, 0",
        "hlvx.hu a0, (t1)",
        // Bits 1:0 both set: 32 bits or more. The other half may lie in another page.
        "andi t2, a0, 3",
        "addi t2, t2, -3",
        "bnez t2, 2f",
        "addi t1, t1, 2",
        "hlvx.hu t2, (t1)",
        "slli t2, t2, 16",
        "or a0, a0, t2",
        "2: li a1, 1",
        // stvec in direct mode: a multiple of 4.
        ".balign 4",
        "1: csrw stvec, t0",
        "ret",
        ".option pop",
    )
}

/// The eight bytes at the guest's virtual address `at`, read as it would read them; or scause of the
/// exception that this is.
///
/// # Safety
/// As [`instruction`].
pub unsafe fn double(at: u64) -> Result<u64, u64> {
    // A trap from HS-mode overwrites them.
    let (sepc, sstatus, hstatus) = (read!(SEPC), read!(SSTATUS), read!(HSTATUS));
    // SAFETY: HLV reads as the guest would, whatever `at` is, and its traps end in `load`.
    let tried = unsafe { load(at) };
    if tried.done == 0 {
        let scause = read!(SCAUSE);
        write!(SEPC, sepc);
        write!(SSTATUS, sstatus);
        write!(HSTATUS, hstatus);
        return Err(scause);
    }
    Ok(tried.value)
}

/// A trap comes back at label 1 with all general registers as they were, so with `done` 0.
///
/// # Safety
/// As [`fetch`].
#[unsafe(naked)]
unsafe extern "C" fn load(at: u64) -> Tried {
    naked_asm!(
        ".option push",
        ".option arch, +h",
        "la t0, 1f",
        "csrrw t0, stvec, t0",
        "li a1, 0",
        "hlv.d a0, (a0)",
        "li a1, 1",
        // stvec in direct mode: a multiple of 4.
        ".balign 4",
        "1: csrw stvec, t0",
        "ret",
        ".option pop",
    )
}

/// Whether hstateen0 exists ("Smstateen").
pub fn has_stateen() -> bool {
    // SAFETY: reading a CSR has no effect; if it does not exist, the trap ends in `probe_stateen`.
    let tried = unsafe { probe_stateen() };
    tried.get().is_some()
}

/// # Safety
/// Interrupts are masked. Changes the trap CSRs, among them sstatus.SPP, if it traps.
#[unsafe(naked)]
unsafe extern "C" fn probe_stateen() -> Tried {
    naked_asm!(
        "la t0, 1f",
        "csrrw t0, stvec, t0",
        "li a1, 0",
        "csrr a0, {hstateen0}",
        "li a1, 1",
        ".balign 4",
        "1: csrw stvec, t0",
        "ret",
        hstateen0 = const csr::HSTATEEN0,
    )
}

/// vlenb, if it exists; sstatus.VS is not off.
pub fn vector_bytes() -> Option<u64> {
    // SAFETY: reading a CSR has no effect; if it does not exist, the trap ends in `probe_vlenb`.
    let tried = unsafe { probe_vlenb() };
    tried.get()
}

/// # Safety
/// As [`probe_stateen`].
#[unsafe(naked)]
unsafe extern "C" fn probe_vlenb() -> Tried {
    naked_asm!(
        "la t0, 1f",
        "csrrw t0, stvec, t0",
        "li a1, 0",
        "csrr a0, {vlenb}",
        "li a1, 1",
        ".balign 4",
        "1: csrw stvec, t0",
        "ret",
        vlenb = const csr::VLENB,
    )
}

/// Whether there are floating-point registers of 64 bits; sstatus.FS is not off.
pub fn has_double() -> bool {
    // SAFETY: reads a register; if it does not exist, the trap ends in `probe_double`.
    let tried = unsafe { probe_double() };
    tried.get().is_some()
}

/// # Safety
/// As [`probe_stateen`].
#[unsafe(naked)]
unsafe extern "C" fn probe_double() -> Tried {
    naked_asm!(
        ".option push",
        ".option arch, +d",
        "la t0, 1f",
        "csrrw t0, stvec, t0",
        "li a1, 0",
        "fmv.x.d a0, f0",
        "li a1, 1",
        ".balign 4",
        "1: csrw stvec, t0",
        "ret",
        ".option pop",
    )
}
