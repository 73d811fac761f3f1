//! Self-hosted debug (Arm ARM, D2): breakpoints, stepping, watchpoints, and the OS lock.

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{Resume, catch, run_user};
use guest_support::map::user;
use guest_support::{read_sysreg, smp, write_sysreg};

pub const CASES: &[Case] = &[
    ("debug::os_lock", 1, os_lock),
    ("debug::registers", 1, registers),
    ("debug::registers_of_each_cpu", 2, registers_of_each_cpu),
    ("debug::brk", 1, brk),
    ("debug::step_at_el0", 1, step),
    ("debug::breakpoint_at_el0", 1, breakpoint),
    ("debug::watchpoint_at_el0", 1, watchpoint),
    ("debug::all_breakpoints_at_el1", 1, breakpoints_at_el1),
    ("debug::watchpoint_at_el1", 1, watchpoint_at_el1),
    ("debug::breakpoint_of_other_cpu", 2, breakpoint_of_other),
];

core::arch::global_asm!(
    ".global debug_code",
    "debug_code: add x0, x0, #1",
    ".global debug_second",
    "debug_second: add x0, x0, #1",
    "ldr x1, debug_data",
    "svc #1",
    ".balign 8",
    ".global debug_data",
    "debug_data: .quad 7",
    ".global debug_el1",
    "debug_el1:",
    ".rept 16",
    "add x0, x0, #1",
    ".endr",
    "ret",
);

unsafe extern "C" {
    fn debug_code();
    fn debug_second();
    static debug_data: u64;
    fn debug_el1(count: u64) -> u64;
}

const SS: u64 = 1;
const MDE: u64 = 1 << 15;
const KDE: u64 = 1 << 13;

fn os_lock() -> Outcome {
    write_sysreg!("oslar_el1", 1);
    check!(read_sysreg!("oslsr_el1") & 2 != 0);
    write_sysreg!("oslar_el1", 0);
    check!(read_sysreg!("oslsr_el1") & 2 == 0);
    let fault = catch(Resume::Next, || {
        let _ = read_sysreg!("osdlr_el1");
    });
    check!(fault.is_none(), fault = fault);
    Ok(())
}

fn registers() -> Outcome {
    let dfr0 = read_sysreg!("id_aa64dfr0_el1");
    check!(dfr0 >> 12 & 0xf >= 1 && dfr0 >> 20 & 0xf >= 1, dfr0 = dfr0);
    write_sysreg!("dbgbvr0_el1", 0x4008_1000);
    write_sysreg!("dbgbvr1_el1", 0x4008_2000);
    write_sysreg!("dbgwvr0_el1", 0x4008_3000);
    guest_support::sync::wait_for(2, || false);
    check!(read_sysreg!("dbgbvr0_el1") == 0x4008_1000);
    check!(read_sysreg!("dbgbvr1_el1") == 0x4008_2000);
    check!(read_sysreg!("dbgwvr0_el1") == 0x4008_3000);
    let before = read_sysreg!("mdscr_el1");
    write_sysreg!("mdscr_el1", before | 1 << 12);
    check!(read_sysreg!("mdscr_el1") & 1 << 12 != 0);
    write_sysreg!("mdscr_el1", before);
    Ok(())
}

fn registers_of_each_cpu() -> Outcome {
    write_sysreg!("dbgbvr0_el1", 0x1110);
    check!(smp::run(1, || write_sysreg!("dbgbvr0_el1", 0x2220)));
    guest_support::sync::wait_for(3, || false);
    let mine = read_sysreg!("dbgbvr0_el1");
    check!(mine == 0x1110, mine = mine);
    Ok(())
}

fn brk() -> Outcome {
    let fault = catch(Resume::Next, || {
        // SAFETY: takes an exception that is expected.
        unsafe { core::arch::asm!("brk #7", options(nostack)) };
    });
    check!(
        fault.is_some_and(|f| f.class() == 0x3c && f.esr & 0xffff == 7),
        fault = fault
    );
    Ok(())
}

/// Runs the code at EL0 with `mdscr` and gives the exception that ended it.
fn run(mdscr: u64, spsr: u64) -> (u64, Option<guest_support::exception::Fault>) {
    write_sysreg!("oslar_el1", 0);
    write_sysreg!("mdscr_el1", mdscr);
    let result = run_user(user(debug_code as *const ()), spsr, 10);
    write_sysreg!("mdscr_el1", 0);
    result
}

fn step() -> Outcome {
    // PSTATE.SS: one instruction is executed, then the step exception comes.
    let (x0, fault) = run(SS, 1 << 21);
    let next = user(debug_second as *const ());
    check!(
        fault.is_some_and(|f| f.class() == 0x32 && f.vector == 8 && f.elr == next),
        fault = fault
    );
    check!(x0 == 11, x0 = x0);
    Ok(())
}

fn breakpoint() -> Outcome {
    let address = user(debug_second as *const ());
    write_sysreg!("dbgbvr0_el1", address);
    // Enabled, EL0, all four bytes.
    write_sysreg!("dbgbcr0_el1", 0xf << 5 | 2 << 1 | 1);
    let (x0, fault) = run(MDE, 0);
    write_sysreg!("dbgbcr0_el1", 0);
    check!(
        fault.is_some_and(|f| f.class() == 0x30 && f.vector == 8 && f.elr == address),
        fault = fault
    );
    check!(x0 == 11, x0 = x0);
    Ok(())
}

fn watchpoint() -> Outcome {
    let address = user(&raw const debug_data as *const ());
    write_sysreg!("dbgwvr0_el1", address);
    // Enabled, EL0, loads, all eight bytes.
    write_sysreg!("dbgwcr0_el1", 0xff << 5 | 1 << 3 | 2 << 1 | 1);
    let (_, fault) = run(MDE, 0);
    write_sysreg!("dbgwcr0_el1", 0);
    check!(
        fault.is_some_and(|f| f.class() == 0x34 && f.vector == 8 && f.far == address),
        fault = fault
    );
    Ok(())
}

/// Lets debug exceptions of EL1 in while `code` runs.
fn debugging(code: impl FnOnce()) {
    write_sysreg!("oslar_el1", 0);
    write_sysreg!("mdscr_el1", MDE | KDE);
    // SAFETY: debug exceptions are taken where a case expects them.
    unsafe { core::arch::asm!("isb", "msr daifclr, #8", options(nostack)) };
    code();
    // SAFETY: none is taken any more.
    unsafe { core::arch::asm!("msr daifset, #8", "isb", options(nostack)) };
    write_sysreg!("mdscr_el1", 0);
}

/// As many as ID_AA64DFR0_EL1.BRPs says, one after another.
fn breakpoints_at_el1() -> Outcome {
    let count = (read_sysreg!("id_aa64dfr0_el1") >> 12 & 0xf) + 1;
    for n in 0..count {
        let address = debug_el1 as *const () as u64 + 4 * n;
        // Enabled, EL1, all four bytes.
        breakpoint_pair(n, address, 0xf << 5 | 1 << 1 | 1);
        let mut added = 0;
        let fault = catch(Resume::Next, || {
            // SAFETY: a function that adds 16.
            debugging(|| added = unsafe { debug_el1(0) });
        });
        breakpoint_pair(n, 0, 0);
        check!(
            fault.is_some_and(|f| f.class() == 0x31 && f.vector == 4 && f.elr == address),
            n = n,
            fault = fault
        );
        // It was skipped.
        check!(added == 15, n = n, added = added);
    }
    Ok(())
}

/// Value and control of breakpoint `n`.
fn breakpoint_pair(n: u64, value: u64, control: u64) {
    macro_rules! pairs {
        ($($i:literal)*) => {
            match n {
                $($i => {
                    write_sysreg!(concat!("dbgbvr", $i, "_el1"), value);
                    write_sysreg!(concat!("dbgbcr", $i, "_el1"), control);
                })*
                _ => {}
            }
        };
    }
    pairs!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

fn watchpoint_at_el1() -> Outcome {
    let address = &raw const debug_data as u64;
    write_sysreg!("dbgwvr1_el1", address);
    // Enabled, EL1, stores and loads, all eight bytes.
    write_sysreg!("dbgwcr1_el1", 0xff << 5 | 3 << 3 | 1 << 1 | 1);
    let mut value: u64 = 0x77;
    let fault = catch(Resume::Next, || {
        debugging(|| {
            // SAFETY: reads memory, or takes an exception that is expected.
            unsafe {
                core::arch::asm!("ldr {v}, [{a}]", a = in(reg) address, v = inout(reg) value,
                    options(nostack));
            }
        });
    });
    write_sysreg!("dbgwcr1_el1", 0);
    check!(
        fault.is_some_and(|f| f.class() == 0x35 && f.vector == 4 && f.far == address),
        fault = fault
    );
    check!(value == 0x77, value = value);
    Ok(())
}

/// CPU 1's breakpoint is not this CPU's, also if both take turns on one physical CPU.
fn breakpoint_of_other() -> Outcome {
    check!(smp::run(1, || {
        write_sysreg!("oslar_el1", 0);
        write_sysreg!("dbgbvr0_el1", user(debug_second as *const ()));
        write_sysreg!("dbgbcr0_el1", 0xf << 5 | 2 << 1 | 1);
        write_sysreg!("mdscr_el1", MDE);
    }));
    let mut hit = None;
    for _ in 0..5 {
        let (_, fault) = run_user(user(debug_code as *const ()), 0, 10);
        // It ends with an SVC.
        hit = hit.or(fault.filter(|f| f.class() != 0x15));
        guest_support::sync::wait_for(3, || false);
    }
    check!(smp::run(1, || {
        write_sysreg!("mdscr_el1", 0);
        write_sysreg!("dbgbcr0_el1", 0);
    }));
    check!(hit.is_none(), hit = hit);
    Ok(())
}
