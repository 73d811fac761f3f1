//! A description as TOML, in today's form.

use std::fmt::Write;

use super::render::quoted;
use crate::{
    AxVMCrateConfig, EmulatedDeviceConfig, MemFlags, PassThrough, PassThroughTarget,
    VMDevicesConfig, VMInterruptMode, VMKernelConfig, VMType, VmMemConfig, VmMemMappingType,
    kind_name, parse,
};

/// `config` as a file that [`parse`] reads as the same description. What is as the defaults have it
/// is left out.
pub fn to_toml(config: &AxVMCrateConfig) -> String {
    let mut out = String::new();
    let base = &config.base;
    // Writing to a string can't fail.
    let _ = writeln!(out, "format = 1\n\n[base]");
    let _ = writeln!(out, "id = {}", base.id.value);
    let _ = writeln!(out, "name = {}", quoted(&base.name.value));
    if base.vm_type == VMType::Linux {
        let _ = writeln!(out, "vm_type = \"linux\"");
    }
    let _ = writeln!(out, "cpu_num = {}", base.cpu_num.value);
    for (key, list) in [
        ("phys_cpu_ids", &base.phys_cpu_ids),
        ("phys_cpu_sets", &base.phys_cpu_sets),
    ] {
        if let Some(list) = list {
            let items: Vec<_> = list.value.iter().map(|n| hex(n.value)).collect();
            let _ = writeln!(out, "{key} = [{}]", items.join(", "));
        }
    }
    kernel(&mut out, &config.kernel);
    devices(&mut out, config);
    out
}

/// Small numbers as they are, others hexadecimal in groups of four; beyond TOML's integers as text.
fn hex(number: usize) -> String {
    if number < 10 {
        return number.to_string();
    }
    let digits = format!("{number:x}");
    let mut grouped = String::from("0x");
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(4) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    match i64::try_from(number) {
        Ok(_) => grouped,
        Err(_) => format!("\"{grouped}\""),
    }
}

/// A size in the largest unit that divides it.
pub(super) fn size(bytes: usize) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

fn kernel(out: &mut String, kernel: &VMKernelConfig) {
    let _ = writeln!(out, "\n[kernel]");
    let files = [
        ("kernel", Some(&kernel.kernel_path), kernel.kernel_load_addr),
        ("bios", kernel.bios_path.as_ref(), kernel.bios_load_addr),
        ("dtb", kernel.dtb_path.as_ref(), kernel.dtb_load_addr),
        (
            "ramdisk",
            kernel.ramdisk_path.as_ref(),
            kernel.ramdisk_load_addr,
        ),
    ];
    for (what, path, address) in files {
        if let Some(path) = path {
            let _ = writeln!(out, "{what}_path = {}", quoted(&path.value));
        }
        if let Some(address) = address {
            let _ = writeln!(out, "{what}_load_addr = {}", hex(address.value));
        }
    }
    if let Some(entry) = kernel.entry_point {
        let _ = writeln!(out, "entry_point = {}", hex(entry.value));
    }
    if let Some(cmdline) = &kernel.cmdline {
        let _ = writeln!(out, "cmdline = {}", quoted(&cmdline.value));
    }
    let _ = writeln!(out, "memory_regions = [");
    for region in &kernel.memory_regions {
        let _ = writeln!(out, "    {},", self::region(&region.value));
    }
    let _ = writeln!(out, "]");
}

fn region(region: &VmMemConfig) -> String {
    let mut out = format!(
        "{{ gpa = {}, size = \"{}\"",
        hex(region.gpa),
        size(region.size)
    );
    if region.flags != MemFlags::all() {
        let _ = write!(out, ", flags = \"{}\"", rights(region.flags));
    }
    if region.map_type != VmMemMappingType::MapAlloc {
        let _ = write!(out, ", map_type = \"{}\"", map_type(region.map_type));
    }
    out + " }"
}

/// `rwx`, without what isn't allowed.
pub(super) fn rights(flags: MemFlags) -> String {
    let all = [
        ('r', MemFlags::READ),
        ('w', MemFlags::WRITE),
        ('x', MemFlags::EXECUTE),
    ];
    let allowed = all.into_iter().filter(|(_, flag)| flags.contains(*flag));
    allowed.map(|(letter, _)| letter).collect()
}

pub(super) fn map_type(map_type: VmMemMappingType) -> &'static str {
    match map_type {
        VmMemMappingType::MapAlloc => "alloc",
        VmMemMappingType::MapIdentical => "identical",
        VmMemMappingType::MapReserved => "reserved",
    }
}

pub(super) fn mode(mode: VMInterruptMode) -> &'static str {
    match mode {
        VMInterruptMode::NoIrq => "none",
        VMInterruptMode::Emulated => "emulated",
        VMInterruptMode::Passthrough => "passthrough",
    }
}

fn devices(out: &mut String, config: &AxVMCrateConfig) {
    let devices = &config.devices;
    let mode = mode(devices.interrupt_mode.value);
    let _ = writeln!(out, "\n[devices]\ninterrupt_mode = \"{mode}\"");
    if devices.emu_devices != default_devices(config) {
        let _ = writeln!(out, "emu_devices = [");
        for device in &devices.emu_devices {
            let _ = writeln!(out, "    {},", emulated(&device.value));
        }
        let _ = writeln!(out, "]");
    }
    passed_devices(out, devices);
}

/// The emulated devices of the same VM if its file named none.
fn default_devices(config: &AxVMCrateConfig) -> Vec<crate::At<EmulatedDeviceConfig>> {
    let text = format!(
        "[base]\nid = 0\ncpu_num = {}\n[kernel]\nkernel_path = \"x\"\nmemory_regions = []\n\
         [devices]\ninterrupt_mode = \"{}\"",
        config.base.cpu_num.value,
        mode(config.devices.interrupt_mode.value)
    );
    // Memory has no part in it: without it the file would not pass.
    let text = text.replace("[]", "[{ size = 4096 }]");
    match parse(&text, config.arch) {
        Ok(config) => config.devices.emu_devices,
        Err(_) => Vec::new(),
    }
}

fn line(irq: Option<u32>) -> String {
    match irq {
        None => "\"none\"".into(),
        Some(0) => "\"spi0\"".into(),
        Some(number) => number.to_string(),
    }
}

fn emulated(device: &EmulatedDeviceConfig) -> String {
    format!(
        "{{ name = {}, type = \"{}\", base_gpa = {}, length = {}, irq_id = {} }}",
        quoted(&device.name),
        kind_name(device.emu_type),
        hex(device.base_gpa),
        hex(device.length),
        line(device.irq_id),
    )
}

fn passed_devices(out: &mut String, devices: &VMDevicesConfig) {
    if devices.passthrough_devices.is_empty() {
        return;
    }
    let _ = writeln!(out, "passthrough_devices = [");
    for device in &devices.passthrough_devices {
        let _ = writeln!(out, "    {},", passed(&device.value));
    }
    let _ = writeln!(out, "]");
}

fn passed(device: &PassThrough) -> String {
    let mut out = match &device.target {
        PassThroughTarget::Path(path) => format!("{{ path = {}", quoted(path)),
        PassThroughTarget::Address(device) => format!(
            "{{ name = {}, base_gpa = {}, base_hpa = {}, length = {}, irq_id = {}",
            quoted(&device.name),
            hex(device.base_gpa),
            hex(device.base_hpa),
            hex(device.length),
            line(device.irq_id),
        ),
    };
    if device.dma_unprotected {
        out.push_str(", dma = \"unprotected\"");
    }
    out + " }"
}
