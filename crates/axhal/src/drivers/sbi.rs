//! The firmware of RISC-V machines: RISC-V Supervisor Binary Interface Specification, version 2.0.

use core::fmt;

use super::arch::Ecall;

/// Extensions, by the numbers of their chapters.
pub mod extension {
    /// Base.
    pub const BASE: usize = 0x10;
    /// Timer.
    pub const TIME: usize = 0x5449_4d45;
    /// Inter-processor interrupts.
    pub const IPI: usize = 0x0073_5049;
    /// Remote fences.
    pub const RFENCE: usize = 0x5246_4e43;
    /// Hart state management.
    pub const HSM: usize = 0x0048_534d;
    /// System reset.
    pub const SRST: usize = 0x5352_5354;
    /// Debug console.
    pub const DBCN: usize = 0x4442_434e;
    /// Console putchar, of the legacy ones: what there was before the debug console.
    pub const LEGACY_PUTCHAR: usize = 0x01;
}

use extension::*;

/// Size of a range that means all addresses (chapter 8).
const ALL: usize = usize::MAX;

/// How a call is made. Real ones are made by [`Ecall`].
pub trait Call {
    /// Calls function `function` of extension `extension`. Returns a0 and a1.
    fn call(&self, extension: usize, function: usize, args: [usize; 5]) -> (isize, usize);
}

/// An error, as chapter 3 numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SbiError {
    /// Failed.
    Failed,
    /// There is no such function.
    NotSupported,
    /// An argument can't be.
    InvalidParam,
    /// It isn't allowed.
    Denied,
    /// An address can't be.
    InvalidAddress,
    /// Already available.
    AlreadyAvailable,
    /// The hart runs.
    AlreadyStarted,
    /// The hart is stopped.
    AlreadyStopped,
    /// Something that the specification doesn't know, or that isn't used here.
    Unknown(isize),
}

impl fmt::Display for SbiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => write!(f, "SBI_ERR_FAILED"),
            Self::NotSupported => write!(f, "SBI_ERR_NOT_SUPPORTED"),
            Self::InvalidParam => write!(f, "SBI_ERR_INVALID_PARAM"),
            Self::Denied => write!(f, "SBI_ERR_DENIED"),
            Self::InvalidAddress => write!(f, "SBI_ERR_INVALID_ADDRESS"),
            Self::AlreadyAvailable => write!(f, "SBI_ERR_ALREADY_AVAILABLE"),
            Self::AlreadyStarted => write!(f, "SBI_ERR_ALREADY_STARTED"),
            Self::AlreadyStopped => write!(f, "SBI_ERR_ALREADY_STOPPED"),
            Self::Unknown(code) => write!(f, "error {code}"),
        }
    }
}

/// A hart's state, as HART_GET_STATUS tells it (chapter 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HartState {
    /// It runs.
    Started,
    /// It doesn't.
    Stopped,
    /// It is being started, stopped, suspended or resumed: the specification's number.
    Other(usize),
}

/// A set of harts: bit n stands for the hart whose id is `base` + n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HartMask {
    /// The harts.
    pub mask: usize,
    /// The id of the one at bit 0.
    pub base: usize,
}

impl HartMask {
    /// The masks that together stand for the harts with these ids. One, if ids are not further
    /// apart than a mask is wide.
    pub fn cover<I>(ids: I) -> impl Iterator<Item = Self>
    where
        I: Iterator<Item = u64> + Clone,
    {
        let mut next = Some(0);
        core::iter::from_fn(move || {
            let from = next?;
            let base = ids.clone().filter(|&id| id >= from).min()?;
            let mask = ids
                .clone()
                .filter_map(|id| id.checked_sub(base))
                .filter(|&bit| bit < 64)
                .fold(0, |mask, bit| mask | 1 << bit);
            next = base.checked_add(64);
            Some(Self {
                mask,
                base: base as usize,
            })
        })
    }
}

/// A range of addresses, to be forgotten by harts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceRange {
    start: usize,
    size: usize,
}

impl FenceRange {
    /// All addresses.
    pub const ALL: Self = Self {
        start: 0,
        size: ALL,
    };

    /// `size` bytes at `start`.
    pub const fn new(start: usize, size: usize) -> Self {
        Self { start, size }
    }
}

/// The firmware.
#[derive(Clone, Copy, Debug)]
pub struct Sbi<C: Call = Ecall> {
    call: C,
}

impl<C: Call> Sbi<C> {
    /// The firmware that is called by `call`.
    pub const fn new(call: C) -> Self {
        Self { call }
    }

    fn call(&self, extension: usize, function: usize, args: [usize; 5]) -> Result<usize, SbiError> {
        let (error, value) = self.call.call(extension, function, args);
        Err(match error {
            0 => return Ok(value),
            -1 => SbiError::Failed,
            -2 => SbiError::NotSupported,
            -3 => SbiError::InvalidParam,
            -4 => SbiError::Denied,
            -5 => SbiError::InvalidAddress,
            -6 => SbiError::AlreadyAvailable,
            -7 => SbiError::AlreadyStarted,
            -8 => SbiError::AlreadyStopped,
            other => SbiError::Unknown(other),
        })
    }

    /// The specification's version that it follows: major and minor number (4.1).
    pub fn version(&self) -> Result<(u8, u32), SbiError> {
        let version = self.call(BASE, 0, [0; 5])?;
        Ok(((version >> 24 & 0x7f) as u8, (version & 0xff_ffff) as u32))
    }

    /// Whether it has an extension (4.4).
    pub fn has(&self, extension: usize) -> bool {
        self.call(BASE, 3, [extension, 0, 0, 0, 0])
            .is_ok_and(|found| found != 0)
    }

    /// `mvendorid`, `marchid` and `mimpid` (4.5 to 4.7). 0 where it doesn't tell.
    pub fn machine_ids(&self) -> [u64; 3] {
        [4, 5, 6].map(|function| self.call(BASE, function, [0; 5]).unwrap_or(0) as u64)
    }

    /// Lets the timer of the calling hart interrupt at `ticks`, and takes back what is pending
    /// (6.1).
    pub fn set_timer(&self, ticks: u64) -> Result<(), SbiError> {
        self.call(TIME, 0, [ticks as usize, 0, 0, 0, 0]).map(drop)
    }

    /// Sends harts a supervisor software interrupt (7.1).
    pub fn send_ipi(&self, harts: HartMask) -> Result<(), SbiError> {
        self.call(IPI, 0, [harts.mask, harts.base, 0, 0, 0])
            .map(drop)
    }

    /// FENCE.I on harts (8.1).
    pub fn remote_fence_i(&self, harts: HartMask) -> Result<(), SbiError> {
        self.call(RFENCE, 0, [harts.mask, harts.base, 0, 0, 0])
            .map(drop)
    }

    /// SFENCE.VMA on harts: virtual addresses of the hypervisor (8.2).
    pub fn remote_sfence_vma(&self, harts: HartMask, range: FenceRange) -> Result<(), SbiError> {
        let args = [harts.mask, harts.base, range.start, range.size, 0];
        self.call(RFENCE, 1, args).map(drop)
    }

    /// HFENCE.GVMA on harts: guest physical addresses of one VMID (8.4).
    pub fn remote_hfence_gvma_vmid(
        &self,
        harts: HartMask,
        range: FenceRange,
        vmid: u16,
    ) -> Result<(), SbiError> {
        let args = [harts.mask, harts.base, range.start, range.size, vmid.into()];
        self.call(RFENCE, 3, args).map(drop)
    }

    /// HFENCE.GVMA on harts: guest physical addresses of all VMIDs (8.5).
    pub fn remote_hfence_gvma(&self, harts: HartMask, range: FenceRange) -> Result<(), SbiError> {
        let args = [harts.mask, harts.base, range.start, range.size, 0];
        self.call(RFENCE, 4, args).map(drop)
    }

    /// HFENCE.VVMA on harts: guest virtual addresses of one ASID, of the VMID that is in the
    /// calling hart's `hgatp` (8.6).
    pub fn remote_hfence_vvma_asid(
        &self,
        harts: HartMask,
        range: FenceRange,
        asid: u64,
    ) -> Result<(), SbiError> {
        let args = [
            harts.mask,
            harts.base,
            range.start,
            range.size,
            asid as usize,
        ];
        self.call(RFENCE, 5, args).map(drop)
    }

    /// HFENCE.VVMA on harts: guest virtual addresses of all ASIDs, of the VMID that is in the
    /// calling hart's `hgatp` (8.7).
    pub fn remote_hfence_vvma(&self, harts: HartMask, range: FenceRange) -> Result<(), SbiError> {
        let args = [harts.mask, harts.base, range.start, range.size, 0];
        self.call(RFENCE, 6, args).map(drop)
    }

    /// Starts a hart at physical address `entry`, in supervisor mode without translation or
    /// interrupts, its id in a0 and `opaque` in a1 (9.1).
    ///
    /// # Safety
    /// `entry` must be code that can run there, on a hart without a stack, and that keeps the
    /// memory safety of what runs already.
    pub unsafe fn hart_start(&self, hart: u64, entry: u64, opaque: u64) -> Result<(), SbiError> {
        let args = [hart as usize, entry as usize, opaque as usize, 0, 0];
        self.call(HSM, 0, args).map(drop)
    }

    /// A hart's state (9.3).
    pub fn hart_status(&self, hart: u64) -> Result<HartState, SbiError> {
        Ok(match self.call(HSM, 2, [hart as usize, 0, 0, 0, 0])? {
            0 => HartState::Started,
            1 => HartState::Stopped,
            other => HartState::Other(other),
        })
    }

    /// Powers the machine off (10.1): `failed` says that it is because of a failure. Returns only
    /// if that fails.
    pub fn shutdown(&self, failed: bool) -> SbiError {
        self.system_reset(0, failed)
    }

    /// Resets the machine, all power off and on again (10.1). Returns only if that fails.
    pub fn cold_reboot(&self) -> SbiError {
        self.system_reset(1, false)
    }

    fn system_reset(&self, kind: usize, failed: bool) -> SbiError {
        // Reasons: none, system failure.
        match self.call(SRST, 0, [kind, failed.into(), 0, 0, 0]) {
            Err(error) => error,
            Ok(value) => SbiError::Unknown(value as isize),
        }
    }

    /// Prints a byte on the firmware's console, and waits until it took it (12.3).
    pub fn write_byte(&self, byte: u8) -> Result<(), SbiError> {
        self.call(DBCN, 2, [byte.into(), 0, 0, 0, 0]).map(drop)
    }

    /// The same by the legacy extension (5.2), which has no error that could be trusted.
    pub fn legacy_putchar(&self, byte: u8) {
        let _ = self.call(LEGACY_PUTCHAR, 0, [byte.into(), 0, 0, 0, 0]);
    }
}
