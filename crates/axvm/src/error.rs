//! Why a VM can't be built or used, with the values that were wrong.

use core::fmt;

use axaddrspace::{AddrSpaceError, GuestMemError, GuestPhysAddr};
use axdevice::{BusError, LineTaken};
use axerrno::{AxError, AxErrorKind};

use crate::VmStatus;

/// An operation on a VM was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmError {
    /// The configuration has no vCPU, or more than 64.
    CpuCount(usize),
    /// The configuration names no memory.
    NoMemoryRegion,
    /// There are not enough free frames for this region.
    OutOfMemory {
        /// Where the guest would see it.
        gpa: usize,
        /// Bytes.
        size: usize,
    },
    /// An identity-mapped region is not free RAM of the machine.
    RegionTaken {
        /// Guest and host physical address.
        base: usize,
        /// Bytes.
        size: usize,
    },
    /// A device named by its device-tree path was not looked up.
    UnresolvedDevice,
    /// There is a console, or an interrupt given to the VM, and no interrupt controller.
    NoInterruptController,
    /// The address space.
    Space(AddrSpaceError),
    /// Guest memory.
    Memory(GuestMemError),
    /// The bus.
    Bus(BusError),
    /// An interrupt line is used twice.
    Line(LineTaken),
    /// The architecture refuses.
    Arch(AxErrorKind),
    /// Not in this state.
    State(VmStatus),
    /// The vCPU does not exist, or somebody else uses it.
    VCpu(usize),
    /// The entry point is not in the VM's memory.
    Entry(GuestPhysAddr),
}

impl VmError {
    /// What an architecture refused. It says so by kinds, never by Linux's numbers; and those have
    /// 5 KB of names, which formatting an [`AxError`] would need.
    pub(crate) fn arch(error: AxError) -> Self {
        Self::Arch(AxErrorKind::try_from(error.code()).unwrap_or(AxErrorKind::Unsupported))
    }
}

impl From<AddrSpaceError> for VmError {
    fn from(error: AddrSpaceError) -> Self {
        Self::Space(error)
    }
}

impl From<GuestMemError> for VmError {
    fn from(error: GuestMemError) -> Self {
        Self::Memory(error)
    }
}

impl From<BusError> for VmError {
    fn from(error: BusError) -> Self {
        Self::Bus(error)
    }
}

impl From<LineTaken> for VmError {
    fn from(error: LineTaken) -> Self {
        Self::Line(error)
    }
}

impl From<VmError> for AxError {
    fn from(error: VmError) -> Self {
        match error {
            VmError::CpuCount(_)
            | VmError::NoMemoryRegion
            | VmError::UnresolvedDevice
            | VmError::NoInterruptController
            | VmError::Entry(_) => Self::InvalidInput,
            VmError::OutOfMemory { .. } => Self::NoMemory,
            VmError::RegionTaken { .. } | VmError::Line(_) => Self::AddrInUse,
            VmError::Space(error) => error.into(),
            VmError::Memory(_) => Self::BadAddress,
            VmError::Bus(error) => error.into(),
            VmError::Arch(kind) => kind.into(),
            VmError::State(_) => Self::BadState,
            VmError::VCpu(_) => Self::ResourceBusy,
        }
    }
}

impl fmt::Display for VmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CpuCount(count) => write!(f, "{count} vCPUs; 1 to 64 are possible"),
            Self::NoMemoryRegion => write!(f, "no memory region"),
            Self::OutOfMemory { gpa, size } => {
                write!(
                    f,
                    "no {} KiB of free RAM for the region at {gpa:#x}",
                    size >> 10
                )
            }
            Self::RegionTaken { base, size } => {
                write!(
                    f,
                    "the {} KiB at {base:#x} are not free RAM of this machine",
                    size >> 10
                )
            }
            Self::NoInterruptController => {
                write!(f, "an interrupt line, and interrupt_mode is none")
            }
            Self::UnresolvedDevice => write!(f, "a device named by its path was not looked up"),
            Self::Space(error) => write!(f, "guest memory map: {error}"),
            Self::Memory(error) => write!(f, "guest memory: {error}"),
            Self::Bus(error) => write!(f, "{error}"),
            Self::Line(error) => write!(f, "{error}"),
            Self::Arch(kind) => write!(f, "the architecture's part: {}", kind.as_str()),
            Self::State(status) => write!(f, "not possible while it is {status}"),
            Self::VCpu(id) => write!(f, "vCPU {id} is not there, or in use"),
            Self::Entry(gpa) => write!(
                f,
                "the entry point {:#x} is not in its memory",
                gpa.as_usize()
            ),
        }
    }
}

impl core::error::Error for VmError {}
