//! The hypervisor.
//!
//! Boot order is in `start.rs`. What comes after: `manager.rs` (VMs come and go), `vcpu.rs` (the
//! exit loop), `interrupt.rs` (physical interrupts), `console.rs`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod board;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod entropy;
#[cfg(target_os = "none")]
mod hal;
#[cfg(target_os = "none")]
mod interrupt;
#[cfg(target_os = "none")]
mod loader;
#[cfg(target_os = "none")]
mod manager;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod task;
#[cfg(target_os = "none")]
mod vcpu;
#[cfg(target_os = "none")]
mod vm;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("axhv runs on the bare machine: build it with `make ARCH=aarch64 image`");
    std::process::exit(2);
}
