//! PSCI 1.1 (Arm DEN 0022) and the SMC calling convention (DEN 0028).

use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{Resume, catch};
use guest_support::psci::*;
use guest_support::{cpu, smp, sync, timer};

pub const CASES: &[Case] = &[
    ("psci::version", 1, version),
    ("psci::features", 1, features),
    ("psci::unknown_function", 1, unknown_function),
    ("psci::upper_half_ignored", 1, upper_half_ignored),
    ("psci::smc_conduit", 1, smc_conduit),
    ("psci::immediate_is_undefined", 1, immediate_is_undefined),
    ("psci::call_keeps_registers", 1, call_keeps_registers),
    ("psci::smccc", 1, smccc),
    ("psci::migrate_info_type", 1, migrate_info_type),
    ("psci::affinity_info", 1, affinity_info),
    ("psci::cpu_on_invalid", 1, cpu_on_invalid),
    ("psci::cpu_on_bad_entry", 2, cpu_on_bad_entry),
    ("psci::cpu_on_state", 2, cpu_on_state),
    ("psci::cpu_off_and_on", 2, cpu_off_and_on),
    ("psci::cpu_on_32", 2, cpu_on_32),
    ("psci::cpu_suspend", 1, cpu_suspend),
];

const SMCCC_VERSION: u64 = 0x8000_0000;
const ARCH_FEATURES: u64 = 0x8000_0001;
/// A function of the vendor hypervisor range that nobody has.
const UNKNOWN: u64 = 0xc600_ff42;

fn version() -> Outcome {
    let version = call(VERSION, [0; 3]);
    check!(version == 0x1_0001, version = version);
    Ok(())
}

fn features() -> Outcome {
    for function in [
        VERSION,
        CPU_SUSPEND,
        CPU_OFF,
        CPU_ON,
        CPU_ON_32,
        AFFINITY_INFO,
        AFFINITY_INFO_32,
        MIGRATE_INFO_TYPE,
        SYSTEM_OFF,
        SYSTEM_RESET,
        FEATURES,
    ] {
        let answer = call(FEATURES, [function, 0, 0]);
        check!(answer >= 0, function = function, answer = answer);
    }
    // 0x8400_0005 is MIGRATE, which needs a Trusted OS.
    for function in [0x8400_003f, 0x1234_5678, UNKNOWN, 0x8400_0005] {
        let answer = call(FEATURES, [function, 0, 0]);
        skip!(crate::on_board() && answer == 0, "the board knows MIGRATE");
        check!(
            answer == NOT_SUPPORTED,
            function = function,
            answer = answer
        );
    }
    Ok(())
}

fn unknown_function() -> Outcome {
    for function in [UNKNOWN, 0x8400_003f, 0x8600_0000, 0xbf00_0000, 0] {
        let answer = call4(Conduit::Hvc, function, [1, 2, 3])[0];
        check!(answer as i32 == -1, function = function, answer = answer);
    }
    Ok(())
}

fn upper_half_ignored() -> Outcome {
    skip_on_board!("the board looks at all of x0");
    let version = call4(Conduit::Hvc, 0xdead_beef_0000_0000 | VERSION, [0; 3])[0];
    check!(version == 0x1_0001, version = version);
    Ok(())
}

fn smc_conduit() -> Outcome {
    skip_on_board!("the board's conduit is HVC");
    let version = call4(Conduit::Smc, VERSION, [0; 3])[0];
    check!(version == 0x1_0001, version = version);
    let on = call4(Conduit::Smc, AFFINITY_INFO, [smp::id(0), 0, 0])[0];
    check!(on == 0, on = on);
    let unknown = call4(Conduit::Smc, UNKNOWN, [0; 3])[0];
    check!(unknown as i64 == NOT_SUPPORTED, unknown = unknown);
    Ok(())
}

fn immediate_is_undefined() -> Outcome {
    skip_on_board!("the board takes any immediate");
    // HVC #1, SMC #1: EC 0 at the instruction itself.
    macro_rules! undefined {
        ($instruction:literal) => {{
            let fault = catch(Resume::Next, || {
                // SAFETY: takes an exception that is expected, or changes x0 to x3 at most.
                unsafe {
                    core::arch::asm!($instruction, inout("x0") VERSION => _, out("x1") _,
                        out("x2") _, out("x3") _, options(nostack));
                }
            });
            check!(fault.is_some_and(|f| f.class() == 0 && f.vector == 4), fault = fault);
        }};
    }
    undefined!(".inst 0xd4000022");
    undefined!(".inst 0xd4000023");
    Ok(())
}

/// x4 to x17 come back from a call that doesn't name them (SMCCC 1.1, 2.6).
fn call_keeps_registers() -> Outcome {
    let mut kept: u64 = 0;
    // SAFETY: all that the call may change is named.
    unsafe {
        core::arch::asm!(
            "mov x4, #0x44", "mov x5, #0x55", "mov x9, #0x99", "mov x12, #0x12", "mov x17, #0x17",
            ".inst 0xd4000002",
            "mov x6, #0x44",
            "eor x4, x4, x6", "mov x6, #0x55", "eor x5, x5, x6", "orr x4, x4, x5",
            "mov x6, #0x99", "eor x9, x9, x6", "orr x4, x4, x9",
            "mov x6, #0x12", "eor x12, x12, x6", "orr x4, x4, x12",
            "mov x6, #0x17", "eor x17, x17, x6", "orr x4, x4, x17",
            "mov {kept}, x4",
            kept = inout(reg) kept,
            inout("x0") VERSION => _, out("x1") _, out("x2") _, out("x3") _, out("x4") _,
            out("x5") _, out("x6") _, out("x9") _, out("x12") _, out("x17") _, options(nostack)
        );
    }
    check!(kept == 0, changed = kept);
    Ok(())
}

fn smccc() -> Outcome {
    let version = call(SMCCC_VERSION, [0; 3]);
    let feature = call(FEATURES, [SMCCC_VERSION, 0, 0]);
    skip!(
        crate::on_board() && version == NOT_SUPPORTED,
        "the board has no SMCCC_VERSION"
    );
    check!(version >= 0x1_0001, version = version);
    check!(feature == 0, feature = feature);
    for function in [SMCCC_VERSION, ARCH_FEATURES] {
        let answer = call(ARCH_FEATURES, [function, 0, 0]);
        check!(answer == 0, function = function, answer = answer);
    }
    let answer = call(ARCH_FEATURES, [0x8000_7abc, 0, 0]);
    check!(answer == NOT_SUPPORTED, answer = answer);
    Ok(())
}

fn migrate_info_type() -> Outcome {
    let kind = call(MIGRATE_INFO_TYPE, [0; 3]);
    check!(kind == 2, kind = kind);
    Ok(())
}

fn affinity_info() -> Outcome {
    for function in [AFFINITY_INFO, AFFINITY_INFO_32] {
        let me = call(function, [smp::id(cpu()), 0, 0]);
        check!(me == 0, me = me);
        let nobody = call(function, [0xff_ffff, 0, 0]);
        check!(nobody == INVALID_PARAMETERS, nobody = nobody);
    }
    Ok(())
}

fn cpu_on_invalid() -> Outcome {
    let nobody = call(CPU_ON, [0xff_ffff, smp::entry(), 0]);
    check!(nobody == INVALID_PARAMETERS, nobody = nobody);
    let me = call(CPU_ON, [smp::id(cpu()), smp::entry(), 0]);
    check!(me == ALREADY_ON, me = me);
    Ok(())
}

fn cpu_on_bad_entry() -> Outcome {
    skip_on_board!("the board starts CPUs anywhere");
    let state = call(AFFINITY_INFO, [smp::id(1), 0, 0]);
    skip!(state == 0, "CPU 1 runs already");
    for entry in [
        guest_support::map::NO_MEMORY as u64,
        guest_support::map::NO_DEVICE as u64,
    ] {
        let answer = call(CPU_ON, [smp::id(1), entry, 0]);
        check!(answer == INVALID_ADDRESS, entry = entry, answer = answer);
    }
    Ok(())
}

fn nothing() {}

/// A CPU starts at EL1 with all masked and its MMU and caches off (DEN 0022, 6.4).
fn cpu_on_state() -> Outcome {
    check!(smp::run(1, nothing));
    let [sctlr, daif, el] = smp::initial_state(1);
    check!(sctlr & 0x1005 == 0, sctlr = sctlr);
    check!(daif == 0x3c0, daif = daif);
    check!(el == 4, el = el);
    let again = call(CPU_ON, [smp::id(1), smp::entry(), 1]);
    check!(again == ALREADY_ON, again = again);
    Ok(())
}

fn off() {
    smp::off();
}

/// AFFINITY_INFO says OFF once the CPU has left, and then it can be started again.
fn cpu_off_and_on() -> Outcome {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    STARTS.store(0, Ordering::SeqCst);
    for round in 1..=10 {
        check!(smp::run(1, || {
            STARTS.fetch_add(1, Ordering::SeqCst);
        }));
        check!(STARTS.load(Ordering::SeqCst) == round, round = round);
        let state = call(AFFINITY_INFO, [smp::id(1), 0, 0]);
        check!(state == 0, state = state);
        smp::give(1, off);
        check!(sync::wait_for(2000, || call(
            AFFINITY_INFO,
            [smp::id(1), 0, 0]
        ) == 1));
    }
    Ok(())
}

/// The 32-bit CPU_ON starts a CPU too, and the context is what it finds in x0.
fn cpu_on_32() -> Outcome {
    if call(AFFINITY_INFO, [smp::id(1), 0, 0]) == 0 {
        smp::give(1, off);
        check!(sync::wait_for(2000, || call(
            AFFINITY_INFO,
            [smp::id(1), 0, 0]
        ) == 1));
    }
    let answer = smp::start_by(1, || call(CPU_ON_32, [smp::id(1), smp::entry(), 1]));
    // On, or on its way. (The board says OFF until it has started.)
    let state = call(AFFINITY_INFO, [smp::id(1), 0, 0]);
    check!(answer == SUCCESS, answer = answer);
    check!(crate::on_board() || state != 1, state = state);
    check!(smp::run(1, nothing));
    Ok(())
}

/// Standby returns when an interrupt is there, masked or not, with SUCCESS.
fn cpu_suspend() -> Outcome {
    guest_support::exception::mask();
    guest_support::gic::enable(timer::VIRTUAL_PPI);
    let start = timer::now();
    timer::arm_virtual(5);
    let answer = call(CPU_SUSPEND, [0, smp::entry(), 0]);
    let slept = timer::now() - start;
    timer::stop_virtual();
    check!(answer == SUCCESS, answer = answer);
    check!(slept >= timer::ticks(4), slept = slept);
    Ok(())
}
