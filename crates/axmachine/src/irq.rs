//! A device's interrupts (Devicetree Specification 0.4, section 2.4), as INTIDs of the GICv3.

use arrayvec::ArrayVec;

use super::{
    MachineError,
    fdt::{MAX_DEPTH, Node},
    regs::take,
};

/// The most interrupts that a device may have here.
pub const MAX_INTERRUPTS: usize = 64;
/// What the controller's node is called.
pub(super) const GICV3: &str = "arm,gic-v3";

/// What makes an interrupt pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A change of the line.
    Edge,
    /// The line's level.
    Level,
}

/// An interrupt input of the GIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// 16 to 31 for a PPI, 32 to 1019 for an SPI.
    pub intid: u32,
    /// Edge or level.
    pub trigger: Trigger,
}

impl Node<'_> {
    /// Its interrupts, in the order of `interrupts-extended` (which wins if both are there:
    /// section 2.4.1.4) or `interrupts`. An error if one goes to something else than the GICv3.
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
                let gic = self.fdt().by_phandle(phandle).ok_or(MachineError::Value {
                    node: self.offset(),
                    property: "interrupts-extended",
                    value: phandle.into(),
                })?;
                add(self.decode(&gic, &mut rest, "interrupts-extended")?)?;
            }
        } else if let Some(mut rest) = self.property("interrupts") {
            let gic = self.interrupt_parent()?;
            while !rest.is_empty() {
                add(self.decode(&gic, &mut rest, "interrupts")?)?;
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

    /// Decodes one interrupt specifier of the GICv3: type, number, flags; what follows (the
    /// affinity of a partitioned PPI) is skipped.
    fn decode(
        &self,
        gic: &Node<'_>,
        rest: &mut &[u8],
        property: &'static str,
    ) -> Result<Interrupt, MachineError> {
        if !gic.is_compatible(GICV3) {
            return Err(MachineError::Unsupported {
                node: self.offset(),
                what: "an interrupt that does not go to the GICv3 directly",
            });
        }
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
        let intid = match (kind, number) {
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
        Ok(Interrupt { intid, trigger })
    }
}
