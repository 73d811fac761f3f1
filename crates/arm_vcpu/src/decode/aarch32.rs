//! AArch32 at EL0: conditional instructions that trap although their condition fails, and what
//! stepping over an instruction does to PSTATE.

/// Fields of SPSR_EL2 (DDI 0487, C5.2.20).
mod spsr {
    pub const AARCH32: u64 = 1 << 4;
    pub const THUMB: u64 = 1 << 5;
    /// IT[7:2].
    pub const IT_HIGH: u32 = 10;
    /// IT[1:0].
    pub const IT_LOW: u32 = 25;
    pub const IT_MASK: u64 = 0x3f << IT_HIGH | 3 << IT_LOW;
    /// AArch64 only; ITSTATE lies there in AArch32.
    pub const BTYPE: u64 = 3 << 10;
    pub const SS: u64 = 1 << 21;
    pub const NZCV: u32 = 28;
}

/// PSTATE.IT, bits 7:0.
const fn itstate(spsr: u64) -> u64 {
    (spsr >> spsr::IT_HIGH & 0x3f) << 2 | spsr >> spsr::IT_LOW & 3
}

/// Whether a trapped instruction's condition holds; the trap of one whose condition fails may be
/// taken all the same, and the instruction is then to be stepped over (DDI 0487, G1.20.1 and
/// D24.2.40, COND and CV). To be asked for traps with an exception class below 0x10: those of
/// other classes are taken only if the condition holds, and have no CV and COND.
pub const fn condition_holds(esr: u64, spsr: u64) -> bool {
    const CLASSES_WITHOUT_CONDITION: u64 = 0x10;
    if spsr & spsr::AARCH32 == 0 || esr >> 26 & 0x3f >= CLASSES_WITHOUT_CONDITION {
        return true;
    }
    let condition = if esr & 1 << 24 != 0 {
        esr >> 20 & 0xf
    } else {
        // CV is 0 for T32 only: the condition is the IT block's.
        match itstate(spsr) {
            0 => return true,
            it => it >> 4,
        }
    };
    holds(condition, spsr >> spsr::NZCV & 0xf)
}

/// ConditionHolds() of the pseudocode (F1.3.1 has the table).
const fn holds(condition: u64, nzcv: u64) -> bool {
    let (n, z) = (nzcv & 8 != 0, nzcv & 4 != 0);
    let (c, v) = (nzcv & 2 != 0, nzcv & 1 != 0);
    let result = match condition >> 1 {
        0 => z,
        1 => c,
        2 => n,
        3 => v,
        4 => c && !z,
        5 => n == v,
        6 => n == v && !z,
        _ => return true,
    };
    result != (condition & 1 != 0)
}

/// ITAdvance() of the pseudocode: to the IT block's next instruction.
pub const fn advance_itstate(spsr: u64) -> u64 {
    if spsr & spsr::AARCH32 == 0 || spsr & spsr::THUMB == 0 {
        return spsr;
    }
    let it = itstate(spsr);
    let next = if it & 7 == 0 {
        0
    } else {
        it & 0xe0 | it << 1 & 0x1f
    };
    spsr & !spsr::IT_MASK | next >> 2 << spsr::IT_HIGH | (next & 3) << spsr::IT_LOW
}

/// Whether [`step_over`] changes anything: seldom.
#[inline(always)]
pub const fn needs_step_over(spsr: u64) -> bool {
    spsr & (spsr::AARCH32 | spsr::BTYPE | spsr::SS) != 0
}

/// The SPSR after an instruction that the hypervisor did for the guest: as if the CPU had executed
/// it. ITSTATE advances (AArch32); BTYPE becomes 0 (AArch64, D1.3.3); a single step is complete,
/// so that its exception comes before the next instruction (SS becomes 0, D2.12).
pub const fn step_over(spsr: u64) -> u64 {
    let stepped = spsr & !spsr::SS;
    if spsr & spsr::AARCH32 != 0 {
        advance_itstate(stepped)
    } else {
        stepped & !spsr::BTYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: u64 = 0x10;

    fn with_it(it: u64) -> u64 {
        USER | 1 << 5 | it >> 2 << 10 | (it & 3) << 25
    }

    /// The table of F1.3.1, written out: for each condition the NZCV values it holds for.
    #[test]
    fn all_conditions_for_all_flags() {
        for nzcv in 0..16u64 {
            let (n, z, c, v) = (nzcv >> 3 & 1, nzcv >> 2 & 1, nzcv >> 1 & 1, nzcv & 1);
            let expected = [
                z == 1,
                z == 0,
                c == 1,
                c == 0,
                n == 1,
                n == 0,
                v == 1,
                v == 0,
                c == 1 && z == 0,
                c == 0 || z == 1,
                n == v,
                n != v,
                z == 0 && n == v,
                z == 1 || n != v,
                true,
                true,
            ];
            for (condition, expected) in expected.iter().enumerate() {
                let esr = 0x03 << 26 | 1 << 24 | (condition as u64) << 20;
                assert_eq!(
                    condition_holds(esr, USER | nzcv << 28),
                    *expected,
                    "{condition} {nzcv:04b}"
                );
                // The same condition from an IT block: CV = 0.
                let esr = 0x03 << 26;
                let spsr = with_it((condition as u64) << 4 | 8) | nzcv << 28;
                assert_eq!(
                    condition_holds(esr, spsr),
                    *expected,
                    "IT {condition} {nzcv:04b}"
                );
            }
        }
    }

    #[test]
    fn unconditional_traps() {
        // Outside an IT block, from AArch64, and a class that has no condition.
        assert!(condition_holds(0x03 << 26, USER | 1 << 5));
        assert!(condition_holds(0x01 << 26 | 1 << 24, 0));
        assert!(condition_holds(0x24 << 26 | 1 << 24, USER));
    }

    #[test]
    fn itstate_walks_through_a_block() {
        // ITTEE EQ: four instructions, EQ EQ NE NE.
        let mut spsr = with_it(0b0000_0111);
        let mut conditions = Vec::new();
        while itstate(spsr) != 0 {
            conditions.push(itstate(spsr) >> 4);
            spsr = advance_itstate(spsr);
        }
        assert_eq!(conditions, [0, 0, 1, 1]);
        assert_eq!(spsr, with_it(0));
    }

    #[test]
    fn itstate_is_a_thumb_thing() {
        // In AArch64 the same bits are BTYPE and TCO; in A32 they are zero.
        let aarch64 = 0x5 | 3 << 10 | 1 << 25;
        assert_eq!(advance_itstate(aarch64), aarch64);
        assert_eq!(advance_itstate(USER), USER);
    }

    #[test]
    fn stepping_over_ends_a_step_and_a_branch() {
        assert_eq!(step_over(0x5 | 3 << 10 | 1 << 21 | 1 << 25), 0x5 | 1 << 25);
        assert_eq!(step_over(with_it(0b0000_1000) | 1 << 21), with_it(0));
    }
}
