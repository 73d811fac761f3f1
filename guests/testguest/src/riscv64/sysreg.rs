//! Control and status registers: what is advertised is there, what isn't is illegal.

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{Fault, Resume, catch, mask, on_interrupt, taken, unmask};
use guest_support::map::{FREE, NO_MEMORY};
use guest_support::sync::wait_for;
use guest_support::{clear_csr, cpu, isa, lines, read_csr, sbi, set_csr, smp, timer, write_csr};

pub const CASES: &[Case] = &[
    ("sysreg::unallocated_is_illegal", 1, unallocated),
    ("sysreg::machine_mode_is_illegal", 1, machine_mode),
    ("sysreg::hypervisor_mode_is_illegal", 1, hypervisor_mode),
    (
        "sysreg::hypervisor_instructions",
        1,
        hypervisor_instructions,
    ),
    ("sysreg::illegal_words", 1, illegal_words),
    ("sysreg::read_only", 1, read_only),
    ("sysreg::counters", 1, counters),
    ("sysreg::features_agree", 1, features_agree),
    ("sysreg::hidden_features", 1, hidden_features),
    ("sysreg::status_fields", 1, status_fields),
    ("sysreg::interrupt_bits", 1, interrupt_bits),
    ("sysreg::translation_modes", 1, translation_modes),
    ("sysreg::vectored", 1, vectored),
    ("sysreg::context_registers", 1, context_registers),
    (
        "sysreg::context_registers_of_each_cpu",
        2,
        context_of_each_cpu,
    ),
];

/// Reads a register by its number and gives the fault.
macro_rules! read_fault {
    ($number:literal) => {
        catch(Resume::Next, || {
            read_csr!($number);
        })
    };
}

/// Writes 0 to a register by its number and gives the fault.
macro_rules! write_fault {
    ($number:literal) => {
        catch(Resume::Next, || write_csr!($number, 0))
    };
}

/// An illegal instruction; `stval` is 0 or the instruction's bits. (QEMU tells OpenSBI other bits
/// sometimes.)
fn illegal(fault: Option<Fault>) -> bool {
    fault.is_some_and(|f| {
        // SAFETY: code of this guest, which was executed.
        let halves = [0, 1].map(|n| u64::from(unsafe { (f.pc as *const u16).add(n).read() }));
        let word = halves[0] | halves[1] << 16;
        f.cause == Fault::ILLEGAL
            && (f.value == 0
                || f.value == word
                || word & 3 != 3 && f.value == halves[0]
                || crate::on_board())
    })
}

macro_rules! all_illegal {
    ($($number:literal)*) => {$(
        for fault in [read_fault!($number), write_fault!($number)] {
            check!(illegal(fault), fault = ($number, fault));
        }
    )*};
}

fn unallocated() -> Outcome {
    all_illegal!("0x07f" "0x123" "0x1c0" "0x1ff" "0x4ff" "0x9bf" "0xcc1" "0xd7f");
    Ok(())
}

fn machine_mode() -> Outcome {
    // mstatus, misa, medeleg, mtvec, mscratch, pmpcfg0, mcycle, mvendorid, mhartid, dcsr, menvcfg.
    all_illegal!("0x300" "0x301" "0x302" "0x305" "0x340" "0x3a0" "0xb00" "0xf11" "0xf14" "0x7b0" "0x30a");
    Ok(())
}

fn hypervisor_mode() -> Outcome {
    skip_on_board!("the board has the hypervisor extension");
    // vsstatus, vsie, vstvec, vsatp, vstimecmp; hstatus, hedeleg, hcounteren, henvcfg, htval, hvip,
    // htinst, hgatp; hgeip.
    all_illegal!("0x200" "0x204" "0x205" "0x280" "0x24d" "0x600" "0x602" "0x606" "0x60a" "0x643"
        "0x645" "0x64a" "0x680" "0xe12");
    Ok(())
}

/// Executes a word, with a0 an address of memory, and gives the fault.
macro_rules! word {
    ($word:literal) => {{
        let place = 0_u64;
        catch(Resume::Next, || {
            // SAFETY: takes an exception that is expected, or reads this function's memory.
            unsafe {
                core::arch::asm!($word, inout("a0") &raw const place => _, options(nostack));
            }
        })
    }};
}

/// HLV, HSV, HFENCE: virtual instructions to a hypervisor, illegal to its guest.
fn hypervisor_instructions() -> Outcome {
    skip_on_board!("the board has the hypervisor extension");
    for fault in [
        word!(".word 0x68054573"), // hlv.w a0, (a0)
        word!(".word 0x6c054573"), // hlv.d a0, (a0)
        word!(".word 0x64354573"), // hlvx.hu a0, (a0)
        word!(".word 0x22000073"), // hfence.vvma
        word!(".word 0x62000073"), // hfence.gvma
    ] {
        check!(illegal(fault), fault = fault);
    }
    // MRET. QEMU gives it the bits of the last illegal instruction.
    let fault = word!(".word 0x30200073");
    check!(
        fault.is_some_and(|f| f.cause == Fault::ILLEGAL),
        fault = fault
    );
    Ok(())
}

fn illegal_words() -> Outcome {
    for fault in [
        word!(".half 0"),
        word!(".word 0xffffffff"),
        word!(".word 0x0000007f"),
        word!(".word 0xdeadbe7b"),
    ] {
        check!(illegal(fault), fault = fault);
    }
    Ok(())
}

fn read_only() -> Outcome {
    for fault in [
        write_fault!("cycle"),
        write_fault!("time"),
        write_fault!("instret"),
    ] {
        check!(illegal(fault), fault = fault);
    }
    Ok(())
}

/// Zicntr's can be read, and count.
fn counters() -> Outcome {
    for fault in [
        read_fault!("cycle"),
        read_fault!("time"),
        read_fault!("instret"),
    ] {
        check!(fault.is_none(), fault = fault);
    }
    let [cycle, instret] = [read_csr!("cycle"), read_csr!("instret")];
    wait_for(1, || false);
    let [later, retired] = [read_csr!("cycle"), read_csr!("instret")];
    check!(later > cycle, later = later);
    check!(retired > instret, retired = retired);
    Ok(())
}

/// What is advertised is there.
fn features_agree() -> Outcome {
    macro_rules! agrees {
        ($($name:literal $number:literal)*) => {$({
            let fault = read_fault!($number);
            check!(!isa::has($name) || fault.is_none(), fault = ($name, fault));
        })*};
    }
    agrees!("zicntr" "cycle" "zihpm" "hpmcounter3" "sstc" "0x14d"
        "f" "fcsr" "d" "fcsr" "v" "vlenb" "ssstateen" "0x10c" "smstateen" "0x10c" "sscofpmf" "0xda0"
        "ssaia" "0x150" "ssqosid" "0x181" "zicfiss" "0x011" "zcmt" "0x017" "h" "0x600");
    // And these are there only if they are advertised.
    check!(isa::has("sstc") || illegal(read_fault!("0x14d")));
    check!(isa::has("ssaia") || illegal(read_fault!("0x150")));
    check!(isa::has("i") && isa::has("m") && isa::has("a") && isa::has("c"));
    Ok(())
}

/// What the hypervisor keeps for itself, or doesn't switch, isn't advertised.
fn hidden_features() -> Outcome {
    skip_on_board!("the board hides nothing");
    for name in [
        "h", "ssaia", "smaia", "sdtrig", "smrnmi", "ssdbltrp", "smdbltrp",
    ] {
        check!(!isa::has(name), name = name);
    }
    check!(!sbi::probe(sbi::PMU) || isa::has("zihpm"));
    Ok(())
}

/// SPIE, SPP, SUM and MXR can be written; UXL says 64 bits.
fn status_fields() -> Outcome {
    mask();
    let before = read_csr!("sstatus");
    for bit in [5, 8, 18, 19] {
        set_csr!("sstatus", 1 << bit);
        let set = read_csr!("sstatus");
        clear_csr!("sstatus", 1 << bit);
        let clear = read_csr!("sstatus");
        check!(set & 1 << bit != 0 && clear & 1 << bit == 0, bit = bit);
    }
    check!(before >> 32 & 3 == 2, before = before);
    Ok(())
}

/// `sie` has the three of S-mode, and the counters' overflow with Sscofpmf; in `sip` only SSIP (and
/// that one) can be written.
fn interrupt_bits() -> Outcome {
    mask();
    write_csr!("sie", u64::MAX);
    let enabled = read_csr!("sie");
    // Not bits 2, 6 and 10 either: QEMU takes them, in a guest, for those of the levels below.
    write_csr!("sip", !0x446);
    let pending = read_csr!("sip");
    write_csr!("sip", 0);
    write_csr!("sie", 0);
    check!(
        enabled & 0x222 == 0x222 && enabled & !0x2222 == 0,
        enabled = enabled
    );
    check!(pending & !0x2000 == 0, pending = pending);
    Ok(())
}

/// A mode that isn't there leaves `satp` as it was, all of it.
fn translation_modes() -> Outcome {
    let before = read_csr!("satp");
    check!(before >> 60 == 8, before = before);
    for mode in [1, 2, 7, 11, 15] {
        write_csr!("satp", mode << 60 | before & !(0xf << 60));
        let after = read_csr!("satp");
        check!(after == before, mode = mode, after = after);
    }
    Ok(())
}

core::arch::global_asm!(
    // Exceptions go to the base, interrupts to four bytes for each code.
    ".option push",
    ".option norvc",
    ".balign 256",
    ".global sysreg_vectors",
    "sysreg_vectors: j guest_trap",
    "j sysreg_software",
    ".rept 14",
    "j guest_trap",
    ".endr",
    ".option pop",
    // The software interrupt's own entry counts in t3.
    "sysreg_software: csrci sip, 2",
    "addi t3, t3, 1",
    "sret",
);

unsafe extern "C" {
    fn sysreg_vectors();
}

fn vectored() -> Outcome {
    let before = read_csr!("stvec");
    write_csr!("stvec", sysreg_vectors as *const () as u64 | 1);
    let mode = read_csr!("stvec") & 3;
    let mut count = 0_u64;
    // SAFETY: the interrupt's entry changes t3 only.
    unsafe {
        core::arch::asm!("csrsi sip, 2", "nop", "nop", inout("t3") count, options(nostack));
    }
    // An exception, whoever makes it one, goes to the base.
    // Not one that OpenSBI 1.5 passes on, as it does with illegal instructions: it forgets that
    // the mode is a part of stvec.
    let (address, cause) = if crate::on_board() {
        (FREE, Fault::LOAD_PAGE)
    } else {
        (NO_MEMORY, Fault::LOAD)
    };
    let fault = catch(Resume::Next, || {
        // SAFETY: takes an exception that is expected.
        unsafe {
            core::arch::asm!("ld {v}, 0({a})", a = in(reg) address, v = out(reg) _, options(nostack));
        }
    });
    on_interrupt(Some(|_| timer::stop()), true);
    lines::enable(timer::LINE);
    timer::arm(1);
    let came = wait_for(1000, || taken(cpu(), timer::LINE) == 1);
    write_csr!("stvec", before);
    check!(mode == 1, mode = mode);
    check!(count == 1, count = count);
    check!(fault.is_some_and(|f| f.cause == cause), fault = fault);
    check!(came);
    Ok(())
}

/// Registers that are the guest's alone keep what it wrote, per CPU, across exits and switches.
fn context_registers() -> Outcome {
    let mut kept = true;
    mask();
    macro_rules! keeps {
        ($($register:literal)*) => {$({
            write_csr!($register, 0x1234_5678);
        })* $({
            sbi::call(sbi::BASE, 0, []);
            wait_for(1, || false);
            kept &= read_csr!($register) == 0x1234_5678;
        })*};
    }
    keeps!("sscratch" "sepc" "stval");
    write_csr!("scause", 5);
    sbi::call(sbi::BASE, 0, []);
    kept &= read_csr!("scause") == 5;
    write_csr!("sscratch", 0);
    unmask();
    check!(kept);
    Ok(())
}

/// CPU 1's are not this CPU's, also if both take turns on one physical CPU.
fn context_of_each_cpu() -> Outcome {
    mask();
    write_csr!("stval", 0x1110);
    let ran = smp::run(1, || {
        mask();
        write_csr!("stval", 0x2220);
        wait_for(2, || false);
        unmask();
    });
    wait_for(3, || false);
    let mine = read_csr!("stval");
    unmask();
    check!(ran);
    check!(mine == 0x1110, mine = mine);
    Ok(())
}
