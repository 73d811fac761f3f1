//! Where nothing is: access faults with the right address; page faults are the guest's own
//! (privileged ISA, "Supervisor Trap Value Register", "Virtual Address Translation Process").

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{Fault, Resume, catch, run_user};
use guest_support::map::{BAD_TABLE, FREE, NO_DEVICE, NO_MEMORY, USER_NO_MEMORY, user};

pub const CASES: &[Case] = &[
    ("abort::load_from_nothing", 1, load_from_nothing),
    ("abort::store_to_nothing", 1, store_to_nothing),
    ("abort::atomic_on_nothing", 1, atomic_on_nothing),
    ("abort::load_from_no_device", 1, load_from_no_device),
    ("abort::jump_to_nothing", 1, jump_to_nothing),
    ("abort::table_in_nothing", 1, table_in_nothing),
    ("abort::page_faults", 1, page_faults),
    ("abort::thousand_times", 1, thousand_times),
    ("abort::load_in_user_mode", 1, load_in_user_mode),
    ("abort::jump_in_user_mode", 1, jump_in_user_mode),
];

/// SPP of `sstatus`: it came from S-mode.
const SPP: u64 = 1 << 8;

/// Loads by `$instruction` from `$address` into `v`, which holds 0x77 before.
macro_rules! load {
    ($instruction:literal, $address:expr) => {{
        let mut value: u64 = 0x77;
        let fault = catch(Resume::Next, || {
            // SAFETY: takes an exception that is expected, or reads memory.
            unsafe {
                core::arch::asm!($instruction, in("a0") $address, inout("a1") value,
                    options(nostack));
            }
        });
        (fault, value)
    }};
}

fn loads_fault(address: usize) -> Outcome {
    for (fault, value) in [
        load!("lw a1, 8(a0)", address - 8),
        load!("c.lw a1, 8(a0)", address - 8),
        load!("ld a1, 0(a0)", address),
        load!("lbu a1, 0(a0)", address),
    ] {
        check!(value == 0x77, value = value);
        check!(
            fault.is_some_and(|f| f.cause == Fault::LOAD
                && f.value == address as u64
                && f.status & SPP != 0),
            address = address,
            fault = fault
        );
    }
    Ok(())
}

fn load_from_nothing() -> Outcome {
    loads_fault(NO_MEMORY + 0x123_4560)
}

fn load_from_no_device() -> Outcome {
    loads_fault(NO_DEVICE + 0x10)
}

fn store_to_nothing() -> Outcome {
    for address in [NO_MEMORY + 0xab8, NO_DEVICE + 0xab8] {
        for fault in [
            load!("sw zero, 0(a0)", address).0,
            load!("c.sw a1, 0(a0)", address).0,
            load!("sd a1, 0(a0)", address).0,
            load!("sb a1, 0(a0)", address).0,
        ] {
            check!(
                fault.is_some_and(|f| f.cause == Fault::STORE && f.value == address as u64),
                address = address,
                fault = fault
            );
        }
    }
    Ok(())
}

/// AMOs and SC fault as stores, LR as a load.
fn atomic_on_nothing() -> Outcome {
    let address = NO_MEMORY + 0x5670;
    let (fault, value) = load!("amoadd.d a1, a1, (a0)", address);
    check!(value == 0x77, value = value);
    check!(
        fault.is_some_and(|f| f.cause == Fault::STORE && f.value == address as u64),
        fault = fault
    );
    let (fault, value) = load!("lr.d a1, (a0)", address);
    check!(value == 0x77, value = value);
    check!(
        fault.is_some_and(|f| f.cause == Fault::LOAD && f.value == address as u64),
        fault = fault
    );
    Ok(())
}

/// Calls `$target`.
macro_rules! jump {
    ($target:expr) => {
        catch(Resume::Link, || {
            // SAFETY: takes an exception that is expected, and comes back by the return address.
            unsafe {
                core::arch::asm!("jalr {t}", t = in(reg) $target, out("ra") _, options(nostack));
            }
        })
    };
}

fn jump_to_nothing() -> Outcome {
    for target in [NO_MEMORY + 0x8000, NO_MEMORY + 0x8002, NO_DEVICE] {
        let fault = jump!(target);
        // Devices are mapped without X.
        let cause = if target == NO_DEVICE {
            Fault::FETCH_PAGE
        } else {
            Fault::FETCH
        };
        check!(
            fault.is_some_and(|f| f.cause == cause
                && f.value == target as u64
                && f.pc == target as u64),
            target = target,
            fault = fault
        );
    }
    Ok(())
}

/// The walk itself reaches for nothing: an access fault of the kind that was tried.
fn table_in_nothing() -> Outcome {
    let address = BAD_TABLE + 0x20_0000;
    let (fault, value) = load!("ld a1, 0(a0)", address);
    check!(value == 0x77, value = value);
    skip!(
        crate::on_board() && fault.is_some_and(|f| f.cause == Fault::LOAD_PAGE),
        "this QEMU takes a page fault instead"
    );
    check!(
        fault.is_some_and(|f| f.cause == Fault::LOAD && f.value == address as u64),
        fault = fault
    );
    let (fault, _) = load!("sd a1, 0(a0)", address);
    check!(
        fault.is_some_and(|f| f.cause == Fault::STORE && f.value == address as u64),
        fault = fault
    );
    let fault = jump!(address);
    check!(
        fault.is_some_and(|f| f.cause == Fault::FETCH
            && f.value == address as u64
            && f.pc == address as u64),
        fault = fault
    );
    Ok(())
}

/// What isn't mapped, or isn't canonical.
fn page_faults() -> Outcome {
    for address in [FREE + 0x1238, 1 << 40, 0xffff_ffc0_0000_0000] {
        let (fault, value) = load!("ld a1, 0(a0)", address);
        check!(value == 0x77, value = value);
        check!(
            fault.is_some_and(|f| f.cause == Fault::LOAD_PAGE && f.value == address as u64),
            fault = fault
        );
        let (fault, _) = load!("sd a1, 0(a0)", address);
        check!(
            fault.is_some_and(|f| f.cause == Fault::STORE_PAGE && f.value == address as u64),
            fault = fault
        );
        let fault = jump!(address);
        check!(
            fault.is_some_and(|f| f.cause == Fault::FETCH_PAGE && f.value == address as u64),
            fault = fault
        );
    }
    Ok(())
}

fn thousand_times() -> Outcome {
    for n in 0..1000 {
        let address = NO_MEMORY + n * 0x1_2340;
        let (fault, _) = load!("lw a1, 0(a0)", address);
        check!(
            fault.is_some_and(|f| f.cause == Fault::LOAD && f.value == address as u64),
            n = n
        );
    }
    Ok(())
}

core::arch::global_asm!(
    ".balign 4",
    ".global abort_user_load",
    "abort_user_load: lw a1, 0(a0)",
    "ecall",
    ".balign 4",
    ".global abort_user_jump",
    "abort_user_jump: jr a0",
);

unsafe extern "C" {
    fn abort_user_load();
    fn abort_user_jump();
}

fn load_in_user_mode() -> Outcome {
    let address = USER_NO_MEMORY as u64 + 0x4000;
    let code = user(abort_user_load as *const ());
    let (_, fault) = run_user(code, address);
    check!(
        fault.is_some_and(|f| f.cause == Fault::LOAD
            && f.value == address
            && f.pc == code
            && f.status & SPP == 0),
        fault = fault
    );
    Ok(())
}

fn jump_in_user_mode() -> Outcome {
    let address = USER_NO_MEMORY as u64 + 0x4000;
    let (_, fault) = run_user(user(abort_user_jump as *const ()), address);
    check!(
        fault.is_some_and(|f| f.cause == Fault::FETCH
            && f.value == address
            && f.pc == address
            && f.status & SPP == 0),
        fault = fault
    );
    Ok(())
}
