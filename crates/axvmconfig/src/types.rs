//! What a VM consists of: the words shared by the TOML side ([`crate::AxVMCrateConfig`]) and the
//! VM's side ([`crate::AxVMConfig`]).

use alloc::{string::String, vec::Vec};
use axaddrspace::GuestPhysAddr;

/// The architecture a description is for: it decides the default layout and which devices exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arch {
    /// 64-bit Arm with a GICv3.
    Aarch64,
    /// 64-bit RISC-V with a PLIC.
    Riscv64,
}

impl Arch {
    /// All there are.
    pub const ALL: &'static [Self] = &[Self::Aarch64, Self::Riscv64];

    /// Its name: as `ARCH=` has it, and as folders under `configs/vms` are called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
        }
    }
}

/// What kind of system runs in the VM. A label for people (`explain`, the shell's list): nothing
/// depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VMType {
    /// A real-time or bare-metal system.
    #[default]
    Rtos,
    /// Linux.
    Linux,
}

/// Where vCPUs start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxVCpuConfig {
    /// Where vCPU 0 starts. Preliminary until the kernel's format is known, unless
    /// [`VMImageConfig::entry_fixed`] says that the file named it.
    pub bsp_entry: GuestPhysAddr,
    /// Where the others start, unless whoever starts them names another place (PSCI does).
    pub ap_entry: GuestPhysAddr,
}

/// The images of a VM and where they go. `None` as an address means: the loader finds a place in
/// RAM once it knows the sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VMImageConfig {
    /// The kernel's load address.
    pub kernel_load_gpa: Option<GuestPhysAddr>,
    /// The BIOS's load address (always given when there is a BIOS).
    pub bios_load_gpa: Option<GuestPhysAddr>,
    /// The device tree's load address, generated or not.
    pub dtb_load_gpa: Option<GuestPhysAddr>,
    /// The ramdisk's load address.
    pub ramdisk_load_gpa: Option<GuestPhysAddr>,
    /// The kernel's file, relative to the TOML file.
    pub kernel_path: String,
    /// The BIOS's file: a raw image.
    pub bios_path: Option<String>,
    /// The user's own device tree; without one it is generated.
    pub dtb_path: Option<String>,
    /// The ramdisk's file.
    pub ramdisk_path: Option<String>,
    /// The kernel's command line.
    pub cmdline: Option<String>,
    /// The description names the entry point: the image's own is not used.
    pub entry_fixed: bool,
}

bitflags::bitflags! {
    /// What a guest may do with a region of its memory.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MemFlags: u8 {
        /// Loads.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXECUTE = 4;
    }
}

/// How a memory region gets its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VmMemMappingType {
    /// Frames from anywhere.
    #[default]
    MapAlloc,
    /// The frames at the very same host physical address, taken from the allocator.
    MapIdentical,
    /// The same host physical address, inside a range the board reserves and the allocator never
    /// had.
    MapReserved,
}

/// One region of a VM's memory. `gpa` and `size` are multiples of 4096, `gpa + size` doesn't
/// overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmMemConfig {
    /// Guest physical address of the first byte.
    pub gpa: usize,
    /// Size in bytes.
    pub size: usize,
    /// What the guest may do.
    pub flags: MemFlags,
    /// Where the memory comes from.
    pub map_type: VmMemMappingType,
}

/// The kinds of emulated devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmulatedDeviceType {
    /// The GICv3's distributor.
    GicDistributor,
    /// The GICv3's redistributors: one region, 128 KiB for each vCPU.
    GicRedistributor,
    /// RISC-V's platform-level interrupt controller.
    Plic,
    /// A console: a PL011 on aarch64, a 16550 on riscv64.
    Console,
}

impl EmulatedDeviceType {
    /// Whether this is the interrupt controller or a part of it.
    pub const fn is_controller(self) -> bool {
        !matches!(self, Self::Console)
    }
}

/// An emulated device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatedDeviceConfig {
    /// Its name, for people.
    pub name: String,
    /// Guest physical address of its registers.
    pub base_gpa: usize,
    /// Size of its registers in bytes.
    pub length: usize,
    /// Its interrupt line: on aarch64 a shared peripheral interrupt (INTID - 32), on riscv64 a
    /// source of the PLIC; `None`: none.
    pub irq_id: Option<u32>,
    /// What it is.
    pub emu_type: EmulatedDeviceType,
    /// Further numbers, by type. Empty for all types there are now.
    pub cfg_list: Vec<usize>,
}

/// A range of a physical device's registers, given to the VM. A device with several ranges or
/// interrupts is several of these with one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassThroughDeviceConfig {
    /// Its name, for people.
    pub name: String,
    /// Guest physical address, a multiple of 4096.
    pub base_gpa: usize,
    /// Host physical address, a multiple of 4096.
    pub base_hpa: usize,
    /// Size in bytes, a multiple of 4096.
    pub length: usize,
    /// Its interrupt line, the same number for guest and host; `None`: none. See
    /// [`EmulatedDeviceConfig::irq_id`].
    pub irq_id: Option<u32>,
    /// The description says `dma = "unprotected"`: the device may access memory on its own although
    /// nothing confines it.
    pub dma_unprotected: bool,
}

/// How a VM gets interrupts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VMInterruptMode {
    /// Not at all: there is no interrupt controller.
    NoIrq,
    /// From an emulated interrupt controller.
    #[default]
    Emulated,
    /// From the physical one. Not offered yet: no description that says so passes [`crate::parse`].
    Passthrough,
}
