//! Control and status registers by name or number.

/// Reads a CSR that can be read in S-mode, or traps.
#[macro_export]
macro_rules! read_csr {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a CSR changes no memory that Rust knows.
        unsafe {
            core::arch::asm!(concat!("csrr {}, ", $name), out(reg) value, options(nostack));
        }
        value
    }};
}

/// Writes a CSR.
#[macro_export]
macro_rules! write_csr {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the guests write registers of interrupts, of timers and of their own traps, none of
        // which changes what memory Rust sees.
        unsafe {
            core::arch::asm!(concat!("csrw ", $name, ", {}"), in(reg) value, options(nostack));
        }
    }};
}

/// Sets bits of a CSR.
#[macro_export]
macro_rules! set_csr {
    ($name:literal, $bits:expr) => {{
        let bits: u64 = $bits;
        // SAFETY: as for `write_csr`.
        unsafe {
            core::arch::asm!(concat!("csrs ", $name, ", {}"), in(reg) bits, options(nostack));
        }
    }};
}

/// Clears bits of a CSR.
#[macro_export]
macro_rules! clear_csr {
    ($name:literal, $bits:expr) => {{
        let bits: u64 = $bits;
        // SAFETY: as for `write_csr`.
        unsafe {
            core::arch::asm!(concat!("csrc ", $name, ", {}"), in(reg) bits, options(nostack));
        }
    }};
}
