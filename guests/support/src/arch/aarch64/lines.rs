//! Interrupts as all architectures have them, by their numbers: here INTIDs of the GIC.

use super::gic;

/// How many numbers there are.
pub const COUNT: usize = 1024;
/// What one CPU sends to another.
pub const IPI: u32 = 1;
/// A number for interrupts that came and were none.
pub const SPURIOUS: u32 = gic::SPURIOUS;

/// Switches the interrupt controller on, and the first CPU's part of it.
pub fn init() {
    gic::init_distributor();
    gic::init_cpu();
}

/// Switches this CPU's part of the interrupt controller on.
pub fn init_cpu() {
    gic::init_cpu();
}

/// Lets the interrupt come.
pub fn enable(line: u32) {
    gic::enable(line);
}

/// Keeps the interrupt out.
pub fn disable(line: u32) {
    gic::set(gic::Bits::ClearEnable, line);
}

/// Lets the interrupt of a device come, to CPU number `cpu`.
pub fn enable_for(line: u32, cpu: usize) {
    gic::enable(line);
    gic::route(line, super::smp::id(cpu));
}

/// Interrupts CPU number `cpu` by [`IPI`].
pub fn send(cpu: usize) {
    gic::send_sgi(IPI, 1 << cpu);
}
