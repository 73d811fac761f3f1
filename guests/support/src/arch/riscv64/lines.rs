//! Interrupts as all architectures have them, by their numbers: here the PLIC's sources, and behind
//! them the CPU's own, as `scause` numbers them.

use super::{plic, sbi};

/// How many numbers there are.
pub const COUNT: usize = 1024 + 16;
/// The number of the CPU's interrupt with code 0.
pub const LOCAL: u32 = 1024;
/// What one CPU sends to another: the supervisor software interrupt.
pub const IPI: u32 = LOCAL + 1;
/// A number for interrupts that came and were none.
pub const SPURIOUS: u32 = 0;

/// Switches the interrupt controller on, and the first CPU's part of it.
pub fn init() {
    init_cpu();
}

/// Switches this CPU's part of the interrupt controller on: IPIs and the PLIC's interrupts come.
pub fn init_cpu() {
    plic::set_threshold(super::cpu(), 0);
    write_csr!("sie", 1 << 1 | 1 << 9);
}

/// Lets the interrupt come.
pub fn enable(line: u32) {
    if line < LOCAL {
        enable_for(line, super::cpu());
    } else {
        set_csr!("sie", 1 << (line - LOCAL));
    }
}

/// Keeps the interrupt out.
pub fn disable(line: u32) {
    if line < LOCAL {
        plic::set_enabled(super::cpu(), line, false);
    } else {
        clear_csr!("sie", 1 << (line - LOCAL));
    }
}

/// Lets the interrupt of a device come, to CPU number `cpu` only.
pub fn enable_for(line: u32, cpu: usize) {
    plic::set_priority(line, 1);
    for n in 0..super::smp::count() {
        plic::set_enabled(n, line, n == cpu);
    }
}

/// Interrupts CPU number `cpu` by [`IPI`].
#[inline]
pub fn send(cpu: usize) {
    sbi::call(sbi::IPI, 0, [1, super::smp::id(cpu)]);
}
