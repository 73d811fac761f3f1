//! What can go wrong, with the values that were wrong.

use core::fmt;

use axerrno::AxError;

use crate::{GuestPhysAddr, HostPhysAddr, MappingFlags};

/// An operation on an address space was refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddrSpaceError {
    /// The machine can't translate guest physical addresses of this size.
    AddressSize {
        /// Bits of a guest physical address.
        ipa_bits: u32,
        /// Bits of the machine's physical addresses.
        pa_bits: u32,
    },
    /// An address or the length is not a multiple of 4 KiB, or the length is zero.
    Misaligned {
        /// Guest side.
        gpa: GuestPhysAddr,
        /// Host side; zero where there is none.
        hpa: HostPhysAddr,
        /// Bytes.
        len: usize,
    },
    /// The range does not fit in the guest's address space.
    GuestRange {
        /// First address.
        gpa: GuestPhysAddr,
        /// Bytes.
        len: usize,
    },
    /// The range does not fit in the machine's physical address space.
    HostRange {
        /// First address.
        hpa: HostPhysAddr,
        /// Bytes.
        len: usize,
    },
    /// Something is mapped there already.
    Overlap {
        /// First address of the new mapping.
        gpa: GuestPhysAddr,
        /// Bytes of the new mapping.
        len: usize,
        /// The lowest address inside it that is mapped.
        existing: GuestPhysAddr,
    },
    /// Nothing is mapped there.
    NotMapped {
        /// The lowest such address of the range.
        gpa: GuestPhysAddr,
    },
    /// The flags contradict one another: see [`MappingFlags::is_valid`].
    Flags(MappingFlags),
    /// `protect` was asked to change the type of memory.
    MemoryType {
        /// The lowest address whose type differs.
        gpa: GuestPhysAddr,
        /// What it is mapped with.
        existing: MappingFlags,
    },
    /// No frames for translation tables.
    NoMemory,
}

impl fmt::Display for AddrSpaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressSize { ipa_bits, pa_bits } => write!(
                f,
                "guest addresses of {ipa_bits} bits are not possible; the machine's have {pa_bits}"
            ),
            Self::Misaligned { gpa, len, .. } => write!(
                f,
                "{:#x}, {len:#x} bytes, or where it is mapped to, is not whole pages",
                gpa.as_usize()
            ),
            Self::GuestRange { gpa, len } => write!(
                f,
                "{:#x}, {len:#x} bytes, is not in the guest's address space",
                gpa.as_usize()
            ),
            Self::HostRange { hpa, len } => write!(
                f,
                "{:#x}, {len:#x} bytes, is not in the machine's address space",
                hpa.as_usize()
            ),
            Self::Overlap { gpa, len, existing } => write!(
                f,
                "{:#x}, {len:#x} bytes: {:#x} is mapped already",
                gpa.as_usize(),
                existing.as_usize()
            ),
            Self::NotMapped { gpa } => write!(f, "nothing is mapped at {:#x}", gpa.as_usize()),
            Self::Flags(flags) => write!(f, "flags {:#x} contradict one another", flags.bits()),
            Self::MemoryType { gpa, .. } => {
                write!(f, "the memory at {:#x} is of another type", gpa.as_usize())
            }
            Self::NoMemory => write!(f, "no frames for translation tables"),
        }
    }
}

impl From<AddrSpaceError> for AxError {
    fn from(error: AddrSpaceError) -> Self {
        match error {
            AddrSpaceError::AddressSize { .. } => Self::Unsupported,
            AddrSpaceError::Overlap { .. } => Self::AlreadyExists,
            AddrSpaceError::NotMapped { .. } => Self::BadAddress,
            AddrSpaceError::NoMemory => Self::NoMemory,
            AddrSpaceError::Misaligned { .. }
            | AddrSpaceError::GuestRange { .. }
            | AddrSpaceError::HostRange { .. }
            | AddrSpaceError::Flags(_)
            | AddrSpaceError::MemoryType { .. } => Self::InvalidInput,
        }
    }
}

/// An access of the hypervisor to guest memory was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestMemError {
    /// Nothing is mapped at this address, or the range leaves the address space here.
    NotMapped(GuestPhysAddr),
    /// The guest may not write at this address.
    ReadOnly(GuestPhysAddr),
    /// Device registers are mapped at this address.
    NotMemory(GuestPhysAddr),
    /// An atomic access is not aligned to its width.
    Misaligned(GuestPhysAddr),
}

impl fmt::Display for GuestMemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMapped(gpa) => write!(f, "nothing is mapped at {:#x}", gpa.as_usize()),
            Self::ReadOnly(gpa) => write!(f, "the memory at {:#x} is read-only", gpa.as_usize()),
            Self::NotMemory(gpa) => write!(f, "there is a device at {:#x}", gpa.as_usize()),
            Self::Misaligned(gpa) => write!(
                f,
                "an atomic access at {:#x} is not aligned",
                gpa.as_usize()
            ),
        }
    }
}

impl GuestMemError {
    /// The guest physical address that was refused.
    pub const fn gpa(self) -> GuestPhysAddr {
        match self {
            Self::NotMapped(gpa)
            | Self::ReadOnly(gpa)
            | Self::NotMemory(gpa)
            | Self::Misaligned(gpa) => gpa,
        }
    }
}

impl From<GuestMemError> for AxError {
    fn from(_: GuestMemError) -> Self {
        Self::BadAddress
    }
}
