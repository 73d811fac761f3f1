//! What a description means: the VM's memory map with everything that was filled in; and what a
//! code means.

use std::fmt::Write;

use super::{
    help::help,
    print::{map_type, mode, rights, size},
};
use crate::{
    Arch, AxVMConfig, AxVMCrateConfig, Code, EmulatedDeviceType, PassThroughTarget, VMType,
};

/// A VM as a table: who it is, its CPUs, and its address space in ascending order.
pub fn memory_map(config: &AxVMCrateConfig) -> String {
    let mut out = String::new();
    let base = &config.base;
    let kind = match base.vm_type {
        VMType::Rtos => "rtos",
        VMType::Linux => "linux",
    };
    // Writing to a string can't fail.
    let _ = writeln!(
        out,
        "VM {} `{}` ({kind}), interrupts: {}",
        base.id.value,
        base.name.value,
        mode(config.devices.interrupt_mode.value)
    );
    let vm = AxVMConfig::from(config.clone());
    let id_name = match config.arch {
        Arch::Aarch64 => "affinity",
        Arch::Riscv64 => "hart id",
    };
    for (vcpu, mask, id) in vm.get_vcpu_affinities_pcpu_ids() {
        let cpus = mask.map_or("any CPU".into(), |mask| format!("CPUs of mask {mask:#x}"));
        let _ = writeln!(out, "  vCPU {vcpu}: {id_name} {id:#x}, runs on {cpus}");
    }
    let mut rows = rows(config);
    rows.sort();
    for (start, length, what) in rows {
        let last = start.saturating_add(length.saturating_sub(1));
        let _ = writeln!(
            out,
            "  {start:#014x}..{last:#014x} {:>8}  {what}",
            size(length)
        );
    }
    for device in &config.devices.passthrough_devices {
        if let PassThroughTarget::Path(path) = &device.value.target {
            let _ = writeln!(
                out,
                "  {path}: physical device, as the board's device tree has it"
            );
        }
    }
    images(&mut out, config);
    out
}

fn rows(config: &AxVMCrateConfig) -> Vec<(usize, usize, String)> {
    let irq = |line: Option<u32>| match (line, config.arch) {
        (None, _) => String::new(),
        (Some(n), Arch::Aarch64) => format!(", SPI {n} (INTID {})", n + 32),
        (Some(n), Arch::Riscv64) => format!(", PLIC source {n}"),
    };
    let mut rows = Vec::new();
    for region in &config.kernel.memory_regions {
        let region = region.value;
        let what = format!(
            "memory, {}, {}",
            rights(region.flags),
            map_type(region.map_type)
        );
        rows.push((region.gpa, region.size, what));
    }
    for device in &config.devices.emu_devices {
        let device = &device.value;
        let kind = match device.emu_type {
            EmulatedDeviceType::GicDistributor => "GICv3 distributor",
            EmulatedDeviceType::GicRedistributor => "GICv3 redistributors",
            EmulatedDeviceType::Plic => "PLIC",
            EmulatedDeviceType::Console if config.arch == Arch::Riscv64 => "16550 console",
            EmulatedDeviceType::Console => "PL011 console",
        };
        let what = format!("{}: {kind}{}", device.name, irq(device.irq_id));
        rows.push((device.base_gpa, device.length, what));
    }
    for device in &config.devices.passthrough_devices {
        if let PassThroughTarget::Address(device) = &device.value.target {
            let host = device.base_hpa;
            let irq = irq(device.irq_id);
            let what = format!("{}: physical device at {host:#x}{irq}", device.name);
            rows.push((device.base_gpa, device.length, what));
        }
    }
    rows
}

fn images(out: &mut String, config: &AxVMCrateConfig) {
    let kernel = &config.kernel;
    let address = |at: Option<crate::At<usize>>, otherwise: &str| {
        at.map_or(otherwise.to_owned(), |at| format!("at {:#x}", at.value))
    };
    let place = "where there is room";
    let files = [
        (
            "kernel",
            Some(&kernel.kernel_path),
            address(kernel.kernel_load_addr, "where its format wants it"),
        ),
        (
            "BIOS",
            kernel.bios_path.as_ref(),
            address(kernel.bios_load_addr, place),
        ),
        (
            "ramdisk",
            kernel.ramdisk_path.as_ref(),
            address(kernel.ramdisk_load_addr, place),
        ),
    ];
    for (what, path, place) in files {
        if let Some(path) = path {
            let _ = writeln!(out, "  {what}: {} {place}", path.value);
        }
    }
    let dtb = kernel.dtb_path.as_ref();
    let dtb = dtb.map_or("generated", |path| path.value.as_str());
    let _ = writeln!(
        out,
        "  device tree: {dtb} {}",
        address(kernel.dtb_load_addr, place)
    );
    let entry = address(kernel.entry_point, "where the image says");
    let _ = writeln!(out, "  vCPU 0 starts {entry}");
}

/// The long text of a code.
pub fn explain_code(code: Code) -> String {
    let help = help(code);
    let mut out = format!(
        "{code}: {}\n\n{}\n{}\n",
        code.sentence(),
        help.note,
        help.fix
    );
    for (title, example) in [("Wrong", help.wrong), ("Right", help.right)] {
        if !example.is_empty() {
            let _ = write!(out, "\n{title}:\n");
            for line in example.lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    out
}
