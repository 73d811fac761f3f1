//! System registers: access by name, and the values boot code sets.

/// Reads a system register that has no side effect when read.
macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a register changes nothing.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value,
                options(nomem, nostack, preserves_flags))
        };
        value
    }};
}
pub(crate) use read;

/// HCR_EL2 while no guest runs: E2H = TGE = 0; RW, so that EL1 is AArch64; FMO, IMO and AMO, so
/// that interrupts are taken at EL2.
pub const HCR_HOST: u64 = 1 << 31 | 0b111 << 3;

const SCTLR_M: u64 = 1 << 0;
const SCTLR_C: u64 = 1 << 2;
const SCTLR_SA: u64 = 1 << 3;
const SCTLR_I: u64 = 1 << 12;
const SCTLR_WXN: u64 = 1 << 19;
const SCTLR_ON: u64 = SCTLR_M | SCTLR_C | SCTLR_SA | SCTLR_I | SCTLR_WXN;

/// SCTLR_EL2 with the MMU off: bits that are RES1 with E2H = 0 (some of which later extensions
/// gave a meaning that 1 keeps as it was).
pub const SCTLR_EL2_OFF: u64 = 0x30c5_0830;
/// SCTLR_EL2 of a running CPU.
pub const SCTLR_EL2_ON: u64 = SCTLR_EL2_OFF | SCTLR_ON;
/// The same for EL1: used only to say that the hypervisor needs EL2.
pub const SCTLR_EL1_OFF: u64 = 0x30d0_0980;
/// SCTLR_EL1 with the MMU on.
pub const SCTLR_EL1_ON: u64 = SCTLR_EL1_OFF | SCTLR_ON;

/// 48-bit addresses, 4 KiB granule, walks write-back cacheable and inner shareable.
const TCR_WALKS: u64 = 16 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12;
/// TCR_EL2 but for PS; bits 23 and 31 are RES1.
pub const TCR_EL2: u64 = TCR_WALKS | 1 << 23 | 1 << 31;
/// TCR_EL1 but for IPS; EPD1: nothing in the upper half.
pub const TCR_EL1: u64 = TCR_WALKS | 1 << 23;

/// CPTR_EL2 with E2H = 0: RES1 bits, and traps for FP, SVE (bit 8), SME (bit 12), trace and
/// activity monitors: nothing of EL2 uses them. Whoever runs guests sets it again.
pub const CPTR_EL2: u64 = 0x33ff | 1 << 10 | 1 << 20 | 1 << 30;
