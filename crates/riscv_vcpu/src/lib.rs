//! The riscv64 virtual CPU: entering a guest in VS-mode and coming back, decoding why it stopped,
//! and the SBI that guests find.
//!
//! What can be said in values is a plain module and tested on the host; registers and assembly are
//! under `arch`. [`RiscvVCpu`] is the vCPU, [`RiscvVm`] what a VM's vCPUs share, [`RiscvHost`] what
//! both need of the machine.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod decode;
pub mod features;
mod host;
pub mod inject;
pub mod isa;
pub mod sbi;
pub mod timer;
// Half of it is for the code under `arch`.
#[cfg_attr(not(target_arch = "riscv64"), allow(dead_code))]
mod vm;

pub use features::{CpuError, Described, Features};
pub use host::RiscvHost;
pub use isa::GuestIsa;
pub use vm::{RiscvVm, sources};

#[cfg(target_arch = "riscv64")]
mod arch;

#[cfg(target_arch = "riscv64")]
pub use arch::{RiscvVCpu, features, flush_stage2, init_cpu, stage2_format};
