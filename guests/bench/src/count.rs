//! A program for Linux: prints the counter, `COUNT n`, and ends. It needs no library, so
//! that the bare-metal toolchain builds it. With the offset of the guest's counter it tells how
//! long after the machine's reset it ran. On riscv64 that is `cycle`, which has no offset.
#![no_std]
#![no_main]

use core::arch::asm;

const WRITE: u64 = 64;
const EXIT: u64 = 93;

/// A system call of Linux.
fn call(number: u64, args: [u64; 3]) {
    // SAFETY: `write` reads the bytes that its caller borrows, and `exit` doesn't return.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc #0", in("x8") number, inout("x0") args[0] => _, in("x1") args[1],
             in("x2") args[2], options(nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "riscv64")]
    unsafe {
        asm!("ecall", in("a7") number, inout("a0") args[0] => _, in("a1") args[1],
             in("a2") args[2], options(nostack));
    }
}

// The stack is as the kernel made it, aligned to 16 bytes.
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".section .head, \"ax\"",
    ".global _head",
    "_head: isb",
    "mrs x0, cntvct_el0",
    "bl {print}",
    "b .",
    ".text",
    print = sym print
);
#[cfg(target_arch = "riscv64")]
core::arch::global_asm!(
    ".section .head, \"ax\"",
    ".global _head",
    "_head: rdcycle a0",
    "call {print}",
    ".text",
    print = sym print
);

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
