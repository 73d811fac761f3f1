//! What a trapped MSR, MRS or System instruction is to a guest, but for those with state behind
//! them (timers, the GIC's CPU interface), which the vCPU looks at first.

use super::SysReg;

/// How an access is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Reads as [`guest_id`](super::guest_id) of its CRm and op2.
    Id,
    /// Reads as this.
    Read(u64),
    /// The write has no effect.
    Ignore,
    /// ICC_SRE_EL1: RAO/WI, or UNDEFINED where the guest has no interrupt controller.
    InterfaceEnable,
    /// Self-hosted debug: see [`DebugReg`](crate::debug::DebugReg).
    Debug,
    /// Cache maintenance by set and way (HCR_EL2.TSW): stands for all of the guest's RAM.
    SetWay,
    /// UNDEFINED, as the architecture has it for registers of features that are not implemented:
    /// the PMU, statistical profiling, trace, branch records, activity monitors, error records,
    /// LORegions, MPAM, everything that [`guest_id`](super::guest_id) hides, and IMPLEMENTATION
    /// DEFINED registers (HCR_EL2.TIDCP; CRn 11 and 15).
    Undefined,
}

/// Answers an access that HCR_EL2, MDCR_EL2, CPTR_EL2 or a fine-grained trap brought here. Denies
/// what it doesn't know.
pub const fn answer(reg: SysReg, read: bool) -> Answer {
    match (reg.op0, reg.op1, reg.crn, reg.crm, reg.op2) {
        // D24.2, "ID registers": read-only; HCR_EL2.TID3. Reserved ones read as zero.
        (3, 0, 0, 1..=7, _) if read => Answer::Id,
        // ACTLR_EL1 (D24.2.2; HCR_EL2.TACR): IMPLEMENTATION DEFINED controls of the core, which
        // are the hypervisor's: RAZ/WI.
        (3, 0, 1, 0, 1) if read => Answer::Read(0),
        (3, 0, 1, 0, 1) => Answer::Ignore,
        // ICC_SRE_EL1, trapped by ICC_SRE_EL2.Enable = 0 (IHI 0069, 12.2.20). The register is the CPU's, not the guest's.
        (3, 0, 12, 12, 5) => Answer::InterfaceEnable,
        // DC ISW, CSW, CISW (C5.3).
        (1, 0, 7, 6 | 10 | 14, 2) if !read => Answer::SetWay,
        // op0 2 with op1 1 is trace; with op1 4 AArch32's DBGVCR32_EL2.
        (2, 0 | 3, ..) => Answer::Debug,
        _ => Answer::Undefined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8, read: bool) -> Answer {
        answer(SysReg::new(op0, op1, crn, crm, op2), read)
    }

    #[test]
    fn id_registers_are_read_only_and_complete() {
        for crm in 1..8 {
            for op2 in 0..8 {
                assert_eq!(of(3, 0, 0, crm, op2, true), Answer::Id);
                assert_eq!(of(3, 0, 0, crm, op2, false), Answer::Undefined);
            }
        }
        // MIDR_EL1 and its row are not trapped by TID3.
        assert_eq!(of(3, 0, 0, 0, 0, true), Answer::Undefined);
    }

    #[test]
    fn what_is_hidden_is_undefined() {
        for (what, [op0, op1, crn, crm, op2]) in [
            ("PMCR_EL0", [3, 3, 9, 12, 0]),
            ("PMCCNTR_EL0", [3, 3, 9, 13, 0]),
            ("PMEVCNTR0_EL0", [3, 3, 14, 8, 0]),
            ("PMSCR_EL1", [3, 0, 9, 9, 0]),
            ("PMBLIMITR_EL1", [3, 0, 9, 10, 0]),
            ("TRBLIMITR_EL1", [3, 0, 9, 11, 0]),
            ("TRFCR_EL1", [3, 0, 1, 2, 1]),
            ("TRCPRGCTLR", [2, 1, 0, 1, 0]),
            ("BRBCR_EL1", [2, 1, 9, 0, 0]),
            ("LORC_EL1", [3, 0, 10, 4, 3]),
            ("LORID_EL1", [3, 0, 10, 4, 7]),
            ("ERRIDR_EL1", [3, 0, 5, 3, 0]),
            ("ERXSTATUS_EL1", [3, 0, 5, 4, 2]),
            ("AMCR_EL0", [3, 3, 13, 2, 0]),
            ("MPAM1_EL1", [3, 0, 10, 5, 0]),
            ("GCR_EL1", [3, 0, 1, 0, 6]),
            ("ZCR_EL1", [3, 0, 1, 2, 0]),
            ("TPIDR2_EL0", [3, 3, 13, 0, 5]),
            ("SCXTNUM_EL0", [3, 3, 13, 0, 7]),
            ("SCXTNUM_EL1", [3, 0, 13, 0, 7]),
            ("PIR_EL1", [3, 0, 10, 2, 3]),
            ("implementation defined", [3, 1, 15, 2, 0]),
            ("implementation defined", [3, 0, 11, 0, 0]),
            ("DC IGSW", [1, 0, 7, 6, 4]),
            ("HCR_EL2", [3, 4, 1, 1, 0]),
        ] {
            for read in [true, false] {
                assert_eq!(
                    of(op0, op1, crn, crm, op2, read),
                    Answer::Undefined,
                    "{what}"
                );
            }
        }
    }

    #[test]
    fn the_rest() {
        assert_eq!(of(3, 0, 1, 0, 1, true), Answer::Read(0));
        assert_eq!(of(3, 0, 1, 0, 1, false), Answer::Ignore);
        // ICC_SRE_EL1.
        assert_eq!(of(3, 0, 12, 12, 5, true), Answer::InterfaceEnable);
        assert_eq!(of(3, 0, 12, 12, 5, false), Answer::InterfaceEnable);
        for crm in [6, 10, 14] {
            assert_eq!(of(1, 0, 7, crm, 2, false), Answer::SetWay);
        }
        assert_eq!(of(2, 0, 1, 0, 4, false), Answer::Debug);
        assert_eq!(of(2, 3, 0, 1, 0, true), Answer::Debug);
    }
}
