//! SBI's base and system reset extensions, and what any call does (SBI specification 2.0).

use crate::Case;
use crate::outcome::Outcome;
use guest_support::sbi::*;

pub const CASES: &[Case] = &[
    ("sbi::version", 1, version),
    ("sbi::identity", 1, identity),
    ("sbi::probe", 1, probe_extension),
    ("sbi::unknown_extension", 1, unknown_extension),
    ("sbi::unknown_function", 1, unknown_function),
    ("sbi::call_keeps_registers", 1, call_keeps_registers),
    ("sbi::reset_invalid", 1, reset_invalid),
];

/// Ids that belong to nobody: reserved ones, and one of the experimental range.
const NOBODYS: [u64; 4] = [0x11, 0x7777_7777, 0x0800_1234, 0xffff_ffff_8765_4321];

fn version() -> Outcome {
    let answer = call(BASE, 0, []);
    check!(answer.error == SUCCESS, answer = answer);
    // 2.0 or later; bit 31 is 0, and so is what is above.
    check!(answer.value >= 0x200_0000, answer = answer);
    check!(answer.value < 1 << 31, answer = answer);
    Ok(())
}

fn identity() -> Outcome {
    for function in [1, 2, 4, 5, 6] {
        let answer = call(BASE, function, []);
        check!(
            answer.error == SUCCESS,
            function = function,
            answer = answer
        );
    }
    Ok(())
}

fn probe_extension() -> Outcome {
    for extension in [BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN] {
        let answer = call(BASE, 3, [extension]);
        check!(
            answer.error == SUCCESS && answer.value != 0,
            extension = extension,
            answer = answer
        );
    }
    for extension in NOBODYS {
        let answer = call(BASE, 3, [extension]);
        check!(
            answer.error == SUCCESS && answer.value == 0,
            extension = extension,
            answer = answer
        );
    }
    Ok(())
}

fn unknown_extension() -> Outcome {
    for extension in NOBODYS {
        for function in [0, 1, u64::MAX] {
            let answer = call(extension, function, [1, 2, 3]);
            check!(
                answer.error == NOT_SUPPORTED,
                extension = extension,
                answer = answer
            );
        }
    }
    Ok(())
}

fn unknown_function() -> Outcome {
    for extension in [BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN] {
        for function in [0x1234, 0x7fff_ffff, 0xffff_ffff_8000_0000] {
            let answer = call(extension, function, [1, 2, 3]);
            check!(
                answer.error == NOT_SUPPORTED,
                extension = extension,
                answer = answer
            );
        }
    }
    Ok(())
}

/// All registers but a0 and a1 come back (chapter 3).
fn call_keeps_registers() -> Outcome {
    let changed: u64;
    // SAFETY: all that the code changes is named.
    unsafe {
        core::arch::asm!(
            "li a2, 0xa2", "li a3, 0xa3", "li a4, 0xa4", "li a5, 0xa5", "li t0, 0x10", "li t1, 0x11",
            "li t2, 0x12", "li t3, 0x13", "li t4, 0x14", "li t5, 0x15", "li t6, 0x16",
            "mv {kept}, sp",
            "li a6, 0", "li a7, 0x10",
            "ecall",
            "addi a2, a2, -0xa2", "addi a3, a3, -0xa3", "addi a4, a4, -0xa4", "addi a5, a5, -0xa5",
            "addi t0, t0, -0x10", "addi t1, t1, -0x11", "addi t2, t2, -0x12", "addi t3, t3, -0x13",
            "addi t4, t4, -0x14", "addi t5, t5, -0x15", "addi t6, t6, -0x16", "addi a7, a7, -0x10",
            "sub {kept}, {kept}, sp",
            "or {kept}, {kept}, a2", "or {kept}, {kept}, a3", "or {kept}, {kept}, a4",
            "or {kept}, {kept}, a5", "or {kept}, {kept}, a6", "or {kept}, {kept}, a7",
            "or {kept}, {kept}, t0", "or {kept}, {kept}, t1", "or {kept}, {kept}, t2",
            "or {kept}, {kept}, t3", "or {kept}, {kept}, t4", "or {kept}, {kept}, t5",
            "or {kept}, {kept}, t6",
            kept = out(reg) changed,
            out("a0") _, out("a1") _, out("a2") _, out("a3") _, out("a4") _, out("a5") _,
            out("a6") _, out("a7") _, out("t0") _, out("t1") _, out("t2") _, out("t3") _,
            out("t4") _, out("t5") _, out("t6") _, options(nostack)
        );
    }
    check!(changed == 0, changed = changed);
    Ok(())
}

/// Types and reasons that are reserved do nothing (chapter 10).
fn reset_invalid() -> Outcome {
    for [kind, reason] in [[3, 0], [0xefff_ffff, 0], [0, 2], [0, 0xdfff_ffff]] {
        let answer = call(SRST, 0, [kind, reason]);
        // OpenSBI 1.5 has another answer.
        check!(
            answer.error == INVALID_PARAM || crate::on_board() && answer.error == NOT_SUPPORTED,
            kind = kind,
            reason = reason,
            answer = answer
        );
    }
    Ok(())
}
