//! This physical CPU: what it offers, and how it is set up for guests.

use axaddrspace::{AddrSpaceError, Vmsa};
use spin::Once;

use super::regs::{barrier, isb, read, write};
use super::switch;
use crate::features::{CpuError, Features, IdRegs};

/// ICC_SRE_EL1 and ICC_SRE_EL2: SRE, DFB and DIB.
pub const ICC_SRE_ALL: u64 = 7;

static FEATURES: Once<Features> = Once::new();
static GUEST_IDS: Once<GuestIds> = Once::new();

/// What guests read from the ID registers that HCR_EL2.TID3 traps: CRm 1 to 7, op2 0 to 7.
pub struct GuestIds {
    values: [u64; 56],
    /// HCRX_EL2 that goes with them.
    hcrx: u64,
}

impl GuestIds {
    /// The value of S3_0_C0_C`crm`_`op2`; 0 outside the trapped space.
    #[inline]
    pub fn get(&self, crm: u8, op2: u8) -> u64 {
        let index = usize::from(crm).wrapping_sub(1) * 8 + usize::from(op2);
        self.values.get(index).copied().unwrap_or(0)
    }
}

/// What the CPUs offer. The first CPU's, which stands for all: [`init_cpu`] refuses others.
#[inline]
pub fn features() -> &'static Features {
    FEATURES.call_once(|| Features::new(&id_regs()))
}

/// What guests read from their ID registers.
#[inline]
pub fn guest_ids() -> &'static GuestIds {
    GUEST_IDS.call_once(read_guest_ids)
}

fn id_regs() -> IdRegs {
    // Registers without a name on old assemblers are reserved encodings on old CPUs, which read
    // as zero (D24.1.2).
    IdRegs {
        pfr0: read!("ID_AA64PFR0_EL1"),
        pfr1: read!("ID_AA64PFR1_EL1"),
        isar1: read!("ID_AA64ISAR1_EL1"),
        isar2: read!("S3_0_C0_C6_2"),
        mmfr0: read!("ID_AA64MMFR0_EL1"),
        mmfr1: read!("ID_AA64MMFR1_EL1"),
        mmfr2: read!("S3_0_C0_C7_2"),
        dfr0: read!("ID_AA64DFR0_EL1"),
    }
}

macro_rules! id_row {
    ($crm:literal) => {
        [
            read!(concat!("S3_0_C0_C", $crm, "_0")),
            read!(concat!("S3_0_C0_C", $crm, "_1")),
            read!(concat!("S3_0_C0_C", $crm, "_2")),
            read!(concat!("S3_0_C0_C", $crm, "_3")),
            read!(concat!("S3_0_C0_C", $crm, "_4")),
            read!(concat!("S3_0_C0_C", $crm, "_5")),
            read!(concat!("S3_0_C0_C", $crm, "_6")),
            read!(concat!("S3_0_C0_C", $crm, "_7")),
        ]
    };
}

fn read_guest_ids() -> GuestIds {
    let rows = [
        id_row!("1"),
        id_row!("2"),
        id_row!("3"),
        id_row!("4"),
        id_row!("5"),
        id_row!("6"),
        id_row!("7"),
    ];
    let mut values = [0; 56];
    for (index, (value, physical)) in values.iter_mut().zip(rows.iter().flatten()).enumerate() {
        let (crm, op2) = ((index / 8 + 1) as u8, (index % 8) as u8);
        *value = crate::sysreg::guest_id(crm, op2, *physical);
    }
    let mut ids = GuestIds { values, hcrx: 0 };
    ids.hcrx = crate::sysreg::hcrx(|crm, op2| ids.get(crm, op2));
    ids
}

/// The host's counter, not read early.
pub fn counter() -> u64 {
    isb();
    read!("CNTPCT_EL0")
}

/// Stage 2 as this machine has it.
pub fn stage2_format() -> Result<Vmsa, AddrSpaceError> {
    let features = features();
    let pa_bits = u32::from(features.pa_bits);
    Vmsa::new(crate::sysreg::IPA_BITS.min(pa_bits), pa_bits, features.fwb)
}

/// Sets this CPU up for guests; `idle_vttbr` is stage 2 while none is bound (VMID 0, tables that
/// map nothing). Once on each CPU, with interrupts masked; an error is a CPU to be parked.
pub fn init_cpu(idle_vttbr: u64) -> Result<(), CpuError> {
    let features = features();
    let here = same_kind(features)?;
    write!("VTCR_EL2", stage2_format()?.vtcr(features.vmid16));
    write!("VTTBR_EL2", idle_vttbr);
    isb();
    super::context::no_walks();
    write!("HCR_EL2", features.hcr());
    write!("CPTR_EL2", features.cptr(true));
    write!("HSTR_EL2", 0);
    write!("VPIDR_EL2", read!("MIDR_EL1"));
    // The guest's counters and timers are its own (DESIGN 8): CNTHCTL_EL2.EL1PCTEN, EL1PCEN.
    write!("CNTHCTL_EL2", 3);
    // MDCR_EL2.HPMN: all event counters, PMCR_EL0.N, where there is a PMU.
    let counters = if features.pmu {
        read!("PMCR_EL0") >> 11 & 0x1f
    } else {
        0
    };
    write!("MDCR_EL2", features.mdcr(counters));
    if features.hcx {
        write!("S3_4_C1_C2_2", guest_ids().hcrx);
    }
    init_fine_traps(features);
    if features.mpam {
        // MPAM2_EL2.{TRAPMPAM0EL1, TRAPMPAM1EL1}: partition ids are hidden and not switched. (DDI
        // 0598.) MPAMHCR_EL2 exists where MPAMIDR_EL1.HAS_HCR says so.
        const HAS_HCR: u64 = 1 << 17;
        write!("S3_4_C10_C5_0", 3 << 48);
        if read!("S3_0_C10_C4_4") & HAS_HCR != 0 {
            write!("S3_4_C10_C4_0", 1 << 31);
        }
    }
    // Debug exceptions need the OS lock open; the guest's own lock is shadowed.
    write!("OSLAR_EL1", 0);
    super::debug::init(&here);
    // ICC_SRE_EL1 has no virtual copy: it is the same for all guests, and none may write it
    // (ICC_SRE_EL2.Enable = 0; their other GIC registers don't trap). EL1's copy can be written
    // only while EL2's SRE is set, which axhal did.
    write!("S3_0_C12_C12_5", ICC_SRE_ALL);
    isb();
    write!("S3_4_C12_C9_5", ICC_SRE_ALL);
    write!("VBAR_EL2", switch::vectors());
    isb();
    barrier!("tlbi vmalls12e1");
    barrier!("dsb nsh");
    isb();
    Ok(())
}

/// This CPU's features, which are those that have been prepared for.
fn same_kind(first: &Features) -> Result<Features, CpuError> {
    let here = Features::new(&id_regs());
    if !here.can_stand_in_for(first) {
        return Err(CpuError::Features { here });
    }
    let promised = &guest_ids().values;
    for (index, (&promised, here)) in promised.iter().zip(read_guest_ids().values).enumerate() {
        if promised != here {
            return Err(CpuError::IdRegister {
                crm: (index / 8 + 1) as u8,
                op2: (index % 8) as u8,
                promised,
                here,
            });
        }
    }
    Ok(here)
}

/// Fine-grained traps (D24.2, each register's own section), whose reset values are UNKNOWN: no trap
/// of what has a bit for trapping; the "n" bits, which enable, stay 0, because what they enable is
/// hidden and not switched.
fn init_fine_traps(features: &Features) {
    if features.fgt {
        // HFGRTR, HFGWTR, HFGITR, HDFGRTR, HDFGWTR_EL2.
        write!("S3_4_C1_C1_4", 0);
        write!("S3_4_C1_C1_5", 0);
        write!("S3_4_C1_C1_6", 0);
        write!("S3_4_C3_C1_4", 0);
        write!("S3_4_C3_C1_5", 0);
        if features.amu {
            // HAFGRTR_EL2.
            write!("S3_4_C3_C1_6", 0);
        }
    }
    if features.fgt2 {
        // HDFGRTR2, HDFGWTR2, HFGRTR2, HFGWTR2, HFGITR2_EL2.
        write!("S3_4_C3_C1_0", 0);
        write!("S3_4_C3_C1_1", 0);
        write!("S3_4_C3_C1_2", 0);
        write!("S3_4_C3_C1_3", 0);
        write!("S3_4_C3_C1_7", 0);
    }
}
