//! What the small bare-metal guests share: the way in, exceptions, interrupt controllers, timers,
//! what the firmware does for them, and the other CPUs. They run on the hypervisor's guest platform,
//! and unmodified on QEMU's `virt` board without a hypervisor, whose devices lie at the same
//! addresses: so the board tells whether a guest's expectation is right.
//!
//! A guest names its `fn main()` with [`guest!`]; when it returns, the machine is switched off.
//! [`exception`], [`firmware`], [`lines`], [`map`], [`mmio`], [`smp`], [`sync`], [`timer`] and [`uart`] have
//! the same functions on all architectures, and more where an architecture has more.
#![no_std]

#[macro_use]
pub mod uart;
#[macro_use]
mod arch;
pub mod exception;
pub mod mmio;
pub mod smp;
pub mod sync;
pub mod tree;

pub use arch::{LEVEL, cpu, firmware, lines, map, timer};

#[cfg(target_arch = "aarch64")]
pub use arch::{gic, psci};

#[cfg(target_arch = "riscv64")]
pub use arch::{isa, plic, sbi};

/// Names the function that the first CPU runs.
#[macro_export]
macro_rules! guest {
    ($main:path) => {
        // SAFETY: no other symbol of a guest has this name.
        #[unsafe(no_mangle)]
        extern "C" fn guest_first_cpu(tree: usize, id: usize) -> ! {
            $crate::begin(tree, id);
            $crate::exception::init();
            $main();
            $crate::firmware::off()
        }
    };
}

/// Learns where the first CPU runs: what it got as device tree, and as its own number.
pub fn begin(tree: usize, id: usize) {
    tree::keep(tree);
    arch::begin(id);
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("GUEST PANIC: {info}");
    firmware::off()
}
