//! Loads and stores of all forms to emulated devices: those of whole registers work; the others work
//! too, or take an access fault and change no register.

use super::plic::UART;
use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{Fault, Resume, catch, mask, unmask};
use guest_support::mmio::{read8, read32, write8, write32};
use guest_support::plic::{context, enable_register, priority_register};
use guest_support::uart;

pub const CASES: &[Case] = &[
    ("mmio::uart_registers", 1, uart_registers),
    (
        "mmio::uart_interrupt_identification",
        1,
        uart_identification,
    ),
    ("mmio::load_widths", 1, load_widths),
    ("mmio::load_eight_bytes", 1, load_eight_bytes),
    ("mmio::load_signed", 1, load_signed),
    ("mmio::store_widths", 1, store_widths),
    ("mmio::zero_register", 1, zero_register),
    ("mmio::address_forms", 1, address_forms),
    ("mmio::compressed", 1, compressed),
    ("mmio::compressed_by_stack_pointer", 1, compressed_by_sp),
    ("mmio::compressed_bytes", 1, compressed_bytes),
    ("mmio::every_register", 1, every_register),
    ("mmio::every_register_stored", 1, every_register_stored),
    ("mmio::load_float", 1, load_float),
    ("mmio::store_float", 1, store_float),
    ("mmio::atomics", 1, atomics),
    ("mmio::load_reserved", 1, load_reserved),
    ("mmio::unaligned", 1, unaligned),
];

/// The 16550's scratch register: eight bits.
const SCR: usize = uart::BASE + 7;
const LCR: usize = uart::BASE + 3;
const IIR: usize = uart::BASE + 2;

/// Sources 0 to 31 of this hart's enable bits: what can be written of it is seen again.
fn word() -> usize {
    enable_register(context(0), 0)
}

/// Loads from `$address` into a1, filled with ones, by the instruction given with base a0.
macro_rules! load {
    ($instruction:literal, $address:expr) => {{
        let value: u64;
        // SAFETY: reads a device register.
        unsafe {
            core::arch::asm!($instruction, in("a0") $address, inout("a1") u64::MAX => value,
                options(nostack));
        }
        value
    }};
}

/// The same, where it may fault.
macro_rules! try_load {
    ($instruction:literal, $address:expr) => {{
        let mut value: u64 = 0x77;
        let fault = catch(Resume::Next, || {
            // SAFETY: reads a device register, or takes an exception that is expected.
            unsafe {
                core::arch::asm!($instruction, in("a0") $address, inout("a1") value,
                    options(nostack));
            }
        });
        (fault, value)
    }};
}

/// Stores a1 at `$address`, base a0, by the instruction given.
macro_rules! store {
    ($instruction:literal, $address:expr, $value:expr) => {
        // SAFETY: writes a device register.
        unsafe {
            core::arch::asm!($instruction, in("a0") $address, in("a1") $value as u64,
                options(nostack));
        }
    };
}

/// An access fault of a load or of a store, or that it isn't aligned.
fn refused(fault: Fault, address: usize) -> bool {
    matches!(
        fault.cause,
        Fault::LOAD | Fault::STORE | Fault::LOAD_MISALIGNED | Fault::STORE_MISALIGNED
    ) && fault.value & !7 == address as u64 & !7
}

/// Either the access was made, or refused; `done` and `untouched` tell.
fn done_or_refused(fault: Option<Fault>, address: usize, done: bool, untouched: bool) -> Outcome {
    match fault {
        None => check!(done),
        Some(fault) => {
            check!(refused(fault, address), fault = fault);
            check!(untouched);
        }
    }
    Ok(())
}

/// Fills the word with bits that stay: of sources that are there.
fn fill(value: u32) -> u32 {
    write32(word(), value);
    read32(word())
}

/// Scratch, line control, and the divisor behind DLAB.
fn uart_registers() -> Outcome {
    for value in [0, 0x55, 0xaa, 0xff] {
        write8(SCR, value);
        check!(read8(SCR) == value, value = value);
    }
    let before = read8(LCR);
    write8(LCR, 0x83);
    let [low, high] = [read8(uart::BASE), read8(uart::BASE + 1)];
    write8(uart::BASE, 0x12);
    write8(uart::BASE + 1, 0x34);
    let divisor = [read8(uart::BASE), read8(uart::BASE + 1)];
    write8(uart::BASE, low);
    write8(uart::BASE + 1, high);
    write8(LCR, before & 0x7f);
    check!(divisor == [0x12, 0x34], divisor = divisor);
    check!(read8(LCR) == before & 0x7f);
    // Interrupt enables: four bits, and they are not the divisor's.
    write8(uart::BASE + 1, 0xf0);
    check!(read8(uart::BASE + 1) == 0);
    Ok(())
}

/// Nothing pends: bit 0 is set. The transmitter's interrupt is 2, and reading it ends it.
fn uart_identification() -> Outcome {
    guest_support::sync::wait_for(100, || read8(uart::BASE + 5) & 0x60 == 0x60);
    check!(read8(IIR) & 0xf == 1);
    write8(uart::BASE + 1, 2);
    let first = read8(IIR) & 0xf;
    let second = read8(IIR) & 0xf;
    write8(uart::BASE + 1, 0);
    check!(first == 2 && second == 1, first = first, second = second);
    Ok(())
}

fn load_widths() -> Outcome {
    write8(SCR, 0x81);
    check!(load!("lbu a1, 0(a0)", SCR) == 0x81);
    let value = fill(0x8000_0401);
    skip!(value >> 31 == 0, "there is no source 31");
    check!(
        load!("lwu a1, 0(a0)", word()) == u64::from(value),
        value = value
    );
    // A PLIC needs no more than words.
    let (fault, half) = try_load!("lhu a1, 0(a0)", word());
    done_or_refused(
        fault,
        word(),
        half == u64::from(value & 0xffff),
        half == 0x77,
    )?;
    let (fault, byte) = try_load!("lbu a1, 0(a0)", word() + 3);
    done_or_refused(fault, word(), byte == u64::from(value >> 24), byte == 0x77)?;
    write32(word(), 0);
    Ok(())
}

fn load_eight_bytes() -> Outcome {
    fill(0x400);
    let next = u64::from(read32(word() + 4));
    let (fault, value) = try_load!("ld a1, 0(a0)", word());
    done_or_refused(fault, word(), value == 0x400 | next << 32, value == 0x77)?;
    write32(word(), 0);
    Ok(())
}

fn load_signed() -> Outcome {
    write8(SCR, 0x81);
    check!(load!("lb a1, 0(a0)", SCR) == 0xffff_ffff_ffff_ff81);
    write8(SCR, 0x41);
    check!(load!("lb a1, 0(a0)", SCR) == 0x41);
    let value = fill(0x8000_0400);
    skip!(value >> 31 == 0, "there is no source 31");
    check!(load!("lw a1, 0(a0)", word()) == 0xffff_ffff_0000_0000 | u64::from(value));
    write32(word(), 0x7000_0400);
    check!(load!("lw a1, 0(a0)", word()) == 0x7000_0400);
    write32(word(), 0x8400);
    let (fault, half) = try_load!("lh a1, 0(a0)", word());
    done_or_refused(fault, word(), half == 0xffff_ffff_ffff_8400, half == 0x77)?;
    write32(word(), 0);
    Ok(())
}

fn store_widths() -> Outcome {
    store!("sb a1, 0(a0)", SCR, 0xffff_ffff_ffff_ff5a_u64);
    check!(read8(SCR) == 0x5a);
    store!("sw a1, 0(a0)", word(), 0xffff_ffff_0000_0400_u64);
    check!(read32(word()) == 0x400);
    let (fault, _) = try_load!("sd zero, 0(a0)", word());
    let now = read32(word());
    done_or_refused(fault, word(), now == 0, now == 0x400)?;
    write32(word(), 0x400);
    let (fault, _) = try_load!("sh zero, 0(a0)", word());
    let now = read32(word());
    done_or_refused(fault, word(), now == 0, now == 0x400)?;
    write32(word(), 0);
    Ok(())
}

fn zero_register() -> Outcome {
    write8(SCR, 0x12);
    check!(load!("lbu zero, 0(a0)", SCR) == u64::MAX);
    let zero: u64;
    // SAFETY: reads what can't change.
    unsafe { core::arch::asm!("mv {}, zero", out(reg) zero, options(nostack)) };
    check!(zero == 0, zero = zero);
    store!("sb zero, 0(a0)", SCR, 0);
    check!(read8(SCR) == 0);
    Ok(())
}

fn address_forms() -> Outcome {
    write8(SCR, 0x43);
    check!(load!("lbu a1, 7(a0)", uart::BASE) == 0x43);
    check!(load!("lbu a1, -1(a0)", SCR + 1) == 0x43);
    check!(load!("lbu a1, 2047(a0)", SCR - 2047) == 0x43);
    check!(load!("lbu a1, -2048(a0)", SCR + 2048) == 0x43);
    store!("sb a1, -2048(a0)", SCR + 2048, 0x44);
    check!(read8(SCR) == 0x44);
    store!("sb a1, 2047(a0)", SCR - 2047, 0x45);
    check!(read8(SCR) == 0x45);
    Ok(())
}

/// C.LW, C.SW, C.LD, C.SD, with offsets.
fn compressed() -> Outcome {
    let value = fill(0x8000_0400);
    check!(load!("c.lw a1, 0(a0)", word()) == i64::from(value as i32) as u64);
    check!(load!("c.lw a1, 124(a0)", word() - 124) == i64::from(value as i32) as u64);
    check!(load!("c.lw a1, 64(a0)", word() - 64) == i64::from(value as i32) as u64);
    store!("c.sw a1, 0(a0)", word(), 0x800);
    check!(read32(word()) == 0x800);
    store!("c.sw a1, 124(a0)", word() - 124, 0x400);
    check!(read32(word()) == 0x400);
    store!("c.sw a1, 4(a0)", word() - 4, 0x800);
    check!(read32(word()) == 0x800);
    let next = u64::from(read32(word() + 4));
    let (fault, value) = try_load!("c.ld a1, 0(a0)", word());
    done_or_refused(fault, word(), value == 0x800 | next << 32, value == 0x77)?;
    let (fault, _) = try_load!("c.sd a1, 0(a0)", word());
    let now = read32(word());
    done_or_refused(fault, word(), now == 0x76 || now == 0x77, now == 0x800)?;
    write32(word(), 0);
    Ok(())
}

/// C.LWSP and C.SWSP, while the stack pointer is a device's address: nothing may come in between.
fn compressed_by_sp() -> Outcome {
    let value = fill(0x8000_0400);
    mask();
    let [loaded, stored]: [u64; 2];
    // SAFETY: with interrupts masked nobody uses the stack.
    unsafe {
        core::arch::asm!(
            "mv {k}, sp", "mv sp, {a}", "c.lwsp {l}, 0(sp)", "addi sp, sp, -252", "c.swsp {v}, 252(sp)",
            "c.lwsp {s}, 252(sp)", "mv sp, {k}",
            a = in(reg) word(), v = in(reg) 0x800_u64, k = out(reg) _, l = out(reg) loaded,
            s = out(reg) stored
        );
    }
    unmask();
    write32(word(), 0);
    check!(loaded == i64::from(value as i32) as u64, loaded = loaded);
    check!(stored == 0x800, stored = stored);
    Ok(())
}

/// Zcb's: C.LBU and C.SB.
fn compressed_bytes() -> Outcome {
    skip!(!guest_support::isa::has("zcb"), "no Zcb");
    write8(SCR, 0x9c);
    // c.lbu a1, 3(a0); c.sb a1, 3(a0).
    check!(load!(".half 0x816c", SCR - 3) == 0x9c);
    store!(".half 0x896c", SCR - 3, 0x3d);
    check!(read8(SCR) == 0x3d);
    // c.lhu and c.lh: a half word.
    fill(0x8400);
    let (fault, half) = try_load!(".half 0x850c", word());
    done_or_refused(fault, word(), half == 0x8400, half == 0x77)?;
    let (fault, half) = try_load!(".half 0x854c", word());
    done_or_refused(fault, word(), half == 0xffff_ffff_ffff_8400, half == 0x77)?;
    write32(word(), 0);
    Ok(())
}

/// Each register arrives where it should, by the long form and by the short one where there is one.
macro_rules! each_register {
    ($macro:ident) => {
        $macro!("ra" "t0" "t1" "t2" "a0" "a1" "a2" "a3" "a4" "a5" "a6" "a7" "s2" "s3" "s4" "s5"
            "s6" "s7" "s8" "s9" "s10" "s11" "t3" "t4" "t5" "t6")
    };
}

fn every_register() -> Outcome {
    write32(priority_register(UART), 5);
    macro_rules! each {
        ($($register:literal)*) => {$({
            let value: u64;
            // SAFETY: reads a device register; the register is put back.
            unsafe {
                core::arch::asm!("addi sp, sp, -16",
                    concat!("sd ", $register, ", 0(sp)"),
                    "sd {a}, 8(sp)",
                    concat!("mv ", $register, ", {a}"),
                    concat!("lw ", $register, ", 0(", $register, ")"),
                    concat!("sd ", $register, ", 8(sp)"),
                    concat!("ld ", $register, ", 0(sp)"),
                    "ld {a}, 8(sp)",
                    "addi sp, sp, 16",
                    a = inout(reg) priority_register(UART) => value);
            }
            check!(value == 5, register = $register, value = value);
        })*};
    }
    each_register!(each);
    write32(priority_register(UART), 1);
    Ok(())
}

fn every_register_stored() -> Outcome {
    macro_rules! each {
        ($($register:literal)*) => {$({
            write32(word(), 0);
            // SAFETY: writes a device register; gp has the address and is put back, and so is the
            // register.
            unsafe {
                core::arch::asm!("addi sp, sp, -16", "sd gp, 8(sp)",
                    concat!("sd ", $register, ", 0(sp)"),
                    "mv gp, {a}",
                    concat!("li ", $register, ", 0x400"),
                    concat!("sw ", $register, ", 0(gp)"),
                    concat!("ld ", $register, ", 0(sp)"),
                    "ld gp, 8(sp)",
                    "addi sp, sp, 16",
                    a = in(reg) word());
            }
            let value = read32(word());
            check!(value == 0x400, register = $register, value = value);
        })*};
    }
    each_register!(each);
    write32(word(), 0);
    Ok(())
}

fn load_float() -> Outcome {
    fill(0x400);
    let mut value: u64 = 0;
    let fault = catch(Resume::Next, || {
        // SAFETY: reads a device register into an FP register that nobody else uses, or takes an
        // exception that is expected.
        unsafe {
            core::arch::asm!(".option push", ".option arch, +d", "li {v}, 0x77", "fmv.d.x f0, {v}",
                "flw f0, 0({a})", "fmv.x.d {v}, f0", ".option pop", a = in(reg) word(),
                v = out(reg) value, options(nostack));
        }
    });
    done_or_refused(fault, word(), value == 0xffff_ffff_0000_0400, value == 0x77)?;
    write32(word(), 0);
    Ok(())
}

fn store_float() -> Outcome {
    fill(0x400);
    let fault = catch(Resume::Next, || {
        // SAFETY: as above, and writes.
        unsafe {
            core::arch::asm!(".option push", ".option arch, +d", "li {v}, 0x800", "fmv.d.x f0, {v}",
                "fsw f0, 0({a})", ".option pop", a = in(reg) word(), v = out(reg) _,
                options(nostack));
        }
    });
    let now = read32(word());
    done_or_refused(fault, word(), now == 0x800, now == 0x400)?;
    write32(word(), 0);
    Ok(())
}

/// Devices need no atomics: they work, or fault as stores.
fn atomics() -> Outcome {
    fill(0x400);
    let (fault, value) = try_load!("amoswap.w a1, zero, (a0)", word());
    let now = read32(word());
    done_or_refused(
        fault,
        word(),
        value == 0x400 && now == 0,
        value == 0x77 && now == 0x400,
    )?;
    check!(fault.is_none_or(|f| f.cause == Fault::STORE), fault = fault);
    write32(word(), 0);
    Ok(())
}

fn load_reserved() -> Outcome {
    fill(0x400);
    let (fault, value) = try_load!("lr.w a1, (a0)", word());
    done_or_refused(fault, word(), value == 0x400, value == 0x77)?;
    check!(fault.is_none_or(|f| f.cause == Fault::LOAD), fault = fault);
    // SAFETY: gives a reservation up.
    unsafe {
        let place = 0_u32;
        core::arch::asm!("sc.w zero, zero, ({})", in(reg) &place, options(nostack));
    }
    write32(word(), 0);
    Ok(())
}

/// Misaligned accesses of a device are refused, or made in parts.
fn unaligned() -> Outcome {
    fill(0x400);
    for (fault, value) in [
        try_load!("lw a1, 0(a0)", word() + 2),
        try_load!("lw a1, 0(a0)", word() + 1),
        try_load!("lhu a1, 0(a0)", word() + 3),
    ] {
        done_or_refused(fault, word(), value & !0xff_ffff == 0, value == 0x77)?;
    }
    let (fault, _) = try_load!("sw zero, 0(a0)", word() + 2);
    check!(fault.is_none_or(|f| refused(f, word())), fault = fault);
    check!(fault.is_none() || read32(word()) == 0x400);
    write32(word(), 0);
    Ok(())
}
