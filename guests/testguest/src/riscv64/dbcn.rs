//! The debug console (SBI specification 2.0, chapter 12).

use crate::Case;
use crate::outcome::Outcome;
use guest_support::map::{NO_DEVICE, NO_MEMORY, RAM};
use guest_support::sbi::*;

pub const CASES: &[Case] = &[
    ("dbcn::write", 1, write),
    ("dbcn::write_byte", 1, write_byte),
    ("dbcn::read", 1, read),
    ("dbcn::nothing", 1, nothing),
    ("dbcn::bad_pointers", 1, bad_pointers),
];

const WRITE: u64 = 0;
const READ: u64 = 1;
const WRITE_BYTE: u64 = 2;

/// It may take fewer bytes than it was given, but then the rest another time.
fn write() -> Outcome {
    let text = b"(written by DBCN)\r\n";
    let mut rest = &text[..];
    for _ in 0..1000 {
        let answer = call(DBCN, WRITE, [rest.len() as u64, rest.as_ptr() as u64, 0]);
        check!(answer.error == SUCCESS, answer = answer);
        check!(answer.value <= rest.len() as u64, answer = answer);
        rest = rest.get(answer.value as usize..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
    }
    check!(rest.is_empty(), rest = rest.len());
    Ok(())
}

fn write_byte() -> Outcome {
    for byte in *b"(byte)\r\n" {
        // Of the argument only the lowest byte counts.
        let answer = call(DBCN, WRITE_BYTE, [u64::from(byte)]);
        check!(
            answer.error == SUCCESS && answer.value == 0,
            answer = answer
        );
    }
    Ok(())
}

/// Nothing was typed: it doesn't wait, and writes nothing.
fn read() -> Outcome {
    let mut buffer = [0x55_u8; 16];
    let answer = call(DBCN, READ, [16, (&raw mut buffer) as u64, 0]);
    check!(
        answer.error == SUCCESS && answer.value <= 16,
        answer = answer
    );
    let behind = buffer.get(answer.value as usize..).unwrap_or_default();
    check!(behind.iter().all(|&byte| byte == 0x55), buffer = buffer);
    Ok(())
}

fn nothing() -> Outcome {
    for function in [WRITE, READ] {
        let answer = call(DBCN, function, [0, RAM as u64 + (4 << 20), 0]);
        check!(
            answer.error == SUCCESS && answer.value == 0,
            answer = answer
        );
    }
    Ok(())
}

/// What isn't all memory is INVALID_PARAM, also where it begins with memory.
fn bad_pointers() -> Outcome {
    skip_on_board!("the board's firmware faults itself");
    for function in [WRITE, READ] {
        for [length, low, high] in [
            [1, NO_MEMORY as u64, 0],
            [1, NO_DEVICE as u64, 0],
            [1, RAM as u64, 1],
            [1, 0, 0],
            [16, u64::MAX - 7, 0],
            [u64::MAX, RAM as u64 + (4 << 20), 0],
            [8 << 30, RAM as u64 + (4 << 20), 0],
        ] {
            let answer = call(DBCN, function, [length, low, high]);
            check!(
                answer.error == INVALID_PARAM,
                function = function,
                length = length,
                low = low,
                answer = answer
            );
        }
    }
    Ok(())
}
