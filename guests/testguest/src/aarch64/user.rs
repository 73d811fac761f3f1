//! EL0, in both execution states: what traps goes to EL1, as without a hypervisor.

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::run_user;
use guest_support::map::{RAM, USER_ALIAS, user};
use guest_support::{read_sysreg, write_sysreg};

pub const CASES: &[Case] = &[
    ("user::svc", 1, svc),
    ("user::hvc_is_undefined", 1, hvc_is_undefined),
    ("user::counter", 1, counter),
    ("user::counter_trap", 1, counter_trap),
    ("user::id_register_is_undefined", 1, id_register),
    ("user::aarch32_svc", 1, aarch32_svc),
    ("user::aarch32_condition_fails", 1, aarch32_condition_fails),
    ("user::aarch32_condition_holds", 1, aarch32_condition_holds),
    ("user::thumb_it_block", 1, thumb_it_block),
];

core::arch::global_asm!(
    ".global user_svc",
    "user_svc: add x0, x0, #1",
    "svc #42",
    ".global user_hvc",
    "user_hvc: .inst 0xd4000002",
    "svc #1",
    ".global user_count",
    "user_count: mrs x0, cntvct_el0",
    "svc #1",
    ".global user_id",
    "user_id: mrs x0, id_aa64isar0_el1",
    "svc #1",
    ".balign 4",
    ".global user_a32_svc",
    "user_a32_svc: .inst 0xe2800001", // add r0, r0, #1
    ".inst 0xef00002a",               // svc #42
    ".global user_a32_fails",
    "user_a32_fails: .inst 0x0e190f1c", // mrceq p15, 0, r0, c9, c12, 0 (PMCR)
    ".inst 0x0e110f50",                 // mrceq p15, 0, r0, c1, c0, 2 (CPACR)
    ".inst 0x0e070f3a",                 // mcreq p15, 0, r0, c7, c10, 1 (DCCMVAC)
    ".inst 0xe2800001",                 // add r0, r0, #1
    ".inst 0xef000001",                 // svc #1
    ".global user_a32_holds",
    "user_a32_holds: .inst 0xee190f1c", // mrc p15, 0, r0, c9, c12, 0
    ".inst 0xef000001",                 // svc #1
    ".global user_t32_it",
    "user_t32_it: .inst 0xee19bf04", // itt eq; mrceq p15, 0, r0, c9, c12, 0 (first half)
    ".inst 0x30010f1c",              // (second half); addeq r0, #1
    ".inst 0xdf013002",              // add r0, #2; svc #1
);

unsafe extern "C" {
    fn user_svc();
    fn user_hvc();
    fn user_count();
    fn user_id();
    fn user_a32_svc();
    fn user_a32_fails();
    fn user_a32_holds();
    fn user_t32_it();
}

/// PSTATE of AArch32 user mode, without and with T.
const A32: u64 = 0x10;
const T32: u64 = 0x30;

fn svc() -> Outcome {
    let (x0, fault) = run_user(user(user_svc as *const ()), 0, 41);
    check!(x0 == 42, x0 = x0);
    check!(fault.is_some_and(|f| f.vector == 8 && f.class() == 0x15 && f.esr & 0xffff == 42));
    Ok(())
}

fn hvc_is_undefined() -> Outcome {
    let (_, fault) = run_user(user(user_hvc as *const ()), 0, 0);
    let pc = user(user_hvc as *const ());
    check!(
        fault.is_some_and(|f| f.vector == 8 && f.class() == 0 && f.elr == pc),
        fault = fault
    );
    Ok(())
}

fn counter() -> Outcome {
    let before = read_sysreg!("cntkctl_el1");
    write_sysreg!("cntkctl_el1", before | 3);
    let (x0, fault) = run_user(user(user_count as *const ()), 0, 0);
    write_sysreg!("cntkctl_el1", before);
    check!(fault.is_some_and(|f| f.class() == 0x15), fault = fault);
    check!(
        x0.abs_diff(guest_support::timer::now()) < guest_support::timer::ticks(5000),
        x0 = x0
    );
    Ok(())
}

/// CNTKCTL_EL1 is the guest's: it keeps EL0 from the counter, and the trap comes to EL1.
fn counter_trap() -> Outcome {
    let before = read_sysreg!("cntkctl_el1");
    write_sysreg!("cntkctl_el1", before & !3);
    let (_, fault) = run_user(user(user_count as *const ()), 0, 0);
    write_sysreg!("cntkctl_el1", before);
    check!(
        fault.is_some_and(|f| f.vector == 8 && f.class() == 0x18),
        fault = fault
    );
    Ok(())
}

fn id_register() -> Outcome {
    let (_, fault) = run_user(user(user_id as *const ()), 0, 0);
    // With FEAT_IDST the trap has its own class.
    check!(
        fault.is_some_and(|f| f.vector == 8 && matches!(f.class(), 0 | 0x18)),
        fault = fault
    );
    Ok(())
}

/// Where AArch32 finds code.
fn a32(code: unsafe extern "C" fn()) -> u64 {
    (code as *const () as usize - RAM + USER_ALIAS) as u64
}

macro_rules! needs_aarch32 {
    () => {
        skip!(
            read_sysreg!("id_aa64pfr0_el1") & 0xf != 2,
            "no AArch32 at EL0"
        )
    };
}

fn aarch32_svc() -> Outcome {
    needs_aarch32!();
    let (r0, fault) = run_user(a32(user_a32_svc), A32, 41);
    check!(r0 == 42, r0 = r0);
    check!(
        fault.is_some_and(|f| f.vector == 12 && f.class() == 0x11),
        fault = fault
    );
    Ok(())
}

/// An instruction whose condition fails does nothing, also if it would trap (G1.12, F1.3).
fn aarch32_condition_fails() -> Outcome {
    needs_aarch32!();
    let (r0, fault) = run_user(a32(user_a32_fails), A32, 41);
    check!(
        fault.is_some_and(|f| f.vector == 12 && f.class() == 0x11),
        fault = fault
    );
    check!(r0 == 42, r0 = r0);
    Ok(())
}

fn aarch32_condition_holds() -> Outcome {
    needs_aarch32!();
    let (_, fault) = run_user(a32(user_a32_holds), A32, 0);
    let pc = a32(user_a32_holds);
    // Undefined, or trapped to EL1 by the PMU's own enable: EC 0 or 3, at the instruction.
    check!(
        fault.is_some_and(|f| f.vector == 12 && matches!(f.class(), 0 | 3) && f.elr == pc),
        fault = fault
    );
    Ok(())
}

/// In an IT block whose condition fails both instructions are skipped, and the state advances.
fn thumb_it_block() -> Outcome {
    needs_aarch32!();
    let (r0, fault) = run_user(a32(user_t32_it), T32, 40);
    check!(
        fault.is_some_and(|f| f.vector == 12 && f.class() == 0x11),
        fault = fault
    );
    check!(r0 == 42, r0 = r0);
    Ok(())
}
