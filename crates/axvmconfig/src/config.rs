//! What a TOML file says, with defaults filled in, each value with its place in the file.

use alloc::{string::String, vec::Vec};

use crate::{
    Arch, At, Diagnostic, EmulatedDeviceConfig, PassThroughDeviceConfig, VMInterruptMode, VMType,
    VmMemConfig,
};

/// One VM description. Comes from [`crate::parse`] only, so it has passed the checks that need no
/// knowledge of the board.
#[derive(Clone, Debug, PartialEq)]
pub struct AxVMCrateConfig {
    /// The architecture it was read for.
    pub arch: Arch,
    /// `[base]`.
    pub base: VMBaseConfig,
    /// `[kernel]`.
    pub kernel: VMKernelConfig,
    /// `[devices]`.
    pub devices: VMDevicesConfig,
    /// What is allowed but deserves a word.
    pub warnings: Vec<Diagnostic>,
}

/// `[base]`: who the VM is, and its CPUs.
#[derive(Clone, Debug, PartialEq)]
pub struct VMBaseConfig {
    /// A number of its own among the VMs.
    pub id: At<usize>,
    /// A name of its own among the VMs: letters, digits, `-`, `_`, `.`.
    pub name: At<String>,
    /// A label.
    pub vm_type: VMType,
    /// How many vCPUs.
    pub cpu_num: At<usize>,
    /// For each vCPU the id its guest knows it by: on aarch64 the affinity value (MPIDR_EL1 without
    /// the flag bits), on riscv64 the hart id.
    pub phys_cpu_ids: Option<At<Vec<At<usize>>>>,
    /// For each vCPU the logical physical CPUs it may run on, as a mask.
    pub phys_cpu_sets: Option<At<Vec<At<usize>>>>,
}

/// `[kernel]`: images and memory. Paths are relative to the TOML file.
#[derive(Clone, Debug, PartialEq)]
pub struct VMKernelConfig {
    /// Where vCPU 0 starts; `None`: the image says.
    pub entry_point: Option<At<usize>>,
    /// The kernel.
    pub kernel_path: At<String>,
    /// Where it goes; `None`: where its format wants it.
    pub kernel_load_addr: Option<At<usize>>,
    /// A raw image that starts the kernel.
    pub bios_path: Option<At<String>>,
    /// Where the BIOS goes.
    pub bios_load_addr: Option<At<usize>>,
    /// The user's own device tree.
    pub dtb_path: Option<At<String>>,
    /// Where the device tree goes.
    pub dtb_load_addr: Option<At<usize>>,
    /// The ramdisk.
    pub ramdisk_path: Option<At<String>>,
    /// Where the ramdisk goes.
    pub ramdisk_load_addr: Option<At<usize>>,
    /// The kernel's command line.
    pub cmdline: Option<At<String>>,
    /// The VM's memory, in the order of the file.
    pub memory_regions: Vec<At<VmMemConfig>>,
}

/// `[devices]`.
#[derive(Clone, Debug, PartialEq)]
pub struct VMDevicesConfig {
    /// Emulated devices, the defaults included.
    pub emu_devices: Vec<At<EmulatedDeviceConfig>>,
    /// Physical devices.
    pub passthrough_devices: Vec<At<PassThrough>>,
    /// Further interrupt lines of physical devices that have more interrupts than ranges of
    /// registers; filled in by [`crate::resolve_devices`].
    pub passthrough_spis: Vec<At<u32>>,
    /// Where interrupts come from.
    pub interrupt_mode: At<VMInterruptMode>,
}

/// A physical device as the file names it.
#[derive(Clone, Debug, PartialEq)]
pub struct PassThrough {
    /// Which.
    pub target: PassThroughTarget,
    /// `dma = "unprotected"`.
    pub dma_unprotected: bool,
}

/// How a physical device is named.
#[derive(Clone, Debug, PartialEq)]
pub enum PassThroughTarget {
    /// By its registers.
    Address(PassThroughDeviceConfig),
    /// By a path (`/pl031@9010000`) or alias (`serial1`) of the board's device tree; see
    /// [`crate::resolve_devices`].
    Path(String),
}
