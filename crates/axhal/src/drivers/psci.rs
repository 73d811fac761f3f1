//! The firmware's power interface, as its caller: PSCI (Arm DEN 0022) over SMCCC (Arm DEN 0028).

use core::fmt;

pub use super::arch::Firmware;

/// Where calls go. [`Firmware`] makes real ones; tests play the firmware.
pub trait Call {
    /// Calls function `id` with three arguments; returns what the firmware leaves in x0.
    fn call(&self, id: u32, args: [u64; 3]) -> u64;
}

const PSCI_VERSION: u32 = 0x8400_0000;
const CPU_ON: u32 = 0xc400_0003;
const AFFINITY_INFO: u32 = 0xc400_0004;
const SYSTEM_OFF: u32 = 0x8400_0008;
const SYSTEM_RESET: u32 = 0x8400_0009;
const PSCI_FEATURES: u32 = 0x8400_000a;
const SMCCC_VERSION: u32 = 0x8000_0000;

/// What the firmware answered: PSCI section 5.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsciError {
    /// The function isn't there.
    NotSupported,
    /// An argument was wrong, e.g. the CPU's number.
    InvalidParameters,
    /// Not allowed.
    Denied,
    /// The CPU runs.
    AlreadyOn,
    /// The CPU is being started.
    OnPending,
    /// The firmware failed.
    InternalFailure,
    /// There is no such CPU or power domain.
    NotPresent,
    /// The CPU is disabled.
    Disabled,
    /// The entry point is not an address it can start at.
    InvalidAddress,
    /// Something that the specification doesn't know.
    Unknown(i32),
}

impl fmt::Display for PsciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported => write!(f, "NOT_SUPPORTED"),
            Self::InvalidParameters => write!(f, "INVALID_PARAMETERS"),
            Self::Denied => write!(f, "DENIED"),
            Self::AlreadyOn => write!(f, "ALREADY_ON"),
            Self::OnPending => write!(f, "ON_PENDING"),
            Self::InternalFailure => write!(f, "INTERNAL_FAILURE"),
            Self::NotPresent => write!(f, "NOT_PRESENT"),
            Self::Disabled => write!(f, "DISABLED"),
            Self::InvalidAddress => write!(f, "INVALID_ADDRESS"),
            Self::Unknown(code) => write!(f, "error {code}"),
        }
    }
}

/// A CPU's power state, as AFFINITY_INFO tells it: section 5.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuState {
    /// It runs.
    On,
    /// It doesn't.
    Off,
    /// It is being started.
    OnPending,
}

/// A version, of PSCI or of SMCCC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the point.
    pub major: u16,
    /// Behind it.
    pub minor: u16,
}

/// The low word of x0 as a result: negative for an error. The functions with 64-bit arguments
/// return 64 bits, of which the high ones are only the sign.
fn check(x0: u64) -> Result<u32, PsciError> {
    let value = x0 as u32 as i32;
    Err(match value {
        0.. => return Ok(value as u32),
        -1 => PsciError::NotSupported,
        -2 => PsciError::InvalidParameters,
        -3 => PsciError::Denied,
        -4 => PsciError::AlreadyOn,
        -5 => PsciError::OnPending,
        -6 => PsciError::InternalFailure,
        -7 => PsciError::NotPresent,
        -8 => PsciError::Disabled,
        -9 => PsciError::InvalidAddress,
        other => PsciError::Unknown(other),
    })
}

fn version(x0: u64) -> Result<Version, PsciError> {
    let value = check(x0)?;
    Ok(Version {
        major: (value >> 16) as u16,
        minor: value as u16,
    })
}

/// The power interface.
#[derive(Clone, Copy, Debug)]
pub struct Psci<C: Call = Firmware> {
    call: C,
}

impl<C: Call> Psci<C> {
    /// The interface that is called by `call`. Only for machines whose description names PSCI: on
    /// others an SMC may hang.
    pub fn new(call: C) -> Self {
        Self { call }
    }

    /// PSCI_VERSION (5.1.1).
    pub fn version(&self) -> Result<Version, PsciError> {
        version(self.call.call(PSCI_VERSION, [0; 3]))
    }

    /// The version of the calling convention. Firmware that can't tell has 1.0 (SMCCC 7.2).
    pub fn smccc_version(&self) -> Version {
        self.features(SMCCC_VERSION)
            .and_then(|_| version(self.call.call(SMCCC_VERSION, [0; 3])))
            .unwrap_or(Version { major: 1, minor: 0 })
    }

    /// PSCI_FEATURES (5.1.14): the feature flags of a function that is there. PSCI 1.0 and newer.
    pub fn features(&self, function: u32) -> Result<u32, PsciError> {
        check(self.call.call(PSCI_FEATURES, [function.into(), 0, 0]))
    }

    /// CPU_ON (5.1.4): starts the CPU with these affinity fields at physical address `entry`,
    /// with its MMU and caches off and `context` in x0.
    ///
    /// # Safety
    /// `entry` must be code that can run there, on a CPU without a stack, and that keeps the
    /// memory safety of what runs already. What it reads must have been cleaned to the point of
    /// coherency.
    pub unsafe fn cpu_on(&self, mpidr: u64, entry: u64, context: u64) -> Result<(), PsciError> {
        check(self.call.call(CPU_ON, [mpidr, entry, context])).map(drop)
    }

    /// AFFINITY_INFO (5.1.5) of one CPU.
    pub fn affinity_info(&self, mpidr: u64) -> Result<CpuState, PsciError> {
        match check(self.call.call(AFFINITY_INFO, [mpidr, 0, 0]))? {
            0 => Ok(CpuState::On),
            1 => Ok(CpuState::Off),
            2 => Ok(CpuState::OnPending),
            other => Err(PsciError::Unknown(other as i32)),
        }
    }

    /// SYSTEM_OFF (5.1.9): powers the machine off. Returns only if that fails.
    pub fn system_off(&self) -> PsciError {
        failed(self.call.call(SYSTEM_OFF, [0; 3]))
    }

    /// SYSTEM_RESET (5.1.11): resets the machine. Returns only if that fails.
    pub fn system_reset(&self) -> PsciError {
        failed(self.call.call(SYSTEM_RESET, [0; 3]))
    }
}

/// The error of a call that should not have returned.
fn failed(x0: u64) -> PsciError {
    match check(x0) {
        Ok(value) => PsciError::Unknown(value as i32),
        Err(error) => error,
    }
}
