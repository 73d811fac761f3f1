//! The machine: everything of the hypervisor that touches hardware, but for running guests.
//!
//! [`boot`] brings the first CPU from the boot loader to `main`; [`machine`] is what the device
//! tree says; [`paging`] the hypervisor's own address space; [`cpu`] the CPUs; [`irq`] their
//! interrupt masks; [`context`] task switches; [`mem`] zeroing, copying and cache maintenance;
//! [`drivers`] the devices the hypervisor uses itself; [`power`] the ways to end.
//!
//! On a host only the parts that touch no hardware exist, for their tests.
#![cfg_attr(not(test), no_std)]

mod arch;
pub mod drivers;
pub mod paging;

pub use axmachine as machine;

#[cfg(target_os = "none")]
pub mod boot;
#[cfg(target_os = "none")]
pub mod console;
#[cfg(target_os = "none")]
pub mod cpu;
#[cfg(target_os = "none")]
mod fault;
#[cfg(target_os = "none")]
mod image;
#[cfg(target_os = "none")]
pub mod irq;
#[cfg(target_os = "none")]
pub mod power;
#[cfg(target_arch = "aarch64")]
pub use arch::irq::take_serror;
#[cfg(target_os = "none")]
pub use arch::{context, mem};
#[cfg(target_arch = "riscv64")]
pub use arch::{remote, trap};
#[cfg(target_os = "none")]
pub use fault::{STOP_SGI, check as park_if_stopping};

/// Names the functions of the hypervisor that boot code and the interrupt vector call: once, in
/// the bootable crate. `main` is a `fn(&'static axhal::boot::BootInfo) -> !`, called on the boot
/// CPU with interrupts masked. `irq` is a `fn()`, called with interrupts masked when an interrupt
/// comes while they are open in hypervisor code; it may switch tasks.
#[macro_export]
macro_rules! entry {
    (main = $main:path, irq = $irq:path $(,)?) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn axhv_main(info: &'static $crate::boot::BootInfo) -> ! {
            let main: fn(&'static $crate::boot::BootInfo) -> ! = $main;
            main(info)
        }

        #[unsafe(no_mangle)]
        extern "Rust" fn axhv_irq() {
            let irq: fn() = $irq;
            irq()
        }
    };
}
