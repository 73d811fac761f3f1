//! A program for Linux: prints the virtual counter, `COUNT n`, and ends. It needs no library, so
//! that the bare-metal toolchain builds it. With the offset of the guest's counter it tells how
//! long after the machine's reset it ran.
#![no_std]
#![no_main]

use core::arch::{asm, naked_asm};

const WRITE: u64 = 64;
const EXIT: u64 = 93;

/// A system call of Linux.
fn call(number: u64, args: [u64; 3]) {
    // SAFETY: `write` reads the bytes that its caller borrows, and `exit` doesn't return.
    unsafe {
        asm!("svc #0", in("x8") number, inout("x0") args[0] => _, in("x1") args[1],
             in("x2") args[2], options(nostack));
    }
}

// SAFETY: the linker's entry point; no other symbol has this name.
#[unsafe(no_mangle)]
// SAFETY: the section is where the entry point has to be.
#[unsafe(link_section = ".head")]
#[unsafe(naked)]
extern "C" fn _head() -> ! {
    // The stack is as the kernel made it, aligned to 16 bytes.
    naked_asm!("isb", "mrs x0, cntvct_el0", "bl {print}", "b .", print = sym print)
}

extern "C" fn print(mut count: u64) -> ! {
    let mut line = *b"COUNT 00000000000000000000\n";
    for digit in line[6..26].iter_mut().rev() {
        *digit = b'0' + (count % 10) as u8;
        count /= 10;
    }
    call(WRITE, [1, line.as_ptr() as u64, line.len() as u64]);
    loop {
        call(EXIT, [0; 3]);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        call(EXIT, [1, 0, 0]);
    }
}
