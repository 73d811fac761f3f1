//! The device tree a guest finds: generated from what the VM has, or the user's own with the
//! parts corrected that the hypervisor decides about. (Devicetree Specification v0.4.)

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use axmachine::MachineError;

use crate::Seed;

mod arm;
mod correct;
mod device;
mod node;
mod riscv;
mod write;

pub use arm::{GicV3, TimerInterrupts};
pub use correct::correct;
pub use device::Device;
pub use riscv::{IsaExtensions, MmuType, Plic, RiscvCpu};

use node::{Cells, Tree};
use write::Writer;

/// Room enough for a generated device tree, but for what [`GuestPlatform::room`] adds.
pub const ROOM: u64 = 64 << 10;
/// Room enough for a UART's node and its alias.
const UART_ROOM: u64 = 512;

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
    /// A line that the interrupt controller does not have.
    Interrupt(u32),
    /// The user's interrupt controller has another `#interrupt-cells` than the guest's, 3 for a
    /// GIC and 1 for a PLIC: all references to it would be misread.
    InterruptCells(u32),
    /// The nodes that the hypervisor's take the place of are too many: their paths have more bytes
    /// than this together.
    Replaced(usize),
    /// A CPU id that the architecture does not know: with bits outside the MPIDR affinity fields.
    CpuId(u64),
}

impl fmt::Display for FdtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => write!(f, "{error}"),
            Self::Written(error) => write!(f, "what was written: {error}"),
            Self::Size(size) => write!(f, "the format has no room for {size} bytes"),
            Self::Nul(at) => write!(f, "a string has a NUL at {at}"),
            Self::PhandleTwice(phandle) => write!(f, "two nodes have phandle {phandle:#x}"),
            Self::CellCount(count) => write!(
                f,
                "#address-cells or #size-cells is {count}; 1 and 2 are possible"
            ),
            Self::CellOverflow(value) => write!(
                f,
                "{value:#x} needs two cells, and #address-cells or #size-cells is 1"
            ),
            Self::Interrupt(line) => write!(f, "the interrupt controller has no line {line}"),
            Self::InterruptCells(count) => write!(
                f,
                "#interrupt-cells of its interrupt controller is {count}, not the guest's"
            ),
            Self::Replaced(bytes) => write!(
                f,
                "the paths of the nodes to be replaced have more than {bytes} bytes"
            ),
            Self::CpuId(id) => write!(f, "no CPU can have the id {id:#x}"),
        }
    }
}

/// A line that all CPUs share, by the number it has in the VM: on Arm that of the SPI (INTID - 32),
/// on RISC-V that of the PLIC's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// The number.
    pub line: u32,
    /// Edge- (rising) or level-triggered (high). A PLIC's sources are what they are: the tree does
    /// not say it.
    pub edge: bool,
}

/// What differs between the architectures' trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arch<'a> {
    /// An Arm machine: CPUs switched by PSCI, the generic timer, a PL011 as console.
    Arm {
        /// The interrupt controller; without one no timer, UART interrupt or device interrupt is
        /// described either.
        gic: Option<GicV3>,
        /// The generic timer.
        timer: TimerInterrupts,
    },
    /// A RISC-V machine: harts and timer by SBI, a 16550A as console.
    Riscv {
        /// The interrupt controller; without one no UART interrupt or device interrupt is
        /// described either.
        plic: Option<Plic>,
        /// What all harts are like.
        cpu: RiscvCpu<'a>,
    },
}

impl Arch<'_> {
    /// Whether devices can interrupt.
    fn has_irqchip(&self) -> bool {
        match self {
            Self::Arm { gic, .. } => gic.is_some(),
            Self::Riscv { plic, .. } => plic.is_some(),
        }
    }

    /// Where its registers begin.
    fn irqchip_address(&self) -> Option<u64> {
        match self {
            Self::Arm { gic, .. } => gic.as_ref().map(|gic| gic.distributor.start),
            Self::Riscv { plic, .. } => plic.as_ref().map(|plic| plic.registers.start),
        }
    }
}

/// An emulated UART.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uart {
    /// Its registers: those of an Arm PL011, or of a 16550A with a register in each byte.
    pub registers: Range<u64>,
    /// Its interrupt, if it is connected to one.
    pub interrupt: Option<Interrupt>,
    /// Its clock in Hz: UARTCLK of a PL011, XIN of a 16550A.
    pub clock_hz: u32,
}

/// Everything the guest is told of its machine.
#[derive(Clone, Debug)]
pub struct GuestPlatform<'a> {
    /// RAM.
    pub memory: &'a [Range<u64>],
    /// For each vCPU the id its guest knows it by: MPIDR affinity fields, or a hart id. The first
    /// boots.
    pub cpus: &'a [u64],
    /// Its UARTs. The first is the console.
    pub uarts: &'a [Uart],
    /// Devices passed through.
    pub devices: &'a [Device],
    /// What its architecture adds.
    pub arch: Arch<'a>,
}

impl GuestPlatform<'_> {
    /// Room enough for the device tree that is generated for it, and for what correcting adds to a
    /// user's own: to be added to its size for [`Inputs::dtb_room`](crate::Inputs::dtb_room).
    pub fn room(&self) -> u64 {
        let for_each_cpu = match &self.arch {
            Arch::Arm { .. } => 0,
            Arch::Riscv { cpu, .. } => cpu.isa_size(),
        };
        let cpus = (self.cpus.len() as u64).saturating_mul(for_each_cpu);
        let uarts = (self.uarts.len() as u64).saturating_mul(UART_ROOM);
        ROOM.saturating_add(cpus).saturating_add(uarts)
    }
}

/// What the boot loader tells the kernel, in `/chosen`.
#[derive(Clone, Debug, Default)]
pub struct Chosen<'a> {
    /// The kernel's command line.
    pub bootargs: Option<&'a str>,
    /// Where the ramdisk is.
    pub ramdisk: Option<Range<u64>>,
    /// Random bytes for the kernel's generator, which trusts them: no two guests may get the same.
    pub rng_seed: Option<Seed>,
}

/// Generates the device tree for `platform`.
pub fn generate(platform: &GuestPlatform<'_>, chosen: &Chosen<'_>) -> Result<Vec<u8>, FdtError> {
    let mut tree = Tree {
        fdt: Writer::default(),
        arch: &platform.arch,
        bus: "soc",
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
    // As QEMU's machines of that name say: boot loaders and kernels choose their board by it.
    let machine = match platform.arch {
        Arch::Arm { .. } => "linux,dummy-virt",
        Arch::Riscv { .. } => "riscv-virtio",
    };
    tree.fdt.property_string("compatible", machine)?;
    tree.fdt.property_string("model", "axhv guest")?;
    tree.fdt.property_u32("#address-cells", 2)?;
    tree.fdt.property_u32("#size-cells", 2)?;
    // Not for RISC-V: a hart's own controller would inherit it, and Linux takes one whose parent
    // comes up later for none. Each device names its parent itself.
    if let Arch::Arm { gic: Some(_), .. } = platform.arch {
        tree.fdt.property_u32("interrupt-parent", tree.intc)?;
    }
    tree.platform(platform, platform.devices)?;
    if !platform.uarts.is_empty() {
        let aliases = tree.fdt.begin_node("aliases");
        tree.uart_aliases(platform.uarts)?;
        tree.fdt.end_node(aliases);
    }
    let node = tree.fdt.begin_node("chosen");
    tree.chosen(chosen, platform.uarts.first())?;
    tree.fdt.end_node(node);
    tree.fdt.end_node(root);
    tree.fdt.finish()
}
