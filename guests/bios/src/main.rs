//! A raw program without a header, for the start of RAM. As a VM's BIOS it starts the kernel that
//! lies where a Linux Image wants to be. Where no kernel is, it is all there is: it waits for its
//! timer in WFI, which must work without an interrupt controller too, and switches its machine off.
#![no_std]
#![no_main]

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(include_str!("aarch64.s"), options(raw));
#[cfg(target_arch = "riscv64")]
core::arch::global_asm!(include_str!("riscv64.s"), options(raw));

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
