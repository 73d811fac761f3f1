//! A device's registers: `reg`, translated through the `ranges` of the buses above it
//! (Devicetree Specification 0.4, sections 2.3.6 and 2.3.8).

use arrayvec::ArrayVec;

use super::{MachineError, fdt::Node};

/// The most register ranges that a device may have here.
pub const MAX_REGS: usize = 16;
/// The most entries that a bus's `ranges` may have here. It bounds the work of a translation.
const MAX_RANGES: usize = 256;

/// A range of physical addresses. Not empty, and its end is an address too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

impl Region {
    /// The range of `size` bytes at `base`; `None` if it is empty or its end is not an address.
    pub fn new(base: u64, size: u64) -> Option<Self> {
        base.checked_add(size)?;
        (size != 0).then_some(Self { base, size })
    }

    /// The address behind the last one.
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: u64) -> bool {
        (self.base..self.end()).contains(&address)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.base < other.end() && other.base < self.end()
    }
}

/// Takes a number of `cells` cells off the front of a property. `None` if it is too short, or the
/// number has more than 64 bits.
pub(super) fn take(bytes: &mut &[u8], cells: u32) -> Option<u64> {
    let (head, tail) = bytes.split_at_checked(cells as usize * 4)?;
    *bytes = tail;
    head.chunks_exact(4).try_fold(0_u64, |number, cell| {
        let cell = u32::from_be_bytes(cell.try_into().ok()?);
        (number >> 32 == 0).then_some(number << 32 | u64::from(cell))
    })
}

/// How a bus writes the addresses of its children: section 2.3.5.
struct Cells {
    address: u32,
    size: u32,
}

impl Cells {
    fn of(bus: &Node<'_>) -> Result<Self, MachineError> {
        let get = |property, default| match bus.u32(property)?.unwrap_or(default) {
            cells @ 0..=4 => Ok(cells),
            cells => Err(MachineError::Value {
                node: bus.offset(),
                property,
                value: cells.into(),
            }),
        };
        Ok(Self {
            address: get("#address-cells", 2)?,
            size: get("#size-cells", 1)?,
        })
    }
}

impl Node<'_> {
    /// Its registers as the CPUs see them, in the order of `reg`. Empty ranges are left out.
    pub fn regs(&self) -> Result<ArrayVec<Region, MAX_REGS>, MachineError> {
        let mut regs = ArrayVec::new();
        for (base, size) in self.bus_regs()? {
            if size == 0 {
                continue;
            }
            let base = self.to_cpu_address(base, size)?;
            let region = Region::new(base, size).ok_or(MachineError::Overflow {
                node: self.offset(),
                base,
                size,
            })?;
            regs.try_push(region).map_err(|_| self.too_many_regs())?;
        }
        Ok(regs)
    }

    /// `reg` as it stands there: numbers on the parent's bus, and sizes (0 where `#size-cells` is
    /// 0, as for CPUs).
    pub fn bus_regs(&self) -> Result<ArrayVec<(u64, u64), MAX_REGS>, MachineError> {
        let mut regs = ArrayVec::new();
        let (Some(mut reg), Some(bus)) = (self.property("reg"), self.parent()) else {
            return Ok(regs);
        };
        let cells = Cells::of(&bus)?;
        let stride = (cells.address + cells.size) as usize * 4;
        if stride == 0 || !reg.len().is_multiple_of(stride) {
            return Err(self.bad_length("reg", reg.len()));
        }
        while !reg.is_empty() {
            let entry = take(&mut reg, cells.address)
                .zip(take(&mut reg, cells.size))
                .ok_or(MachineError::Unsupported {
                    node: self.offset(),
                    what: "an address of more than 64 bits",
                })?;
            regs.try_push(entry).map_err(|_| self.too_many_regs())?;
        }
        Ok(regs)
    }

    fn too_many_regs(&self) -> MachineError {
        MachineError::TooMany {
            node: self.offset(),
            what: "register ranges",
            max: MAX_REGS,
        }
    }

    /// Translates an address on this node's bus, bus by bus up to the root.
    fn to_cpu_address(&self, mut address: u64, size: u64) -> Result<u64, MachineError> {
        for bus in self.ancestors().skip(1) {
            let Some(above) = bus.parent() else {
                break;
            };
            address = bus
                .translate(&above, address, size)?
                .ok_or(MachineError::Unreachable {
                    node: self.offset(),
                    address,
                })?;
        }
        Ok(address)
    }

    /// Takes `size` bytes at `address` on this bus to the bus `above`. No `ranges` at all: nothing
    /// is reachable. Empty `ranges`: both are the same.
    fn translate(
        &self,
        above: &Node<'_>,
        address: u64,
        size: u64,
    ) -> Result<Option<u64>, MachineError> {
        let Some(mut ranges) = self.property("ranges") else {
            return Ok(None);
        };
        if ranges.is_empty() {
            return Ok(Some(address));
        }
        let (here, there) = (Cells::of(self)?, Cells::of(above)?);
        let stride = (here.address + there.address + here.size) as usize * 4;
        if stride == 0 || !ranges.len().is_multiple_of(stride) {
            return Err(self.bad_length("ranges", ranges.len()));
        }
        if ranges.len() / stride > MAX_RANGES {
            return Err(MachineError::TooMany {
                node: self.offset(),
                what: "ranges",
                max: MAX_RANGES,
            });
        }
        while !ranges.is_empty() {
            // An entry whose numbers are wider than 64 bits can't be the one that is looked for.
            let child = take(&mut ranges, here.address);
            let parent = take(&mut ranges, there.address);
            let len = take(&mut ranges, here.size);
            let (Some(child), Some(parent), Some(len)) = (child, parent, len) else {
                continue;
            };
            if let Some(offset) = address.checked_sub(child)
                && offset.checked_add(size).is_some_and(|end| end <= len)
            {
                return Ok(parent.checked_add(offset));
            }
        }
        Ok(None)
    }
}
