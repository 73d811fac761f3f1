//! What can go wrong, with the values that were wrong.

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
