//! A device's interrupts (Devicetree Specification 0.4, section 2.4), as the GICv3 or the
//! PLIC numbers them.

use arrayvec::ArrayVec;

use super::{
    MachineError,
    fdt::{MAX_DEPTH, Node},
    regs::take,
};

/// The most interrupts that a device may have here.
pub const MAX_INTERRUPTS: usize = 64;
/// What the controllers' nodes are called.
pub(super) const GICV3: &str = "arm,gic-v3";
pub(super) const PLIC: [&str; 2] = ["sifive,plic-1.0.0", "riscv,plic0"];
/// The last source that a PLIC can have: PLIC specification, "Interrupt sources".
pub(super) const MAX_SOURCE: u64 = 1023;

/// What makes an interrupt pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A change of the line.
    Edge,
    /// The line's level.
    Level,
}

/// What an interrupt goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// The GICv3.
    Gic,
    /// The PLIC.
    Plic,
}

/// An input of the interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Whose input.
    pub controller: Controller,
    /// The controller's number for it. GIC: the INTID, 16 to 31 for a PPI, 32 to 1019 for an SPI.
    /// PLIC: the source, 1 to 1023.
    pub number: u32,
    /// Edge or level. What a PLIC's source is, the tree doesn't say: it looks like a level to all
    /// but the gateway in front of it.
    pub trigger: Trigger,
}

impl Interrupt {
    /// The number that shared interrupts have outside of architecture code: of an SPI INTID - 32,
    /// of a PLIC's source itself. `None` if it is private to a CPU.
    pub fn line(&self) -> Option<u32> {
        match self.controller {
            Controller::Gic => self.number.checked_sub(32),
            Controller::Plic => Some(self.number),
        }
    }
}

impl Node<'_> {
    /// Its interrupts, in the order of `interrupts-extended` (which wins if both are there:
    /// section 2.4.1.4) or `interrupts`. An error if one goes to something else than the GICv3
    /// or the PLIC.
    pub fn interrupts(&self) -> Result<ArrayVec<Interrupt, MAX_INTERRUPTS>, MachineError> {
        let mut found = ArrayVec::new();
        let mut add = |interrupt| {
            found
                .try_push(interrupt)
                .map_err(|_| MachineError::TooMany {
                    node: self.offset(),
                    what: "interrupts",
                    max: MAX_INTERRUPTS,
                })
        };
        if let Some(mut rest) = self.property("interrupts-extended") {
            while !rest.is_empty() {
                let short = self.bad_length("interrupts-extended", rest.len());
                let phandle = take(&mut rest, 1).ok_or(short)? as u32;
                let controller = self.fdt().by_phandle(phandle).ok_or(MachineError::Value {
                    node: self.offset(),
                    property: "interrupts-extended",
                    value: phandle.into(),
                })?;
                add(self.decode(&controller, &mut rest, "interrupts-extended")?)?;
            }
        } else if let Some(mut rest) = self.property("interrupts") {
            let controller = self.interrupt_parent()?;
            while !rest.is_empty() {
                add(self.decode(&controller, &mut rest, "interrupts")?)?;
            }
        }
        Ok(found)
    }

    /// The controller or nexus that `interrupts` goes to: the nearest `interrupt-parent` on the
    /// way up, or else the nearest parent that is one.
    fn interrupt_parent(&self) -> Result<Self, MachineError> {
        let missing = MachineError::Missing {
            node: self.offset(),
            property: "interrupt-parent",
        };
        let mut node = self.clone();
        for _ in 0..MAX_DEPTH {
            node = match node.u32("interrupt-parent")? {
                Some(phandle) => self.fdt().by_phandle(phandle),
                None => node.parent(),
            }
            .ok_or(missing)?;
            if node.property("#interrupt-cells").is_some() {
                return Ok(node);
            }
        }
        Err(missing)
    }

    /// Decodes one interrupt specifier of a controller.
    fn decode(
        &self,
        controller: &Node<'_>,
        rest: &mut &[u8],
        property: &'static str,
    ) -> Result<Interrupt, MachineError> {
        if controller.is_compatible(GICV3) {
            self.decode_gic(controller, rest, property)
        } else if PLIC.iter().any(|name| controller.is_compatible(name)) {
            self.decode_plic(controller, rest, property)
        } else {
            Err(MachineError::Unsupported {
                node: self.offset(),
                what: "an interrupt that does not go to the GICv3 or PLIC directly",
            })
        }
    }

    /// Of the PLIC: one cell, the source.
    fn decode_plic(
        &self,
        plic: &Node<'_>,
        rest: &mut &[u8],
        property: &'static str,
    ) -> Result<Interrupt, MachineError> {
        if plic.u32("#interrupt-cells")? != Some(1) {
            return Err(MachineError::Unsupported {
                node: plic.offset(),
                what: "a PLIC whose `#interrupt-cells` is not 1",
            });
        }
        let short = self.bad_length(property, rest.len());
        match take(rest, 1).ok_or(short)? {
            source @ 1..=MAX_SOURCE => Ok(Interrupt {
                controller: Controller::Plic,
                number: source as u32,
                trigger: Trigger::Level,
            }),
            value => Err(MachineError::Value {
                node: self.offset(),
                property,
                value,
            }),
        }
    }

    /// Of the GICv3: type, number, flags; what follows (the affinity of a partitioned PPI) is
    /// skipped.
    fn decode_gic(
        &self,
        gic: &Node<'_>,
        rest: &mut &[u8],
        property: &'static str,
    ) -> Result<Interrupt, MachineError> {
        let cells = match gic.u32("#interrupt-cells")? {
            Some(cells @ 3..=8) => cells,
            cells => {
                return Err(MachineError::Value {
                    node: gic.offset(),
                    property: "#interrupt-cells",
                    value: cells.unwrap_or(0).into(),
                });
            }
        };
        let short = self.bad_length(property, rest.len());
        let mut cell = || take(rest, 1).ok_or(short);
        let (kind, number, flags) = (cell()?, cell()?, cell()?);
        for _ in 3..cells {
            cell()?;
        }
        let bad = |value| MachineError::Value {
            node: self.offset(),
            property,
            value,
        };
        let number = match (kind, number) {
            (0, 0..988) => 32 + number as u32,
            (1, 0..16) => 16 + number as u32,
            (0 | 1, _) => return Err(bad(number)),
            (2 | 3, _) => {
                return Err(MachineError::Unsupported {
                    node: self.offset(),
                    what: "an interrupt of the GIC's extended ranges",
                });
            }
            _ => return Err(bad(kind)),
        };
        let trigger = match flags & 0xf {
            1..=3 => Trigger::Edge,
            4 | 8 => Trigger::Level,
            _ => return Err(bad(flags)),
        };
        Ok(Interrupt {
            controller: Controller::Gic,
            number,
            trigger,
        })
    }
}
