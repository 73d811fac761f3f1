//! What guests read from the ID registers that HCR_EL2.TID3 traps: S3_0_C0_C1_0 to S3_0_C0_C7_7
//! (DDI 0487, D24.2, each register's own section; D24.1.5 and D17.1.3 on how fields grow).
//!
//! A field is shown only if it is listed here, so what a future CPU has stays hidden until
//! somebody has looked at it. A feature is shown if it needs no state that is not switched and no
//! trap bit that is set; see `docs/architecture.md`. Nothing shown exceeds what the CPU has, so a
//! guest never uses an instruction that isn't there.

/// A guest's physical addresses have at most so many bits; PARange says no more.
pub const IPA_BITS: u32 = 40;
/// ID_AA64MMFR0_EL1.PARange for [`IPA_BITS`].
const PARANGE: u64 = 2;

/// What is shown of one ID register.
struct Shown {
    crm: u8,
    op2: u8,
    /// Lowest bits of the 4-bit fields that are shown as they are.
    keep: &'static [u32],
    /// Lowest bits of the 4-bit fields that are shown up to a value.
    limit: &'static [(u32, u64)],
}

/// All fields of the lower 32 bits: the AArch32 ID registers have no others.
const ALL32: &[u32] = &[0, 4, 8, 12, 16, 20, 24, 28];

/// The registers; one that isn't listed reads as zero.
///
/// Hidden fields and why, where it isn't their being part of EL2, EL3 or Secure state:
/// - no state of theirs is switched: SVE, SME (and ZFR0, SMFR0), MTE (all fields), PMU, statistical
///   profiling, trace, trace buffers and filters, BRBE, AMU, MPAM, GCS, THE, S1PIE, S1POE, AIE,
///   D128, SCTLRX, FPMR (and FPFR0), LS64 (ACCDATA_EL1), DFR1's counters, TME;
/// - TCRX, ASID2, HAFDBS from 3 on, CPA2, PACM: they are controlled in registers that go with those;
/// - RAS and all that reports errors by it (IESB, DF2, PFAR, ANERR, ADERR, SNERR, SDERR): error
///   records are the hypervisor's;
/// - CSV2 and CSV2_frac from 2 on: SCXTNUM_ELx trap to EL3 unless the firmware lets them be
///   (SCR_EL3.EnSCXT), which can't be found out and which Linux does not ask of it;
/// - LO: LORegions are of physical addresses;
/// - NMI: virtual interrupts have none;
/// - AFR0, AFR1: IMPLEMENTATION DEFINED.
const SHOWN: &[Shown] = &[
    // ID_PFR0_EL1: without AMU (20), RAS (28).
    Shown {
        crm: 1,
        op2: 0,
        keep: &[0, 4, 8, 12, 16, 24],
        limit: &[],
    },
    // ID_PFR1_EL1: without Virtualization (12), Virt_frac (24). GIC as in PFR0.
    Shown {
        crm: 1,
        op2: 1,
        keep: &[0, 4, 8, 16, 20],
        limit: &[(28, 1)],
    },
    // ID_DFR0_EL1: CopDbg and CopSDbg: the Armv8 debug architecture.
    Shown {
        crm: 1,
        op2: 2,
        keep: &[],
        limit: &[(0, 6), (4, 6)],
    },
    // ID_MMFR0_EL1 to ID_MMFR3_EL1, ID_ISAR0_EL1 to ID_ISAR5_EL1.
    Shown {
        crm: 1,
        op2: 4,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 1,
        op2: 5,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 1,
        op2: 6,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 1,
        op2: 7,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 2,
        op2: 0,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 2,
        op2: 1,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 2,
        op2: 2,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 2,
        op2: 3,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 2,
        op2: 4,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 2,
        op2: 5,
        keep: ALL32,
        limit: &[],
    },
    // ID_MMFR4_EL1: without XNX (8), EVT (28).
    Shown {
        crm: 2,
        op2: 6,
        keep: &[0, 4, 12, 16, 20, 24],
        limit: &[],
    },
    // ID_ISAR6_EL1, MVFR0_EL1 to MVFR2_EL1.
    Shown {
        crm: 2,
        op2: 7,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 3,
        op2: 0,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 3,
        op2: 1,
        keep: ALL32,
        limit: &[],
    },
    Shown {
        crm: 3,
        op2: 2,
        keep: ALL32,
        limit: &[],
    },
    // ID_PFR2_EL1: CSV3, SSBS. ID_MMFR5_EL1: ETS, nTLBPA.
    Shown {
        crm: 3,
        op2: 4,
        keep: &[0, 4],
        limit: &[],
    },
    Shown {
        crm: 3,
        op2: 6,
        keep: &[0, 4],
        limit: &[],
    },
    // ID_AA64PFR0_EL1: EL0, EL3, FP, AdvSIMD, DIT, CSV2, CSV3. EL3 tells whether SMC exists, and
    // it does for a guest where it does for us. EL1 is AArch64 (HCR_EL2.RW). GIC: the registers of
    // GICv3 and GICv4, not those of GICv4.1.
    Shown {
        crm: 4,
        op2: 0,
        keep: &[0, 12, 16, 20, 48, 60],
        limit: &[(4, 1), (24, 1), (56, 1)],
    },
    // ID_AA64PFR1_EL1: BT, SSBS, CSV2_frac.
    Shown {
        crm: 4,
        op2: 1,
        keep: &[0, 4],
        limit: &[(32, 1)],
    },
    // ID_AA64DFR0_EL1: DebugVer is Armv8's; two breakpoints (12) and two watchpoints (20), one of
    // the former context-aware (28); DoubleLock (36).
    Shown {
        crm: 5,
        op2: 0,
        keep: &[36],
        limit: &[(0, 6), (12, 1), (20, 1), (28, 0)],
    },
    // ID_AA64ISAR0_EL1: all but TME (24).
    Shown {
        crm: 6,
        op2: 0,
        keep: &[4, 8, 12, 16, 20, 28, 32, 36, 40, 44, 48, 52, 56, 60],
        limit: &[],
    },
    // ID_AA64ISAR1_EL1: all but LS64 (60).
    Shown {
        crm: 6,
        op2: 1,
        keep: &[0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56],
        limit: &[],
    },
    // ID_AA64ISAR2_EL1: all but SYSREG_128 (32) and SYSINSTR_128 (36).
    Shown {
        crm: 6,
        op2: 2,
        keep: &[0, 4, 8, 12, 16, 20, 24, 28, 40, 44, 48, 52, 56, 60],
        limit: &[],
    },
    // ID_AA64ISAR3_EL1: FAMINMAX, LSFE, OCCMO, LSUI, FPRCVT; CPA without CPA2; not TLBIW (8), whose
    // effect is on stage 2, nor PACM (12).
    Shown {
        crm: 6,
        op2: 3,
        keep: &[4, 16, 20, 24, 28],
        limit: &[(0, 1)],
    },
    // ID_AA64MMFR0_EL1: all but FGT (56). ECV without CNTPOFF_EL2.
    Shown {
        crm: 7,
        op2: 0,
        keep: &[4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44],
        limit: &[(0, PARANGE), (60, 1)],
    },
    // ID_AA64MMFR1_EL1: HAFDBS, HPDS, PAN, SpecSEI, ETS, AFP, nTLBPA, TIDCP1, CMOW, ECBHB; not
    // VMIDBits (4), VH (8), LO (16), XNX (28), TWED (32), HCX (40).
    Shown {
        crm: 7,
        op2: 1,
        keep: &[12, 20, 24, 36, 44, 48, 52, 56, 60],
        limit: &[(0, 2)],
    },
    // ID_AA64MMFR2_EL1: all but IESB (12), NV (24), FWB (40), EVT (56).
    Shown {
        crm: 7,
        op2: 2,
        keep: &[0, 4, 8, 16, 20, 28, 32, 36, 48, 52, 60],
        limit: &[],
    },
    // ID_AA64MMFR3_EL1: Spec_FPACC.
    Shown {
        crm: 7,
        op2: 3,
        keep: &[60],
        limit: &[],
    },
    // ID_AA64MMFR4_EL1: E2H0, where not zero means less.
    Shown {
        crm: 7,
        op2: 4,
        keep: &[24],
        limit: &[],
    },
];

/// Fields that say "not implemented" with their highest value: limits would turn that around, and
/// all of them are kept as they are. (AdvSIMD, FP; DoubleLock; TGRAN4, TGRAN64; E2H0.)
#[cfg(test)]
const INVERTED: &[(u8, u8, u32)] = &[
    (4, 0, 16),
    (4, 0, 20),
    (5, 0, 36),
    (7, 0, 24),
    (7, 0, 28),
    (7, 4, 24),
];

const fn field(register: u64, lowest: u32) -> u64 {
    register >> lowest & 0xf
}

/// What guests read from S3_0_C0_C`crm`_`op2`, given what the CPU has there.
pub fn guest_id(crm: u8, op2: u8, physical: u64) -> u64 {
    let Some(shown) = SHOWN
        .iter()
        .find(|shown| (shown.crm, shown.op2) == (crm, op2))
    else {
        return 0;
    };
    let kept = shown.keep.iter().map(|&at| field(physical, at) << at);
    let limited = shown
        .limit
        .iter()
        .map(|&(at, max)| field(physical, at).min(max) << at);
    kept.chain(limited).fold(0, |value, field| value | field)
}

/// What a guest without an interrupt controller reads where others read `value`: no GIC System
/// registers.
pub const fn without_gic(crm: u8, op2: u8, value: u64) -> u64 {
    match (crm, op2) {
        // ID_PFR1_EL1.GIC, ID_AA64PFR0_EL1.GIC.
        (1, 1) => value & !(0xf << 28),
        (4, 0) => value & !(0xf << 24),
        _ => value,
    }
}

/// Enable bits of HCRX_EL2 (D24.2.51) that belong to a field of an ID register: CRm, op2, lowest
/// bit, the value from which on the bit is needed, and the bit.
const HCRX_ENABLES: &[(u8, u8, u32, u64, u32)] = &[
    // LS64: EnALS, EnASR, EnAS0.
    (6, 1, 60, 1, 1),
    (6, 1, 60, 2, 2),
    (6, 1, 60, 3, 0),
    // MOPS: MSCEn.
    (6, 2, 16, 1, 11),
    // TCRX: TCR2En. SCTLRX: SCTLR2En.
    (7, 3, 0, 1, 14),
    (7, 3, 4, 1, 15),
    // SYSREG_128: EnIDCP128. D128: D128En.
    (6, 2, 32, 1, 21),
    (7, 3, 32, 1, 17),
    // TME: TMEA. GCS: GCSEn. FPMR: EnFPM. PACM: PACMEn.
    (6, 0, 24, 1, 19),
    (4, 1, 44, 1, 22),
    (4, 2, 32, 1, 23),
    (6, 3, 12, 1, 24),
    // SNERR and ANERR: EnSNERR. SDERR and ADERR: EnSDERR.
    (7, 3, 40, 1, 18),
    (7, 3, 52, 1, 20),
];

/// HCRX_EL2 for guests: its enable bits as the ID registers promise, its trap bits clear. `id`
/// gives what guests read from S3_0_C0_C`crm`_`op2`. To be written where FEAT_HCX is there; a
/// feature whose bit is zero is UNDEFINED for the guest.
pub fn hcrx(id: impl Fn(u8, u8) -> u64) -> u64 {
    HCRX_ENABLES
        .iter()
        .filter(|&&(crm, op2, at, from, _)| field(id(crm, op2), at) >= from)
        .fold(0, |value, &(.., bit)| value | 1 << bit)
}

#[cfg(test)]
mod tests;
