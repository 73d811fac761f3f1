//! What a VM needs, made from what the file says.

use alloc::{string::String, vec::Vec};
use core::ops::Range;

use axaddrspace::GuestPhysAddr;

use crate::{
    At, AxVCpuConfig, AxVMCrateConfig, EmulatedDeviceConfig, MemFlags, PassThroughDeviceConfig,
    PassThroughTarget, VMImageConfig, VMInterruptMode, VMType, VmMemConfig,
};

/// The configuration of one VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxVMConfig {
    /// Its number.
    pub id: usize,
    /// Its name.
    pub name: String,
    /// A label.
    pub vm_type: VMType,
    /// How many vCPUs.
    pub cpu_num: usize,
    /// For each vCPU the id its guest knows it by (affinity, hart id); without it vCPU n has n.
    pub phys_cpu_ids: Option<Vec<usize>>,
    /// For each vCPU a mask of logical physical CPUs; without it all.
    pub phys_cpu_sets: Option<Vec<usize>>,
    /// Where vCPUs start.
    pub cpu_config: AxVCpuConfig,
    /// Images, and where they go.
    pub image_config: VMImageConfig,
    /// Memory.
    pub memory_regions: Vec<VmMemConfig>,
    /// Emulated devices, the interrupt controller included.
    pub emu_devices: Vec<EmulatedDeviceConfig>,
    /// Physical devices.
    pub pass_through_devices: Vec<PassThroughDeviceConfig>,
    /// Devices named by the board's device tree that [`crate::resolve_devices`] hasn't been asked
    /// about: a VM can't be made while there are any.
    pub unresolved_devices: Vec<String>,
    /// Interrupt lines of the physical devices: on aarch64 shared peripheral interrupts
    /// (INTID - 32), on riscv64 sources of the PLIC.
    pub spi_list: Vec<u32>,
    /// Where interrupts come from.
    pub interrupt_mode: VMInterruptMode,
}

impl From<AxVMCrateConfig> for AxVMConfig {
    fn from(config: AxVMCrateConfig) -> Self {
        let AxVMCrateConfig {
            base,
            kernel,
            devices,
            ..
        } = config;
        let memory_regions: Vec<_> = kernel.memory_regions.iter().map(|at| at.value).collect();
        // Whatever is known best before anybody looked into the images.
        let runs = |region: &&VmMemConfig| region.flags.contains(MemFlags::EXECUTE);
        let first = memory_regions.iter().find(runs).map_or(0, |r| r.gpa);
        let entry = [
            kernel.entry_point,
            kernel.bios_load_addr,
            kernel.kernel_load_addr,
        ];
        let entry = entry.into_iter().flatten().next();
        let entry = GuestPhysAddr::from(entry.map_or(first, |at| at.value));
        let gpa = |at: Option<At<usize>>| at.map(|at| GuestPhysAddr::from(at.value));
        let text = |at: Option<At<String>>| at.map(|at| at.value);

        let numbers = |list: At<Vec<At<usize>>>| list.value.iter().map(|at| at.value).collect();

        let mut passed = Vec::new();
        let mut unresolved = Vec::new();
        for device in devices.passthrough_devices {
            match device.value.target {
                PassThroughTarget::Address(device) => passed.push(device),
                PassThroughTarget::Path(path) => unresolved.push(path),
            }
        }
        let mut spis: Vec<u32> = passed.iter().filter_map(|d| d.irq_id).collect();
        spis.extend(devices.passthrough_spis.iter().map(|spi| spi.value));
        Self {
            id: base.id.value,
            name: base.name.value,
            vm_type: base.vm_type,
            cpu_num: base.cpu_num.value,
            phys_cpu_ids: base.phys_cpu_ids.map(numbers),
            phys_cpu_sets: base.phys_cpu_sets.map(numbers),
            cpu_config: AxVCpuConfig {
                bsp_entry: entry,
                ap_entry: entry,
            },
            image_config: VMImageConfig {
                kernel_load_gpa: gpa(kernel.kernel_load_addr),
                bios_load_gpa: gpa(kernel.bios_load_addr),
                dtb_load_gpa: gpa(kernel.dtb_load_addr),
                ramdisk_load_gpa: gpa(kernel.ramdisk_load_addr),
                kernel_path: kernel.kernel_path.value,
                bios_path: text(kernel.bios_path),
                dtb_path: text(kernel.dtb_path),
                ramdisk_path: text(kernel.ramdisk_path),
                cmdline: text(kernel.cmdline),
                entry_fixed: kernel.entry_point.is_some(),
            },
            memory_regions,
            emu_devices: devices.emu_devices.into_iter().map(|at| at.value).collect(),
            spi_list: spis,
            pass_through_devices: passed,
            unresolved_devices: unresolved,
            interrupt_mode: devices.interrupt_mode.value,
        }
    }
}

impl AxVMConfig {
    /// The VM's number.
    pub fn id(&self) -> usize {
        self.id
    }

    /// The VM's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For each vCPU: its id, the mask of logical physical CPUs it may run on (`None`: all), and
    /// the id (affinity, hart id) its guest knows it by.
    pub fn get_vcpu_affinities_pcpu_ids(&self) -> Vec<(usize, Option<usize>, usize)> {
        let element = |list: &Option<Vec<usize>>, vcpu| list.as_ref()?.get(vcpu).copied();
        (0..self.cpu_num)
            .map(|vcpu| {
                let mask = element(&self.phys_cpu_sets, vcpu);
                (
                    vcpu,
                    mask,
                    element(&self.phys_cpu_ids, vcpu).unwrap_or(vcpu),
                )
            })
            .collect()
    }

    /// The images, and where they go.
    pub fn image_config(&self) -> &VMImageConfig {
        &self.image_config
    }

    /// Where vCPU 0 starts.
    pub fn bsp_entry(&self) -> GuestPhysAddr {
        self.cpu_config.bsp_entry
    }

    /// Where the other vCPUs start.
    pub fn ap_entry(&self) -> GuestPhysAddr {
        self.cpu_config.ap_entry
    }

    /// Sets where the vCPUs start, once the kernel's format is known.
    pub fn set_entry(&mut self, entry: GuestPhysAddr) {
        self.cpu_config = AxVCpuConfig {
            bsp_entry: entry,
            ap_entry: entry,
        };
    }

    /// The VM's memory.
    pub fn memory_regions(&self) -> &Vec<VmMemConfig> {
        &self.memory_regions
    }

    /// Whether one memory region contains all of `range` (guest physical addresses).
    pub fn contains_memory_range(&self, range: &Range<usize>) -> bool {
        self.memory_regions.iter().any(|region| {
            let end = region.gpa.saturating_add(region.size);
            region.gpa <= range.start && range.start <= range.end && range.end <= end
        })
    }

    /// The emulated devices.
    pub fn emu_devices(&self) -> &Vec<EmulatedDeviceConfig> {
        &self.emu_devices
    }

    /// The physical devices.
    pub fn pass_through_devices(&self) -> &Vec<PassThroughDeviceConfig> {
        &self.pass_through_devices
    }

    /// The physical devices' interrupt lines. See [`Self::spi_list`].
    pub fn pass_through_spis(&self) -> &Vec<u32> {
        &self.spi_list
    }

    /// Where interrupts come from.
    pub fn interrupt_mode(&self) -> VMInterruptMode {
        self.interrupt_mode
    }
}
