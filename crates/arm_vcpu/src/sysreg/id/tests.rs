use proptest::prelude::*;

use super::*;

/// Every field that must read as zero, by its name: written down from the architecture's list of
/// features, not from the table under test.
const HIDDEN: &[(&str, u8, u8, u32)] = &[
    ("PFR0.AMU32", 1, 0, 20),
    ("PFR0.RAS32", 1, 0, 28),
    ("PFR1.Virtualization", 1, 1, 12),
    ("DFR0.CopTrc", 1, 2, 12),
    ("DFR0.MMapTrc", 1, 2, 16),
    ("DFR0.PerfMon", 1, 2, 24),
    ("DFR0.TraceFilt32", 1, 2, 28),
    ("AFR0", 1, 3, 0),
    ("MMFR4.EVT32", 2, 6, 28),
    ("PFR2.RAS_frac", 3, 4, 8),
    ("DFR1.MTPMU", 3, 5, 0),
    ("PFR0.EL2", 4, 0, 8),
    ("PFR0.RAS", 4, 0, 28),
    ("PFR0.SVE", 4, 0, 32),
    ("PFR0.SEL2", 4, 0, 36),
    ("PFR0.MPAM", 4, 0, 40),
    ("PFR0.AMU", 4, 0, 44),
    ("PFR0.RME", 4, 0, 52),
    ("PFR1.MTE", 4, 1, 8),
    ("PFR1.RAS_frac", 4, 1, 12),
    ("PFR1.MPAM_frac", 4, 1, 16),
    ("PFR1.SME", 4, 1, 24),
    ("PFR1.NMI", 4, 1, 36),
    ("PFR1.MTE_frac", 4, 1, 40),
    ("PFR1.GCS", 4, 1, 44),
    ("PFR1.THE", 4, 1, 48),
    ("PFR1.MTEX", 4, 1, 52),
    ("PFR1.DF2", 4, 1, 56),
    ("PFR1.PFAR", 4, 1, 60),
    ("PFR2.MTEPERM", 4, 2, 0),
    ("PFR2.MTESTOREONLY", 4, 2, 4),
    ("PFR2.MTEFAR", 4, 2, 8),
    ("PFR2.FPMR", 4, 2, 32),
    ("ZFR0.SVEver", 4, 4, 0),
    ("SMFR0.SMEver", 4, 5, 56),
    ("FPFR0.F8E4M3", 4, 7, 0),
    ("DFR0.TraceVer", 5, 0, 4),
    ("DFR0.PMUVer", 5, 0, 8),
    ("DFR0.PMSS", 5, 0, 16),
    ("DFR0.SEBEP", 5, 0, 24),
    ("DFR0.PMSVer", 5, 0, 32),
    ("DFR0.TraceFilt", 5, 0, 40),
    ("DFR0.TraceBuffer", 5, 0, 44),
    ("DFR0.MTPMU", 5, 0, 48),
    ("DFR0.BRBE", 5, 0, 52),
    ("DFR0.ExtTrcBuff", 5, 0, 56),
    ("DFR0.HPMN0", 5, 0, 60),
    ("DFR1.SPMU", 5, 1, 32),
    ("DFR1.EBEP", 5, 1, 48),
    ("AFR0", 5, 4, 0),
    ("ISAR0.TME", 6, 0, 24),
    ("ISAR1.LS64", 6, 1, 60),
    ("ISAR2.SYSREG_128", 6, 2, 32),
    ("ISAR2.SYSINSTR_128", 6, 2, 36),
    ("ISAR3.TLBIW", 6, 3, 8),
    ("ISAR3.PACM", 6, 3, 12),
    ("MMFR0.FGT", 7, 0, 56),
    ("MMFR1.VMIDBits", 7, 1, 4),
    ("MMFR1.VH", 7, 1, 8),
    ("MMFR1.LO", 7, 1, 16),
    ("MMFR1.XNX", 7, 1, 28),
    ("MMFR1.TWED", 7, 1, 32),
    ("MMFR1.HCX", 7, 1, 40),
    ("MMFR2.IESB", 7, 2, 12),
    ("MMFR2.NV", 7, 2, 24),
    ("MMFR2.FWB", 7, 2, 40),
    ("MMFR2.EVT", 7, 2, 56),
    ("MMFR3.TCRX", 7, 3, 0),
    ("MMFR3.SCTLRX", 7, 3, 4),
    ("MMFR3.S1PIE", 7, 3, 8),
    ("MMFR3.S2PIE", 7, 3, 12),
    ("MMFR3.S1POE", 7, 3, 16),
    ("MMFR3.S2POE", 7, 3, 20),
    ("MMFR3.AIE", 7, 3, 24),
    ("MMFR3.MEC", 7, 3, 28),
    ("MMFR3.D128", 7, 3, 32),
    ("MMFR3.D128_2", 7, 3, 36),
    ("MMFR3.SNERR", 7, 3, 40),
    ("MMFR3.ANERR", 7, 3, 44),
    ("MMFR3.SDERR", 7, 3, 52),
    ("MMFR3.ADERR", 7, 3, 56),
    ("MMFR4.EIESB", 7, 4, 4),
    ("MMFR4.ASID2", 7, 4, 8),
    ("MMFR4.HACDBS", 7, 4, 12),
    ("MMFR4.NV_frac", 7, 4, 20),
    ("MMFR4.SRMASK", 7, 4, 44),
];

/// What must survive, or Linux loses something it could use.
const KEPT: &[(&str, u8, u8, u32)] = &[
    ("PFR0.EL0", 4, 0, 0),
    ("PFR0.EL3", 4, 0, 12),
    ("PFR0.CSV3", 4, 0, 60),
    ("PFR1.BT", 4, 1, 0),
    ("PFR1.SSBS", 4, 1, 4),
    ("ISAR0.ATOMIC", 6, 0, 20),
    ("ISAR0.TLB", 6, 0, 56),
    ("ISAR1.APA", 6, 1, 4),
    ("ISAR1.API", 6, 1, 8),
    ("ISAR1.GPA", 6, 1, 24),
    ("ISAR2.WFxT", 6, 2, 0),
    ("ISAR2.APA3", 6, 2, 12),
    ("ISAR2.MOPS", 6, 2, 16),
    ("MMFR0.ASIDBits", 7, 0, 4),
    ("MMFR1.PAN", 7, 1, 20),
    ("MMFR2.CCIDX", 7, 2, 20),
];

fn all_registers() -> impl Iterator<Item = (u8, u8)> {
    (1..8).flat_map(|crm| (0..8).map(move |op2| (crm, op2)))
}

#[test]
fn table_has_no_field_twice() {
    let mut seen = Vec::new();
    for shown in SHOWN {
        assert!((1..8).contains(&shown.crm) && shown.op2 < 8);
        let limits = shown.limit.iter().map(|&(at, _)| at);
        for at in shown.keep.iter().copied().chain(limits) {
            assert!(at < 64 && at % 4 == 0);
            let field = (shown.crm, shown.op2, at);
            assert!(!seen.contains(&field), "{field:?}");
            seen.push(field);
        }
    }
}

#[test]
fn inverted_fields_are_kept_whole() {
    for &(crm, op2, at) in INVERTED {
        for value in 0..16 {
            assert_eq!(field(guest_id(crm, op2, value << at), at), value);
        }
    }
}

#[test]
fn reserved_registers_are_zero() {
    for (crm, op2) in [
        (3, 3),
        (3, 7),
        (4, 3),
        (4, 6),
        (5, 2),
        (5, 7),
        (6, 4),
        (6, 7),
        (7, 5),
        (7, 7),
    ] {
        assert_eq!(guest_id(crm, op2, u64::MAX), 0, "{crm} {op2}");
    }
    assert_eq!(guest_id(0, 0, u64::MAX), 0);
    assert_eq!(guest_id(8, 0, u64::MAX), 0);
}

#[test]
fn a_guest_without_a_gic_has_no_registers_of_one() {
    assert_eq!(field(without_gic(4, 0, u64::MAX), 24), 0);
    assert_eq!(field(without_gic(1, 1, u64::MAX), 28), 0);
    let others = all_registers().filter(|&(crm, op2)| without_gic(crm, op2, u64::MAX) == u64::MAX);
    assert_eq!(others.count(), all_registers().count() - 2);
}

/// A guest on a CPU with everything: the values DESIGN 9 fixes.
#[test]
fn fixed_values() {
    let of = |crm, op2, at| field(guest_id(crm, op2, u64::MAX), at);
    assert_eq!(of(5, 0, 0), 6, "DebugVer");
    let counts = [of(5, 0, 12), of(5, 0, 20)].map(|value| value as usize + 1);
    assert_eq!(counts, [crate::debug::COUNT; 2], "BRPs, WRPs");
    assert_eq!(of(5, 0, 28), 0, "CTX_CMPs");
    assert_eq!(of(4, 0, 24), 1, "GIC");
    assert_eq!(of(4, 0, 4), 1, "EL1");
    assert_eq!(of(4, 0, 56), 1, "CSV2");
    assert_eq!(of(4, 1, 32), 1, "CSV2_frac");
    assert_eq!(of(7, 0, 0), 2, "PARange");
    assert_eq!(of(7, 0, 60), 1, "ECV");
    assert_eq!(of(7, 1, 0), 2, "HAFDBS");
    assert_eq!(of(6, 3, 0), 1, "CPA");
}

/// Cortex-A72 (r0p3): nothing a small core has gets lost but EL2, PMU and the debug counts.
#[test]
fn cortex_a72() {
    assert_eq!(guest_id(4, 0, 0x0000_0000_0100_2222), 0x0100_2012);
    assert_eq!(guest_id(5, 0, 0x0000_0000_1030_5106), 0x0010_1006);
    assert_eq!(guest_id(6, 0, 0x0001_1120), 0x0001_1120);
    assert_eq!(guest_id(7, 0, 0x0000_1124), 0x0000_1122);
}

#[test]
fn hcrx_follows_the_ids() {
    // On a CPU with everything: MOPS is the only feature shown that has an enable bit.
    let everything = hcrx(|crm, op2| guest_id(crm, op2, u64::MAX));
    assert_eq!(everything, 1 << 11);
    assert_eq!(hcrx(|crm, op2| guest_id(crm, op2, 0)), 0);
    // Should more be shown one day, the bits follow.
    let ls64 = |level: u64| hcrx(|crm, op2| if (crm, op2) == (6, 1) { level << 60 } else { 0 });
    assert_eq!([ls64(1), ls64(2), ls64(3)], [0b010, 0b110, 0b111]);
}

proptest! {
    #[test]
    fn hidden_stays_hidden_and_kept_stays(physical: u64) {
        for &(name, crm, op2, at) in HIDDEN {
            prop_assert_eq!(field(guest_id(crm, op2, physical), at), 0, "{}", name);
        }
        for &(name, crm, op2, at) in KEPT {
            let shown = field(guest_id(crm, op2, physical), at);
            prop_assert_eq!(shown, field(physical, at), "{}", name);
        }
    }

    /// No field says more than the CPU has, and showing twice changes nothing.
    #[test]
    fn never_more_than_physical(physical: u64) {
        for (crm, op2) in all_registers() {
            let shown = guest_id(crm, op2, physical);
            for at in (0..64).step_by(4) {
                prop_assert!(field(shown, at) <= field(physical, at), "{} {} {}", crm, op2, at);
            }
            prop_assert_eq!(guest_id(crm, op2, shown), shown);
        }
    }

    /// A better CPU never shows less (D24.1.5: fields grow).
    #[test]
    fn monotonic(a: u64, b: u64) {
        let worse = (0..64).step_by(4).fold(0, |v, at| v | field(a, at).min(field(b, at)) << at);
        for (crm, op2) in all_registers() {
            let (low, high) = (guest_id(crm, op2, worse), guest_id(crm, op2, a));
            for at in (0..64).step_by(4) {
                prop_assert!(field(low, at) <= field(high, at));
            }
        }
    }
}
