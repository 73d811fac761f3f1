//! RAM and what of it is reserved: Devicetree Specification 0.4, sections 3.4, 3.5 and 5.3.

use arrayvec::ArrayVec;

use super::{Fdt, MachineError, Region};

/// The most banks of RAM.
pub const MAX_BANKS: usize = 16;
/// The most reservations.
pub const MAX_RESERVATIONS: usize = 64;

/// A piece of RAM that is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Where.
    pub region: Region,
    /// It must not be mapped at all, not even for speculation (`no-map`).
    pub no_map: bool,
}

/// The banks of RAM: every enabled node below the root whose `device_type` is `memory`.
pub(super) fn banks(fdt: &Fdt<'_>) -> Result<ArrayVec<Region, MAX_BANKS>, MachineError> {
    let mut banks = ArrayVec::<Region, MAX_BANKS>::new();
    for node in fdt.root().children() {
        if node.string("device_type") != Some("memory") || !node.is_enabled() {
            continue;
        }
        for bank in node.regs()? {
            if banks.iter().any(|other| other.overlaps(&bank)) {
                return Err(MachineError::Overlap {
                    node: node.offset(),
                    base: bank.base,
                    size: bank.size,
                });
            }
            banks.try_push(bank).map_err(|_| MachineError::TooMany {
                node: node.offset(),
                what: "banks of memory",
                max: MAX_BANKS,
            })?;
        }
    }
    if banks.is_empty() {
        return Err(MachineError::NoNode { what: "/memory" });
    }
    banks.sort_unstable_by_key(|bank| bank.base);
    Ok(banks)
}

/// The reservation block's entries and the nodes of `/reserved-memory` that have an address.
/// (Those with a size only ask an OS to find a place, for drivers that this hypervisor lacks.)
pub(super) fn reservations(
    fdt: &Fdt<'_>,
) -> Result<ArrayVec<Reservation, MAX_RESERVATIONS>, MachineError> {
    let mut reserved = ArrayVec::new();
    let mut add = |node, region, no_map| {
        reserved
            .try_push(Reservation { region, no_map })
            .map_err(|_| MachineError::TooMany {
                node,
                what: "reservations",
                max: MAX_RESERVATIONS,
            })
    };
    for (base, size) in fdt.reservations().filter(|&(_, size)| size != 0) {
        let region = Region::new(base, size).ok_or(MachineError::Overflow {
            node: 0,
            base,
            size,
        })?;
        add(0, region, false)?;
    }
    let Some(parent) = fdt.find("/reserved-memory") else {
        return Ok(reserved);
    };
    for node in parent.children().filter(|node| node.is_enabled()) {
        for region in node.regs()? {
            add(node.offset(), region, node.property("no-map").is_some())?;
        }
    }
    Ok(reserved)
}
