//! Facts about devices that decide whether one may be given to a guest.

use super::fdt::{Fdt, Node};

/// What a device's node says about direct memory access. A device tree has no general mark for a
/// bus master, so these are hints; see [`Node::has_registers_only`] for the safe side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DmaFacts {
    /// `iommus` or `iommu-map`: a master behind an IOMMU.
    pub iommus: bool,
    /// `dma-coherent` on the node itself. (Its parents' count for all devices on the bus, DMA or
    /// not.)
    pub coherent: bool,
    /// `dmas`: it asks a DMA controller, which is another device, to move its data.
    pub uses_controller: bool,
    /// `#dma-cells`: it is a DMA controller.
    pub is_controller: bool,
    /// `memory-region`: it has memory of its own in RAM.
    pub memory_region: bool,
    /// `msi-parent` or `msi-map`: it sends interrupts by writing to memory.
    pub msi: bool,
}

/// Devices known to have nothing but registers.
const REGISTERS_ONLY: &[&str] = &[
    "arm,pl011",
    "arm,pl031",
    "arm,pl061",
    "arm,sbsa-gwdt",
    "arm,sbsa-uart",
    "arm,sp804",
    "arm,sp805",
    "google,goldfish-rtc",
    "ns16550",
    "ns16550a",
];

impl Node<'_> {
    /// What it says about direct memory access.
    pub fn dma(&self) -> DmaFacts {
        let any = |names: &[&str]| names.iter().any(|name| self.property(name).is_some());
        DmaFacts {
            iommus: any(&["iommus", "iommu-map"]),
            coherent: any(&["dma-coherent"]),
            uses_controller: any(&["dmas"]),
            is_controller: any(&["#dma-cells"]),
            memory_region: any(&["memory-region"]),
            msi: any(&["msi-parent", "msi-map"]),
        }
    }

    /// Whether this is a device that can't write to memory, by what it is compatible with and by
    /// its properties. `false` for whatever isn't known.
    pub fn has_registers_only(&self) -> bool {
        self.dma() == DmaFacts::default()
            && REGISTERS_ONLY.iter().any(|name| self.is_compatible(name))
    }
}

impl<'a> Fdt<'a> {
    /// The devices that have an address in `len` bytes at `address` among their registers, and
    /// what they are in the tree: one, unless devices share a page. Nodes whose registers the
    /// CPUs can't reach are left out.
    pub fn devices_in(&self, address: u64, len: u64) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let wanted = super::Region::new(address, len);
        self.nodes().filter(move |node| {
            let (Some(wanted), Ok(regs)) = (wanted, node.regs()) else {
                return false;
            };
            regs.iter().any(|reg| reg.overlaps(&wanted))
        })
    }
}
