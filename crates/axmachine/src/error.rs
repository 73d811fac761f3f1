//! What can be wrong with a machine description.

use core::fmt;

/// What is wrong with a device tree. `node` is the offset of the offending node in the blob, as
/// `fdtdump -d` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineError {
    /// A field of the header has a value that can't be.
    Header {
        /// The field's name in the specification.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// The structure or reservation block is malformed at this offset of the blob.
    Structure {
        /// Offset in the blob.
        offset: usize,
    },
    /// A property's length doesn't suit its type.
    Length {
        /// The node.
        node: usize,
        /// The property.
        property: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A property has a value that can't be.
    Value {
        /// The node.
        node: usize,
        /// The property.
        property: &'static str,
        /// The value.
        value: u64,
    },
    /// A property that the node must have isn't there.
    Missing {
        /// The node.
        node: usize,
        /// The property.
        property: &'static str,
    },
    /// There is no such node.
    NoNode {
        /// Its path or `compatible` string.
        what: &'static str,
    },
    /// An address range runs past the end of the address space.
    Overflow {
        /// The node; 0 for an entry of the reservation block.
        node: usize,
        /// First address.
        base: u64,
        /// Bytes.
        size: u64,
    },
    /// Two memory banks overlap.
    Overlap {
        /// The node of the second one.
        node: usize,
        /// Its first address.
        base: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// No `ranges` of a parent bus leads this address to the CPUs.
    Unreachable {
        /// The device's node.
        node: usize,
        /// The address on its bus.
        address: u64,
    },
    /// More of something than there is room for.
    TooMany {
        /// The node.
        node: usize,
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        max: usize,
    },
    /// Something well-formed that this hypervisor doesn't drive.
    Unsupported {
        /// The node.
        node: usize,
        /// What it is.
        what: &'static str,
    },
}

impl fmt::Display for MachineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Header { field, value } => {
                write!(f, "device tree header: {field} is {value:#x}")
            }
            Self::Structure { offset } => write!(f, "device tree malformed at {offset:#x}"),
            Self::Length {
                node,
                property,
                len,
            } => write!(f, "node at {node:#x}: {property} has {len} bytes"),
            Self::Value {
                node,
                property,
                value,
            } => write!(f, "node at {node:#x}: {property} can't be {value:#x}"),
            Self::Missing { node, property } => {
                write!(f, "node at {node:#x}: {property} is missing")
            }
            Self::NoNode { what } => write!(f, "the device tree has no {what}"),
            Self::Overflow { node, base, size } => write!(
                f,
                "node at {node:#x}: {size:#x} bytes at {base:#x} run past the last address"
            ),
            Self::Overlap { node, base, size } => write!(
                f,
                "node at {node:#x}: memory of {size:#x} bytes at {base:#x} is described twice"
            ),
            Self::Unreachable { node, address } => write!(
                f,
                "node at {node:#x}: bus address {address:#x} is not mapped by its parents' ranges"
            ),
            Self::TooMany { node, what, max } => {
                write!(f, "node at {node:#x}: more than {max} {what}")
            }
            Self::Unsupported { node, what } => {
                write!(f, "node at {node:#x}: {what} is not supported")
            }
        }
    }
}

impl core::error::Error for MachineError {}
