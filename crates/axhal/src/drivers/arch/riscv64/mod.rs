//! Instructions and control registers of riscv64, one small function each. Used in HS-mode.

use core::arch::asm;

use crate::drivers::sbi::{Call, Sbi, extension};

/// Waits until all memory accesses before it are complete, for devices too, as far as those after
/// it can tell.
#[inline]
pub fn full_barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("fence iorw, iorw", options(nostack, preserves_flags)) }
}

/// `time`.
#[inline]
pub fn time() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register. Not `nomem`: memory accesses stay on their side of it.
    unsafe { asm!("csrr {}, time", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

/// Writes `stimecmp`, by its number: assemblers that don't know Sstc don't know its name.
#[inline]
pub fn write_stimecmp(ticks: u64) {
    // SAFETY: steers an interrupt, and changes nothing that Rust code sees.
    unsafe { asm!("csrw 0x14d, {}", in(reg) ticks, options(nostack, preserves_flags)) };
}

/// `sip`.
#[inline]
pub fn read_sip() -> u64 {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { asm!("csrr {}, sip", out(reg) value, options(nostack, preserves_flags)) };
    value
}

/// Clears bits of `sip`.
#[inline]
pub fn clear_sip(bits: u64) {
    // SAFETY: steers interrupts, and changes nothing that Rust code sees.
    unsafe { asm!("csrc sip, {}", in(reg) bits, options(nostack, preserves_flags)) };
}

/// Writes `sie`.
pub fn write_sie(bits: u64) {
    // SAFETY: steers interrupts, which `sstatus.SIE` masks as it did.
    unsafe { asm!("csrw sie, {}", in(reg) bits, options(nostack, preserves_flags)) };
}

/// Makes real calls: SBI, chapter 3, "Binary Encoding".
#[derive(Clone, Copy, Debug)]
pub struct Ecall;

impl Call for Ecall {
    #[inline]
    fn call(&self, extension: usize, function: usize, args: [usize; 5]) -> (isize, usize) {
        let [a0, a1, a2, a3, a4] = args;
        let (error, value);
        // SAFETY: all registers but a0 and a1 are preserved. What the function does is for the
        // caller to answer for; those that start code elsewhere are `unsafe` in `Sbi`. Memory
        // accesses stay where they are; the fence puts those before the call in front of what it
        // makes other harts do.
        unsafe {
            asm!(
                "fence iorw, iorw",
                "ecall",
                inlateout("a0") a0 => error,
                inlateout("a1") a1 => value,
                in("a2") a2,
                in("a3") a3,
                in("a4") a4,
                in("a6") function,
                in("a7") extension,
                options(nostack)
            );
        }
        (error, value)
    }
}

/// The firmware's console.
#[derive(Clone, Copy, Debug)]
pub struct FirmwareConsole {
    /// It has the debug console extension. If not, it is an older one, with the legacy one.
    dbcn: bool,
}

impl FirmwareConsole {
    /// The firmware's console.
    pub fn find() -> Self {
        Self {
            dbcn: Sbi::new(Ecall).has(extension::DBCN),
        }
    }

    /// Prints a byte.
    pub fn put(&self, byte: u8) {
        let sbi = Sbi::new(Ecall);
        if self.dbcn {
            // A console that fails can't be told so.
            let _ = sbi.write_byte(byte);
        } else {
            sbi.legacy_putchar(byte);
        }
    }
}
