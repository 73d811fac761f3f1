//! The aarch64 virtual CPU: entering a guest and coming back, decoding why it stopped, and PSCI.
//!
//! What can be said in values is a plain module and tested on the host; registers and assembly are
//! under `arch`. [`ArmVCpu`] is the vCPU, [`ArmVm`] what a VM's vCPUs share, [`ArmHost`] what both
//! need of the machine.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod debug;
pub mod decode;
pub mod features;
mod host;
pub mod inject;
pub mod mmio;
pub mod psci;
pub mod sysreg;
pub mod timer;
pub mod walk;

pub use features::CpuError;
pub use host::ArmHost;

#[cfg(target_arch = "aarch64")]
mod arch;
#[cfg(target_arch = "aarch64")]
mod gic;
#[cfg(target_arch = "aarch64")]
mod vm;

#[cfg(target_arch = "aarch64")]
pub use {
    arch::{ArmVCpu, features, flush_stage2, init_cpu, stage2_format},
    vm::ArmVm,
};
