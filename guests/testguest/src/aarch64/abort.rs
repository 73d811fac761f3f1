//! Where nothing is: a synchronous external abort, at the right vector, with the right syndrome and
//! address (Arm ARM, D1.3 and D24.2.40).

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{Fault, Resume, catch, run_user};
use guest_support::map::{BAD_TABLE, NO_DEVICE, NO_MEMORY, USER_NO_MEMORY, user};

pub const CASES: &[Case] = &[
    ("abort::load_from_nothing", 1, load_from_nothing),
    ("abort::store_to_nothing", 1, store_to_nothing),
    ("abort::load_from_no_device", 1, load_from_no_device),
    ("abort::jump_to_nothing", 1, jump_to_nothing),
    ("abort::table_in_nothing", 1, table_in_nothing),
    ("abort::thousand_times", 1, thousand_times),
    ("abort::load_at_el0", 1, load_at_el0),
    ("abort::jump_at_el0", 1, jump_at_el0),
    ("abort::address_translation", 1, address_translation),
];

/// Exception classes: an abort of a load or store, or of a fetch; from EL0 one less.
const DATA_ABORT: u64 = 0x25;
const INSTRUCTION_ABORT: u64 = 0x21;
/// WnR of a data abort.
const WRITE: u64 = 1 << 6;

fn load(address: usize) -> (Option<Fault>, u64) {
    let mut value: u64 = 0x77;
    let fault = catch(Resume::Next, || {
        // SAFETY: takes an exception that is expected.
        unsafe {
            core::arch::asm!("ldr {v:w}, [{a}, #8]", a = in(reg) address - 8, v = inout(reg) value,
                options(nostack));
        }
    });
    (fault, value)
}

fn loads_abort(address: usize) -> Outcome {
    let (fault, value) = load(address);
    check!(value == 0x77, value = value);
    check!(
        fault.is_some_and(|f| f.class() == DATA_ABORT
            && f.vector == 4
            && f.status() == 0x10
            && f.esr & WRITE == 0
            && f.esr & 1 << 25 != 0
            && f.far == address as u64
            && f.spsr & 0xf == 5),
        fault = fault
    );
    Ok(())
}

fn load_from_nothing() -> Outcome {
    loads_abort(NO_MEMORY + 0x123_4560)
}

fn load_from_no_device() -> Outcome {
    loads_abort(NO_DEVICE + 0x10)
}

fn store_to_nothing() -> Outcome {
    for address in [NO_MEMORY + 0xabc, NO_DEVICE + 0xabc] {
        let fault = catch(Resume::Next, || {
            // SAFETY: takes an exception that is expected.
            unsafe {
                core::arch::asm!("str wzr, [{a}]", a = in(reg) address, options(nostack));
            }
        });
        check!(
            fault.is_some_and(|f| f.class() == DATA_ABORT
                && f.vector == 4
                && f.status() == 0x10
                && f.esr & WRITE != 0
                && f.far == address as u64),
            fault = fault
        );
    }
    Ok(())
}

fn jump_to_nothing() -> Outcome {
    let target = NO_MEMORY + 0x8000;
    let fault = catch(Resume::Link, || {
        // SAFETY: takes an exception that is expected, and comes back by the link register.
        unsafe {
            core::arch::asm!("blr {t}", t = in(reg) target, out("x30") _, options(nostack));
        }
    });
    check!(
        fault.is_some_and(|f| f.class() == INSTRUCTION_ABORT
            && f.vector == 4
            && f.status() == 0x10
            && f.far == target as u64
            && f.elr == target as u64),
        fault = fault
    );
    Ok(())
}

/// The walk itself reaches for nothing: FSC 0x14 plus the level, here 2.
fn table_in_nothing() -> Outcome {
    let address = BAD_TABLE + 0x20_0000;
    let (fault, value) = load(address);
    check!(value == 0x77, value = value);
    check!(
        fault.is_some_and(|f| f.class() == DATA_ABORT
            && f.status() == 0x16
            && f.far == address as u64),
        fault = fault
    );
    let fault = catch(Resume::Link, || {
        // SAFETY: takes an exception that is expected, and comes back by the link register.
        unsafe {
            core::arch::asm!("blr {t}", t = in(reg) address, out("x30") _, options(nostack));
        }
    });
    check!(
        fault.is_some_and(|f| f.class() == INSTRUCTION_ABORT
            && f.status() == 0x16
            && f.far == address as u64),
        fault = fault
    );
    Ok(())
}

fn thousand_times() -> Outcome {
    for n in 0..1000 {
        let address = NO_MEMORY + n * 0x1_2340;
        let (fault, _) = load(address);
        check!(
            fault.is_some_and(|f| f.status() == 0x10 && f.far == address as u64),
            n = n
        );
    }
    Ok(())
}

core::arch::global_asm!(
    ".global abort_user_load",
    "abort_user_load: ldr w1, [x0]",
    "svc #1",
    ".global abort_user_jump",
    "abort_user_jump: br x0",
);

unsafe extern "C" {
    fn abort_user_load();
    fn abort_user_jump();
}

fn load_at_el0() -> Outcome {
    let address = USER_NO_MEMORY as u64 + 0x4000;
    let (_, fault) = run_user(user(abort_user_load as *const ()), 0, address);
    check!(
        fault.is_some_and(|f| f.class() == DATA_ABORT - 1
            && f.vector == 8
            && f.status() == 0x10
            && f.far == address
            && f.spsr & 0xf == 0),
        fault = fault
    );
    Ok(())
}

fn jump_at_el0() -> Outcome {
    let address = USER_NO_MEMORY as u64 + 0x4000;
    let (_, fault) = run_user(user(abort_user_jump as *const ()), 0, address);
    check!(
        fault.is_some_and(|f| f.class() == INSTRUCTION_ABORT - 1
            && f.vector == 8
            && f.status() == 0x10
            && f.far == address
            && f.elr == address),
        fault = fault
    );
    Ok(())
}

/// AT tells the guest about its own translation only.
fn address_translation() -> Outcome {
    let par: u64;
    // SAFETY: translates an address; changes PAR_EL1 only.
    unsafe {
        core::arch::asm!("at s1e1r, {a}", "isb", "mrs {p}, par_el1",
            a = in(reg) NO_MEMORY + 0x5000, p = out(reg) par, options(nostack));
    }
    check!(par & 1 == 0, par = par);
    check!(
        par & 0xffff_ffff_f000 == NO_MEMORY as u64 + 0x5000,
        par = par
    );
    Ok(())
}
