//! What a hostile guest does: one function for each class of actions. Each fills in a [`Code`].

use super::*;
use crate::code::Code;
use crate::random::value;
use crate::{Class, state};
use core::sync::atomic::Ordering;
use guest_support::cpu;
use guest_support::map::USER_ALIAS;

/// Classes after which the VM goes on, mostly.
pub const CLASSES: &[Class] = &[
    ("csr", csr),
    ("sbi", sbi_call),
    ("hsm", hsm),
    ("mmio", mmio),
    ("plic", plic_registers),
    ("timer", timer_limits),
    ("fence", fence),
    ("vector", vector),
    ("hypervisor", hypervisor),
    ("jump", jump),
];

/// Classes that may leave a hart where it never comes back from: the first hart leaves them to the
/// others.
pub const DEADLY: &[Class] = &[("word", word), ("sret", sret), ("mmu", mmu), ("wild", wild)];

/// Classes that drown all else.
pub const LOUD: &[Class] = &[("flood", flood)];

const A0: usize = 10;
const A1: usize = 11;
const A2: usize = 12;
const A6: usize = 16;
const A7: usize = 17;
const S11: usize = 27;

const SSTATUS: u32 = 0x100;
const SIE: u32 = 0x104;
const STVEC: u32 = 0x105;
const SEPC: u32 = 0x141;
const SATP: u32 = 0x180;
const STIMECMP: u32 = 0x14d;

/// Registers by which the way back goes: they are for [`mmu`].
fn is_vital(csr: u32) -> bool {
    csr == STVEC || csr == SATP
}

/// One register after another, with all numbers, read and written.
fn csr(code: &mut Code) {
    for _ in 0..4 {
        let n = state().sweep.fetch_add(1, Ordering::Relaxed) as u32;
        let csr = match below(4) {
            // Those of S-mode, and the hypervisor's.
            0 => 0x100 | next() as u32 & 0xff,
            1 => of(&[0x200, 0x600, 0xa00, 0xe00]) | next() as u32 & 0xff,
            _ => n >> 1 & 0xfff,
        };
        // zero, t0 to t2, a0 to a7, and others; not ra, by which it may return.
        let register = 2 + below(30) as u32;
        code.push(if n & 1 == 0 || is_vital(csr) {
            csrr(csr, if register == 4 { 0 } else { register })
        } else {
            // CSRRW, CSRRS, CSRRC and the forms with an immediate.
            let form = of(&[1, 2, 3, 5, 6, 7]);
            csr << 20 | register << 15 | form << 12 | 0x73
        });
    }
}

/// Extensions that there are, of the specification's and of the old kind.
const EXTENSIONS: &[u64] = &[
    sbi::BASE,
    sbi::TIME,
    sbi::IPI,
    sbi::RFENCE,
    sbi::DBCN,
    sbi::PMU,
    0x5355_5350, // SUSP
    0x4350_5043, // CPPC
    0x4e41_434c, // NACL
    0x53_5441,   // STA
];

/// Any extension, function and arguments.
fn sbi_call(code: &mut Code) {
    for register in A0..A6 {
        code.x[register] = value();
    }
    code.x[A6] = match below(8) {
        0 => value(),
        _ => below(8),
    };
    code.x[A7] = match below(8) {
        0 => value(),
        // The old ones; not the console's, and not shutdown.
        1 => of(&[0, 3, 4, 5, 6, 7, 9, 15]),
        2 => 0x0900_0000 | next() & 0x1ff_ffff,
        _ => of(EXTENSIONS),
    };
    if code.x[A7] == sbi::DBCN {
        // Its noise would fill the log: long texts from nowhere, or short ones.
        code.x[A0] = of(&[below(4), 1 << 40, u64::MAX]);
        code.x[A1] = if once_in(2) { address() } else { value() };
        code.x[A2] = of(&[0, 0, value()]);
        if code.x[A6] == 2 {
            code.x[A6] = 3;
        }
    }
    if [sbi::SRST, sbi::HSM].contains(&code.x[A7]) || code.x[A7] == 1 || code.x[A7] == 8 {
        code.x[A7] ^= 0x100;
    }
    for _ in 0..=below(2) {
        code.push(ECALL);
    }
}

/// A timer that fires in a moment.
fn soon(code: &mut Code) {
    code.x[20] = timer::now() + 1000 + below(10_000);
    code.x[21] = 0x222;
    code.push(csrrw(STIMECMP, 0, 20));
    code.push(csrrw(SIE, 0, 21));
}

/// Harts that start each other and stop themselves, wait, and ask.
fn hsm(code: &mut Code) {
    let target = of(&[below(8), below(8), below(8), value()]);
    let [function, a0, a1, a2] = match below(10) {
        0 if cpu() != 0 => [sbi::HART_STOP, value(), value(), value()],
        1 if cpu() != 0 => {
            soon(code);
            [
                sbi::HART_SUSPEND,
                of(&[0, 0, 1 << 31, value()]),
                entry(),
                value(),
            ]
        }
        2 | 3 => [sbi::HART_STATUS, target, value(), value()],
        4 => [sbi::HART_START, target, address() & !3, value()],
        _ => [sbi::HART_START, target, entry(), value()],
    };
    code.x[A0] = a0;
    code.x[A1] = a1;
    code.x[A2] = a2;
    code.x[A6] = function;
    code.x[A7] = sbi::HSM;
    for _ in 0..=below(2) {
        code.push(ECALL);
    }
}

/// Loads and stores of all kinds, everywhere.
fn mmio(code: &mut Code) {
    code.x[A1] = address();
    for _ in 0..=below(6) {
        code.push(load_store());
        if once_in(4) {
            // The next one elsewhere: ADDI a1, a1, #n.
            code.push(0x5_8593 | (below(64) as u32) << 20);
        }
    }
}

/// A load or store with its base in a1, or two compressed ones.
fn load_store() -> u32 {
    const BASE: u32 = 11 << 15;
    let data = 12 + below(4) as u32;
    let [to, from] = [data << 7, data << 20];
    match below(8) {
        // LB to LD, LBU to LWU, and the reserved one.
        0 | 1 => BASE | (below(8) as u32) << 12 | to | 0x03,
        // SB to SD, and reserved ones.
        2 | 3 => BASE | (below(8) as u32) << 12 | from | 0x23,
        // LR, SC, AMOs, of any width.
        4 => {
            let function = of(&[0, 1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 5]);
            let rs2 = if function == 2 { 0 } else { from };
            function << 27 | rs2 | BASE | (below(8) as u32) << 12 | to | 0x2f
        }
        // FLW, FLD, vector loads; FSW, FSD, vector stores.
        5 => next() as u32 & 0xfff0_7f80 | BASE | of(&[0x07, 0x27]),
        // C.LW, C.LD, C.SW, C.SD, C.FLD, C.FSD, Zcb's, of a1.
        6 => {
            let one = || (next() as u32 & 0xe07c) | 3 << 7 | of(&[0x4000, 0x6000, 0x8000, 0xc000]);
            one() & 0xfffc | (one() & 0xfffc) << 16
        }
        // Any word of the loads, stores and atomics.
        _ => {
            next() as u32 & !(0x1f << 15 | 0x7f) | BASE | of(&[0x03, 0x07, 0x0f, 0x23, 0x27, 0x2f])
        }
    }
}

/// The PLIC's registers, with what is written often and what never should be.
fn plic_registers(code: &mut Code) {
    let base = plic::BASE as u64;
    for _ in 0..8 {
        let context = of(&[below(8), below(8), below(8), below(16_000)]);
        let source = of(&[10, 10, below(96), below(1024)]);
        let at = match below(6) {
            0 => source * 4,
            1 => 0x1000 + source / 32 * 4,
            2 => 0x2000 + context * 0x80 + source / 32 * 4,
            3 => 0x20_0000 + context * 0x1000,
            4 => 0x20_0004 + context * 0x1000,
            _ => next() & 0x3ff_fffc,
        };
        let register = 12 + below(4) as usize;
        let address = 18 + below(8) as usize;
        code.x[address] = base + at;
        code.x[register] = of(&[below(8), source, u64::MAX, next(), 1 << 10]);
        let [register, address] = [register as u32, address as u32];
        code.push(if once_in(3) {
            address << 15 | 2 << 12 | register << 7 | 0x03
        } else {
            register << 20 | address << 15 | 2 << 12 | 0x23
        });
    }
    // The UART's interrupts, now and then: SB to IER.
    if once_in(4) {
        code.x[5] = uart::BASE as u64;
        code.x[6] = below(16);
        code.push(6 << 20 | 5 << 15 | 1 << 7 | 0x23);
    }
    if once_in(2) {
        code.push(UNMASK);
        code.push(NOP);
    }
}

/// Timers at their limits, and waits for them.
fn timer_limits(code: &mut Code) {
    for from in 12..16 {
        if once_in(2) {
            code.x[from] = timer::now().wrapping_add(below(1 << 16));
        }
        code.push(csrrw(STIMECMP, 0, from as u32));
    }
    if once_in(4) {
        code.x[A0] = value();
        code.x[A6] = 0;
        code.x[A7] = sbi::TIME;
        code.push(ECALL);
    }
    soon(code);
    // A guest whose interrupts are in disorder may wait for ever: the first hart doesn't.
    match below(4) {
        0 if cpu() != 0 => code.push(WFI),
        1 => {
            // WRS.STO, PAUSE.
            code.push(of(&[0x01d0_0073, 0x0100_000f]));
        }
        _ => {
            code.push(UNMASK);
            code.push(NOP);
        }
    }
}

/// Fences of all kinds, and cache blocks.
fn fence(code: &mut Code) {
    code.x[A1] = if once_in(2) { address() } else { value() };
    code.x[A2] = value();
    for _ in 0..=below(4) {
        let operands = of(&[0, 11 << 15, 12 << 20 | 11 << 15, 12 << 20]);
        code.push(match below(4) {
            // SFENCE.VMA, SINVAL.VMA, SFENCE.W.INVAL, SFENCE.INVAL.IR.
            0 => of(&[0x1200_0073, 0x1600_0073]) | operands,
            1 => of(&[0x1800_0073, 0x1810_0073, FENCE_I]),
            // CBO.INVAL, CBO.CLEAN, CBO.FLUSH, CBO.ZERO, and others that aren't there.
            2 => (below(8) as u32) << 20 | 11 << 15 | 0x200f,
            _ => next() as u32 & 0xfff0_7f80 | 11 << 15 | 0x0f,
        });
    }
}

/// Vector and FP instructions, with what enables them.
fn vector(code: &mut Code) {
    code.x[S11] = of(&[0x6600, 0x2200, 0, next() & 0x6600]);
    // CSRRS sstatus.
    code.push(SSTATUS << 20 | 27 << 15 | 2 << 12 | 0x73);
    code.x[A1] = SCRATCH + below(1 << 20);
    for _ in 0..=below(4) {
        let noise = next() as u32;
        code.push(match below(5) {
            // OP-V, FP arithmetic, and vector loads and stores of a1.
            0 | 1 => noise & !0x7f | 0x57,
            2 => noise & !0x7f | of(&[0x43, 0x47, 0x4b, 0x4f, 0x53]),
            3 => noise & 0xfff0_7f80 | 11 << 15 | of(&[0x07, 0x27]),
            // VSETVLI.
            _ => noise & 0x7ff0_0000 | 11 << 15 | 7 << 12 | 0x57,
        });
    }
}

/// What belongs to a hypervisor: its fences, loads and stores.
fn hypervisor(code: &mut Code) {
    code.x[A1] = address();
    code.x[A2] = value();
    soon(code);
    for _ in 0..=below(4) {
        code.push(match below(4) {
            // HFENCE.VVMA, HFENCE.GVMA, HINVAL.VVMA, HINVAL.GVMA.
            0 => of(&[0x2200_0073, 0x6200_0073, 0x2600_0073, 0x6600_0073]) | 12 << 20 | 11 << 15,
            // HLV, HLVX, HSV.
            1 | 2 => {
                let function = 0x30 | below(8) as u32;
                function << 25 | (below(4) as u32) << 20 | 11 << 15 | 4 << 12 | 12 << 7 | 0x73
            }
            // All of SYSTEM with function 0 or 4, of a1: whatever there is; not SRET and WFI, whose
            // place is elsewhere.
            _ => next() as u32 & !0x100f_ffff | 11 << 15 | of(&[0, 4]) << 12 | 0x73,
        });
    }
}

/// Code among devices and in nothing.
fn jump(code: &mut Code) {
    code.x[A1] = address();
    if (SCRATCH..SCRATCH + (16 << 20)).contains(&code.x[A1]) {
        code.x[A1] = 8 << 30 | code.x[A1] & 0xfff;
    }
    code.push(JUMP);
}

/// Any word at all.
fn word(code: &mut Code) {
    for _ in 0..=below(3) {
        let word = next() as u32;
        // Not a branch or jump: behind it is most often the beginning of this guest.
        let branch = matches!(word & 0x7f, 0x63 | 0x67 | 0x6f);
        code.push(if branch { word ^ 1 << 4 } else { word | 3 });
    }
}

/// Returns to any state: U-mode, and addresses of any kind.
fn sret(code: &mut Code) {
    code.x[A1] = match below(4) {
        0 => USER_ALIAS as u64 + (32 << 20) + below(1 << 20),
        1 => USER_ALIAS as u64 + 0x20_0000,
        2 => value(),
        _ => address(),
    };
    code.x[A2] = match below(4) {
        0 => 0,
        1 => of(&[0x20, 0x120, 0x100]),
        _ => next(),
    };
    code.push(csrrw(SEPC, 0, 11));
    code.push(csrrw(SSTATUS, 0, 12));
    code.push(SRET);
}

/// Tables and handlers that make no sense, switched on and off.
fn mmu(code: &mut Code) {
    for from in 12..16 {
        code.x[from] = match below(4) {
            0 => value(),
            1 => address() >> 12 | of(&[0, 8, 9, 10, 15]) << 60,
            2 => SCRATCH >> 12 | 8 << 60 | below(1 << 16) << 44,
            _ => address() & !3 | below(4),
        };
        let csr = of(&[SATP, SATP, STVEC, SSTATUS]);
        code.push(csrrw(csr, 0, from as u32));
    }
    code.x[A1] = address();
    code.push(SFENCE_VMA);
    code.push(load_store());
}

/// Everything that any class does, vital registers too.
fn wild(code: &mut Code) {
    let classes = CLASSES.len() as u64 + 1;
    for _ in 0..3 {
        match CLASSES.get(below(classes) as usize) {
            Some((_, class)) => class(code),
            None => mmu(code),
        }
    }
}

/// Characters without end, whether there is room or not.
fn flood(code: &mut Code) {
    code.x[A1] = uart::BASE as u64;
    code.x[A2] = u64::from(b'a') + below(26);
    for _ in 0..40 {
        code.push(12 << 20 | 11 << 15 | 0x23);
    }
    code.x[13] = u64::from(b'\n');
    if once_in(2) {
        code.push(13 << 20 | 11 << 15 | 0x23);
    }
}
