//! A board's facts from its device tree, by the reader the hypervisor boots with: so the host's
//! command and the image check against the same.

use alloc::{string::String, vec::Vec};
use core::ops::Range;

use axmachine::{Architecture, Fdt, Machine, MachineError, Node, Platform, Region};

use crate::{Arch, BoardDevice, BoardFacts};

/// Devices that the hypervisor keeps for itself, by what they are compatible with.
const OWNED: &[&str] = &[
    "arm,gic-v3",
    "arm,gic-v3-its",
    "arm,smmu-v3",
    "arm,mmu-500",
    "riscv,plic0",
    "sifive,plic-1.0.0",
    "riscv,clint0",
    "sifive,clint0",
    "riscv,aplic",
    "riscv,imsics",
    "riscv,iommu",
    "cfi-flash",
    "qemu,fw-cfg-mmio",
];

/// A board. The caller may add what only it knows: its own memory, the width of addresses.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// Its architecture, if it is one that descriptions can be for.
    pub arch: Option<Arch>,
    /// RAM.
    pub ram: Vec<Range<usize>>,
    /// What the device tree reserves.
    pub reserved: Vec<Range<usize>>,
    /// What the hypervisor owns, its devices not counted.
    pub hypervisor: Vec<Range<usize>>,
    /// Interrupt lines of the hypervisor's own devices.
    pub hypervisor_spis: Vec<u32>,
    /// CPUs.
    pub cpus: usize,
    /// Addresses of guests have at most this many bits.
    pub address_bits: u32,
    /// Devices.
    pub devices: Vec<BoardDevice>,
}

impl Board {
    /// Reads a board's device tree. Addresses are taken to have up to 48 bits.
    pub fn new(fdt: &Fdt<'_>) -> Result<Self, MachineError> {
        Ok(Self::of(&Machine::new(fdt, Architecture::of(fdt))?, fdt))
    }

    /// The board that `machine` was read from.
    pub fn of(machine: &Machine, fdt: &Fdt<'_>) -> Self {
        let console = machine.console.as_ref().map(|console| console.regs);
        let devices: Vec<_> = fdt
            .nodes()
            .filter(is_device)
            .map(|node| device(&node, fdt, console))
            .collect();
        let owned = devices.iter().filter(|device| device.owned);
        let arch = match &machine.platform {
            Platform::Arm(_) => Arch::Aarch64,
            Platform::Riscv(_) => Arch::Riscv64,
        };
        Self {
            arch: Some(arch),
            ram: machine.memory.iter().map(range).collect(),
            reserved: machine.reserved.iter().map(|r| range(&r.region)).collect(),
            hypervisor: Vec::new(),
            hypervisor_spis: owned.flat_map(|device| device.spis.clone()).collect(),
            cpus: machine.cpus.list.len(),
            address_bits: 48,
            devices,
        }
    }

    /// The facts as the checks take them. No IOMMU is driven yet.
    pub fn facts(&self) -> BoardFacts<'_> {
        BoardFacts {
            ram: &self.ram,
            reserved: &self.reserved,
            hypervisor: &self.hypervisor,
            hypervisor_spis: &self.hypervisor_spis,
            cpus: self.cpus,
            address_bits: self.address_bits,
            devices: &self.devices,
            iommu: false,
        }
    }
}

fn range(region: &Region) -> Range<usize> {
    let clamp = |address: u64| usize::try_from(address).unwrap_or(usize::MAX);
    clamp(region.base)..clamp(region.end())
}

/// Whether a node is a device: neither memory nor a CPU.
fn is_device(node: &Node<'_>) -> bool {
    let kind = node.string("device_type");
    let special = matches!(kind, Some("memory" | "cpu"));
    let aside = ["reserved-memory", "cpus", "chosen", "aliases"];
    let mut up = node.ancestors();
    !special && up.all(|above| !aside.contains(&above.name()))
}

/// Whether a node may be used. It is off with the bus it is on.
pub fn is_enabled(node: &Node<'_>) -> bool {
    node.ancestors().all(|above| above.is_enabled())
}

fn device(node: &Node<'_>, fdt: &Fdt<'_>, console: Option<Region>) -> BoardDevice {
    let path = path(node);
    // Registers the CPUs can't reach, or interrupts that don't go to the GIC: it has none here.
    let regs = node.regs().unwrap_or_default();
    let interrupts = node.interrupts().unwrap_or_default();
    let spis = interrupts.iter().filter_map(|irq| irq.line());
    let owned = OWNED.iter().any(|name| node.is_compatible(name))
        || regs.iter().any(|reg| Some(*reg) == console);
    BoardDevice {
        alias: alias(fdt, &path),
        registers: regs.iter().map(range).collect(),
        spis: spis.collect(),
        dma: !node.has_registers_only(),
        owned,
        disabled: !is_enabled(node),
        path,
    }
}

fn path(node: &Node<'_>) -> String {
    let mut names: Vec<_> = node.ancestors().map(|above| above.name()).collect();
    names.reverse();
    // The root has an empty name, which makes the leading slash.
    match names.len() {
        1 => String::from("/"),
        _ => names.join("/"),
    }
}

/// The alias of the node at `path`.
fn alias(fdt: &Fdt<'_>, path: &str) -> Option<String> {
    let aliases = fdt.find("/aliases")?;
    let mut all = aliases.properties();
    let found = all.find(|alias| alias.value.strip_suffix(b"\0") == Some(path.as_bytes()));
    found.map(|alias| String::from(alias.name))
}
