//! Control registers: access by name or number, and the values boot code sets.

/// Reads a control register that has no side effect when read.
macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a register changes nothing.
        unsafe {
            core::arch::asm!(concat!("csrr {}, ", $name), out(reg) value,
                options(nomem, nostack, preserves_flags))
        };
        value
    }};
}
pub(crate) use read;

/// Interrupts are taken in this mode.
pub const SSTATUS_SIE: u64 = 1 << 1;
const SSTATUS_SPIE: u64 = 1 << 5;
const SSTATUS_SPP: u64 = 1 << 8;
/// Vector and FP units off.
const SSTATUS_VS_FS: u64 = 3 << 9 | 3 << 13;
/// No access to user pages, and none to what can only be executed.
const SSTATUS_SUM_MXR: u64 = 1 << 18 | 1 << 19;

/// What boot code clears in `sstatus`.
pub const SSTATUS_CLEAR: u64 = SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_VS_FS | SSTATUS_SUM_MXR;
/// What SRET needs to go back to code of the hypervisor that had interrupts open.
pub const SSTATUS_RETURN: u64 = SSTATUS_SPP | SSTATUS_SPIE;

/// SRET goes to a guest.
pub const HSTATUS_SPV: u64 = 1 << 7;
/// `hstatus` while no guest runs: VSXL = 64 bits, all else 0.
pub const HSTATUS_HOST: u64 = 2 << 32;

/// `satp`: Sv39, ASID 0; but for the root's frame number.
pub const SATP_SV39: u64 = 8 << 60;
