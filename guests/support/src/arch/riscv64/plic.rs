//! The PLIC (RISC-V Platform-Level Interrupt Controller specification 1.0).

use crate::mmio::{read32, write32};
use crate::smp::MAX;
use crate::tree;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Its registers.
pub const BASE: usize = 0x0c00_0000;

/// Which context is each CPU's in S-mode.
static CONTEXTS: [AtomicUsize; MAX] = [const { AtomicUsize::new(0) }; MAX];

/// The supervisor external interrupt, as `interrupts-extended` names it.
const EXTERNAL: u32 = 9;

/// Finds the contexts in the device tree: the n-th pair of a CPU's own interrupt controller and an
/// interrupt of it is context n.
pub(crate) fn begin() {
    let cpus = super::smp::count();
    for (cpu, context) in CONTEXTS.iter().enumerate().take(cpus) {
        let found = context_of(super::smp::id(cpu) as u32).unwrap_or(cpu);
        context.store(found, Ordering::Relaxed);
    }
}

fn context_of(hart: u32) -> Option<usize> {
    let controller = controller_of(hart)?;
    tree::properties()
        .filter(|property| property.name == "interrupts-extended")
        .find_map(|pairs| {
            (0..pairs.value.len() / 8)
                .find(|n| pairs.cell(n * 8) == controller && pairs.cell(n * 8 + 4) == EXTERNAL)
        })
}

/// The phandle of the hart's interrupt controller, a child of its node.
fn controller_of(hart: u32) -> Option<u32> {
    let mut is_hart = false;
    for property in tree::properties() {
        match (property.depth, property.name) {
            (3, "reg") if property.node.starts_with("cpu@") => {
                // One cell or two: the last one says.
                is_hart = property.cell(property.value.len().saturating_sub(4)) == hart;
            }
            (4, "phandle") if is_hart && property.node.starts_with("interrupt-controller") => {
                return Some(property.cell(0));
            }
            _ => {}
        }
    }
    None
}

/// The context of CPU number `cpu`.
pub fn context(cpu: usize) -> usize {
    CONTEXTS[cpu].load(Ordering::Relaxed)
}

/// The address of a source's priority.
pub fn priority_register(source: u32) -> usize {
    BASE + source as usize * 4
}

/// The address of a word of pending bits.
pub fn pending_register(source: u32) -> usize {
    BASE + 0x1000 + source as usize / 32 * 4
}

/// The address of a word of a context's enable bits.
pub fn enable_register(context: usize, source: u32) -> usize {
    BASE + 0x2000 + context * 0x80 + source as usize / 32 * 4
}

/// The address of a context's threshold.
pub fn threshold_register(context: usize) -> usize {
    BASE + 0x20_0000 + context * 0x1000
}

/// The address of a context's claim/complete register.
pub fn claim_register(context: usize) -> usize {
    threshold_register(context) + 4
}

/// Sets a source's priority.
pub fn set_priority(source: u32, priority: u32) {
    write32(priority_register(source), priority);
}

/// Whether a source is pending.
pub fn is_pending(source: u32) -> bool {
    read32(pending_register(source)) & 1 << (source % 32) != 0
}

/// Lets a source interrupt CPU number `cpu`, or not.
pub fn set_enabled(cpu: usize, source: u32, enabled: bool) {
    let address = enable_register(context(cpu), source);
    let bit = 1 << (source % 32);
    let others = read32(address) & !bit;
    write32(address, if enabled { others | bit } else { others });
}

/// Only priorities above `threshold` interrupt CPU number `cpu`.
pub fn set_threshold(cpu: usize, threshold: u32) {
    write32(threshold_register(context(cpu)), threshold);
}

/// Claims the highest pending source for CPU number `cpu`; 0 is none.
pub fn claim(cpu: usize) -> u32 {
    read32(claim_register(context(cpu)))
}

/// Completes a source that CPU number `cpu` claimed.
pub fn complete(cpu: usize, source: u32) {
    write32(claim_register(context(cpu)), source);
}
