//! U-mode: what traps goes to the guest, as without a hypervisor.

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{Fault, run_user, taken};
use guest_support::map::{RAM, user};
use guest_support::{cpu, lines, timer, write_csr};

pub const CASES: &[Case] = &[
    ("user::ecall", 1, ecall),
    ("user::breakpoint", 1, breakpoint),
    ("user::counter", 1, counter),
    ("user::counter_trap", 1, counter_trap),
    ("user::supervisor_instructions", 1, supervisor_instructions),
    ("user::supervisor_pages", 1, supervisor_pages),
    ("user::interrupted", 1, interrupted),
];

core::arch::global_asm!(
    ".balign 4",
    ".global user_call",
    "user_call: addi a0, a0, 1",
    "ecall",
    ".balign 4",
    ".global user_break",
    "user_break: ebreak",
    ".balign 4",
    ".global user_time",
    "user_time: rdtime a0",
    "ecall",
    ".balign 4",
    ".global user_sret",
    "user_sret: sret",
    "ecall",
    ".balign 4",
    ".global user_fence",
    "user_fence: sfence.vma",
    "ecall",
    ".balign 4",
    ".global user_status",
    "user_status: csrr a0, sstatus",
    "ecall",
    ".balign 4",
    ".global user_satp",
    "user_satp: csrw satp, zero",
    "ecall",
    ".balign 4",
    ".global user_hstatus",
    "user_hstatus: csrr a0, 0x600",
    "ecall",
    ".balign 4",
    ".global user_mstatus",
    "user_mstatus: csrr a0, mstatus",
    "ecall",
    ".balign 4",
    ".global user_load",
    "user_load: ld a0, 0(a0)",
    "ecall",
    ".balign 4",
    ".global user_spin",
    "user_spin: addi a0, a0, -1",
    "bnez a0, user_spin",
    "ecall",
);

unsafe extern "C" {
    fn user_call();
    fn user_break();
    fn user_time();
    fn user_sret();
    fn user_fence();
    fn user_status();
    fn user_satp();
    fn user_hstatus();
    fn user_mstatus();
    fn user_load();
    fn user_spin();
}

const SPP: u64 = 1 << 8;

/// A call of U-mode is the guest's own, and no SBI call.
fn ecall() -> Outcome {
    let code = user(user_call as *const ());
    let (a0, fault) = run_user(code, 41);
    check!(a0 == 42, a0 = a0);
    check!(
        fault.is_some_and(|f| f.cause == Fault::USER_CALL
            && (f.pc == code + 2 || f.pc == code + 4)
            && f.status & SPP == 0),
        fault = fault
    );
    Ok(())
}

fn breakpoint() -> Outcome {
    let code = user(user_break as *const ());
    let (_, fault) = run_user(code, 0);
    check!(
        fault.is_some_and(|f| f.cause == Fault::BREAKPOINT && f.pc == code),
        fault = fault
    );
    Ok(())
}

fn counter() -> Outcome {
    write_csr!("scounteren", 7);
    let (a0, fault) = run_user(user(user_time as *const ()), 0);
    check!(
        fault.is_some_and(|f| f.cause == Fault::USER_CALL),
        fault = fault
    );
    check!(a0.abs_diff(timer::now()) < timer::ticks(5000), a0 = a0);
    Ok(())
}

/// `scounteren` is the guest's: it keeps U-mode from the counter, and the trap comes to S-mode.
fn counter_trap() -> Outcome {
    write_csr!("scounteren", 0);
    let (_, fault) = run_user(user(user_time as *const ()), 0);
    skip!(
        crate::on_board() && fault.is_some_and(|f| f.cause == Fault::USER_CALL),
        "the board's firmware makes up for it"
    );
    illegal(user_time)
}

/// Illegal, at the instruction; `stval` is the instruction or 0.
fn illegal(code: unsafe extern "C" fn()) -> Outcome {
    let pc = user(code as *const ());
    // SAFETY: code of this guest.
    let word = u64::from(unsafe { (code as *const u32).read() });
    let (_, fault) = run_user(pc, 0);
    check!(
        fault.is_some_and(|f| f.cause == Fault::ILLEGAL
            && f.pc == pc
            && (f.value == 0 || f.value == word)
            && f.status & SPP == 0),
        word = word,
        fault = fault
    );
    Ok(())
}

/// Some of them a hypervisor sees first, as virtual instructions; to the guest all are illegal.
fn supervisor_instructions() -> Outcome {
    for code in [
        user_sret,
        user_fence,
        user_status,
        user_satp,
        user_hstatus,
        user_mstatus,
    ] {
        illegal(code)?;
    }
    Ok(())
}

fn supervisor_pages() -> Outcome {
    let (_, fault) = run_user(user(user_load as *const ()), RAM as u64);
    check!(
        fault.is_some_and(|f| f.cause == Fault::LOAD_PAGE && f.value == RAM as u64),
        fault = fault
    );
    // S-mode's own address of the code.
    let pc = user_load as *const () as u64;
    let (_, fault) = run_user(pc, 0);
    check!(
        fault.is_some_and(|f| f.cause == Fault::FETCH_PAGE && f.value == pc),
        fault = fault
    );
    Ok(())
}

/// Interrupts come in U-mode whatever SIE says, and it goes on behind them.
fn interrupted() -> Outcome {
    guest_support::exception::on_interrupt(Some(|_| timer::stop()), true);
    lines::enable(timer::LINE);
    timer::arm(1);
    for _ in 0..1000 {
        let (a0, fault) = run_user(user(user_spin as *const ()), 100_000);
        check!(a0 == 0, a0 = a0);
        check!(
            fault.is_some_and(|f| f.cause == Fault::USER_CALL),
            fault = fault
        );
        if taken(cpu(), timer::LINE) == 1 {
            return Ok(());
        }
    }
    check!(taken(cpu(), timer::LINE) == 1);
    Ok(())
}
