//! Loads and stores of all forms to an emulated device: those with a valid syndrome work; the
//! others work too, or take an external abort and change no register (Arm ARM, D24.2.40).

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{Fault, Resume, catch};
use guest_support::gic::GICD;
use guest_support::mmio::{read32, write32};
use guest_support::uart;

pub const CASES: &[Case] = &[
    ("mmio::uart_identification", 1, uart_identification),
    ("mmio::load_widths", 1, load_widths),
    ("mmio::load_eight_bytes", 1, load_eight_bytes),
    ("mmio::load_signed", 1, load_signed),
    ("mmio::store_widths", 1, store_widths),
    ("mmio::zero_register", 1, zero_register),
    ("mmio::address_forms", 1, address_forms),
    ("mmio::acquire_release", 1, acquire_release),
    ("mmio::every_register", 1, every_register),
    ("mmio::post_indexed", 1, post_indexed),
    ("mmio::pre_indexed", 1, pre_indexed),
    ("mmio::load_pair", 1, load_pair),
    ("mmio::store_pair", 1, store_pair),
    ("mmio::load_vector", 1, load_vector),
    ("mmio::store_exclusive", 1, store_exclusive),
    ("mmio::unaligned", 1, unaligned),
];

/// UARTIBRD: 16 bits that can be written and read, without effect on an emulated line.
const IBRD: usize = uart::BASE + 0x24;
/// UARTFBRD: 6 bits.
const FBRD: usize = uart::BASE + 0x28;
/// UARTCR, eight-byte aligned; UARTIFLS follows.
const CR: usize = uart::BASE + 0x30;
/// GICD_IGROUPR3: 32 bits that can be written and read.
const WORD: usize = GICD + 0x8c;

/// Loads from `$address` into a register filled with ones, by the instruction given.
macro_rules! load {
    ($instruction:literal, $address:expr) => {{
        let value: u64;
        // SAFETY: reads a device register.
        unsafe {
            core::arch::asm!($instruction, a = in(reg) $address, v = inout(reg) u64::MAX => value,
                o = in(reg) 0_u64, options(nostack));
        }
        value
    }};
}

/// Stores `$value` at `$address` by the instruction given.
macro_rules! store {
    ($instruction:literal, $address:expr, $value:expr) => {
        // SAFETY: writes a device register.
        unsafe {
            core::arch::asm!($instruction, a = in(reg) $address, v = in(reg) $value as u64,
                options(nostack));
        }
    };
}

fn uart_identification() -> Outcome {
    for (n, id) in [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1]
        .into_iter()
        .enumerate()
    {
        let value = read32(uart::BASE + 0xfe0 + n * 4);
        // UARTPeriphID2: the revision is in the upper half.
        let value = if n == 2 { value & 0xf | 0x10 } else { value };
        check!(value == id, n = n, value = value);
    }
    Ok(())
}

fn load_widths() -> Outcome {
    write32(IBRD, 0x8081);
    write32(uart::BASE + 0x34, 0);
    check!(load!("ldrb {v:w}, [{a}] // {o}", IBRD) == 0x81);
    check!(load!("ldrh {v:w}, [{a}] // {o}", IBRD) == 0x8081);
    check!(load!("ldr {v:w}, [{a}] // {o}", IBRD) == 0x8081);
    Ok(())
}

/// A UART on a 32-bit bus answers eight bytes with two registers, or not at all.
fn load_eight_bytes() -> Outcome {
    write32(CR + 4, 0);
    let mut value = 0x77;
    let fault = catch(Resume::Next, || {
        // SAFETY: reads device registers, or takes an exception that is expected.
        unsafe {
            core::arch::asm!("ldr {v}, [{a}]", a = in(reg) CR, v = inout(reg) value,
                options(nostack));
        }
    });
    done_or_aborted(fault, CR, value == u64::from(read32(CR)), value == 0x77)?;
    // The distributor's routes have eight bytes.
    let route = GICD + 0x6000 + 8 * super::gic::SPI as usize;
    check!(load!("ldr {v}, [{a}] // {o}", route) == guest_support::mmio::read64(route));
    Ok(())
}

fn load_signed() -> Outcome {
    write32(IBRD, 0x8081);
    check!(load!("ldrsb {v:w}, [{a}] // {o}", IBRD) == 0xffff_ff81);
    check!(load!("ldrsb {v}, [{a}] // {o}", IBRD) == 0xffff_ffff_ffff_ff81);
    check!(load!("ldrsh {v:w}, [{a}] // {o}", IBRD) == 0xffff_8081);
    check!(load!("ldrsh {v}, [{a}] // {o}", IBRD) == 0xffff_ffff_ffff_8081);
    check!(load!("ldrsw {v}, [{a}] // {o}", IBRD) == 0x8081);
    let before = read32(WORD);
    write32(WORD, 0x8000_0001);
    let word = load!("ldrsw {v}, [{a}] // {o}", WORD);
    let plain = load!("ldr {v:w}, [{a}] // {o}", WORD);
    write32(WORD, before);
    check!(word == 0xffff_ffff_8000_0001, word = word);
    check!(plain == 0x8000_0001, plain = plain);
    write32(IBRD, 0x0041);
    check!(load!("ldrsb {v}, [{a}] // {o}", IBRD) == 0x41);
    check!(load!("ldrsh {v:w}, [{a}] // {o}", IBRD) == 0x41);
    Ok(())
}

fn store_widths() -> Outcome {
    store!("str {v:w}, [{a}]", IBRD, 0xffff_ffff_0000_1234_u64);
    check!(read32(IBRD) == 0x1234);
    store!("strh {v:w}, [{a}]", IBRD, 0x1111_5678_u64);
    check!(read32(IBRD) == 0x5678);
    store!("strb {v:w}, [{a}]", FBRD, 0x1115_u64);
    check!(read32(FBRD) == 0x15);
    Ok(())
}

fn zero_register() -> Outcome {
    write32(IBRD, 0x1234);
    // SAFETY: reads and writes a device register; XZR takes the value.
    unsafe { core::arch::asm!("ldr wzr, [{a}]", a = in(reg) IBRD, options(nostack)) };
    check!(read32(IBRD) == 0x1234);
    // SAFETY: as above.
    unsafe { core::arch::asm!("str wzr, [{a}]", a = in(reg) IBRD, options(nostack)) };
    check!(read32(IBRD) == 0);
    Ok(())
}

fn address_forms() -> Outcome {
    write32(IBRD, 0x4321);
    check!(load!("ldr {v:w}, [{a}, #0x24] // {o}", uart::BASE) == 0x4321);
    check!(load!("ldur {v:w}, [{a}, #-4] // {o}", IBRD + 4) == 0x4321);
    check!(load!("ldr {v:w}, [{a}, {o}]", IBRD) == 0x4321);
    check!(load!("ldr {v:w}, [{a}, {o:w}, uxtw #2]", IBRD) == 0x4321);
    Ok(())
}

fn acquire_release() -> Outcome {
    write32(IBRD, 0x0bcd);
    check!(load!("ldar {v:w}, [{a}] // {o}", IBRD) == 0x0bcd);
    check!(load!("ldarh {v:w}, [{a}] // {o}", IBRD) == 0x0bcd);
    check!(load!("ldarb {v:w}, [{a}] // {o}", IBRD) == 0xcd);
    store!("stlr {v:w}, [{a}]", IBRD, 0x0ef0);
    check!(read32(IBRD) == 0x0ef0);
    store!("stlrh {v:w}, [{a}]", IBRD, 0x0ef1);
    check!(read32(IBRD) == 0x0ef1);
    Ok(())
}

/// The syndrome names the register; each of them arrives where it should.
fn every_register() -> Outcome {
    write32(IBRD, 0x5a5a);
    macro_rules! each {
        ($($register:literal)*) => {$({
            let value: u64;
            // SAFETY: reads a device register.
            unsafe {
                core::arch::asm!(concat!("ldr ", $register, ", [{a}]"),
                    concat!("mov {v:w}, ", $register), a = in(reg) IBRD, v = lateout(reg) value,
                    out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _,
                    out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
                    out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _,
                    out("x16") _, out("x17") _, out("x20") _, out("x21") _, out("x22") _,
                    out("x23") _, out("x30") _, options(nostack));
            }
            check!(value == 0x5a5a, value = value);
        })*};
    }
    each!("w0" "w1" "w2" "w3" "w4" "w5" "w6" "w7" "w8" "w9" "w10" "w11" "w12" "w13" "w14" "w15"
        "w16" "w17" "w20" "w21" "w22" "w23" "w30");
    Ok(())
}

/// An external abort at the instruction: FSC 0x10, and the address (D24.2.40).
fn external(fault: Fault, address: usize) -> bool {
    fault.class() == 0x25 && fault.status() == 0x10 && fault.far == address as u64
}

/// Either the access was made, or it took an external abort; `done` and `untouched` tell.
fn done_or_aborted(fault: Option<Fault>, address: usize, done: bool, untouched: bool) -> Outcome {
    match fault {
        None => check!(done),
        Some(fault) => {
            check!(external(fault, address), fault = fault);
            check!(untouched);
        }
    }
    Ok(())
}

fn post_indexed() -> Outcome {
    write32(IBRD, 0x1111);
    let [mut base, mut value] = [IBRD as u64, 0x77];
    let fault = catch(Resume::Next, || {
        // SAFETY: reads a device register, or takes an exception that is expected.
        unsafe {
            core::arch::asm!("ldr {v:w}, [{a}], #4", a = inout(reg) base, v = inout(reg) value,
                options(nostack));
        }
    });
    let address = IBRD as u64;
    done_or_aborted(
        fault,
        IBRD,
        base == address + 4 && value == 0x1111,
        base == address && value == 0x77,
    )?;
    let mut base = IBRD as u64;
    let fault = catch(Resume::Next, || {
        // SAFETY: writes a device register, or takes an exception that is expected.
        unsafe {
            core::arch::asm!("strh {v:w}, [{a}], #-8", a = inout(reg) base, v = in(reg) 0x2222_u64,
                options(nostack));
        }
    });
    let now = read32(IBRD);
    done_or_aborted(
        fault,
        IBRD,
        base == address - 8 && now == 0x2222,
        base == address && now == 0x1111,
    )
}

fn pre_indexed() -> Outcome {
    write32(IBRD, 0x8333);
    let address = IBRD as u64;
    let [mut base, mut value] = [address - 4, 0x77];
    let fault = catch(Resume::Next, || {
        // SAFETY: reads a device register, or takes an exception that is expected.
        unsafe {
            core::arch::asm!("ldrsh {v}, [{a}, #4]!", a = inout(reg) base, v = inout(reg) value,
                options(nostack));
        }
    });
    done_or_aborted(
        fault,
        IBRD,
        base == address && value == 0xffff_ffff_ffff_8333,
        base == address - 4 && value == 0x77,
    )
}

fn load_pair() -> Outcome {
    write32(IBRD, 0x4444);
    write32(FBRD, 0x22);
    let [mut first, mut second] = [0x77_u64, 0x88_u64];
    let fault = catch(Resume::Next, || {
        // SAFETY: reads device registers, or takes an exception that is expected.
        unsafe {
            core::arch::asm!("ldp {v:w}, {w:w}, [{a}]", a = in(reg) IBRD, v = inout(reg) first,
                w = inout(reg) second, options(nostack));
        }
    });
    done_or_aborted(
        fault,
        IBRD,
        first == 0x4444 && second == 0x22,
        first == 0x77 && second == 0x88,
    )
}

fn store_pair() -> Outcome {
    write32(IBRD, 0);
    write32(FBRD, 0);
    let fault = catch(Resume::Next, || {
        // SAFETY: writes device registers, or takes an exception that is expected.
        unsafe {
            core::arch::asm!("stp {v:w}, {w:w}, [{a}]", a = in(reg) IBRD, v = in(reg) 0x5555_u64,
                w = in(reg) 0x33_u64, options(nostack));
        }
    });
    let [first, second] = [read32(IBRD), read32(FBRD)];
    done_or_aborted(
        fault,
        IBRD,
        first == 0x5555 && second == 0x33,
        first == 0 && second == 0,
    )
}

fn load_vector() -> Outcome {
    write32(IBRD, 0x6666);
    let mut value: u64 = 0;
    let fault = catch(Resume::Next, || {
        // SAFETY: reads a device register into a vector register that nobody else uses, or takes
        // an exception that is expected.
        unsafe {
            core::arch::asm!(".arch_extension fp", "mov {v}, #0x77", "fmov d0, {v}",
                "ldr s0, [{a}]", "fmov {v}, d0", a = in(reg) IBRD, v = out(reg) value,
                options(nostack));
        }
    });
    done_or_aborted(fault, IBRD, value == 0x6666, value == 0x77)
}

/// Exclusives to devices are CONSTRAINED UNPREDICTABLE at best; they don't hang or corrupt.
fn store_exclusive() -> Outcome {
    write32(IBRD, 0x7777);
    let [mut value, mut status] = [0x77_u64, 0x88_u64];
    catch(Resume::Next, || {
        // SAFETY: reads and writes a device register, or takes exceptions that are expected.
        unsafe {
            core::arch::asm!("ldxr {v:w}, [{a}]", "stxr {s:w}, {v:w}, [{a}]", a = in(reg) IBRD,
                v = inout(reg) value, s = inout(reg) status, options(nostack));
        }
    });
    check!(value == 0x7777 || value == 0x77, value = value);
    check!(status <= 1 || status == 0x88, status = status);
    Ok(())
}

/// Device memory takes no unaligned access: alignment fault of stage 1 (B2.12.2).
fn unaligned() -> Outcome {
    write32(IBRD, 0x9999);
    let mut value: u64 = 0x77;
    let fault = catch(Resume::Next, || {
        // SAFETY: takes an exception that is expected, or reads device registers.
        unsafe {
            core::arch::asm!("ldr {v:w}, [{a}]", a = in(reg) IBRD + 1, v = inout(reg) value,
                options(nostack));
        }
    });
    skip!(
        fault.is_none() && crate::on_board(),
        "this QEMU doesn't check alignment"
    );
    check!(
        fault.is_some_and(|f| f.class() == 0x25 && matches!(f.status(), 0x21 | 0x10)),
        fault = fault
    );
    check!(value == 0x77, value = value);
    Ok(())
}
