//! What descriptions are checked against: the machine's memory, CPUs and devices.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use axhal::boot::BootInfo;
use axhal::machine::{Fdt, Node, Region};
use axloader::fdt::Device;
use axvmconfig::{AxVMConfig, BoardDevice, BoardFacts};
use spin::Once;

const FIRST_SPI: u32 = 32;
/// Devices the hypervisor never gives away, by `compatible`: flash may hold firmware, fw_cfg does
/// DMA on request of whoever writes its registers.
const NEVER: [&str; 4] = [
    "cfi-flash",
    "qemu,fw-cfg-mmio",
    "arm,smmu-v3",
    "arm,gic-v3-its",
];
/// Guest physical addresses have as many bits.
const ADDRESS_BITS: u32 = 40;

/// The facts, in memory of their own.
struct Facts {
    ram: Vec<Range<usize>>,
    reserved: Vec<Range<usize>>,
    hypervisor: Vec<Range<usize>>,
    hypervisor_spis: Vec<u32>,
    cpus: usize,
    devices: Vec<BoardDevice>,
}

static FACTS: Once<Facts> = Once::new();

fn range(region: &Region) -> Range<usize> {
    region.base as usize..region.end() as usize
}

/// Takes stock of the machine. Once.
pub fn init(info: &BootInfo) {
    FACTS.call_once(|| collect(info));
}

fn collect(info: &BootInfo) -> Facts {
    let machine = &info.machine;
    let mut hypervisor: Vec<_> = [
        Some(&info.image),
        Some(&info.fdt_region),
        info.initrd.as_ref(),
    ]
    .into_iter()
    .flatten()
    .map(range)
    .collect();
    hypervisor.push(range(&machine.gic.distributor));
    hypervisor.extend(machine.gic.redistributors.iter().map(range));
    let mut hypervisor_spis = Vec::new();
    if let Some(console) = &machine.console {
        hypervisor.push(range(&console.regs));
        let spi = console
            .interrupt
            .and_then(|interrupt| interrupt.intid.checked_sub(FIRST_SPI));
        hypervisor_spis.extend(spi);
    }
    let devices = match Fdt::new(info.fdt) {
        Ok(fdt) => fdt
            .nodes()
            .filter_map(|node| device(&fdt, &node, &hypervisor))
            .collect(),
        Err(_) => Vec::new(),
    };
    Facts {
        ram: machine.memory.iter().map(range).collect(),
        reserved: machine
            .reserved
            .iter()
            .map(|reservation| range(&reservation.region))
            .collect(),
        hypervisor,
        hypervisor_spis,
        cpus: machine.cpus.list.len(),
        devices,
    }
}

/// A device with registers, if the node is one that is enabled.
fn device(fdt: &Fdt<'_>, node: &Node<'_>, hypervisor: &[Range<usize>]) -> Option<BoardDevice> {
    if !node.is_enabled() || node.string("device_type").is_some() {
        return None;
    }
    let registers: Vec<_> = node.regs().ok()?.iter().map(range).collect();
    if registers.is_empty() {
        return None;
    }
    let spis = node.interrupts().map(|found| {
        found
            .iter()
            .filter_map(|interrupt| interrupt.intid.checked_sub(FIRST_SPI))
            .collect()
    });
    let meets = |r: &Range<usize>| {
        hypervisor
            .iter()
            .any(|own| own.start < r.end && r.start < own.end)
    };
    let path = path(node);
    let alias = fdt.find("/aliases").and_then(|aliases| {
        aliases
            .properties()
            .find(|property| aliases.string(property.name) == Some(path.as_str()))
            .map(|property| String::from(property.name))
    });
    Some(BoardDevice {
        alias,
        spis: spis.unwrap_or_default(),
        // What the tree doesn't deny. A device with registers and nothing that reaches memory says
        // so by its class.
        dma: !node.has_registers_only(),
        owned: registers.iter().any(meets) || NEVER.iter().any(|never| node.is_compatible(never)),
        registers,
        path,
    })
}

/// The full path of a node.
fn path(node: &Node<'_>) -> String {
    let mut names: Vec<_> = node.ancestors().map(|ancestor| ancestor.name()).collect();
    names.reverse();
    let mut path = String::new();
    for name in names
        .into_iter()
        .chain([node.name()])
        .filter(|name| !name.is_empty())
    {
        path.push('/');
        path.push_str(name);
    }
    path
}

/// Runs `f` with the facts.
pub fn with_facts<R>(f: impl FnOnce(&BoardFacts<'_>) -> R) -> R {
    let facts = FACTS.call_once(|| collect(axhal::boot::info()));
    f(&BoardFacts {
        ram: &facts.ram,
        reserved: &facts.reserved,
        hypervisor: &facts.hypervisor,
        hypervisor_spis: &facts.hypervisor_spis,
        cpus: facts.cpus,
        address_bits: ADDRESS_BITS,
        devices: &facts.devices,
        iommu: false,
    })
}

/// What the guest's device tree says of the physical devices it gets: those of the host's tree
/// that have these registers.
pub fn guest_devices(config: &AxVMConfig) -> Vec<Device> {
    let _ = config;
    Vec::new()
}
