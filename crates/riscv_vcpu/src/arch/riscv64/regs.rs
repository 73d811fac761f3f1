//! CSR access. The only place with `csrr` and `csrw`, but for the world switch itself.

/// CSR numbers (RISC-V privileged ISA, "CSR Listing"), so that the assembler needs to know no
/// extension.
pub mod csr {
    pub const SSTATUS: u32 = 0x100;
    pub const SCOUNTEREN: u32 = 0x106;
    pub const SENVCFG: u32 = 0x10a;
    pub const SEPC: u32 = 0x141;
    pub const SCAUSE: u32 = 0x142;
    pub const STVAL: u32 = 0x143;
    pub const SIP: u32 = 0x144;
    pub const VSSTATUS: u32 = 0x200;
    pub const VSIE: u32 = 0x204;
    pub const VSTVEC: u32 = 0x205;
    pub const VSSCRATCH: u32 = 0x240;
    pub const VSEPC: u32 = 0x241;
    pub const VSCAUSE: u32 = 0x242;
    pub const VSTVAL: u32 = 0x243;
    pub const VSTIMECMP: u32 = 0x24d;
    pub const VSATP: u32 = 0x280;
    pub const HSTATUS: u32 = 0x600;
    pub const HEDELEG: u32 = 0x602;
    pub const HIDELEG: u32 = 0x603;
    pub const HIE: u32 = 0x604;
    pub const HTIMEDELTA: u32 = 0x605;
    pub const HCOUNTEREN: u32 = 0x606;
    pub const HGEIE: u32 = 0x607;
    pub const HENVCFG: u32 = 0x60a;
    pub const HSTATEEN0: u32 = 0x60c;
    pub const HTVAL: u32 = 0x643;
    pub const HIP: u32 = 0x644;
    pub const HVIP: u32 = 0x645;
    pub const HTINST: u32 = 0x64a;
    pub const HGATP: u32 = 0x680;
    pub const TIME: u32 = 0xc01;
    pub const VLENB: u32 = 0xc22;
}

/// Reads a CSR by its name in [`csr`].
macro_rules! read {
    ($csr:ident) => {{
        let value: u64;
        // SAFETY: reading a CSR that HS-mode may read changes nothing. Each use names one that
        // exists on every hart this code runs on, or stands behind the check of its feature.
        // Not `nomem`: not moved over what may change it.
        unsafe {
            core::arch::asm!("csrr {0}, {1}", out(reg) value, const $crate::arch::riscv64::regs::csr::$csr, options(nostack, preserves_flags))
        };
        value
    }};
}

/// Instructions `$op` on a CSR with a value: csrw, csrs, csrc.
macro_rules! change {
    ($op:literal, $csr:ident, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: registers of the guest's context and of its traps do not affect the hypervisor's
        // own execution or memory, which is HS-mode's under satp; and what is changed of its own
        // (sstatus.FS, VS, SPP, SPIE, sepc, sip.SSIP) takes effect on SRET or on units that it does
        // not use.
        unsafe {
            core::arch::asm!(concat!($op, " {1}, {0}"), in(reg) value, const $crate::arch::riscv64::regs::csr::$csr, options(nostack, preserves_flags))
        };
    }};
}

/// Writes a CSR.
macro_rules! write {
    ($csr:ident, $value:expr) => {
        $crate::arch::riscv64::regs::change!("csrw", $csr, $value)
    };
}

/// Sets bits of a CSR.
macro_rules! set {
    ($csr:ident, $bits:expr) => {
        $crate::arch::riscv64::regs::change!("csrs", $csr, $bits)
    };
}

/// Clears bits of a CSR.
macro_rules! clear {
    ($csr:ident, $bits:expr) => {
        $crate::arch::riscv64::regs::change!("csrc", $csr, $bits)
    };
}

/// A fence by its text.
macro_rules! barrier {
    ($($text:literal),+) => {{
        // SAFETY: fences only slow things down; the translations they drop are read again from the
        // tables.
        unsafe { core::arch::asm!($($text),+, options(nostack, preserves_flags)) };
    }};
}

pub(crate) use {barrier, change, clear, read, set, write};

/// Interrupts of VS-level in hvip, hip and hie.
pub mod vs {
    /// VSSIP.
    pub const SOFTWARE: u64 = 1 << 2;
    /// VSTIP.
    pub const TIMER: u64 = 1 << 6;
    /// VSEIP.
    pub const EXTERNAL: u64 = 1 << 10;
    /// All three.
    pub const ALL: u64 = SOFTWARE | TIMER | EXTERNAL;
}
