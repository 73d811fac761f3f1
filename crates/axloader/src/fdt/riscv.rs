//! The nodes of a RISC-V machine. Each function names the binding it follows (in the kernel's
//! Documentation/devicetree/bindings).
//!
//! Devices are on a bus: FreeBSD's PLIC driver looks for its own on buses only.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use axmachine::Node;

use super::node::{Tree, has, uart_name};
use super::{Device, FdtError, GuestPlatform, Interrupt, Uart};

/// The supervisor's external interrupt at a hart's own controller (privileged ISA, scause).
const SUPERVISOR_EXTERNAL: u32 = 9;

/// What `interrupts-extended` has for a context that interrupts nobody.
const NO_INTERRUPT: u32 = u32::MAX;

/// A platform-level interrupt controller whose context 2n + 1 is the supervisor mode of CPU `n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plic {
    /// Its registers.
    pub registers: Range<u64>,
    /// How many sources it has: the number of the last, as numbers begin with 1.
    pub sources: u32,
}

/// Which translation scheme a hart has, the largest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmuType {
    /// Sv39.
    Sv39,
    /// Sv48, and so Sv39.
    Sv48,
    /// Sv57, and so the others.
    Sv57,
}

/// The newer way of naming what a hart implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsaExtensions<'a> {
    /// `riscv,isa-base`: "rv64i".
    pub base: &'a str,
    /// `riscv,isa-extensions`: "i", "m", "zicbom"...
    pub extensions: &'a [&'a str],
}

/// What all harts are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiscvCpu<'a> {
    /// How fast `time` counts, in Hz.
    pub timebase_hz: u32,
    /// `riscv,isa`: what a guest can use, without `h`.
    pub isa: &'a str,
    /// The same in the newer form: both of its properties or none. Kernels that know them look at
    /// nothing else, so they must name the same.
    pub extensions: Option<IsaExtensions<'a>>,
    /// The largest translation scheme.
    pub mmu: MmuType,
    /// With Zicbom, bytes of a block that CBO.CLEAN, CBO.FLUSH and CBO.INVAL work on.
    pub cbom_block_size: Option<u32>,
    /// With Zicboz, those of CBO.ZERO.
    pub cboz_block_size: Option<u32>,
    /// With Zicbop, those of the prefetches.
    pub cbop_block_size: Option<u32>,
}

impl RiscvCpu<'_> {
    /// Bytes of what names the extensions, which is most of a hart's node on newer machines.
    pub(super) fn isa_size(&self) -> u64 {
        let names = self
            .extensions
            .map_or(0, |IsaExtensions { base, extensions }| {
                base.len() + extensions.iter().map(|name| name.len() + 1).sum::<usize>()
            });
        (self.isa.len() + names) as u64
    }
}

/// Nodes of a user's tree in the root that are replaced, by their names.
pub(super) const NAMES: [&str; 2] = ["cpus", BUS];

/// The name of our bus in a user's tree, which may have a `soc` of its own.
pub(super) const BUS: &str = "axhv-soc";

/// `#interrupt-cells` of a PLIC.
pub(super) const INTERRUPT_CELLS: u32 = 1;

/// A PLIC, or a part of the advanced interrupt architecture.
pub(super) fn is_irqchip(node: &Node<'_>) -> bool {
    has(node, |c| {
        let (_, model) = c.split_once(',').unwrap_or(("", c));
        model == "plic0"
            || model.starts_with("plic-")
            || model.ends_with("-plic")
            || matches!(c, "riscv,aplic" | "riscv,imsics")
    })
}

/// Whether a node of a user's tree is about what the hypervisor decides: besides interrupt
/// controllers machine mode's timers and software interrupts, and PMUs, which guests don't have.
pub(super) fn is_ours(node: &Node<'_>) -> bool {
    is_irqchip(node)
        || has(node, |c| {
            let (vendor, model) = c.split_once(',').unwrap_or(("", c));
            model == "clint0"
                || model.ends_with("-clint")
                || model.starts_with("aclint-")
                || (vendor == "riscv" && model == "pmu")
        })
}

pub(super) fn is_uart(node: &Node<'_>) -> bool {
    has(node, |c| c == "ns16550a" || c == "ns16550")
}

impl Tree<'_> {
    pub(super) fn riscv_nodes(
        &mut self,
        platform: &GuestPlatform<'_>,
        plic: Option<&Plic>,
        cpu: &RiscvCpu<'_>,
        devices: &[Device],
    ) -> Result<(), FdtError> {
        let harts = self.harts(platform.cpus, cpu)?;
        // Devicetree Specification, 4.5: with empty `ranges` addresses are the parent's.
        let bus = self.fdt.begin_node(self.bus);
        self.fdt.property_string("compatible", "simple-bus")?;
        self.fdt
            .property_u32("#address-cells", self.cells.address)?;
        self.fdt.property_u32("#size-cells", self.cells.size)?;
        self.fdt.property_null("ranges")?;
        if let Some(plic) = plic {
            self.plic(plic, &harts)?;
        }
        for uart in platform.uarts {
            self.ns16550(uart)?;
        }
        self.devices(devices)?;
        self.fdt.end_node(bus);
        Ok(())
    }

    /// riscv/cpus.yaml and riscv/extensions.yaml; the phandles of the harts' own interrupt
    /// controllers.
    fn harts(&mut self, ids: &[u64], cpu: &RiscvCpu<'_>) -> Result<Vec<u32>, FdtError> {
        let wide = ids.iter().any(|&id| id > u64::from(u32::MAX));
        let mut controllers = Vec::new();
        let node = self.fdt.begin_node("cpus");
        self.fdt
            .property_u32("#address-cells", if wide { 2 } else { 1 })?;
        self.fdt.property_u32("#size-cells", 0)?;
        self.fdt
            .property_u32("timebase-frequency", cpu.timebase_hz)?;
        for &id in ids {
            let hart = self.fdt.begin_node(&format!("cpu@{id:x}"));
            self.fdt.property_string("device_type", "cpu")?;
            self.fdt.property_string("compatible", "riscv")?;
            if wide {
                self.fdt.property_u64("reg", id)?;
            } else {
                self.fdt.property_u32("reg", id as u32)?;
            }
            self.isa(cpu)?;
            controllers.push(self.cpu_intc()?);
            self.fdt.end_node(hart);
        }
        self.fdt.end_node(node);
        Ok(controllers)
    }

    fn isa(&mut self, cpu: &RiscvCpu<'_>) -> Result<(), FdtError> {
        self.fdt.property_string("riscv,isa", cpu.isa)?;
        if let Some(IsaExtensions { base, extensions }) = cpu.extensions {
            self.fdt.property_string("riscv,isa-base", base)?;
            self.fdt
                .property_strings("riscv,isa-extensions", extensions)?;
        }
        let mmu = match cpu.mmu {
            MmuType::Sv39 => "riscv,sv39",
            MmuType::Sv48 => "riscv,sv48",
            MmuType::Sv57 => "riscv,sv57",
        };
        self.fdt.property_string("mmu-type", mmu)?;
        for (name, size) in [
            ("riscv,cbom-block-size", cpu.cbom_block_size),
            ("riscv,cboz-block-size", cpu.cboz_block_size),
            ("riscv,cbop-block-size", cpu.cbop_block_size),
        ] {
            if let Some(size) = size {
                self.fdt.property_u32(name, size)?;
            }
        }
        Ok(())
    }

    /// interrupt-controller/riscv,cpu-intc.yaml; its phandle. There with and without a PLIC: timer
    /// and software interrupts are its own.
    fn cpu_intc(&mut self) -> Result<u32, FdtError> {
        let phandle = self.new_phandle();
        let node = self.fdt.begin_node("interrupt-controller");
        self.fdt.property_string("compatible", "riscv,cpu-intc")?;
        self.fdt.property_u32("#interrupt-cells", 1)?;
        self.fdt.property_u32("#address-cells", 0)?;
        self.fdt.property_null("interrupt-controller")?;
        self.fdt.property_phandle(phandle)?;
        self.fdt.end_node(node);
        Ok(phandle)
    }

    /// interrupt-controller/sifive,plic-1.0.0.yaml. The second string is what older kernels know. The
    /// machine mode's contexts lead nowhere: so OpenSBI leaves them for the kernels that it starts.
    fn plic(&mut self, plic: &Plic, harts: &[u32]) -> Result<(), FdtError> {
        let node = self
            .fdt
            .begin_node(&format!("interrupt-controller@{:x}", plic.registers.start));
        self.fdt
            .property_strings("compatible", &["sifive,plic-1.0.0", "riscv,plic0"])?;
        self.fdt.property_u32("#interrupt-cells", INTERRUPT_CELLS)?;
        self.fdt
            .property_u32("#address-cells", self.intc_address_cells)?;
        self.fdt.property_null("interrupt-controller")?;
        self.reg(core::slice::from_ref(&plic.registers))?;
        self.fdt.property_u32("riscv,ndev", plic.sources)?;
        let contexts: Vec<u32> = harts
            .iter()
            .flat_map(|&hart| [hart, NO_INTERRUPT, hart, SUPERVISOR_EXTERNAL])
            .collect();
        self.fdt.property_cells("interrupts-extended", &contexts)?;
        self.fdt.property_phandle(self.intc)?;
        self.fdt.end_node(node);
        Ok(())
    }

    /// serial/8250.yaml, with its defaults: a register in each byte, accessed by bytes.
    fn ns16550(&mut self, uart: &Uart) -> Result<(), FdtError> {
        let node = self.fdt.begin_node(&uart_name(uart));
        self.fdt.property_string("compatible", "ns16550a")?;
        self.reg(core::slice::from_ref(&uart.registers))?;
        self.fdt.property_u32("clock-frequency", uart.clock_hz)?;
        self.interrupts(uart.interrupt.as_slice())?;
        self.fdt.end_node(node);
        Ok(())
    }
}

/// The cell of a line of `plic`: its source's number.
pub(super) fn cells(interrupt: Interrupt, plic: Option<&Plic>) -> Result<[u32; 1], FdtError> {
    let sources = plic.map_or(0, |plic| plic.sources);
    match interrupt.line {
        source if (1..=sources).contains(&source) => Ok([source]),
        other => Err(FdtError::Interrupt(other)),
    }
}
