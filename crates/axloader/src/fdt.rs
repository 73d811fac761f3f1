//! The device tree a guest finds: generated from what the VM has, or the user's own with the
//! parts corrected that the hypervisor decides about. (Devicetree Specification v0.4.)

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

use axmachine::MachineError;

mod arm;
mod correct;
mod device;
mod node;
mod write;

pub use correct::correct;
pub use device::Device;

use node::{Cells, Tree};
use write::Writer;

/// Room enough for any generated device tree, and for what correcting adds to a user's own: to be
/// added to its size for [`Inputs::dtb_room`](crate::Inputs::dtb_room).
pub const ROOM: u64 = 64 << 10;

/// Why there is no device tree.
#[derive(Debug, PartialEq, Eq)]
pub enum FdtError {
    /// The user's device tree is malformed.
    Parse(MachineError),
    /// What was written is no device tree: the user's has more levels than there may be (16), or
    /// the result is too large (2 MiB).
    Written(MachineError),
    /// A length in bytes that the format has no room for.
    Size(usize),
    /// A string has a NUL at this offset.
    Nul(usize),
    /// Two nodes have this phandle.
    PhandleTwice(u32),
    /// A `#address-cells` or `#size-cells` that is neither 1 nor 2.
    CellCount(u32),
    /// An address or size needs two cells where the tree has one.
    CellOverflow(u64),
    /// An interrupt a GIC has no device tree cells for: neither PPI nor SPI.
    Interrupt(u32),
    /// The user's interrupt controller has another `#interrupt-cells` than the guest's, 3: all
    /// references to it would be misread.
    InterruptCells(u32),
    /// A CPU id with bits outside the MPIDR affinity fields.
    CpuId(u64),
}

/// An interrupt line, by its number in the interrupt controller (a GIC INTID).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// The number.
    pub number: u32,
    /// Edge- (rising) or level-triggered (high).
    pub edge: bool,
}

/// What the guest's interrupt controller is and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Irqchip {
    /// An Arm GICv3.
    GicV3 {
        /// GICD registers.
        distributor: Range<u64>,
        /// All redistributors, one region.
        redistributors: Range<u64>,
    },
}

/// The guest's console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uart {
    /// Its registers: an Arm PL011.
    pub registers: Range<u64>,
    /// Its interrupt, if it is connected to one.
    pub interrupt: Option<Interrupt>,
    /// UARTCLK in Hz.
    pub clock_hz: u32,
}

/// The INTIDs of the generic timer's level-triggered PPIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerInterrupts {
    /// Secure EL1 physical timer.
    pub secure: u32,
    /// Non-secure EL1 physical timer.
    pub physical: u32,
    /// EL1 virtual timer.
    pub virt: u32,
    /// Non-secure EL2 physical timer.
    pub hyp: u32,
}

impl Default for TimerInterrupts {
    /// As the Server Base System Architecture assigns them: PPIs 13, 14, 11 and 10.
    fn default() -> Self {
        Self {
            secure: 29,
            physical: 30,
            virt: 27,
            hyp: 26,
        }
    }
}

/// Everything the guest is told of its machine.
#[derive(Clone, Debug)]
pub struct GuestPlatform<'a> {
    /// RAM.
    pub memory: &'a [Range<u64>],
    /// For each vCPU the id its guest knows it by: MPIDR affinity fields. The first boots.
    pub cpus: &'a [u64],
    /// The interrupt controller; without one no timer, UART interrupt or device interrupt is
    /// described either.
    pub irqchip: Option<Irqchip>,
    /// The console.
    pub uart: Option<Uart>,
    /// The generic timer.
    pub timer: TimerInterrupts,
    /// Devices passed through.
    pub devices: &'a [Device],
}

/// What the boot loader tells the kernel, in `/chosen`.
#[derive(Clone, Debug, Default)]
pub struct Chosen<'a> {
    /// The kernel's command line.
    pub bootargs: Option<&'a str>,
    /// Where the ramdisk is.
    pub ramdisk: Option<Range<u64>>,
    /// Entropy for the kernel's address space layout. Without it a run is repeatable.
    pub kaslr_seed: Option<u64>,
}

/// Generates the device tree for `platform`.
pub fn generate(platform: &GuestPlatform<'_>, chosen: &Chosen<'_>) -> Result<Vec<u8>, FdtError> {
    let mut tree = Tree {
        fdt: Writer::default(),
        cells: Cells {
            address: 2,
            size: 2,
        },
        intc: 1,
        intc_address_cells: 0,
        next_phandle: 2,
        used_phandles: BTreeSet::new(),
    };
    let root = tree.fdt.begin_node("");
    tree.fdt.property_string("compatible", "linux,dummy-virt")?;
    tree.fdt.property_string("model", "axhv guest")?;
    tree.fdt.property_u32("#address-cells", 2)?;
    tree.fdt.property_u32("#size-cells", 2)?;
    if platform.irqchip.is_some() {
        tree.fdt.property_u32("interrupt-parent", tree.intc)?;
    }
    tree.platform(platform)?;
    for device in platform.devices {
        tree.device(device, platform.irqchip.is_some())?;
    }
    if let Some(uart) = &platform.uart {
        let aliases = tree.fdt.begin_node("aliases");
        tree.fdt
            .property_string("serial0", &node::uart_path(uart))?;
        tree.fdt.end_node(aliases);
    }
    let node = tree.fdt.begin_node("chosen");
    tree.chosen(chosen, platform.uart.as_ref())?;
    tree.fdt.end_node(node);
    tree.fdt.end_node(root);
    tree.fdt.finish()
}
