//! Puts a VM's images and its device tree into its RAM.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use axaddrspace::{GuestPhysAddr, GuestPhysRange};
use axloader::fdt::{self, Chosen, GuestPlatform, Interrupt, Uart};
use axloader::{GuestMemory, Inputs, LoadPlan, Loader, PlanError};
use axvm::{AxVMConfig, VmError};
use axvmconfig::EmulatedDeviceType;
use axvmconfig::bundle::Bundle;

use crate::manager::pause;
use crate::vm::Vm;
use crate::{arch, entropy};

/// Pieces that are written with interrupts masked.
const PIECE: usize = 32 << 10;

/// Why a VM could not be loaded.
#[derive(Debug)]
pub enum LoadFailure {
    /// The bundle lacks a file that the description names.
    Missing(&'static str),
    /// Something doesn't fit.
    Plan(PlanError),
    /// The device tree.
    Fdt(fdt::FdtError),
    /// A compressed kernel is damaged, or memory can't be written.
    Load(axloader::LoadError<VmError>),
    /// The VM.
    Vm(VmError),
}

impl fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "{key} is missing, or names no file of the bundle"),
            Self::Plan(error) => write!(f, "{error}"),
            Self::Fdt(error) => write!(f, "device tree: {error}"),
            Self::Load(error) => write!(f, "{error}"),
            Self::Vm(error) => error.fmt(f),
        }
    }
}

impl From<PlanError> for LoadFailure {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<fdt::FdtError> for LoadFailure {
    fn from(error: fdt::FdtError) -> Self {
        Self::Fdt(error)
    }
}

impl From<VmError> for LoadFailure {
    fn from(error: VmError) -> Self {
        Self::Vm(error)
    }
}

/// A VM's files in the bundle.
struct Files<'a> {
    kernel: &'a [u8],
    bios: Option<&'a [u8]>,
    dtb: Option<&'a [u8]>,
    ramdisk: Option<&'a [u8]>,
}

impl<'a> Files<'a> {
    fn find(bundle: &Bundle<'a>, toml: &str, config: &AxVMConfig) -> Result<Self, LoadFailure> {
        let images = config.image_config();
        let get = |path: &str, what| {
            bundle
                .resolve(toml, path)
                .map(|file| file.data)
                .ok_or(LoadFailure::Missing(what))
        };
        let optional = |path: &Option<_>, what| {
            path.as_ref()
                .map(|path: &alloc::string::String| get(path, what))
                .transpose()
        };
        Ok(Self {
            kernel: get(&images.kernel_path, "kernel_path")?,
            bios: optional(&images.bios_path, "bios_path")?,
            dtb: optional(&images.dtb_path, "dtb_path")?,
            ramdisk: optional(&images.ramdisk_path, "ramdisk_path")?,
        })
    }
}

/// Clears the VM's RAM and loads what its description, the file `toml` of the bundle, names.
pub fn load(vm: &Vm, bundle: &Bundle<'_>, toml: &str) -> Result<(), LoadFailure> {
    let config = vm.config();
    let images = config.image_config();
    let files = Files::find(bundle, toml, config)?;
    let ram: Vec<Range<u64>> = config
        .memory_regions()
        .iter()
        .map(|region| region.gpa as u64..(region.gpa + region.size) as u64)
        .collect();
    let cpus: Vec<u64> = config
        .get_vcpu_affinities_pcpu_ids()
        .into_iter()
        .map(|(_, _, phys_id)| phys_id as u64)
        .collect();
    let devices = crate::board::guest_devices(config)?;
    let platform = GuestPlatform {
        memory: &ram,
        cpus: &cpus,
        uarts: &uarts(config),
        devices: &devices,
        arch: arch::guest_arch(config),
    };
    let gpa = |address: Option<GuestPhysAddr>| address.map(|address| address.as_usize() as u64);
    let user_dtb = files.dtb.map_or(0, |dtb| dtb.len() as u64);
    let bios = files
        .bios
        .map(|bios| match gpa(images.bios_load_gpa) {
            Some(address) => Ok((bios, address)),
            None => Err(LoadFailure::Missing("bios_load_addr")),
        })
        .transpose()?;
    let mut plan = LoadPlan::new(&Inputs {
        protocol: &arch::BOOT_PROTOCOL,
        ram: &ram,
        kernel: files.kernel,
        kernel_addr: gpa(images.kernel_load_gpa),
        bios,
        entry: images
            .entry_fixed
            .then(|| config.bsp_entry().as_usize() as u64),
        ramdisk: files.ramdisk,
        ramdisk_addr: gpa(images.ramdisk_load_gpa),
        dtb_addr: gpa(images.dtb_load_gpa),
        dtb_room: platform.room() + user_dtb,
    })?;
    let chosen = Chosen {
        bootargs: images.cmdline.as_deref(),
        ramdisk: plan.ramdisk(),
        rng_seed: entropy::guest_seed(),
    };
    plan.set_dtb(match files.dtb {
        Some(dtb) => fdt::correct(dtb, &platform, &chosen)?,
        None => fdt::generate(&platform, &chosen)?,
    })?;
    let keep: Vec<GuestPhysRange> = plan
        .overwritten()
        .into_iter()
        .map(|range| GuestPhysRange {
            start: (range.start as usize).into(),
            end: (range.end as usize).into(),
        })
        .collect();
    vm.clear_ram(&keep, pause)?;
    let mut loader = Loader::new(&plan);
    while loader.step(&mut Ram(vm)).map_err(LoadFailure::Load)? {
        pause();
    }
    vm.loaded((plan.entry() as usize).into(), plan.dtb() as usize)?;
    Ok(())
}

/// The guest's RAM, written piece by piece.
struct Ram<'a>(&'a Vm);

impl GuestMemory for Ram<'_> {
    type Error = VmError;

    fn write(&mut self, gpa: u64, data: &[u8]) -> Result<(), VmError> {
        let mut at = gpa as usize;
        for piece in data.chunks(PIECE) {
            self.0.write_image(at.into(), piece)?;
            at += piece.len();
            pause();
        }
        Ok(())
    }

    fn zero(&mut self, gpa: u64, len: u64) -> Result<(), VmError> {
        let zeros = [0; 1024];
        let (mut at, mut left) = (gpa as usize, len as usize);
        while left != 0 {
            let piece = zeros.get(..left).unwrap_or(&zeros);
            self.0.write_image(at.into(), piece)?;
            at += piece.len();
            left -= piece.len();
            pause();
        }
        Ok(())
    }
}

/// The UARTs, as the guest's device tree describes them. The first is the console, here and in
/// `axvm`.
fn uarts(config: &AxVMConfig) -> Vec<Uart> {
    let devices = config.emu_devices().iter();
    let consoles = devices.filter(|device| device.emu_type == EmulatedDeviceType::Console);
    let uart = consoles.map(|device| Uart {
        registers: device.base_gpa as u64..(device.base_gpa + device.length) as u64,
        interrupt: device.irq_id.map(|line| Interrupt { line, edge: false }),
        clock_hz: arch::UART_CLOCK_HZ,
    });
    uart.collect()
}
