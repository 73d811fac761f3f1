//! A virtual machine and its resources: from a configuration to an [`AxVM`], whose vCPUs are run
//! one exit at a time. Generic over the hypervisor ([`AxVMHal`]) and the architecture
//! ([`axvcpu::AxArchVCpu`]); touches no hardware.
//!
//! `vm.rs` builds a VM, `memory.rs` gives it RAM, `run.rs` runs a vCPU and serves its exits,
//! `life.rs` starts and stops it.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod error;
mod hal;
mod life;
mod memory;
mod run;
mod state;
mod vcpu;
mod vm;

pub use axvcpu::{AxArchVCpu, AxVCpuExitReason, PowerOnError};
pub use axvmconfig::AxVMConfig;
pub use error::VmError;
pub use hal::AxVMHal;
pub use state::{StopCause, VmFault, VmStatus};
pub use vcpu::AxVCpu;
pub use vm::AxVM;
