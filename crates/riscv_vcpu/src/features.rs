//! What the CPU offers, as far as switching a vCPU depends on it. Probed once (`arch`); what follows
//! from it is pure, so that the choices are tested on the host. RISC-V privileged ISA, "Hypervisor
//! CSRs", and the chapters of the named extensions.

use core::fmt;

use axaddrspace::Sv;

use crate::inject::status;
use crate::isa::Enabled;

/// What the vCPU code asks of the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Sstc: guests have a timer of their own (vstimecmp).
    pub sstc: bool,
    /// Svpbmt: page-based memory types, in G-stage tables.
    pub svpbmt: bool,
    /// Zicbom: cache blocks are cleaned, flushed and invalidated.
    pub zicbom: bool,
    /// Zicboz: cache blocks are zeroed.
    pub zicboz: bool,
    /// Smstateen: hstateen0 exists, and the firmware lets it be used.
    pub stateen: bool,
    /// Floating point, with registers of 64 bits.
    pub float: bool,
    /// Bytes of a vector register (CSR vlenb); 0: no vectors.
    pub vlenb: usize,
    /// Bits of a VMID (VMIDLEN).
    pub vmid_bits: u32,
    /// Sv39x4 is there.
    pub sv39x4: bool,
    /// Sv48x4 is there.
    pub sv48x4: bool,
}

/// Which extensions the machine's description gives a CPU, of those that are not used without: the
/// bits of henvcfg that enable them can be set on QEMU 7.2 whether they are there or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Sstc.
    pub sstc: bool,
    /// Svpbmt.
    pub svpbmt: bool,
}

/// VMIDs that VMs are given have 8 bits.
const VMID_BITS: u32 = 8;

impl Features {
    /// Of what was found on a CPU, what its description doesn't deny.
    pub const fn as_described(self, described: Described) -> Self {
        Self {
            sstc: self.sstc && described.sstc,
            svpbmt: self.svpbmt && described.svpbmt,
            ..self
        }
    }

    /// G-stage tables: the scheme with the shortest walk.
    pub const fn stage2(&self) -> Option<Sv> {
        if self.sv39x4 {
            Some(Sv::sv39x4(self.svpbmt))
        } else if self.sv48x4 {
            Some(Sv::sv48x4(self.svpbmt))
        } else {
            None
        }
    }

    /// Whether guests can be run at all.
    pub const fn check(&self) -> Result<(), CpuError> {
        if self.stage2().is_none() {
            return Err(CpuError::NoStage2);
        }
        if self.vmid_bits < VMID_BITS {
            return Err(CpuError::VmidBits(self.vmid_bits));
        }
        Ok(())
    }

    /// Whether a CPU that has `self` can run what was prepared for one that has `first`: all that
    /// is used of a CPU is the same.
    pub fn can_stand_in_for(&self, first: &Self) -> bool {
        let same_but_for_sizes = Self {
            vmid_bits: first.vmid_bits,
            ..*self
        };
        same_but_for_sizes == *first && self.vmid_bits >= VMID_BITS
    }

    /// What of the host's ISA works in guests.
    ///
    /// Svpbmt does not: a guest could look at its RAM past the caches, and find there what was
    /// before it was cleared, another VM's secrets. Who enables it (PBMTE, too) has to write all
    /// that is cleared and loaded back to memory.
    pub const fn enabled(&self) -> Enabled {
        Enabled {
            float: self.float,
            vector: self.vlenb != 0,
            sstc: self.sstc,
            zicbom: self.zicbom,
            zicboz: self.zicboz,
            svpbmt: false,
        }
    }

    /// What is set in sstatus while a guest runs: the units whose registers are switched are on, and
    /// clean.
    pub const fn units(&self) -> u64 {
        let mut on = 0;
        if self.float {
            on |= status::FS_CLEAN;
        }
        if self.vlenb != 0 {
            on |= status::VS_CLEAN;
        }
        on
    }

    /// henvcfg while a guest runs. PBMTE is 0: see [`enabled`](Self::enabled). CBIE is "flush" and never "invalidate": a guest must not take back
    /// the zeros that its memory was cleared with, and find what was there before.
    pub const fn henvcfg(&self) -> u64 {
        use henvcfg::*;
        let mut value = 0;
        if self.sstc {
            value |= STCE;
        }
        if self.zicbom {
            value |= CBCFE | CBIE_FLUSH;
        }
        if self.zicboz {
            value |= CBZE;
        }
        value
    }
}

/// henvcfg ("Hypervisor Environment Configuration Register"). Not enabled: ADUE (a guest's page
/// tables are updated by itself), DTE, PMM, SSE, LPE.
pub mod henvcfg {
    /// CBO.INVAL flushes.
    pub const CBIE_FLUSH: u64 = 1 << 4;
    /// CBO.CLEAN and CBO.FLUSH work.
    pub const CBCFE: u64 = 1 << 6;
    /// CBO.ZERO works.
    pub const CBZE: u64 = 1 << 7;
    /// Svpbmt works in VS-stage tables.
    pub const PBMTE: u64 = 1 << 62;
    /// Sstc works.
    pub const STCE: u64 = 1 << 63;
    /// All that is looked for.
    pub const KNOWN: u64 = CBIE_FLUSH | CBCFE | CBZE | PBMTE | STCE;
}

/// hedeleg: a guest serves its own exceptions, but for calls of VS-mode (10) and what is the
/// hypervisor's (20 to 23, which can't be delegated): misaligned and refused fetches (0, 1), illegal
/// instructions (2), breakpoints (3), misaligned and refused loads and stores (4 to 7), calls of
/// VU-mode (8), page faults of its own tables (12, 13, 15). Not delegated either: double traps (16),
/// software checks (18), which are off, and hardware errors (19).
pub const HEDELEG: u64 = 0xb1ff;

/// hideleg: the three interrupts of VS-level, VSSIP (2), VSTIP (6) and VSEIP (10).
pub const HIDELEG: u64 = 0x444;

/// hcounteren: cycle, time, instret; no event counters.
pub const HCOUNTEREN: u64 = 7;

/// hstateen0 where it exists ("Smstateen"): ENVCFG (62), which gives senvcfg to the guest, where it
/// is switched. Hidden is what is not switched: sstateen0 (63), AIA (60 to 58), scontext (57),
/// custom state (0), JVT (2), ...
pub const HSTATEEN0: u64 = 1 << 62;

/// hstatus while a guest runs: VSXL (33:32) is 64 bits; VTW (21): WFI traps; SPV (7): SRET goes to
/// V=1. Zero: VTSR, VTVM (SRET, SFENCE.VMA and satp are the guest's), VGEIN, HU, GVA, VSBE.
pub mod hstatus {
    /// SRET enters the guest; and a trap came from it.
    pub const SPV: u64 = 1 << 7;
    /// Fixed.
    pub const GUEST: u64 = 2 << 32 | 1 << 21;
}

/// Why a CPU can't run guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuError {
    /// Neither Sv39x4 nor Sv48x4.
    NoStage2,
    /// VMIDs are too short.
    VmidBits(u32),
    /// Guests have been promised what another CPU has, and it has something else.
    Features {
        /// Its features.
        here: Features,
    },
}

impl fmt::Display for CpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStage2 => write!(f, "G-stage translation: neither Sv39x4 nor Sv48x4"),
            Self::VmidBits(bits) => {
                write!(f, "VMIDs have {bits} bits and must have {VMID_BITS}")
            }
            Self::Features { here } => write!(f, "not the first CPU's kind: {here:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Features = Features {
        sstc: true,
        svpbmt: true,
        zicbom: true,
        zicboz: true,
        stateen: true,
        float: true,
        vlenb: 16,
        vmid_bits: 14,
        sv39x4: true,
        sv48x4: true,
    };

    #[test]
    fn only_what_is_there_is_enabled() {
        assert_eq!(FULL.henvcfg(), henvcfg::KNOWN & !henvcfg::PBMTE);
        assert!(!FULL.enabled().svpbmt, "RAM is not cleaned to memory");
        assert_eq!(Features::default().henvcfg(), 0);
        let sstc = Features {
            sstc: true,
            ..Features::default()
        };
        assert_eq!(sstc.henvcfg(), 1 << 63);
    }

    #[test]
    fn what_is_not_described_is_not_used() {
        let all = Described {
            sstc: true,
            svpbmt: true,
        };
        assert_eq!(FULL.as_described(all), FULL);
        let none = FULL.as_described(Described::default());
        assert_eq!((none.sstc, none.svpbmt), (false, false));
        assert_eq!(none.henvcfg() & (henvcfg::STCE | henvcfg::PBMTE), 0);
        let bare = Features::default();
        assert_eq!(bare.as_described(all), bare);
    }

    #[test]
    fn registers_that_are_not_switched_are_off() {
        assert_eq!(FULL.units(), status::FS_CLEAN | status::VS_CLEAN);
        assert_eq!(Features::default().units(), 0);
        let float = Features {
            float: true,
            ..Features::default()
        };
        assert_eq!(float.units(), status::FS_CLEAN);
    }

    #[test]
    fn a_guest_never_invalidates() {
        const CBIE: u64 = 3 << 4;
        assert_eq!(FULL.henvcfg() & CBIE, 1 << 4);
    }

    #[test]
    fn the_shorter_walk_wins() {
        assert_eq!(FULL.stage2().map(|sv| sv.levels()), Some(3));
        let only_48 = Features {
            sv39x4: false,
            ..FULL
        };
        assert_eq!(only_48.stage2().map(|sv| sv.levels()), Some(4));
    }

    #[test]
    fn what_can_not_run_guests() {
        assert_eq!(FULL.check(), Ok(()));
        let short = Features {
            vmid_bits: 7,
            ..FULL
        };
        assert_eq!(short.check(), Err(CpuError::VmidBits(7)));
        assert_eq!(Features::default().check(), Err(CpuError::NoStage2));
    }

    #[test]
    fn a_cpu_stands_in_for_one_with_the_same_features() {
        assert!(FULL.can_stand_in_for(&FULL));
        let other = |change: fn(&mut Features)| {
            let mut features = FULL;
            change(&mut features);
            features
        };
        assert!(other(|f| f.vmid_bits = 9).can_stand_in_for(&FULL));
        assert!(!other(|f| f.vmid_bits = 7).can_stand_in_for(&FULL));
        assert!(!other(|f| f.vlenb = 32).can_stand_in_for(&FULL));
        assert!(!other(|f| f.sstc = false).can_stand_in_for(&FULL));
    }

    #[test]
    fn what_is_delegated() {
        // ECALL from VS, and what only the hypervisor can serve.
        for code in [9, 10, 11, 16, 18, 19, 20, 21, 22, 23] {
            assert_eq!(HEDELEG >> code & 1, 0, "{code}");
        }
    }
}
