//! The SBI that a guest finds: which function it calls, and what is answered without anything
//! else. Pure: RISC-V Supervisor Binary Interface Specification 2.0.

pub mod legacy;

/// Error codes ("Binary Encoding", table of standard errors).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Error {
    /// It did not work.
    Failed = -1,
    /// No such extension or function.
    NotSupported = -2,
    /// An argument is wrong.
    InvalidParam = -3,
    /// An address is outside memory.
    InvalidAddress = -5,
    /// It is so already.
    AlreadyAvailable = -6,
}

/// What a call returns: the value in a1, or the error in a0.
pub type Answer = Result<u64, Error>;

/// a0 and a1 of an answer.
#[inline]
pub const fn registers(answer: Answer) -> (u64, u64) {
    match answer {
        Ok(value) => (0, value),
        Err(error) => (error as i64 as u64, 0),
    }
}

/// Extension ids.
mod eid {
    pub const BASE: u64 = 0x10;
    pub const TIME: u64 = 0x5449_4d45;
    pub const IPI: u64 = 0x0073_5049;
    pub const RFENCE: u64 = 0x5246_4e43;
    pub const HSM: u64 = 0x0048_534d;
    pub const SRST: u64 = 0x5352_5354;
    pub const DBCN: u64 = 0x4442_434e;
}

/// SBI 2.0: the version in which DBCN came.
const SPEC_VERSION: u64 = 2 << 24;
/// Our implementation id: not among the registered ones. 24 bits, because it is part of
/// [`HYPERVISOR`].
const IMPLEMENTATION_ID: u64 = 0x61_7868;
const IMPLEMENTATION_VERSION: u64 = 1;
/// The extension of the hypervisor's own calls, in the firmware-specific space, whose lower 24 bits
/// are the implementation id.
pub const HYPERVISOR: u64 = 0x0a00_0000 | IMPLEMENTATION_ID;

/// What there is besides the functions themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// mvendorid, marchid, mimpid.
    pub machine_ids: [u64; 3],
    /// The VM has a console.
    pub console: bool,
}

/// Harts, as calls name them: bit n of `mask` is hart `base + n`; a `base` of all ones means all
/// ("Hart list parameter").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HartMask {
    /// A bit for each hart.
    pub mask: u64,
    /// The hart of bit 0.
    pub base: u64,
}

impl HartMask {
    /// All harts.
    pub const ALL: Self = Self {
        mask: 0,
        base: u64::MAX,
    };

    /// A mask of the legacy extensions: harts 0 to 63. It may name harts that aren't there, as in
    /// OpenSBI: small kernels set all bits.
    pub fn legacy(mask: u64, harts: &[u64]) -> Self {
        let there = harts.iter().filter(|hart| **hart < 64);
        Self {
            mask: there.fold(0, |there, hart| there | mask & 1 << hart),
            base: 0,
        }
    }

    /// The vCPUs that are meant, as bits; `harts` are the hart ids of the VM's vCPUs, in order. An
    /// error if one of them is none of this VM's.
    pub fn select(self, harts: &[u64]) -> Result<u64, Error> {
        if self.base == u64::MAX {
            return Ok(match harts.len() {
                64.. => u64::MAX,
                count => (1 << count) - 1,
            });
        }
        let mut left = self.mask;
        let mut vcpus = 0;
        for (vcpu, &hart) in harts.iter().enumerate().take(64) {
            let bit = hart.checked_sub(self.base).filter(|&bit| bit < 64);
            if let Some(bit) = bit
                && self.mask >> bit & 1 != 0
            {
                left &= !(1 << bit);
                vcpus |= 1 << vcpu;
            }
        }
        if left == 0 {
            Ok(vcpus)
        } else {
            Err(Error::InvalidParam)
        }
    }
}

/// A fence on other harts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// FENCE.I.
    Instructions,
    /// SFENCE.VMA of `size` bytes from `start`; both 0, or a `size` of all ones: of everything.
    Translations {
        /// The first address.
        start: u64,
        /// How many bytes.
        size: u64,
        /// Of this address space only.
        asid: Option<u64>,
    },
}

/// Where a hart goes on after a suspension that lost its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The address.
    pub entry: u64,
    /// What a1 holds.
    pub arg: u64,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Answered.
    Done(Answer),
    /// A timer interrupt at this time of the guest's clock, and none before.
    SetTimer(u64),
    /// A software interrupt to these harts.
    SendIpi(HartMask),
    /// Fences on these harts.
    RemoteFence(HartMask, Fence),
    /// Starts a hart.
    HartStart {
        /// Its id.
        hart: u64,
        /// Where.
        entry: u64,
        /// What it finds in a1.
        arg: u64,
    },
    /// Stops this hart.
    HartStop,
    /// Asks for a hart's state.
    HartStatus(u64),
    /// Suspends this hart until an interrupt; with its state (`None`), or without.
    HartSuspend(Option<Resume>),
    /// Switches the machine off.
    Shutdown,
    /// Restarts it.
    Reboot,
    /// Writes bytes of the guest's memory to the console.
    ConsoleWrite {
        /// Where they are: a guest physical address.
        base: u64,
        /// How many.
        len: u64,
    },
    /// Reads bytes from the console.
    ConsoleRead {
        /// Where they go.
        base: u64,
        /// How many fit.
        len: u64,
    },
    /// Writes one byte to the console.
    ConsoleWriteByte(u8),
    /// A legacy call: see [`legacy::decode`].
    Legacy,
    /// A call to the hypervisor itself.
    Hypervisor {
        /// Function number.
        nr: u64,
        /// a0 to a5.
        args: [u64; 6],
    },
}

/// HSM hart states ("Hart State Management Extension").
pub mod hart {
    /// SUSPENDED.
    pub const SUSPENDED: u64 = 4;
    /// STARTED.
    pub const STARTED: u64 = 0;
    /// STOPPED.
    pub const STOPPED: u64 = 1;
    /// START_PENDING.
    pub const START_PENDING: u64 = 2;
}

/// Decodes a call; `a` holds a0 to a7.
#[inline]
pub fn decode(a: [u64; 8], offer: impl FnOnce() -> Offer) -> Call {
    let [a0, a1, .., function, extension] = a;
    let mask = HartMask { mask: a0, base: a1 };
    match (extension, function) {
        (eid::TIME, 0) => Call::SetTimer(a0),
        (eid::IPI, 0) => Call::SendIpi(mask),
        (eid::RFENCE, _) => fence(mask, a),
        _ => rare(a, offer()),
    }
}

/// RFENCE. There are no guests of a guest: HFENCE on other harts is not supported.
#[inline]
fn fence(mask: HartMask, a: [u64; 8]) -> Call {
    let [_, _, start, size, asid, _, function, _] = a;
    let translations = |asid| Fence::Translations { start, size, asid };
    let fence = match function {
        0 => Fence::Instructions,
        1 => translations(None),
        2 => translations(Some(asid)),
        _ => return Call::Done(Err(Error::NotSupported)),
    };
    Call::RemoteFence(mask, fence)
}

fn rare(a: [u64; 8], offer: Offer) -> Call {
    let [a0, a1, a2, a3, a4, a5, function, extension] = a;
    match extension {
        eid::BASE => Call::Done(base(function, a0, offer)),
        eid::HSM => hsm(function, [a0, a1, a2]),
        eid::SRST if function == 0 => reset(a0, a1),
        eid::DBCN if offer.console => console(function, [a0, a1, a2]),
        HYPERVISOR => Call::Hypervisor {
            nr: function,
            args: [a0, a1, a2, a3, a4, a5],
        },
        _ if legacy::probe(extension) => Call::Legacy,
        _ => Call::Done(Err(Error::NotSupported)),
    }
}

/// The base extension.
fn base(function: u64, arg: u64, offer: Offer) -> Answer {
    let [vendor, arch, imp] = offer.machine_ids;
    match function {
        0 => Ok(SPEC_VERSION),
        1 => Ok(IMPLEMENTATION_ID),
        2 => Ok(IMPLEMENTATION_VERSION),
        3 => Ok(u64::from(probe(arg, offer))),
        4 => Ok(vendor),
        5 => Ok(arch),
        6 => Ok(imp),
        _ => Err(Error::NotSupported),
    }
}

/// Whether there is such an extension.
fn probe(extension: u64, offer: Offer) -> bool {
    match extension {
        eid::BASE | eid::TIME | eid::IPI | eid::RFENCE | eid::HSM | eid::SRST | HYPERVISOR => true,
        eid::DBCN => offer.console,
        other => legacy::probe(other),
    }
}

fn hsm(function: u64, [a0, a1, a2]: [u64; 3]) -> Call {
    match function {
        0 => Call::HartStart {
            hart: a0,
            entry: a1,
            arg: a2,
        },
        1 => Call::HartStop,
        2 => Call::HartStatus(a0),
        3 => suspend(a0, Resume { entry: a1, arg: a2 }),
        _ => Call::Done(Err(Error::NotSupported)),
    }
}

/// "Suspend types": the two default ones. A platform's own are not implemented, and the rest is
/// reserved: both are INVALID_PARAM.
fn suspend(kind: u64, resume: Resume) -> Call {
    const RETENTIVE: u64 = 0;
    const NON_RETENTIVE: u64 = 0x8000_0000;
    // The type is a 32-bit value; an upper half made by sign extension does not count.
    match kind & u64::from(u32::MAX) {
        RETENTIVE => Call::HartSuspend(None),
        NON_RETENTIVE => Call::HartSuspend(Some(resume)),
        _ => Call::Done(Err(Error::InvalidParam)),
    }
}

/// System reset: a cold and a warm reboot are the same here. Both arguments have 32 bits.
fn reset(kind: u64, reason: u64) -> Call {
    const NO_REASON: u32 = 0;
    const SYSTEM_FAILURE: u32 = 1;
    match (kind as u32, reason as u32) {
        (0, NO_REASON | SYSTEM_FAILURE) => Call::Shutdown,
        (1 | 2, NO_REASON | SYSTEM_FAILURE) => Call::Reboot,
        _ => Call::Done(Err(Error::InvalidParam)),
    }
}

/// Debug console. Memory above 64 bits of address does not exist.
fn console(function: u64, [a0, a1, a2]: [u64; 3]) -> Call {
    match function {
        0 | 1 if a2 != 0 || a1.checked_add(a0).is_none() => Call::Done(Err(Error::InvalidParam)),
        0 => Call::ConsoleWrite { base: a1, len: a0 },
        1 => Call::ConsoleRead { base: a1, len: a0 },
        2 => Call::ConsoleWriteByte(a0 as u8),
        _ => Call::Done(Err(Error::NotSupported)),
    }
}

#[cfg(test)]
mod tests;
