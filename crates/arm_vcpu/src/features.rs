//! What the CPU offers, as far as switching a vCPU depends on it. Read once from the ID registers;
//! pure, so that the choices are tested on the host.

use core::fmt;

use axaddrspace::AddrSpaceError;

use crate::inject::PstateFeatures;
use crate::psci::Mitigations;

/// The ID registers that are looked at, as the CPU has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdRegs {
    /// ID_AA64PFR0_EL1.
    pub pfr0: u64,
    /// ID_AA64PFR1_EL1.
    pub pfr1: u64,
    /// ID_AA64ISAR1_EL1.
    pub isar1: u64,
    /// ID_AA64ISAR2_EL1.
    pub isar2: u64,
    /// ID_AA64MMFR0_EL1.
    pub mmfr0: u64,
    /// ID_AA64MMFR1_EL1.
    pub mmfr1: u64,
    /// ID_AA64MMFR2_EL1.
    pub mmfr2: u64,
    /// ID_AA64DFR0_EL1.
    pub dfr0: u64,
}

/// A 4-bit field of an ID register.
const fn field(register: u64, shift: u32) -> u64 {
    register >> shift & 0xf
}

/// What the vCPU code asks of the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// FEAT_PAuth in any of its forms: keys to switch, and HCR_EL2.API/APK.
    pub pauth: bool,
    /// FEAT_HCX: HCRX_EL2 exists.
    pub hcx: bool,
    /// FEAT_S2FWB: stage 2 can force guest RAM write-back.
    pub fwb: bool,
    /// FEAT_SVE: CPTR_EL2.TZ traps it.
    pub sve: bool,
    /// FEAT_SME: CPTR_EL2.TSM traps it.
    pub sme: bool,
    /// FEAT_FGT: fine-grained traps.
    pub fgt: bool,
    /// FEAT_FGT2: more of them.
    pub fgt2: bool,
    /// FEAT_AMUv1: activity monitors.
    pub amu: bool,
    /// FEAT_SPE: statistical profiling.
    pub spe: bool,
    /// Trace registers can be accessed as System registers.
    pub trace: bool,
    /// FEAT_TRF: trace filters.
    pub trf: bool,
    /// FEAT_RAS: HCR_EL2.TERR.
    pub ras: bool,
    /// FEAT_MPAM: MPAM2_EL2 traps EL0's and EL1's partition ids.
    pub mpam: bool,
    /// FEAT_LOR: HCR_EL2.TLOR.
    pub lor: bool,
    /// FEAT_WFxT: WFET and WFIT.
    pub wfxt: bool,
    /// An architected PMU: PMCR_EL0 exists.
    pub pmu: bool,
    /// FEAT_PMUv3p1: counting can be prohibited at EL2.
    pub pmu_hpmd: bool,
    /// Breakpoints and watchpoints the CPU has, at least 2 of each (D2.8).
    pub breakpoints: usize,
    /// Watchpoints.
    pub watchpoints: usize,
    /// Physical address size in bits (ID_AA64MMFR0_EL1.PARange).
    pub pa_bits: u8,
    /// VMIDs have 16 bits (FEAT_VMID16), else 8.
    pub vmid16: bool,
    /// Optional parts of PSTATE.
    pub pstate: PstateFeatures,
    /// For SMCCC_ARCH_FEATURES.
    pub mitigations: Mitigations,
}

impl Features {
    /// Reads the fields (DDI 0487, D24.2, each register's own section).
    pub fn new(id: &IdRegs) -> Self {
        // ID_AA64ISAR1: APA 7:4, API 11:8; ID_AA64ISAR2: APA3 15:12.
        let pauth = field(id.isar1, 4) | field(id.isar1, 8) | field(id.isar2, 12) != 0;
        Self {
            pauth,
            hcx: field(id.mmfr1, 40) != 0,
            fwb: field(id.mmfr2, 40) != 0,
            sve: field(id.pfr0, 32) != 0,
            sme: field(id.pfr1, 24) != 0,
            fgt: field(id.mmfr0, 56) != 0,
            fgt2: field(id.mmfr0, 56) >= 2,
            amu: field(id.pfr0, 44) != 0,
            spe: field(id.dfr0, 32) != 0,
            trace: field(id.dfr0, 4) != 0,
            trf: field(id.dfr0, 40) != 0,
            ras: field(id.pfr0, 28) != 0,
            mpam: field(id.pfr0, 40) | field(id.pfr1, 16) != 0,
            lor: field(id.mmfr1, 16) != 0,
            wfxt: field(id.isar2, 0) >= 2,
            // 0xf: a PMU that is not the architecture's.
            pmu: !matches!(field(id.dfr0, 8), 0 | 0xf),
            pmu_hpmd: matches!(field(id.dfr0, 8), 4..=0xe),
            breakpoints: field(id.dfr0, 12) as usize + 1,
            watchpoints: field(id.dfr0, 20) as usize + 1,
            pa_bits: pa_bits(field(id.mmfr0, 0)),
            vmid16: field(id.mmfr1, 4) == 2,
            pstate: PstateFeatures {
                pan: field(id.mmfr1, 20) != 0,
                ssbs: field(id.pfr1, 4) != 0,
                mte: field(id.pfr1, 8) >= 2,
                nmi: field(id.pfr1, 36) != 0,
            },
            mitigations: Mitigations {
                csv2: field(id.pfr0, 56) != 0,
                ssbs: field(id.pfr1, 4) != 0,
            },
        }
    }
}

impl Features {
    /// Whether a CPU that has `self` can run what was prepared for one that has `first`: all that
    /// is used of a CPU is the same. Sizes may be larger than they need to be.
    pub fn can_stand_in_for(&self, first: &Self) -> bool {
        let same_but_for_sizes = Self {
            pa_bits: first.pa_bits,
            breakpoints: first.breakpoints,
            watchpoints: first.watchpoints,
            ..*self
        };
        same_but_for_sizes == *first && self.pa_bits >= first.pa_bits
    }
}

/// Why a CPU can't run guests.
#[derive(Clone, Copy, Debug)]
pub enum CpuError {
    /// Stage 2 can't be set up for its sizes.
    Stage2(AddrSpaceError),
    /// Guests have been promised what another CPU has, and it has something else.
    IdRegister {
        /// CRm of the ID register S3_0_C0_Cm_n.
        crm: u8,
        /// Its op2.
        op2: u8,
        /// What guests read.
        promised: u64,
        /// What they would read if this CPU were the first.
        here: u64,
    },
    /// It lacks or adds something that is used when vCPUs are switched.
    Features {
        /// Its features.
        here: Features,
    },
}

impl From<AddrSpaceError> for CpuError {
    fn from(error: AddrSpaceError) -> Self {
        Self::Stage2(error)
    }
}

impl fmt::Display for CpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage2(error) => write!(f, "stage-2 translation: {error}"),
            Self::IdRegister {
                crm,
                op2,
                promised,
                here,
            } => write!(
                f,
                "not the first CPU's kind: S3_0_C0_C{crm}_{op2} is {here:#x} for guests, and not {promised:#x}"
            ),
            Self::Features { here } => write!(f, "not the first CPU's kind: {here:?}"),
        }
    }
}

/// ID_AA64MMFR0_EL1.PARange. Larger ranges need LPA2, which stage 2 here does not use: 48.
const fn pa_bits(parange: u64) -> u8 {
    match parange {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        _ => 48,
    }
}

/// HCR_EL2 bits (D24.2.48).
pub mod hcr {
    /// Stage 2 is on.
    pub const VM: u64 = 1 << 0;
    /// Set/way invalidation also cleans.
    pub const SWIO: u64 = 1 << 1;
    /// A stage-1 walk that hits device memory faults.
    pub const PTW: u64 = 1 << 2;
    /// Physical FIQ, IRQ and SError come to EL2.
    pub const FMO: u64 = 1 << 3;
    /// IRQ.
    pub const IMO: u64 = 1 << 4;
    /// SError.
    pub const AMO: u64 = 1 << 5;
    /// A virtual SError is pending.
    pub const VSE: u64 = 1 << 8;
    /// A guest's local TLB and instruction-cache maintenance reaches the inner shareable domain.
    pub const FB: u64 = 1 << 9;
    /// Its barriers too: BSU = inner shareable.
    pub const BSU_IS: u64 = 1 << 10;
    /// WFI traps.
    pub const TWI: u64 = 1 << 13;
    /// WFE traps.
    pub const TWE: u64 = 1 << 14;
    /// ID registers of group 3 trap.
    pub const TID3: u64 = 1 << 18;
    /// SMC traps.
    pub const TSC: u64 = 1 << 19;
    /// IMPLEMENTATION DEFINED registers trap.
    pub const TIDCP: u64 = 1 << 20;
    /// ACTLR_EL1 traps.
    pub const TACR: u64 = 1 << 21;
    /// Set/way cache maintenance traps.
    pub const TSW: u64 = 1 << 22;
    /// Writes of EL1's translation registers trap.
    pub const TVM: u64 = 1 << 26;
    /// EL1 is AArch64.
    pub const RW: u64 = 1 << 31;
    /// LORegion registers trap.
    pub const TLOR: u64 = 1 << 35;
    /// Error record registers trap.
    pub const TERR: u64 = 1 << 36;
    /// Pointer authentication keys and instructions do not trap.
    pub const APK: u64 = 1 << 40;
    /// Instructions.
    pub const API: u64 = 1 << 41;
    /// Stage 2 forces write-back.
    pub const FWB: u64 = 1 << 46;
}

impl Features {
    /// HCR_EL2 while a guest runs. E2H and TGE are 0; ATA is 0, so tags are not there (DESIGN 9);
    /// FB and BSU because a VM's vCPUs share a VMID and move between CPUs.
    pub fn hcr(&self) -> u64 {
        use hcr::*;
        let mut value = VM
            | SWIO
            | PTW
            | FMO
            | IMO
            | AMO
            | FB
            | BSU_IS
            | TWI
            | TID3
            | TSC
            | TIDCP
            | TACR
            | TSW
            | RW;
        for (has, bits) in [
            (self.lor, TLOR),
            (self.ras, TERR),
            (self.pauth, APK | API),
            (self.fwb, FWB),
        ] {
            if has {
                value |= bits;
            }
        }
        value
    }

    /// CPTR_EL2 (E2H=0) with floating point trapped or not: SVE, SME, trace and activity monitors
    /// always trap. RES1 bits: 13:12 (12 is TSM with SME), 9, 8 (TZ with SVE), 7:0 (D24.2.34).
    pub const fn cptr(&self, trap_fp: bool) -> u64 {
        const RES1_AND_TRAPS: u64 = 0x33ff;
        const TFP: u64 = 1 << 10;
        const TTA: u64 = 1 << 20;
        const TAM: u64 = 1 << 30;
        RES1_AND_TRAPS
            | if self.trace { TTA } else { 0 }
            | if self.amu { TAM } else { 0 }
            | if trap_fp { TFP } else { 0 }
    }

    /// MDCR_EL2: what is hidden traps (PMU, statistical profiling, trace), debug registers trap
    /// because they are shadowed, HPMN is the reset value (all counters; D24.3.17).
    pub const fn mdcr(&self, counters: u64) -> u64 {
        const TPMCR: u64 = 1 << 5;
        const TPM: u64 = 1 << 6;
        const TDA: u64 = 1 << 9;
        const TDOSA: u64 = 1 << 10;
        const TDRA: u64 = 1 << 11;
        const TPMS: u64 = 1 << 14;
        const HPMD: u64 = 1 << 17;
        const TTRF: u64 = 1 << 19;
        TDA | TDOSA
            | TDRA
            | if self.pmu {
                counters & 0x1f | TPMCR | TPM
            } else {
                0
            }
            | if self.pmu_hpmd { HPMD } else { 0 }
            | if self.spe { TPMS } else { 0 }
            | if self.trf { TTRF } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_hcr_bits_follow_their_features() {
        let none = Features::new(&IdRegs::default());
        assert_eq!(none.hcr() & (hcr::APK | hcr::API | hcr::FWB | hcr::TLOR), 0);
        let id = IdRegs {
            isar1: 1 << 8,
            mmfr2: 1 << 40,
            ..IdRegs::default()
        };
        let some = Features::new(&id);
        assert!(some.pauth && some.fwb);
        let all = hcr::APK | hcr::API | hcr::FWB;
        assert_eq!(some.hcr() & all, all);
    }

    #[test]
    fn trap_bits_of_what_is_not_there_are_zero() {
        let none = Features::new(&IdRegs::default());
        assert_eq!([none.cptr(true), none.cptr(false)], [0x37ff, 0x33ff]);
        assert_eq!(none.mdcr(6), 0xe00);
        let some = Features::new(&IdRegs {
            pfr0: 1 << 44,
            dfr0: 1 << 40 | 1 << 32 | 4 << 8 | 1 << 4,
            ..IdRegs::default()
        });
        assert_eq!(some.cptr(false), 0x33ff | 1 << 30 | 1 << 20);
        assert_eq!(some.mdcr(6), 0xe66 | 1 << 14 | 1 << 17 | 1 << 19);
        // PMUv3 without its 8.1 part; a PMU that is not the architecture's.
        let pmu = |version: u64| {
            let dfr0 = version << 8;
            Features::new(&IdRegs {
                dfr0,
                ..IdRegs::default()
            })
        };
        assert_eq!([pmu(1).mdcr(6), pmu(15).mdcr(6)], [0xe66, 0xe00]);
    }

    #[test]
    fn a_cpu_stands_in_for_one_with_the_same_features() {
        let id = IdRegs {
            mmfr0: 2,
            mmfr2: 1 << 40,
            ..IdRegs::default()
        };
        let first = Features::new(&id);
        let other = |change: fn(&mut IdRegs)| {
            let mut id = id;
            change(&mut id);
            Features::new(&id)
        };
        assert!(first.can_stand_in_for(&first));
        // Wider addresses, more breakpoints.
        assert!(other(|id| id.mmfr0 = 4).can_stand_in_for(&first));
        assert!(other(|id| id.dfr0 = 5 << 12).can_stand_in_for(&first));
        // Narrower ones; no FWB; keys that would not be switched.
        assert!(!other(|id| id.mmfr0 = 1).can_stand_in_for(&first));
        assert!(!other(|id| id.mmfr2 = 0).can_stand_in_for(&first));
        assert!(!other(|id| id.isar1 = 1 << 8).can_stand_in_for(&first));
    }

    #[test]
    fn host_extensions_stay_off() {
        const E2H: u64 = 1 << 34;
        const TGE: u64 = 1 << 27;
        const ATA: u64 = 1 << 56;
        assert_eq!(Features::default().hcr() & (E2H | TGE | ATA), 0);
    }

    #[test]
    fn sizes() {
        assert_eq!(
            [pa_bits(0), pa_bits(2), pa_bits(5), pa_bits(6), pa_bits(15)],
            [32, 40, 48, 48, 48]
        );
    }
}
