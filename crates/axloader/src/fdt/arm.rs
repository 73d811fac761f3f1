//! The nodes of an Arm machine. Each function names the binding it follows (in the kernel's
//! Documentation/devicetree/bindings).

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use axmachine::Node;

use super::node::{Tree, has, uart_name};
use super::{FdtError, GuestPlatform, Interrupt, Uart};

/// MPIDR_EL1's affinity fields: Aff3 in bits 39 to 32, Aff2 to Aff0 in bits 23 to 0.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// The name of the console's clock; unlikely in a user's tree.
pub(super) const UART_CLOCK: &str = "axhv-uartclk";

/// An Arm GICv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GicV3 {
    /// GICD registers.
    pub distributor: Range<u64>,
    /// All redistributors, one region.
    pub redistributors: Range<u64>,
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

/// Nodes of a user's tree in the root that are replaced, by their names.
pub(super) const NAMES: [&str; 4] = ["cpus", "psci", "timer", UART_CLOCK];

/// `#interrupt-cells` of a GIC.
pub(super) const INTERRUPT_CELLS: u32 = 3;

/// Any generation of GIC, its ITS or its message frames.
pub(super) fn is_irqchip(node: &Node<'_>) -> bool {
    has(node, |c| {
        c == "arm,pl390"
            || (c.starts_with("arm,") && (c.starts_with("arm,gic-") || c.ends_with("-gic")))
    })
}

/// Whether a node of a user's tree is about what the hypervisor decides: besides interrupt
/// controllers PSCI, timers, and PMUs, which guests don't have.
pub(super) fn is_ours(node: &Node<'_>) -> bool {
    is_irqchip(node)
        || has(node, |c| {
            c.starts_with("arm,psci")
                || c == "arm,armv8-timer"
                || c == "arm,armv7-timer"
                || (c.starts_with("arm,") && is_pmu(c))
        })
}

/// `arm,cortex-a72-pmu`, `arm,armv8-pmuv3`, ...
fn is_pmu(compatible: &str) -> bool {
    let mut parts = compatible.split('-').skip(1);
    compatible.ends_with("-pmu") || parts.any(|part| part.starts_with("pmuv"))
}

pub(super) fn is_uart(node: &Node<'_>) -> bool {
    has(node, |c| c == "arm,pl011")
}

impl Tree<'_> {
    pub(super) fn arm_nodes(
        &mut self,
        platform: &GuestPlatform<'_>,
        gic: Option<&GicV3>,
        timer: &TimerInterrupts,
    ) -> Result<(), FdtError> {
        self.arm_cpus(platform.cpus)?;
        self.psci()?;
        if let Some(GicV3 {
            distributor,
            redistributors,
        }) = gic
        {
            let node = self
                .fdt
                .begin_node(&format!("interrupt-controller@{:x}", distributor.start));
            // interrupt-controller/arm,gic-v3.yaml
            self.fdt.property_string("compatible", "arm,gic-v3")?;
            self.fdt.property_u32("#interrupt-cells", INTERRUPT_CELLS)?;
            self.fdt
                .property_u32("#address-cells", self.intc_address_cells)?;
            self.fdt.property_null("interrupt-controller")?;
            self.reg(&[distributor.clone(), redistributors.clone()])?;
            self.fdt.property_phandle(self.intc)?;
            self.fdt.end_node(node);
            self.arm_timer(timer)?;
        }
        if let Some(uart) = platform.uarts.first() {
            let clock = self.clock(UART_CLOCK, uart.clock_hz)?;
            for uart in platform.uarts {
                self.pl011(uart, clock)?;
            }
        }
        Ok(())
    }

    /// arm/cpus.yaml: with two address cells the first has Aff3. They are needed once one CPU has
    /// an Aff3.
    fn arm_cpus(&mut self, cpus: &[u64]) -> Result<(), FdtError> {
        let wide = cpus.iter().any(|&id| id > u64::from(u32::MAX));
        let node = self.fdt.begin_node("cpus");
        self.fdt
            .property_u32("#address-cells", if wide { 2 } else { 1 })?;
        self.fdt.property_u32("#size-cells", 0)?;
        for &id in cpus {
            if id & !AFFINITY != 0 {
                return Err(FdtError::CpuId(id));
            }
            let cpu = self.fdt.begin_node(&format!("cpu@{id:x}"));
            self.fdt.property_string("device_type", "cpu")?;
            self.fdt.property_string("compatible", "arm,armv8")?;
            if wide {
                self.fdt.property_u64("reg", id)?;
            } else {
                self.fdt.property_u32("reg", id as u32)?;
            }
            self.fdt.property_string("enable-method", "psci")?;
            self.fdt.end_node(cpu);
        }
        self.fdt.end_node(node);
        Ok(())
    }

    /// arm/psci.yaml. The guest's conduits are HVC and SMC alike.
    fn psci(&mut self) -> Result<(), FdtError> {
        let node = self.fdt.begin_node("psci");
        self.fdt
            .property_strings("compatible", &["arm,psci-1.0", "arm,psci-0.2"])?;
        self.fdt.property_string("method", "hvc")?;
        self.fdt.end_node(node);
        Ok(())
    }

    /// timer/arm,arch_timer.yaml. It goes on counting while a vCPU sleeps.
    fn arm_timer(&mut self, ppis: &TimerInterrupts) -> Result<(), FdtError> {
        let node = self.fdt.begin_node("timer");
        self.fdt.property_string("compatible", "arm,armv8-timer")?;
        let mut cells = Vec::new();
        for intid in [ppis.secure, ppis.physical, ppis.virt, ppis.hyp] {
            cells.extend(gic_cells(intid, false)?);
        }
        self.interrupt_cells(&cells)?;
        self.fdt.property_null("always-on")?;
        self.fdt.end_node(node);
        Ok(())
    }

    /// serial/pl011.yaml
    fn pl011(&mut self, uart: &Uart, clock: u32) -> Result<(), FdtError> {
        let node = self.fdt.begin_node(&uart_name(uart));
        self.fdt
            .property_strings("compatible", &["arm,pl011", "arm,primecell"])?;
        self.reg(core::slice::from_ref(&uart.registers))?;
        self.interrupts(uart.interrupt.as_slice())?;
        self.fdt.property_cells("clocks", &[clock, clock])?;
        self.fdt
            .property_strings("clock-names", &["uartclk", "apb_pclk"])?;
        self.fdt.end_node(node);
        Ok(())
    }
}

/// The cells of a shared line.
pub(super) fn cells(interrupt: Interrupt) -> Result<[u32; 3], FdtError> {
    let intid = interrupt.line.checked_add(32);
    let intid = intid.ok_or(FdtError::Interrupt(interrupt.line))?;
    gic_cells(intid, interrupt.edge).map_err(|_| FdtError::Interrupt(interrupt.line))
}

/// interrupt-controller/arm,gic-v3.yaml, `#interrupt-cells`: type (0 SPI, 1 PPI), number within
/// the type, flags (1 rising edge, 4 level high).
fn gic_cells(intid: u32, edge: bool) -> Result<[u32; 3], FdtError> {
    let flags = if edge { 1 } else { 4 };
    match intid {
        ppi @ 16..32 => Ok([1, ppi - 16, flags]),
        spi @ 32..1020 => Ok([0, spi - 32, flags]),
        other => Err(FdtError::Interrupt(other)),
    }
}
