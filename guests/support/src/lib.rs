//! What the small bare-metal guests share: the way in, exceptions, the interrupt controller, the
//! timers, PSCI, and the other CPUs. They run on the hypervisor's guest platform, and unmodified on
//! QEMU's `virt` board without a hypervisor, whose devices lie at the same addresses: so the board
//! tells whether a guest's expectation is right.
//!
//! A guest defines `fn guest_main()` with [`guest!`]; when it returns, the machine is switched off.
#![no_std]

#[macro_use]
mod regs;
#[macro_use]
pub mod uart;
pub mod exception;
pub mod gic;
pub mod map;
pub mod mmio;
pub mod psci;
pub mod smp;
pub mod sync;
pub mod timer;

core::arch::global_asm!(include_str!("entry.s"), options(raw));

/// Names the function that the first CPU runs.
#[macro_export]
macro_rules! guest {
    ($main:path) => {
        // SAFETY: no other symbol of a guest has this name.
        #[unsafe(no_mangle)]
        extern "C" fn guest_first_cpu() -> ! {
            $crate::exception::init();
            $main();
            $crate::psci::system_off()
        }
    };
}

/// The number of the CPU this runs on, as given by [`smp`]; 0 is the first.
pub fn cpu() -> usize {
    read_sysreg!("tpidr_el1") as usize
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("GUEST PANIC: {info}");
    psci::system_off()
}
