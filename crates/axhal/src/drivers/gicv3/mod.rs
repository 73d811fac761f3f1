//! The GICv3: Arm IHI 0069.
//!
//! Everything is in Non-secure Group 1, with affinity routing. That works in both views that
//! software at EL2 may have: with GICD_CTLR.DS = 1 (no Secure state: virtual machines, many
//! boards) and the Non-secure view of a GIC with two security states, where groups belong to the
//! firmware (IGROUPR is RAZ/WI), priorities are shifted into the lower half, and bits 1 and 4 of
//! GICD_CTLR are the same two switches under other names (section 12.9.4).
//!
//! [`Gic`] is the distributor and finds the redistributors; [`Line`] is one interrupt, looked up
//! once. The CPU interface is the functions of this module: they act on the CPU that calls, take
//! no lock and look nothing up.

mod line;
mod redist;
#[cfg(test)]
mod tests;

pub use line::Line;
pub use redist::Redistributor;

use core::fmt;

use arrayvec::ArrayVec;

use super::{arch, mmio::Mmio};
use crate::machine::{self, MAX_REDIST_REGIONS};

/// What [`ack`] returns if nothing is pending. 1020 to 1023 are no interrupts, but events.
pub const SPURIOUS: u32 = 1023;
/// The first number that is not an interrupt's.
pub const SPECIAL: u32 = 1020;
/// The priority that all lines start with. Half of the range that both views have, with bits that
/// every implementation has.
pub const DEFAULT_PRIORITY: u8 = 0xa0;

const FIRST_SPI: u32 = 32;
/// Interrupts of all priorities pass.
const PRIORITY_MASK: u8 = 0xff;
/// The frames of a distributor, and each of a redistributor's.
const FRAME: usize = 0x1_0000;
/// MPIDR_EL1's affinity fields, which are also those of GICD_IROUTER.
const AFFINITY: u64 = 0xff_00ff_ffff;

const GICD_CTLR: usize = 0x0;
const GICD_TYPER: usize = 0x4;
const GICD_IROUTER: usize = 0x6000;
/// Peripheral ID 2, of distributors and redistributors.
const PIDR2: usize = 0xffe8;

const IGROUPR: usize = 0x80;
const ISENABLER: usize = 0x100;
const ICENABLER: usize = 0x180;
const ISPENDR: usize = 0x200;
const ICPENDR: usize = 0x280;
const ISACTIVER: usize = 0x300;
const ICACTIVER: usize = 0x380;
const IPRIORITYR: usize = 0x400;
const ICFGR: usize = 0xc00;

const CTLR_ENABLE_GRP1: u32 = 1 << 1;
const CTLR_ARE: u32 = 1 << 4;
const CTLR_RWP: u32 = 1 << 31;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GicError {
    /// The mapped registers are fewer than there must be: their length in bytes.
    TooSmall(usize),
    /// More regions of redistributors than there is room for.
    TooManyRegions(usize),
    /// Neither a GICv3 nor a GICv4: the value of the register PIDR2.
    Version(u32),
    /// The distributor can't route by affinity.
    NoAffinityRouting,
    /// No redistributor belongs to this CPU.
    NoRedistributor {
        /// The CPU.
        mpidr: u64,
    },
    /// The redistributor doesn't wake up.
    Asleep {
        /// The CPU.
        mpidr: u64,
    },
    /// A register write doesn't become effective.
    WriteStuck,
    /// The CPU has no GIC system registers, or the firmware keeps them.
    NoSystemRegisters,
    /// There is no such interrupt.
    NoInterrupt {
        /// Its number.
        intid: u32,
    },
    /// A line's trigger can't be changed while it is enabled.
    Enabled {
        /// Its number.
        intid: u32,
    },
    /// The line has the other trigger, and that can't be changed.
    FixedTrigger {
        /// Its number.
        intid: u32,
    },
    /// This CPU can't be reached by software-generated interrupts.
    Unreachable {
        /// The CPU.
        mpidr: u64,
    },
}

impl fmt::Display for GicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall(len) => write!(f, "{len:#x} bytes are too few for its registers"),
            Self::TooManyRegions(count) => {
                write!(f, "{count} regions of redistributors are too many")
            }
            Self::Version(pidr2) => write!(f, "neither a GICv3 nor a GICv4: PIDR2 is {pidr2:#x}"),
            Self::NoAffinityRouting => write!(f, "the distributor can't route by affinity"),
            Self::NoRedistributor { mpidr } => write!(f, "CPU {mpidr:#x} has no redistributor"),
            Self::Asleep { mpidr } => {
                write!(f, "the redistributor of CPU {mpidr:#x} doesn't wake up")
            }
            Self::WriteStuck => write!(f, "a register doesn't take effect"),
            Self::NoSystemRegisters => {
                write!(f, "no GIC system registers, or the firmware keeps them")
            }
            Self::NoInterrupt { intid } => write!(f, "there is no interrupt {intid}"),
            Self::Enabled { intid } => write!(f, "interrupt {intid} is enabled"),
            Self::FixedTrigger { intid } => write!(
                f,
                "interrupt {intid} has the other trigger, and that can't be changed"
            ),
            Self::Unreachable { mpidr } => write!(f, "CPU {mpidr:#x} can't be reached by SGIs"),
        }
    }
}

/// The distributor, and where the redistributors are.
#[derive(Debug)]
pub struct Gic {
    dist: Mmio,
    redists: ArrayVec<Mmio, MAX_REDIST_REGIONS>,
    stride: Option<usize>,
    lines: u32,
    range_selector: bool,
}

/// A CPU that software-generated interrupts can be sent to, in the form of ICC_SGI1R_EL1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SgiTarget(u64);

impl Gic {
    /// Takes the distributor over: all shared interrupts disabled, inactive, not pending, level
    /// triggered, with [`DEFAULT_PRIORITY`], routed to the CPU `mpidr`. To be called once, on one
    /// CPU. `dist` and `redists` are the mapped registers of `gic.distributor` and
    /// `gic.redistributors`, in that order.
    pub fn init(
        gic: &machine::GicV3,
        dist: Mmio,
        redists: &[Mmio],
        mpidr: u64,
    ) -> Result<Self, GicError> {
        if dist.len() < FRAME {
            return Err(GicError::TooSmall(dist.len()));
        }
        check_version(&dist)?;
        let typer = dist.read32(GICD_TYPER);
        let this = Self {
            dist,
            redists: ArrayVec::try_from(redists)
                .map_err(|_| GicError::TooManyRegions(redists.len()))?,
            stride: gic.redistributor_stride.map(|stride| stride as usize),
            // ITLinesNumber, section 12.9.38.
            lines: (32 * ((typer & 0x1f) + 1)).min(SPECIAL),
            range_selector: typer & 1 << 26 != 0,
        };
        this.reset(mpidr)?;
        Ok(this)
    }

    fn reset(&self, mpidr: u64) -> Result<(), GicError> {
        // Groups off first, for ARE may not be set while they are on, nor be cleared ever.
        let are = self.dist.read32(GICD_CTLR) & CTLR_ARE;
        self.set_control(are)?;
        self.set_control(CTLR_ARE)?;
        if self.dist.read32(GICD_CTLR) & CTLR_ARE == 0 {
            return Err(GicError::NoAffinityRouting);
        }
        for word in 1..self.lines.div_ceil(32) as usize {
            reset_lines(&self.dist, word);
            for pair in 0..2 {
                self.dist.write32(ICFGR + word * 8 + pair * 4, 0);
            }
        }
        for intid in FIRST_SPI..self.lines {
            self.write_route(intid, mpidr);
        }
        // Waits for the writes to ICENABLER as well.
        self.set_control(CTLR_ARE | CTLR_ENABLE_GRP1)
    }

    /// Writes GICD_CTLR and waits until it is in effect.
    fn set_control(&self, value: u32) -> Result<(), GicError> {
        self.dist.write32(GICD_CTLR, value);
        wait_for_writes(&self.dist, GICD_CTLR, CTLR_RWP)
    }

    fn write_route(&self, intid: u32, mpidr: u64) {
        let register = GICD_IROUTER + intid as usize * 8;
        self.dist.write64(register, mpidr & AFFINITY);
    }

    /// Sets up the CPU that calls, whose MPIDR_EL1 is `mpidr`: wakes its redistributor, resets its
    /// private interrupts as [`init`](Self::init) does the shared ones, enables the software
    /// generated ones (0 to 15), and turns its CPU interface on.
    pub fn init_cpu(&self, mpidr: u64) -> Result<Redistributor, GicError> {
        let redist = Redistributor::find(&self.redists, self.stride, mpidr)?;
        redist.init(mpidr)?;
        if !arch::enable_cpu_interface(PRIORITY_MASK) {
            return Err(GicError::NoSystemRegisters);
        }
        Ok(redist)
    }

    /// How many shared interrupts there are; their numbers begin at 32.
    pub fn spi_count(&self) -> u32 {
        self.lines - FIRST_SPI
    }

    /// A shared interrupt.
    pub fn spi(&self, intid: u32) -> Result<Line, GicError> {
        if !(FIRST_SPI..self.lines).contains(&intid) {
            return Err(GicError::NoInterrupt { intid });
        }
        Ok(Line::new(self.dist, intid, self.dist, CTLR_RWP))
    }

    /// Routes a shared interrupt to the CPU `mpidr`. One that is pending already may still go to
    /// the CPU it was routed to before.
    pub fn route(&self, intid: u32, mpidr: u64) -> Result<(), GicError> {
        self.spi(intid)?;
        self.write_route(intid, mpidr);
        Ok(())
    }

    /// The CPU `mpidr` as a target of [`send_sgi`].
    pub fn sgi_target(&self, mpidr: u64) -> Result<SgiTarget, GicError> {
        let field = |shift: u32| mpidr >> shift & 0xff;
        let (aff3, aff2, aff1, aff0) = (field(32), field(16), field(8), field(0));
        // The target list has 16 bits; the range selector tells which 16 CPUs they are.
        if aff0 > 15 && !self.range_selector {
            return Err(GicError::Unreachable { mpidr });
        }
        let range = aff0 >> 4;
        let list = 1 << (aff0 & 0xf);
        Ok(SgiTarget(
            aff3 << 48 | range << 44 | aff2 << 32 | aff1 << 16 | list,
        ))
    }
}

/// Architecture revision, bits 7:4: 3 or 4.
fn check_version(frame: &Mmio) -> Result<(), GicError> {
    match frame.read32(PIDR2) {
        id if matches!(id >> 4 & 0xf, 3 | 4) => Ok(()),
        id => Err(GicError::Version(id)),
    }
}

/// Puts 32 lines into the state that [`Gic::init`] tells, but for trigger and route.
fn reset_lines(bank: &Mmio, word: usize) {
    bank.write32(ICENABLER + word * 4, !0);
    bank.write32(IGROUPR + word * 4, !0);
    bank.write32(ICPENDR + word * 4, !0);
    bank.write32(ICACTIVER + word * 4, !0);
    for four in 0..8 {
        let register = IPRIORITYR + word * 32 + four * 4;
        bank.write32(register, u32::from_ne_bytes([DEFAULT_PRIORITY; 4]));
    }
}

/// Waits until writes to control and enable registers are in effect everywhere.
fn wait_for_writes(frame: &Mmio, control: usize, pending: u32) -> Result<(), GicError> {
    if frame.poll32(control, |value| value & pending == 0) {
        Ok(())
    } else {
        Err(GicError::WriteStuck)
    }
}

/// Acknowledges the most urgent pending interrupt of this CPU and makes it active. Returns its
/// number, or one from [`SPECIAL`] on if there is none to handle: then there is nothing to end.
#[inline]
pub fn ack() -> u32 {
    let intid = arch::read_iar1();
    // The redistributor has seen it active only after a DSB (IHI 0069, "Observability of the
    // effects of accesses to the GIC registers"): without, a look at its active state, or the line
    // firing once more, could come before. It also keeps the handler's reads behind the IAR, so
    // that they see what the sender of an SGI wrote before it.
    arch::full_barrier();
    intid
}

/// Ends the interrupt's handling on this CPU: drops the running priority, so that others of its
/// priority can be signalled. It stays active until [`deactivate`] or, if it is linked, until its
/// guest deactivates it. Calls must come in the reverse order of [`ack`]'s, on the same CPU.
#[inline]
pub fn end(intid: u32) {
    arch::write_eoir1(intid);
    // In effect before the caller opens interrupts or waits for one.
    arch::isb();
}

/// Makes an interrupt inactive that [`end`] was called for, so that it can become pending and be
/// signalled again.
///
/// If it is level triggered, its device must have let go of the line by now. Writes to a device
/// take time: drivers wait for theirs with a DSB (see `Pl011::clear_interrupts`).
#[inline]
pub fn deactivate(intid: u32) {
    arch::write_dir(intid);
    arch::isb();
}

/// Sends software-generated interrupt `intid` (0 to 15) to a CPU. What was written to memory
/// before is visible to its handler.
#[inline]
pub fn send_sgi(target: SgiTarget, intid: u8) {
    // System registers aren't ordered with memory: without this the interrupt could be there
    // first.
    arch::dsb_ishst();
    arch::write_sgi1r(target.0 | u64::from(intid & 0xf) << 24);
    // Sent before the caller waits for an answer.
    arch::isb();
}
