//! Devices passed through to a guest.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use axmachine::Node;

use super::node::{Tree, stem};
use super::{FdtError, Interrupt};

/// Properties that mean the same in any tree: they refer to no other node.
const PORTABLE: [&str; 19] = [
    "arm,primecell-periphid",
    "big-endian",
    "bus-width",
    "clock-frequency",
    "compatible",
    "current-speed",
    "device_type",
    "dma-coherent",
    "fifo-size",
    "label",
    "little-endian",
    "local-mac-address",
    "mac-address",
    "max-frequency",
    "model",
    "native-endian",
    "reg-io-width",
    "reg-offset",
    "reg-shift",
];

/// A device node for the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name without unit address.
    pub name: String,
    /// Its registers, by guest physical address.
    pub registers: Vec<Range<u64>>,
    /// Its interrupts.
    pub interrupts: Vec<Interrupt>,
    /// Its clocks: name and frequency in Hz. Each becomes a `fixed-clock`: what really drives it
    /// stays with the hypervisor, as firmware left it.
    pub clocks: Vec<(String, u32)>,
    /// All other properties: name and value.
    pub properties: Vec<(String, Vec<u8>)>,
}

impl Device {
    /// A device without other properties than `compatible`.
    pub fn new(name: &str, compatible: &[&str], registers: Vec<Range<u64>>) -> Self {
        let mut value = Vec::new();
        for string in compatible {
            value.extend_from_slice(string.as_bytes());
            value.push(0);
        }
        let properties = match compatible {
            [] => Vec::new(),
            _ => alloc::vec![(String::from("compatible"), value)],
        };
        Self {
            name: String::from(name),
            registers,
            properties,
            ..Self::default()
        }
    }

    /// A device of the host's device tree, with those of its properties that mean the same to a
    /// guest, and its clocks if all of them are `fixed-clock`s.
    pub fn from_host(
        node: &Node<'_>,
        registers: Vec<Range<u64>>,
        interrupts: Vec<Interrupt>,
    ) -> Self {
        let properties = node
            .properties()
            .filter(|property| PORTABLE.contains(&property.name))
            .map(|property| (String::from(property.name), property.value.to_vec()))
            .collect();
        Self {
            name: String::from(stem(node)),
            registers,
            interrupts,
            clocks: host_clocks(node).unwrap_or_default(),
            properties,
        }
    }
}

/// The clocks of a host device, if each is a `fixed-clock` (which takes no cells).
fn host_clocks(node: &Node<'_>) -> Option<Vec<(String, u32)>> {
    let (cells, rest) = node.property("clocks")?.as_chunks::<4>();
    let names = node.strings("clock-names");
    if !rest.is_empty() || node.strings("clock-names").count() != cells.len() {
        return None;
    }
    cells
        .iter()
        .zip(names)
        .map(|(cell, name)| {
            let clock = node.fdt().by_phandle(u32::from_be_bytes(*cell))?;
            let hz = clock.u32("clock-frequency").ok()?;
            let hz = hz.filter(|_| clock.is_compatible("fixed-clock"))?;
            Some((String::from(name), hz))
        })
        .collect()
}

impl Tree<'_> {
    /// The nodes of devices passed through.
    pub(super) fn devices(&mut self, devices: &[Device]) -> Result<(), FdtError> {
        devices.iter().try_for_each(|device| self.device(device))
    }

    fn device(&mut self, device: &Device) -> Result<(), FdtError> {
        let name = match device.registers.first() {
            Some(first) => format!("{}@{:x}", device.name, first.start),
            None => device.name.clone(),
        };
        let mut clocks = Vec::new();
        let mut clock_names = Vec::new();
        for (index, (clock, hz)) in device.clocks.iter().enumerate() {
            // As unique as the device's own name.
            let unit = device.registers.first().map_or(0, |first| first.start);
            clocks.push(self.clock(&format!("clock-{unit:x}-{index}"), *hz)?);
            clock_names.push(clock.as_str());
        }
        let node = self.fdt.begin_node(&name);
        for (name, value) in &device.properties {
            self.fdt.property(name, value)?;
        }
        if !device.registers.is_empty() {
            self.reg(&device.registers)?;
        }
        self.interrupts(&device.interrupts)?;
        if !clocks.is_empty() {
            self.fdt.property_cells("clocks", &clocks)?;
            self.fdt.property_strings("clock-names", &clock_names)?;
        }
        self.fdt.end_node(node);
        Ok(())
    }
}
