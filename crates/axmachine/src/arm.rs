//! The parts of the Arm platform that the hypervisor drives itself: GICv3, timers, PSCI. After the
//! bindings `arm,gic-v3`, `arm,arch_timer` and `arm,psci` of the Linux kernel.

use arrayvec::ArrayVec;

use super::{
    Fdt, Interrupt, MachineError, Node, Region,
    irq::{GICV3, MAX_INTERRUPTS},
};

/// The most regions of redistributors.
pub const MAX_REDIST_REGIONS: usize = 8;
/// The granule of GICv3 register frames.
const FRAME: u64 = 64 << 10;

/// The interrupt controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GicV3 {
    /// The distributor's registers.
    pub distributor: Region,
    /// The regions in which the CPUs' redistributors are.
    pub redistributors: ArrayVec<Region, MAX_REDIST_REGIONS>,
    /// Bytes from one redistributor to the next, where it isn't what the registers tell.
    pub redistributor_stride: Option<u64>,
    /// The virtual CPU interface's maintenance interrupt.
    pub maintenance: Option<Interrupt>,
    /// How many interrupt translation services there are. They are left alone.
    pub its_count: usize,
}

/// The CPUs' timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// EL3's or Secure EL1's timer, CNTPS.
    pub secure_physical: Option<Interrupt>,
    /// CNTP.
    pub physical: Interrupt,
    /// CNTV.
    pub virtual_: Interrupt,
    /// CNTHP.
    pub hypervisor: Interrupt,
    /// The counter's frequency in Hz, for machines whose firmware leaves CNTFRQ_EL0 unset.
    pub frequency: Option<u32>,
}

/// The instruction that calls the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// SMC.
    Smc,
    /// HVC, where another hypervisor plays the firmware.
    Hvc,
}

/// What the tree says of the firmware's version. PSCI_VERSION tells exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsciVersion {
    /// `arm,psci-0.2`.
    V0_2,
    /// `arm,psci-1.0`: 1.0 or newer.
    V1_0,
}

/// The firmware's power interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Psci {
    /// How it is called.
    pub conduit: Conduit,
    /// What it is at least.
    pub version: PsciVersion,
}

/// What is Arm's about a machine.
#[derive(Clone, Debug)]
pub struct Arm {
    /// The interrupt controller.
    pub gic: GicV3,
    /// The CPUs' timers.
    pub timer: Timer,
    /// The firmware's power interface, if it has one.
    pub psci: Option<Psci>,
}

pub(super) fn read(fdt: &Fdt<'_>) -> Result<Arm, MachineError> {
    Ok(Arm {
        gic: gic(fdt)?,
        timer: timer(fdt)?,
        psci: psci(fdt)?,
    })
}

fn gic(fdt: &Fdt<'_>) -> Result<GicV3, MachineError> {
    let Some(node) = fdt.compatible(&[GICV3]) else {
        let other = ["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic"];
        return Err(match fdt.compatible(&other) {
            Some(node) => MachineError::Unsupported {
                node: node.offset(),
                what: "a GICv2",
            },
            None => MachineError::NoNode { what: GICV3 },
        });
    };
    let regs = node.regs()?;
    let count = node.u32("#redistributor-regions")?.unwrap_or(1);
    if !(1..=MAX_REDIST_REGIONS as u32).contains(&count) {
        return Err(MachineError::Value {
            node: node.offset(),
            property: "#redistributor-regions",
            value: count.into(),
        });
    }
    let missing = MachineError::Missing {
        node: node.offset(),
        property: "reg",
    };
    let (&distributor, rest) = regs.split_first().ok_or(missing)?;
    let redistributors = rest.get(..count as usize).ok_or(missing)?;
    for region in redistributors.iter().chain([&distributor]) {
        if !region.base.is_multiple_of(FRAME) || region.size < FRAME {
            return Err(MachineError::Value {
                node: node.offset(),
                property: "reg",
                value: region.base,
            });
        }
    }
    Ok(GicV3 {
        distributor,
        redistributors: redistributors.iter().copied().collect(),
        redistributor_stride: stride(&node)?,
        maintenance: ppis(&node)?.first().copied(),
        its_count: node
            .descendants()
            .filter(|child| child.is_compatible("arm,gic-v3-its"))
            .count(),
    })
}

/// `redistributor-stride`: at least the two frames that every redistributor has.
fn stride(gic: &Node<'_>) -> Result<Option<u64>, MachineError> {
    match gic.u64("redistributor-stride")? {
        None | Some(0) => Ok(None),
        Some(stride) if stride.is_multiple_of(FRAME) && stride >= 2 * FRAME => Ok(Some(stride)),
        Some(value) => Err(MachineError::Value {
            node: gic.offset(),
            property: "redistributor-stride",
            value,
        }),
    }
}

/// A node's interrupts, all of which must be PPIs.
fn ppis(node: &Node<'_>) -> Result<ArrayVec<Interrupt, MAX_INTERRUPTS>, MachineError> {
    let interrupts = node.interrupts()?;
    match interrupts
        .iter()
        .find(|interrupt| interrupt.line().is_some())
    {
        None => Ok(interrupts),
        Some(spi) => Err(MachineError::Value {
            node: node.offset(),
            property: "interrupts",
            value: spi.number.into(),
        }),
    }
}

fn timer(fdt: &Fdt<'_>) -> Result<Timer, MachineError> {
    let names = ["arm,armv8-timer", "arm,armv7-timer"];
    let node = fdt
        .compatible(&names)
        .ok_or(MachineError::NoNode { what: names[0] })?;
    let interrupts = ppis(&node)?;
    // The names may put them into another order than the binding's.
    let named = node.property("interrupt-names").is_some();
    let get = |name, place| {
        let at = if named {
            node.strings("interrupt-names").position(|it| it == name)
        } else {
            Some(place)
        };
        interrupts.get(at?).copied()
    };
    let missing = MachineError::Missing {
        node: node.offset(),
        property: "interrupts",
    };
    let frequency = match node.u32("clock-frequency")? {
        Some(0) => {
            return Err(MachineError::Value {
                node: node.offset(),
                property: "clock-frequency",
                value: 0,
            });
        }
        frequency => frequency,
    };
    Ok(Timer {
        secure_physical: get("sec-phys", 0),
        physical: get("phys", 1).ok_or(missing)?,
        virtual_: get("virt", 2).ok_or(missing)?,
        hypervisor: get("hyp-phys", 3).ok_or(missing)?,
        frequency,
    })
}

/// The firmware's power interface; `None` if the tree names none. May be called before the rest of
/// the machine is read, so that one that can't be used can be switched off.
pub fn psci(fdt: &Fdt<'_>) -> Result<Option<Psci>, MachineError> {
    let Some(node) = fdt.compatible(&["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]) else {
        return Ok(None);
    };
    let unsupported = |what| MachineError::Unsupported {
        node: node.offset(),
        what,
    };
    let version = if node.is_compatible("arm,psci-1.0") {
        PsciVersion::V1_0
    } else if node.is_compatible("arm,psci-0.2") {
        PsciVersion::V0_2
    } else {
        // Its function numbers are the firmware's own choice.
        return Err(unsupported("PSCI 0.1"));
    };
    let conduit = match node.string("method") {
        Some("smc") => Conduit::Smc,
        Some("hvc") => Conduit::Hvc,
        _ => return Err(unsupported("this PSCI method")),
    };
    Ok(Some(Psci { conduit, version }))
}
