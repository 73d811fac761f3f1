//! System registers: what the ID registers advertise is there, what they don't is UNDEFINED.

use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{Fault, Resume, catch};
use guest_support::{cpu, read_sysreg, smp, write_sysreg};

pub const CASES: &[Case] = &[
    ("sysreg::identity", 1, identity),
    ("sysreg::identity_of_others", 2, identity_of_others),
    ("sysreg::unallocated_is_undefined", 1, unallocated),
    ("sysreg::el2_is_undefined", 1, el2_is_undefined),
    ("sysreg::reserved_id_registers_are_zero", 1, reserved_id),
    ("sysreg::id_registers_are_read_only", 1, id_read_only),
    ("sysreg::features_agree", 1, features_agree),
    ("sysreg::hidden_features", 1, hidden_features),
    ("sysreg::implementation_defined", 1, implementation_defined),
    ("sysreg::pointer_authentication", 1, pointer_authentication),
    ("sysreg::cache_identification", 1, cache_identification),
    ("sysreg::context_registers", 1, context_registers),
];

/// Reads a register by its encoding and gives the fault.
macro_rules! read_fault {
    ($name:literal) => {
        catch(Resume::Next, || {
            let _ = read_sysreg!($name);
        })
    };
}

/// UNDEFINED: EC 0, taken to EL1.
fn undefined(fault: Option<Fault>) -> bool {
    fault.is_some_and(|f| f.class() == 0 && f.vector == 4)
}

/// The field of four bits at `shift`.
fn field(register: u64, shift: u32) -> u64 {
    register >> shift & 0xf
}

fn identity() -> Outcome {
    let mpidr = read_sysreg!("mpidr_el1");
    check!(mpidr & 0xff_00ff_ffff == smp::id(cpu()), mpidr = mpidr);
    check!(mpidr & 1 << 31 != 0, mpidr = mpidr);
    check!(read_sysreg!("midr_el1") != 0);
    Ok(())
}

fn identity_of_others() -> Outcome {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    for n in 1..smp::count() {
        check!(smp::run(n, || SEEN
            .store(read_sysreg!("mpidr_el1"), Ordering::SeqCst)));
        let mpidr = SEEN.load(Ordering::SeqCst);
        check!(mpidr & 0xff_00ff_ffff == smp::id(n), n = n, mpidr = mpidr);
    }
    Ok(())
}

fn unallocated() -> Outcome {
    check!(undefined(read_fault!("s3_0_c5_c7_7")));
    check!(undefined(read_fault!("s3_3_c4_c7_6")));
    check!(undefined(read_fault!("s3_0_c12_c9_7")));
    let fault = catch(Resume::Next, || write_sysreg!("s3_0_c5_c7_7", 0));
    check!(undefined(fault), fault = fault);
    Ok(())
}

fn el2_is_undefined() -> Outcome {
    check!(undefined(read_fault!("hcr_el2")));
    check!(undefined(read_fault!("vttbr_el2")));
    check!(undefined(read_fault!("s3_4_c12_c11_0")));
    check!(undefined(read_fault!("s3_6_c1_c1_0")));
    Ok(())
}

/// Encodings reserved for ID registers read as zero (D23.1.1).
fn reserved_id() -> Outcome {
    let values = [
        read_sysreg!("s3_0_c0_c4_3"),
        read_sysreg!("s3_0_c0_c5_2"),
        read_sysreg!("s3_0_c0_c6_7"),
        read_sysreg!("s3_0_c0_c7_7"),
    ];
    check!(values == [0; 4], values = values);
    Ok(())
}

fn id_read_only() -> Outcome {
    let fault = catch(Resume::Next, || write_sysreg!("s3_0_c0_c4_0", 0));
    check!(undefined(fault), fault = fault);
    let fault = catch(Resume::Next, || write_sysreg!("s3_0_c0_c0_5", 0));
    check!(undefined(fault), fault = fault);
    Ok(())
}

/// A feature is advertised exactly if its register can be read.
fn features_agree() -> Outcome {
    let pfr0 = read_sysreg!("id_aa64pfr0_el1");
    let pfr1 = read_sysreg!("id_aa64pfr1_el1");
    let dfr0 = read_sysreg!("id_aa64dfr0_el1");
    let isar0 = read_sysreg!("id_aa64isar0_el1");
    let isar1 = read_sysreg!("id_aa64isar1_el1");
    let isar2 = read_sysreg!("id_aa64isar2_el1");
    let mmfr1 = read_sysreg!("id_aa64mmfr1_el1");
    let pmu = field(dfr0, 8);
    let sve = field(pfr0, 32) != 0;
    let sme = field(pfr1, 24) != 0;
    // Also those of hidden features: without them EL1's own trap would come first.
    let enables = 3 << 20 | 3 << 16 | 3 << 24;
    write_sysreg!("cpacr_el1", enables);
    let pauth = field(isar1, 4) != 0 || field(isar1, 8) != 0 || field(isar2, 12) != 0;
    macro_rules! agrees {
        ($feature:expr, $register:literal) => {{
            let there: bool = $feature;
            let fault = read_fault!($register);
            // Printed with the name of the register, which no value tells.
            check!(
                $register.is_empty() || there == fault.is_none(),
                fault = fault
            );
            check!(there || undefined(fault), fault = fault);
        }};
    }
    agrees!(pmu != 0 && pmu != 0xf, "pmcr_el0");
    agrees!(pmu != 0 && pmu != 0xf, "pmccntr_el0");
    agrees!(pmu != 0 && pmu != 0xf, "pmintenset_el1");
    agrees!(sve, "s3_0_c1_c2_0"); // ZCR_EL1
    agrees!(field(pfr0, 44) != 0, "s3_3_c13_c2_0"); // AMCR_EL0
    agrees!(field(dfr0, 32) != 0, "s3_0_c9_c9_0"); // PMSCR_EL1
    agrees!(field(dfr0, 44) != 0, "s3_0_c9_c11_0"); // TRBLIMITR_EL1
    agrees!(field(dfr0, 4) != 0, "s2_1_c0_c1_0"); // TRCPRGCTLR
    agrees!(field(mmfr1, 16) != 0, "s3_0_c10_c4_7"); // LORID_EL1
    agrees!(field(isar0, 60) != 0, "s3_3_c2_c4_0"); // RNDR
    agrees!(pauth, "s3_0_c2_c1_0"); // APIAKeyLo_EL1
    agrees!(field(pfr1, 8) >= 2, "s3_0_c1_c0_6"); // GCR_EL1
    agrees!(sme, "s3_0_c1_c2_6"); // SMCR_EL1
    agrees!(field(pfr1, 4) >= 2, "s3_3_c4_c2_6"); // SSBS
    agrees!(field(pfr0, 48) != 0, "s3_3_c4_c2_5"); // DIT
    agrees!(field(mmfr1, 20) != 0, "s3_0_c4_c2_3"); // PAN
    write_sysreg!("cpacr_el1", 3 << 20);
    Ok(())
}

/// What isn't switched between vCPUs isn't there.
fn hidden_features() -> Outcome {
    skip_on_board!("the board hides nothing");
    let pfr0 = read_sysreg!("id_aa64pfr0_el1");
    let pfr1 = read_sysreg!("id_aa64pfr1_el1");
    let dfr0 = read_sysreg!("id_aa64dfr0_el1");
    check!(field(pfr0, 32) == 0 && field(pfr0, 44) == 0, pfr0 = pfr0);
    check!(field(pfr1, 8) == 0 && field(pfr1, 24) == 0, pfr1 = pfr1);
    check!(field(dfr0, 8) == 0 || field(dfr0, 8) == 0xf, dfr0 = dfr0);
    check!(
        field(dfr0, 32) == 0 && field(dfr0, 44) == 0 && field(dfr0, 4) == 0,
        dfr0 = dfr0
    );
    check!(field(read_sysreg!("id_aa64mmfr1_el1"), 16) == 0);
    check!(read_sysreg!("s3_0_c0_c4_4") == 0 && read_sysreg!("s3_0_c0_c4_5") == 0);
    // EL2 isn't the guest's.
    check!(field(pfr0, 8) == 0 || field(pfr0, 8) == 1, pfr0 = pfr0);
    check!(field(dfr0, 0) >= 6, dfr0 = dfr0);
    // The GIC's system registers are.
    check!(field(pfr0, 24) != 0, pfr0 = pfr0);
    // A vector instruction takes the trap of its enable or is undefined; it isn't executed.
    write_sysreg!("cpacr_el1", 3 << 20 | 3 << 16 | 3 << 24);
    let fault = catch(Resume::Next, || {
        // SAFETY: RDVL x0, #1 changes x0, or takes an exception that is expected.
        unsafe { core::arch::asm!(".inst 0x04bf5020", out("x0") _, options(nostack)) };
    });
    write_sysreg!("cpacr_el1", 3 << 20);
    check!(undefined(fault), fault = fault);
    Ok(())
}

fn implementation_defined() -> Outcome {
    skip_on_board!("the board has some");
    // ACTLR_EL1 is architectural and can be read.
    check!(read_fault!("actlr_el1").is_none());
    // L2CTLR_EL1 and CPUACTLR_EL1 of the Cortex cores.
    check!(undefined(read_fault!("s3_1_c11_c0_2")));
    check!(undefined(read_fault!("s3_1_c15_c2_0")));
    Ok(())
}

fn pointer_authentication() -> Outcome {
    let isar1 = read_sysreg!("id_aa64isar1_el1");
    let isar2 = read_sysreg!("id_aa64isar2_el1");
    skip!(
        field(isar1, 4) == 0 && field(isar1, 8) == 0 && field(isar2, 12) == 0,
        "no PAuth"
    );
    write_sysreg!("s3_0_c2_c1_0", 0x1234_5678_9abc_def0);
    write_sysreg!("s3_0_c2_c1_1", 0x0fed_cba9_8765_4321);
    check!(read_sysreg!("s3_0_c2_c1_0") == 0x1234_5678_9abc_def0);
    let sctlr = read_sysreg!("sctlr_el1");
    write_sysreg!("sctlr_el1", sctlr | 1 << 31);
    let [signed, back]: [u64; 2];
    // SAFETY: signs and authenticates the value of a register: PACIA and AUTIA.
    unsafe {
        core::arch::asm!("mov x1, #0x55", "mov x0, {p}", ".inst 0xdac10020", "mov {s}, x0",
            ".inst 0xdac11020", "mov {b}, x0", p = in(reg) 0x4008_1234_u64, s = lateout(reg) signed,
            b = lateout(reg) back, out("x0") _, out("x1") _, options(nostack));
    }
    write_sysreg!("sctlr_el1", sctlr);
    check!(back == 0x4008_1234, back = back);
    check!(signed != back, signed = signed);
    Ok(())
}

fn cache_identification() -> Outcome {
    let clidr = read_sysreg!("clidr_el1");
    check!(clidr & 7 != 0, clidr = clidr);
    check!(read_sysreg!("ctr_el0") >> 31 == 1);
    write_sysreg!("csselr_el1", 0);
    let data = read_sysreg!("ccsidr_el1");
    write_sysreg!("csselr_el1", 1);
    check!(read_sysreg!("csselr_el1") == 1);
    let instruction = read_sysreg!("ccsidr_el1");
    check!(
        data != 0 && instruction != 0,
        data = data,
        instruction = instruction
    );
    Ok(())
}

/// Registers that are the guest's alone keep what it wrote, per CPU, across exits and switches.
fn context_registers() -> Outcome {
    macro_rules! keeps {
        ($($register:literal)*) => {$({
            write_sysreg!($register, 0x1234_5678);
        })* $({
            guest_support::psci::call(guest_support::psci::VERSION, [0; 3]);
            guest_support::sync::wait_for(1, || false);
            let value = read_sysreg!($register);
            check!(value == 0x1234_5678, value = value);
        })*};
    }
    keeps!("tpidr_el0" "tpidrro_el0" "contextidr_el1" "sp_el0" "far_el1"
        "par_el1" "esr_el1");
    Ok(())
}
