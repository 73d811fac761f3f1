//! Where a VM is in its life, and why it ended.

use core::fmt;

use axvcpu::GuestFault;

/// A VM's life: `Created -> Loaded -> Running -> Stopping -> Stopped`, and from `Stopped` by
/// [`reset`](crate::AxVM::reset) to `Created` again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum VmStatus {
    /// Built. Its RAM holds what its last owner left.
    Created = 0,
    /// Its RAM is cleared or written: it may be started.
    Loaded = 1,
    /// vCPUs run.
    Running = 2,
    /// It is to stop; some vCPU may still be on its way out.
    Stopping = 3,
    /// No vCPU can run again.
    Stopped = 4,
}

impl fmt::Display for VmStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => write!(f, "created"),
            Self::Loaded => write!(f, "loaded"),
            Self::Running => write!(f, "running"),
            Self::Stopping => write!(f, "stopping"),
            Self::Stopped => write!(f, "stopped"),
        }
    }
}

impl VmStatus {
    pub(crate) fn from_raw(raw: u8) -> Self {
        match raw {
            0 => Self::Created,
            1 => Self::Loaded,
            2 => Self::Running,
            3 => Self::Stopping,
            _ => Self::Stopped,
        }
    }
}

/// Why a VM stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// Its guest switched the machine off.
    PoweredOff,
    /// Its guest asked for a restart.
    Reset,
    /// All its vCPUs switched themselves off: nobody is left to switch one on.
    AllCpusOff,
    /// The hypervisor was told to stop it.
    Requested,
    /// It can't go on.
    Fault(VmFault),
}

/// Why a VM can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmFault {
    /// The vCPU ran into something that its architecture can't answer with a fault of its own.
    Guest {
        /// Which vCPU.
        vcpu: usize,
        /// What.
        fault: GuestFault,
    },
    /// The hypervisor has no answer to this exit; its number in the exit statistics.
    Unhandled {
        /// Which vCPU.
        vcpu: usize,
    },
    /// The hypervisor could not build what the VM needs to start again.
    Restart,
}
