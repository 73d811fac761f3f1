//! Writing nodes, in a tree of our own or in a user's.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use axmachine::Node;

use super::write::Writer;
use super::{Arch, Chosen, Device, FdtError, GuestPlatform, Interrupt, Uart, arm, riscv};

/// How many cells addresses and sizes have in the root node: 1 or 2 each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells {
    pub address: u32,
    pub size: u32,
}

impl Cells {
    /// Appends one `reg` entry.
    fn push(self, reg: &mut Vec<u8>, range: &Range<u64>) -> Result<(), FdtError> {
        let size = range.end.saturating_sub(range.start);
        for (value, cells) in [(range.start, self.address), (size, self.size)] {
            match cells {
                1 => {
                    let value = u32::try_from(value).map_err(|_| FdtError::CellOverflow(value))?;
                    reg.extend_from_slice(&value.to_be_bytes());
                }
                2 => reg.extend_from_slice(&value.to_be_bytes()),
                other => return Err(FdtError::CellCount(other)),
            }
        }
        Ok(())
    }
}

/// The tree being written; positioned in the root node.
pub(super) struct Tree<'a> {
    pub fdt: Writer,
    pub arch: &'a Arch<'a>,
    /// The name of the node that has the devices, on RISC-V.
    pub bus: &'a str,
    pub cells: Cells,
    /// The interrupt controller's phandle.
    pub intc: u32,
    /// Its `#address-cells`.
    pub intc_address_cells: u32,
    /// Phandles from here on are ours...
    pub next_phandle: u32,
    /// ... except these, which the user's tree has.
    pub used_phandles: BTreeSet<u32>,
}

impl Tree<'_> {
    /// A phandle nobody has.
    pub fn new_phandle(&mut self) -> u32 {
        while self.used_phandles.contains(&self.next_phandle) {
            self.next_phandle = self.next_phandle.wrapping_add(1);
        }
        let phandle = self.next_phandle;
        self.next_phandle = phandle.wrapping_add(1);
        phandle
    }

    /// The nodes of everything the hypervisor decides about, but `/chosen` and `/aliases`; and of
    /// `devices`.
    pub fn platform(
        &mut self,
        platform: &GuestPlatform<'_>,
        devices: &[Device],
    ) -> Result<(), FdtError> {
        for region in platform.memory {
            let node = self.fdt.begin_node(&format!("memory@{:x}", region.start));
            self.fdt.property_string("device_type", "memory")?;
            self.reg(core::slice::from_ref(region))?;
            self.fdt.end_node(node);
        }
        match &platform.arch {
            Arch::Arm { gic, timer } => {
                self.arm_nodes(platform, gic.as_ref(), timer)?;
                self.devices(devices)
            }
            Arch::Riscv { plic, cpu } => self.riscv_nodes(platform, plic.as_ref(), cpu, devices),
        }
    }

    /// The path of the node that describes a UART.
    pub fn uart_path(&self, uart: &Uart) -> String {
        match self.arch {
            Arch::Arm { .. } => format!("/{}", uart_name(uart)),
            Arch::Riscv { .. } => format!("/{}/{}", self.bus, uart_name(uart)),
        }
    }

    /// The properties of `/aliases` that number the UARTs, as kernels number their devices.
    pub fn uart_aliases(&mut self, uarts: &[Uart]) -> Result<(), FdtError> {
        for (n, uart) in uarts.iter().enumerate() {
            let path = self.uart_path(uart);
            self.fdt.property_string(&uart_alias(n), &path)?;
        }
        Ok(())
    }

    /// The properties of `/chosen` that are the boot loader's.
    pub fn chosen(&mut self, chosen: &Chosen<'_>, uart: Option<&Uart>) -> Result<(), FdtError> {
        if let Some(bootargs) = chosen.bootargs {
            self.fdt.property_string("bootargs", bootargs)?;
        }
        if let Some(uart) = uart {
            let path = self.uart_path(uart);
            self.fdt.property_string("stdout-path", &path)?;
        }
        if let Some(ramdisk) = &chosen.ramdisk {
            self.fdt.property_u64("linux,initrd-start", ramdisk.start)?;
            self.fdt.property_u64("linux,initrd-end", ramdisk.end)?;
        }
        if let Some(seed) = &chosen.rng_seed {
            self.fdt.property("rng-seed", seed)?;
        }
        Ok(())
    }

    pub fn reg(&mut self, ranges: &[Range<u64>]) -> Result<(), FdtError> {
        let mut reg = Vec::new();
        for range in ranges {
            self.cells.push(&mut reg, range)?;
        }
        self.fdt.property("reg", &reg)
    }

    /// `interrupts`, with the guest's interrupt controller as parent; nothing if there are none,
    /// or no controller.
    pub fn interrupts(&mut self, interrupts: &[Interrupt]) -> Result<(), FdtError> {
        if interrupts.is_empty() || !self.arch.has_irqchip() {
            return Ok(());
        }
        let mut cells = Vec::new();
        for &interrupt in interrupts {
            match self.arch {
                Arch::Arm { .. } => cells.extend(arm::cells(interrupt)?),
                Arch::Riscv { plic, .. } => cells.extend(riscv::cells(interrupt, plic.as_ref())?),
            }
        }
        self.interrupt_cells(&cells)
    }

    /// `interrupts` by cells of the guest's interrupt controller.
    pub fn interrupt_cells(&mut self, cells: &[u32]) -> Result<(), FdtError> {
        self.fdt.property_u32("interrupt-parent", self.intc)?;
        self.fdt.property_cells("interrupts", cells)
    }

    /// A `fixed-clock` in the root node; its phandle.
    pub fn clock(&mut self, name: &str, hz: u32) -> Result<u32, FdtError> {
        let phandle = self.new_phandle();
        let node = self.fdt.begin_node(name);
        self.fdt.property_string("compatible", "fixed-clock")?;
        self.fdt.property_u32("#clock-cells", 0)?;
        self.fdt.property_u32("clock-frequency", hz)?;
        self.fdt.property_phandle(phandle)?;
        self.fdt.end_node(node);
        Ok(phandle)
    }
}

/// A node's name without its unit address.
pub(super) fn stem<'a>(node: &Node<'a>) -> &'a str {
    let name = node.name();
    name.split_once('@').map_or(name, |(stem, _)| stem)
}

/// Whether one of the node's `compatible` strings is the one.
pub(super) fn has(node: &Node<'_>, is: impl Fn(&str) -> bool) -> bool {
    node.property("compatible").is_some_and(|property| {
        let mut strings = property.split(|&byte| byte == 0);
        strings.any(|string| core::str::from_utf8(string).is_ok_and(&is))
    })
}

/// The name of the node that describes the console.
pub(super) fn uart_name(uart: &Uart) -> String {
    format!("serial@{:x}", uart.registers.start)
}

/// The alias of the VM's UART number `n`.
pub fn uart_alias(n: usize) -> String {
    format!("serial{n}")
}
