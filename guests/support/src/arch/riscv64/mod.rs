//! riscv64: S-mode or VS-mode, a PLIC, Sstc or SBI's timer, SBI, a 16550.

#[macro_use]
mod csr;
#[macro_use]
mod instructions;
pub mod firmware;
pub mod isa;
pub mod lines;
pub mod map;
pub mod plic;
pub mod sbi;
pub mod smp;
pub mod timer;
pub mod trap;
pub mod uart;

core::arch::global_asm!(include_str!("entry.s"), options(raw));

/// Where a guest's own code runs.
pub const LEVEL: &str = "S-mode";

/// The number of the CPU this runs on, as given by [`crate::smp`]; 0 is the first.
#[inline]
pub fn cpu() -> usize {
    let cpu;
    // SAFETY: reads a register, which is this program's own: nothing here has thread-local data.
    unsafe { core::arch::asm!("mv {}, tp", out(reg) cpu, options(nomem, nostack)) };
    cpu
}

/// The first CPU is hart `id`.
pub(crate) fn begin(id: usize) {
    smp::begin(id);
    plic::begin();
    timer::begin();
}
