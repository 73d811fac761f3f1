//! VM descriptions in TOML: the schema, its checks and diagnostics, and the boot bundle.
//!
//! [`parse`] reads one description, fills in what was left out, and checks it; whatever is wrong is
//! found in one run, each [`Diagnostic`] with a code and a place. The hypervisor's image and the
//! host's `axvmconfig` command use the same code; the long explanations are the command's only
//! (feature `cli`).
//!
//! Everything read here (TOML text, archives) is hostile until checked.
#![cfg_attr(not(any(test, feature = "cli")), no_std)]

extern crate alloc;

#[cfg(target_pointer_width = "32")]
compile_error!("addresses are kept in `usize`, which must have 64 bits");

#[cfg(feature = "board")]
pub mod board;
pub mod bundle;
mod check;
mod code;
mod config;
mod diag;
mod keys;
pub mod layout;
mod read;
mod types;
mod vm;

#[cfg(feature = "cli")]
pub mod cli;

pub use check::{
    BoardDevice, BoardFacts, ImageSizes, check_board, check_bundle, check_images, check_memory,
    resolve_devices,
};
pub use code::{Code, Severity};
pub use config::{
    AxVMCrateConfig, PassThrough, PassThroughTarget, VMBaseConfig, VMDevicesConfig, VMKernelConfig,
};
pub use diag::{At, Data, Diagnostic, Diagnostics, Position, Span};
#[cfg(feature = "cli")]
use read::kind_name;
pub use read::{MAX_TEXT, parse};
pub use types::{
    Arch, AxVCpuConfig, EmulatedDeviceConfig, EmulatedDeviceType, MemFlags,
    PassThroughDeviceConfig, VMImageConfig, VMInterruptMode, VMType, VmMemConfig, VmMemMappingType,
};
pub use vm::AxVMConfig;
