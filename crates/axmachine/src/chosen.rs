//! `/chosen`, what the boot loader passes on: Devicetree Specification 0.4, section 3.6.

use super::{Fdt, Interrupt, MachineError, Node, Region};

/// What kind of UART it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uart {
    /// `arm,pl011`.
    Pl011,
    /// `ns16550a`, `ns16550`: the binding `8250`.
    Ns16550 {
        /// Registers are 2 to this power bytes apart (`reg-shift`).
        shift: u32,
        /// They are accessed with this many bytes, 1 or 4 (`reg-io-width`).
        width: u32,
        /// The clock that is divided into the baud rate, in Hz.
        clock: Option<u32>,
    },
}

/// A UART to write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// What it is.
    pub uart: Uart,
    /// Its registers.
    pub regs: Region,
    /// Its interrupt, if the tree has one that can be used.
    pub interrupt: Option<Interrupt>,
}

/// The command line; empty if there is none.
pub fn bootargs<'a>(fdt: &Fdt<'a>) -> Result<&'a str, MachineError> {
    let Some(chosen) = fdt.find("/chosen") else {
        return Ok("");
    };
    match chosen.property("bootargs") {
        None | Some([]) => Ok(""),
        Some(value) => chosen
            .string("bootargs")
            .ok_or(chosen.bad_length("bootargs", value.len())),
    }
}

/// The ramdisk. `linux,initrd-end` is the address behind its last byte.
pub(super) fn initrd(fdt: &Fdt<'_>) -> Result<Option<Region>, MachineError> {
    const NAMES: [&str; 2] = ["linux,initrd-start", "linux,initrd-end"];
    let Some(chosen) = fdt.find("/chosen") else {
        return Ok(None);
    };
    let missing = |property| MachineError::Missing {
        node: chosen.offset(),
        property,
    };
    let (start, end) = match (chosen.u64(NAMES[0])?, chosen.u64(NAMES[1])?) {
        (None, None) => return Ok(None),
        (Some(start), Some(end)) => (start, end),
        (None, Some(_)) => return Err(missing(NAMES[0])),
        (Some(_), None) => return Err(missing(NAMES[1])),
    };
    let size = end.checked_sub(start).ok_or(MachineError::Value {
        node: chosen.offset(),
        property: NAMES[1],
        value: end,
    })?;
    Ok(Region::new(start, size))
}

/// Bytes of a seed: the strength of what it seeds, and what boot loaders pass on at least.
pub const SEED: usize = 32;

/// The first bytes of `rng-seed`. A shorter one isn't stretched: what it seeds would pass for
/// stronger than it is.
pub(super) fn rng_seed(fdt: &Fdt<'_>) -> Option<[u8; SEED]> {
    let value = fdt.find("/chosen")?.property("rng-seed")?;
    value.first_chunk().copied()
}

/// The console: what `/chosen/stdout-path` names (a path or an alias; options such as `:115200n8`
/// are what the boot loader has set already), or else the alias `serial0`. `None` if neither is
/// there. May be called before the rest of the machine is read, so that there is something to
/// report errors on.
pub fn console(fdt: &Fdt<'_>) -> Result<Option<Console>, MachineError> {
    let path = fdt.find("/chosen").and_then(|chosen| {
        let path = chosen
            .string("stdout-path")
            .or_else(|| chosen.string("linux,stdout-path"))?;
        path.split(':').next()
    });
    let node = match path {
        Some(path) => fdt.find(path).ok_or(MachineError::NoNode {
            what: "node that /chosen/stdout-path names",
        })?,
        None => match fdt.find("serial0") {
            Some(node) => node,
            None => return Ok(None),
        },
    };
    let uart = uart(&node)?;
    let regs = *node.regs()?.first().ok_or(MachineError::Missing {
        node: node.offset(),
        property: "reg",
    })?;
    // A PL011 takes a page, and starts on one.
    if uart == Uart::Pl011 && !regs.base.is_multiple_of(0x1000) {
        return Err(MachineError::Value {
            node: node.offset(),
            property: "reg",
            value: regs.base,
        });
    }
    let interrupt = node.interrupts().ok().and_then(|all| all.first().copied());
    Ok(Some(Console {
        uart,
        regs,
        interrupt,
    }))
}

fn uart(node: &Node<'_>) -> Result<Uart, MachineError> {
    let one_of = |property, default, allowed: &[u32]| match node.u32(property)?.unwrap_or(default) {
        value if allowed.contains(&value) => Ok(value),
        value => Err(MachineError::Value {
            node: node.offset(),
            property,
            value: value.into(),
        }),
    };
    if node.is_compatible("arm,pl011") {
        Ok(Uart::Pl011)
    } else if node.is_compatible("ns16550a") || node.is_compatible("ns16550") {
        Ok(Uart::Ns16550 {
            shift: one_of("reg-shift", 0, &[0, 1, 2, 3])?,
            width: one_of("reg-io-width", 1, &[1, 4])?,
            clock: node.u32("clock-frequency")?,
        })
    } else {
        Err(MachineError::Unsupported {
            node: node.offset(),
            what: "this kind of UART",
        })
    }
}
