//! A guest as small kernels and test suites are: it writes to its UART without looking whether there
//! is room. On riscv64 it goes on by the legacy calls of its firmware, and ends by one.
#![no_std]
#![no_main]

use guest_support::mmio::write8;
use guest_support::{println, uart};

guest_support::guest!(main);

/// Lines of 40 characters: more than any queue on the way holds.
const LINES: usize = 1000;

fn main() {
    println!("naive: begins");
    lines("unlooked", |byte| write8(uart::BASE, byte));
    #[cfg(target_arch = "riscv64")]
    {
        use guest_support::sbi::{LEGACY_PUT_CHARACTER, LEGACY_SHUTDOWN, legacy};
        lines("legacy", |byte| {
            legacy(LEGACY_PUT_CHARACTER, [byte.into(), 0, 0, 0]);
        });
        println!("naive: done");
        legacy(LEGACY_SHUTDOWN, [0; 4]);
        println!("naive: came back");
    }
    #[cfg(not(target_arch = "riscv64"))]
    println!("naive: done");
}

/// Sends numbered lines by `send`.
fn lines(what: &str, send: impl Fn(u8)) {
    for n in 0..LINES {
        let digits = [1000, 100, 10, 1].map(|unit| b'0' + (n / unit % 10) as u8);
        let line = b"naive: "
            .iter()
            .chain(what.as_bytes())
            .chain(b" ")
            .chain(&digits);
        let filled = line.copied().chain(core::iter::repeat(b'.')).take(38);
        filled.chain(*b"\r\n").for_each(&send);
    }
}
