//! What a virtual CPU is, to everything that is not its architecture: the trait an architecture
//! implements, why a vCPU stops running ([`AxVCpuExitReason`]), and how others reach it while it
//! runs ([`VCpuSync`]). Touches no hardware.
#![cfg_attr(not(any(test, loom)), no_std)]

extern crate alloc;

mod arch;
mod exit;
mod sync;

pub use arch::{
    ArchVm, AxArchVCpu, ConsoleModel, GuestMemory, IrqchipRegion, IrqchipRole, VmSetup,
};
pub use exit::{AccessFlags, AxVCpuExitReason, GuestFault};
pub use sync::{Kick, Mode, PowerOnError, PowerState, Request, VCpuSync};
