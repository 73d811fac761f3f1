//! How an exception is taken to EL1: the architecture's own steps (Arm ARM DDI 0487,
//! AArch64.TakeException, D1.3), on values. Pure.

/// Exception classes and fault codes used here (DDI 0487, D24.2.40, ESR_EL1).
const EC_UNKNOWN: u64 = 0x00;
const EC_INSTRUCTION_ABORT_LOWER: u64 = 0x20;
const EC_DATA_ABORT_LOWER: u64 = 0x24;
/// An abort from the same exception level has the lower level's class plus one.
const SAME_LEVEL: u64 = 1;
const ESR_IL: u64 = 1 << 25;
const ISS_WNR: u64 = 1 << 6;
const ISS_CM: u64 = 1 << 8;
/// FAR_EL1 is not valid.
const ISS_FNV: u64 = 1 << 10;
/// Synchronous external abort, not on a translation table walk.
const FSC_EXTERNAL: u64 = 0x10;
/// The same on a walk; the level is added.
const FSC_EXTERNAL_ON_WALK: u64 = 0x14;

/// PSTATE as in SPSR_ELx (C5.2.18).
mod pstate {
    pub const M_EL1H: u64 = 0b0101;
    pub const M_MASK: u64 = 0b1_1111;
    pub const M_AARCH32: u64 = 1 << 4;
    pub const M_SP_ELX: u64 = 1;
    pub const M_EL: u64 = 0b1100;
    pub const DAIF: u64 = 0xf << 6;
    pub const SSBS: u64 = 1 << 12;
    pub const ALLINT: u64 = 1 << 13;
    pub const PAN: u64 = 1 << 22;
    pub const DIT: u64 = 1 << 24;
    pub const TCO: u64 = 1 << 25;
    pub const NZCV: u64 = 0xf << 28;
    /// AArch32's DIT is another bit.
    pub const AARCH32_DIT: u64 = 1 << 21;
}

const SCTLR_SPAN: u64 = 1 << 23;
const SCTLR_DSSBS: u64 = 1 << 44;
const SCTLR_SPINTMASK: u64 = 1 << 62;

/// The optional parts of PSTATE this CPU has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PstateFeatures {
    /// FEAT_PAN.
    pub pan: bool,
    /// FEAT_SSBS.
    pub ssbs: bool,
    /// FEAT_MTE2 in the hardware, whether or not the guest knows.
    pub mte: bool,
    /// FEAT_NMI.
    pub nmi: bool,
}

/// Where EL1 goes on after taking a synchronous exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The new PSTATE.
    pub pstate: u64,
    /// Offset from VBAR_EL1.
    pub vector: u64,
}

/// Takes a synchronous exception to EL1 from the context in `spsr`.
pub fn take(spsr: u64, sctlr: u64, features: PstateFeatures) -> Taken {
    let aarch32 = spsr & pstate::M_AARCH32 != 0;
    let vector = match (aarch32, spsr & pstate::M_EL, spsr & pstate::M_SP_ELX) {
        (true, ..) => 0x600,
        (_, 0, _) => 0x400,
        (.., 1) => 0x200,
        _ => 0x000,
    };
    let mut new = spsr & (pstate::NZCV | pstate::PAN) | pstate::DAIF | pstate::M_EL1H;
    let dit = if aarch32 {
        pstate::AARCH32_DIT
    } else {
        pstate::DIT
    };
    if spsr & dit != 0 {
        new |= pstate::DIT;
    }
    if features.pan && sctlr & SCTLR_SPAN == 0 {
        new |= pstate::PAN;
    }
    if features.ssbs && sctlr & SCTLR_DSSBS != 0 {
        new |= pstate::SSBS;
    }
    if features.mte {
        new |= pstate::TCO;
    }
    if features.nmi && sctlr & SCTLR_SPINTMASK == 0 {
        new |= pstate::ALLINT;
    }
    Taken {
        pstate: new,
        vector,
    }
}

fn from_el1(spsr: u64) -> bool {
    spsr & pstate::M_MASK & pstate::M_AARCH32 == 0 && spsr & pstate::M_EL != 0
}

/// ESR_EL1 of an instruction that is UNDEFINED.
pub const fn undefined_esr() -> u64 {
    EC_UNKNOWN << 26 | ESR_IL
}

/// ESR_EL1 of a synchronous external abort.
///
/// `esr_el2` is the syndrome of the access that is refused, `spsr` its context; `walk_level` is
/// the level of the stage-1 walk the access failed on, if it did. FnV is what `esr_el2` says, if
/// that is an external abort itself; it is 0 for all others (D24.2.40).
pub fn external_abort_esr(esr_el2: u64, spsr: u64, walk_level: Option<u8>) -> u64 {
    let instruction = esr_el2 >> 26 & 0x3f == EC_INSTRUCTION_ABORT_LOWER;
    let class = if instruction {
        EC_INSTRUCTION_ABORT_LOWER
    } else {
        EC_DATA_ABORT_LOWER
    };
    let class = class + if from_el1(spsr) { SAME_LEVEL } else { 0 };
    let fsc = match walk_level {
        None => FSC_EXTERNAL,
        Some(level) => FSC_EXTERNAL_ON_WALK + u64::from(level & 3),
    };
    let details = if instruction {
        ISS_FNV
    } else {
        ISS_FNV | ISS_WNR | ISS_CM
    };
    class << 26 | ESR_IL | esr_el2 & details | fsc
}

#[cfg(test)]
mod tests {
    use super::*;

    const EL0: u64 = 0;
    const EL1T: u64 = 0b0100;
    const EL1H: u64 = 0b0101;
    const USR32: u64 = 0b1_0000;

    #[test]
    fn the_vector_depends_on_where_it_comes_from() {
        let vector = |spsr| take(spsr, 0, PstateFeatures::default()).vector;
        assert_eq!(
            [vector(EL1T), vector(EL1H), vector(EL0), vector(USR32)],
            [0, 0x200, 0x400, 0x600]
        );
    }

    #[test]
    fn new_pstate_masks_and_clears() {
        // IL, SS, BTYPE, UAO set before; all interrupts open.
        let spsr = EL0 | 1 << 20 | 1 << 21 | 3 << 10 | 1 << 23 | 0xa << 28;
        let new = take(spsr, 0, PstateFeatures::default()).pstate;
        assert_eq!(new, 0xa << 28 | 0xf << 6 | 5);
    }

    #[test]
    fn optional_bits_follow_sctlr() {
        let all = PstateFeatures {
            pan: true,
            ssbs: true,
            mte: true,
            nmi: true,
        };
        let set = take(EL0, SCTLR_DSSBS, all).pstate;
        assert_eq!(
            set & (1 << 22 | 1 << 12 | 1 << 25 | 1 << 13),
            1 << 22 | 1 << 12 | 1 << 25 | 1 << 13
        );
        let clear = take(EL0, SCTLR_SPAN | SCTLR_SPINTMASK, all).pstate;
        assert_eq!(clear & (1 << 22 | 1 << 12 | 1 << 13), 0);
        // PAN that was set stays set.
        assert_ne!(take(EL1H | 1 << 22, SCTLR_SPAN, all).pstate & 1 << 22, 0);
    }

    #[test]
    fn aborts_have_the_class_of_their_origin() {
        let data = 0x24 << 26 | 1 << 24 | ISS_WNR | 0x05;
        assert_eq!(
            external_abort_esr(data, EL0, None),
            0x24 << 26 | ESR_IL | ISS_WNR | 0x10
        );
        assert_eq!(
            external_abort_esr(data, EL1H, None),
            0x25 << 26 | ESR_IL | ISS_WNR | 0x10
        );
        assert_eq!(external_abort_esr(data, USR32, None) >> 26, 0x24);
        let without_address = 0x24 << 26 | ISS_FNV | ISS_CM | 0x10;
        assert_eq!(
            external_abort_esr(without_address, EL0, None),
            0x24 << 26 | ESR_IL | ISS_FNV | ISS_CM | 0x10
        );
        let fetch = 0x20 << 26 | ISS_FNV | ISS_WNR | 0x10;
        assert_eq!(
            external_abort_esr(fetch, EL0, None),
            0x20 << 26 | ESR_IL | ISS_FNV | 0x10
        );
        let fetch = 0x20 << 26 | 0x05;
        assert_eq!(
            external_abort_esr(fetch, EL1T, Some(2)),
            0x21 << 26 | ESR_IL | 0x16
        );
    }
}
