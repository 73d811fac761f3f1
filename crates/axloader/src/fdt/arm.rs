//! The nodes of an Arm machine. Each function names the binding it follows (in the kernel's
//! Documentation/devicetree/bindings).

use alloc::format;

use super::node::{Tree, uart_name};
use super::{FdtError, GuestPlatform, Interrupt, Irqchip, TimerInterrupts, Uart};

/// MPIDR_EL1's affinity fields: Aff3 in bits 39 to 32, Aff2 to Aff0 in bits 23 to 0.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// The name of the console's clock; unlikely in a user's tree.
pub(super) const UART_CLOCK: &str = "axhv-uartclk";

impl Tree {
    pub(super) fn arm_nodes(&mut self, platform: &GuestPlatform<'_>) -> Result<(), FdtError> {
        self.cpus(platform.cpus)?;
        self.psci()?;
        if let Some(Irqchip::GicV3 {
            distributor,
            redistributors,
        }) = &platform.irqchip
        {
            let node = self
                .fdt
                .begin_node(&format!("interrupt-controller@{:x}", distributor.start));
            // interrupt-controller/arm,gic-v3.yaml
            self.fdt.property_string("compatible", "arm,gic-v3")?;
            self.fdt.property_u32("#interrupt-cells", 3)?;
            self.fdt
                .property_u32("#address-cells", self.intc_address_cells)?;
            self.fdt.property_null("interrupt-controller")?;
            self.reg(&[distributor.clone(), redistributors.clone()])?;
            self.fdt.property_phandle(self.intc)?;
            self.fdt.end_node(node);
            self.timer(&platform.timer)?;
        }
        if let Some(uart) = &platform.uart {
            self.pl011(uart, platform.irqchip.is_some())?;
        }
        Ok(())
    }

    /// arm/cpus.yaml: with two address cells the first has Aff3. They are needed once one CPU has
    /// an Aff3.
    fn cpus(&mut self, cpus: &[u64]) -> Result<(), FdtError> {
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
    fn timer(&mut self, ppis: &TimerInterrupts) -> Result<(), FdtError> {
        let node = self.fdt.begin_node("timer");
        self.fdt.property_string("compatible", "arm,armv8-timer")?;
        self.interrupts(
            &[ppis.secure, ppis.physical, ppis.virt, ppis.hyp].map(|number| Interrupt {
                number,
                edge: false,
            }),
        )?;
        self.fdt.property_null("always-on")?;
        self.fdt.end_node(node);
        Ok(())
    }

    /// serial/pl011.yaml
    fn pl011(&mut self, uart: &Uart, with_interrupt: bool) -> Result<(), FdtError> {
        let clock = self.clock(UART_CLOCK, uart.clock_hz)?;
        let node = self.fdt.begin_node(&uart_name(uart));
        self.fdt
            .property_strings("compatible", &["arm,pl011", "arm,primecell"])?;
        self.reg(core::slice::from_ref(&uart.registers))?;
        if let Some(interrupt) = uart.interrupt.filter(|_| with_interrupt) {
            self.interrupts(&[interrupt])?;
        }
        self.fdt.property_cells("clocks", &[clock, clock])?;
        self.fdt
            .property_strings("clock-names", &["uartclk", "apb_pclk"])?;
        self.fdt.end_node(node);
        Ok(())
    }

    /// interrupt-controller/arm,gic-v3.yaml, `#interrupt-cells`: type (0 SPI, 1 PPI), number
    /// within the type, flags (1 rising edge, 4 level high).
    pub(super) fn gic_cells(interrupt: Interrupt) -> Result<[u32; 3], FdtError> {
        let flags = if interrupt.edge { 1 } else { 4 };
        match interrupt.number {
            ppi @ 16..32 => Ok([1, ppi - 16, flags]),
            spi @ 32..1020 => Ok([0, spi - 32, flags]),
            other => Err(FdtError::Interrupt(other)),
        }
    }
}
