//! What a hostile guest does: one function for each class of actions. Each fills in a [`Code`].

use super::*;
use crate::code::Code;
use crate::random::{once_in, value};
use crate::{Class, state};
use core::sync::atomic::Ordering;
use guest_support::gic::{GICD, GICR};
use guest_support::{cpu, psci, timer, uart};

/// Classes after which the VM goes on, mostly.
pub const CLASSES: &[Class] = &[
    ("sysreg", sysreg),
    ("sys", sys),
    ("call", call),
    ("psci", psci),
    ("mmio", mmio),
    ("gic", gic),
    ("timer", timer),
    ("debug", debug),
    ("vector", vector),
    ("jump", jump),
    ("pstate", pstate),
    ("setway", set_way),
];

/// Classes that may leave a CPU where it never comes back from: the first CPU leaves them to the
/// others.
pub const DEADLY: &[Class] = &[("word", word), ("eret", eret), ("mmu", mmu), ("wild", wild)];

/// Classes that drown all else.
pub const LOUD: &[Class] = &[("flood", flood)];

/// Registers by which the way back goes, which are for [`mmu`]; and those with a range, for [`gic`].
fn is_vital(register: u32) -> bool {
    const SCTLR_FAMILY: u32 = system(3, 0, 1, 0, 0);
    const TABLES: u32 = system(3, 0, 2, 0, 0);
    const VBAR: u32 = system(3, 0, 12, 0, 0);
    const MAIR: u32 = system(3, 0, 10, 2, 0);
    let all_op2 = register & !(7 << 5);
    // QEMU's own GIC ends QEMU when more than the field of a binary point register is written.
    const BPR0: u32 = system(3, 0, 12, 8, 3);
    const BPR1: u32 = system(3, 0, 12, 12, 3);
    all_op2 == SCTLR_FAMILY
        || all_op2 == TABLES
        || all_op2 == MAIR
        || [VBAR, BPR0, BPR1].contains(&register)
}

/// One register after another, with all encodings of op0 2 and 3, read and written.
fn sysreg(code: &mut Code) {
    let n = state().sweep.fetch_add(1, Ordering::Relaxed) as u32;
    let register = match below(4) {
        0 => 2 << 19 | next() as u32 & 0x7_ffe0,
        1 => 3 << 19 | next() as u32 & 0x7_ffe0,
        _ => 2 << 19 | (n >> 1 & 0x7fff) << 5,
    };
    if n & 1 == 0 {
        code.push(mrs(register, below(31) as u32));
    } else if !is_vital(register) {
        code.push(msr(register, below(29) as u32));
    }
    code.push(ISB);
}

/// System instructions: TLB and cache maintenance, address translation, for all levels.
fn sys(code: &mut Code) {
    code.x[1] = if once_in(2) { address() } else { value() };
    for _ in 0..=below(4) {
        let crn = of(&[7, 8, 8, 7, 9, 10, 11, 15]);
        let register = system(1, below(8) as u32, crn, below(16) as u32, below(8) as u32);
        let make = if once_in(8) { mrs } else { msr };
        code.push(make(register, if once_in(4) { 31 } else { 1 }));
    }
    code.push(DSB);
    code.push(ISB);
}

/// Set/way maintenance by the thousand, with the caches on and off.
fn set_way(code: &mut Code) {
    // Each switch of the caches lets all RAM be cleaned once more; that mustn't be all there is.
    if !once_in(8) {
        return sys(code);
    }
    const OFF: u64 = 0x30d0_0800;
    const CACHES: u64 = 0x1004;
    code.x[1] = below(1 << 32);
    code.x[27] = if once_in(2) { OFF } else { OFF | CACHES };
    code.push(msr(SCTLR, 27));
    code.push(ISB);
    for crm in [6, 10, 14] {
        code.push(msr(system(1, 0, 7, crm, 2), 1));
    }
}

/// HVC and SMC with any immediate, function and arguments.
fn call(code: &mut Code) {
    code.x[0] = match below(4) {
        0 => value(),
        1 => next(),
        // Every service of the calling convention, fast and yielding, 32 and 64 bits.
        _ => below(2) << 31 | below(2) << 30 | below(64) << 24 | below(0x40) | value() << 32,
    };
    if ends_vm(code.x[0]) || takes_cpu(code.x[0]) {
        code.x[0] |= 0xff;
    }
    let immediate = if once_in(4) { next() as u32 } else { 0 };
    code.push(call_word(immediate));
}

fn call_word(immediate: u32) -> u32 {
    super::call(once_in(2), immediate)
}

/// SYSTEM_OFF and both resets.
fn ends_vm(function: u64) -> bool {
    matches!(
        function as u32 & 0xbfff_ffff,
        0x8400_0008 | 0x8400_0009 | 0x8400_0012
    )
}

/// CPU_SUSPEND, CPU_OFF, and what suspends everything.
fn takes_cpu(function: u64) -> bool {
    matches!(
        function as u32 & 0xbfff_ffff,
        0x8400_0001 | 0x8400_0002 | 0x8400_000c | 0x8400_000e
    )
}

/// CPUs that switch each other on and themselves off, wait, and ask.
fn psci(code: &mut Code) {
    let target = of(&[below(8), below(8), below(8), value()]);
    let [function, a, b] = match below(8) {
        0 if cpu() != 0 => [psci::CPU_OFF, value(), value()],
        1 if cpu() != 0 => {
            soon(code);
            [psci::CPU_SUSPEND, value(), value()]
        }
        2 | 3 => [psci::AFFINITY_INFO, target, below(4)],
        4 => [psci::FEATURES, value(), 0],
        _ => [psci::CPU_ON, target, entry()],
    };
    code.x[0] = function ^ below(2) << 30;
    code.x[1] = a;
    code.x[2] = b;
    for _ in 0..=below(2) {
        code.push(call_word(0));
    }
}

/// Loads and stores of all kinds, everywhere, with the MMU on or off.
fn mmio(code: &mut Code) {
    code.x[1] = address();
    if once_in(4) {
        code.x[27] = 0x30d0_0800;
        code.push(msr(SCTLR, 27));
        code.push(ISB);
    }
    for _ in 0..=below(6) {
        code.push(load_store());
        if once_in(4) {
            // The next one elsewhere: ADD x1, x1, #n.
            code.push(0x9100_0021 | (below(64) as u32) << 10);
        }
    }
}

/// A load or store with its base in x1.
fn load_store() -> u32 {
    const COMMON: &[u32] = &[
        0x3940_0020,
        0x7940_0020,
        0xb940_0020,
        0xf940_0020, // LDRB LDRH LDR
        0x3900_0020,
        0x7900_0020,
        0xb900_0020,
        0xf900_0020, // STRB STRH STR
        0x3980_0020,
        0xb980_0020,
        0xb840_4420,
        0xb800_4420, // LDRSB LDRSW, post-index
        0xb840_4c20,
        0xa940_0820,
        0xa900_0820,
        0x2940_0820, // pre-index, LDP STP
        0xa8c1_0820,
        0xa9bf_0820,
        0x885f_7c20,
        0xc85f_7c20, // LDP post, STP pre, LDXR
        0x8803_7c20,
        0xc803_7c20,
        0x887f_0820,
        0xc823_0820, // STXR LDXP STXP
        0x88df_fc20,
        0x889f_fc20,
        0xc8df_fc20,
        0xc89f_fc20, // LDAR STLR
        0xb823_0020,
        0xf823_0020,
        0xb8a3_8020,
        0xf8e3_0020, // LDADD SWP
        0x88a3_7c20,
        0xc8e3_fc20,
        0x4822_7c24,
        0xf823_1020, // CAS CASP LDCLR
        0x3dc0_0020,
        0x3d80_0020,
        0xbd40_0020,
        0xad40_0820, // LDR Q, STR Q, LDR S, LDP Q
        0x4c40_7020,
        0x4c00_7020,
        0x0d40_0020,
        0x4c40_0020, // LD1 ST1 LD4
        0xf980_0020,
        0xf820_6820,
        0xb860_6820,
        0x3800_0020, // PRFM, register offset, STURB
    ];
    if once_in(2) {
        return of(COMMON);
    }
    // Any word of the loads and stores, with Rn = 1.
    next() as u32 & !(1 << 25 | 0x1f << 5) | 1 << 27 | 1 << 5
}

/// Any word at all.
fn word(code: &mut Code) {
    for _ in 0..=below(3) {
        let word = next() as u32;
        // Not a branch: behind it is most often the beginning of this guest.
        let branch = word >> 26 & 7 == 5 && word >> 24 != 0xd5;
        code.push(if branch { word ^ 1 << 28 } else { word });
    }
}

/// The registers of the interrupt controller's CPU interface.
fn gic(code: &mut Code) {
    const REGISTERS: &[u32] = &[
        system(3, 0, 4, 6, 0), // PMR
        system(3, 0, 12, 8, 0),
        system(3, 0, 12, 8, 1), // IAR0, EOIR0
        system(3, 0, 12, 8, 2),
        system(3, 0, 12, 8, 3), // HPPIR0, BPR0
        system(3, 0, 12, 8, 4),
        system(3, 0, 12, 8, 5), // AP0R
        system(3, 0, 12, 9, 0),
        system(3, 0, 12, 9, 1), // AP1R
        system(3, 0, 12, 11, 1),
        system(3, 0, 12, 11, 3), // DIR, RPR
        system(3, 0, 12, 11, 5),
        system(3, 0, 12, 11, 6),
        system(3, 0, 12, 11, 7), // SGIs
        system(3, 0, 12, 12, 0),
        system(3, 0, 12, 12, 1), // IAR1, EOIR1
        system(3, 0, 12, 12, 2),
        system(3, 0, 12, 12, 3), // HPPIR1, BPR1
        system(3, 0, 12, 12, 4),
        system(3, 0, 12, 12, 5), // CTLR, SRE
        system(3, 0, 12, 12, 6),
        system(3, 0, 12, 12, 7), // IGRPEN
    ];
    const SGI1R: u32 = system(3, 0, 12, 11, 5);
    for from in 0..12 {
        code.x[from] = match below(4) {
            0 => value(),
            1 => below(16) << 24 | 1 << 40,
            2 => below(16) << 24 | below(1 << 16),
            _ => of(&[below(32), below(1024), 1020 + below(4), 8192 + below(64)]),
        };
    }
    for from in 0..12 {
        let register = if once_in(3) { SGI1R } else { of(REGISTERS) };
        let make = if once_in(3) { mrs } else { msr };
        code.push(make(register, if is_vital(register) { 28 } else { from }));
    }
    code.x[28] = below(8);
    if once_in(8) {
        // All interrupts enabled, pending or active at once.
        code.x[1] = of(&[GICD, GICR + 0x1_0000 + cpu() * 0x2_0000]) as u64;
        code.x[1] += of(&[0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380]);
        code.x[2] = of(&[u64::MAX, 0, next()]);
        for n in 0..32 {
            code.push(0xb900_0022 | n << 10);
        }
    }
    if once_in(2) {
        code.push(daif_clear(3));
        code.push(NOP);
    }
}

/// A virtual timer that fires in a moment.
fn soon(code: &mut Code) {
    code.x[20] = 1000 + below(10_000);
    code.x[21] = 1;
    code.push(msr(system(3, 3, 14, 3, 0), 20));
    code.push(msr(system(3, 3, 14, 3, 1), 21));
}

/// Timers at their limits, and waits for them.
fn timer(code: &mut Code) {
    for from in 0..8 {
        let register = system(3, 3, 14, of(&[0, 2, 2, 2, 3, 3, 3, 1]), below(3) as u32);
        if once_in(2) {
            code.x[from] = below(4);
        }
        code.push(msr(register, from as u32));
    }
    soon(code);
    code.x[2] = value();
    // A guest whose interrupt controller is in disorder may wait for ever: the first CPU doesn't.
    match below(4) {
        0 if cpu() != 0 => code.push(WFI),
        1 if cpu() != 0 => code.push(wait_timeout(false)),
        0..3 => {
            code.x[2] = timer::now() + below(10_000);
            code.push(wait_timeout(once_in(4)));
        }
        _ => {
            code.push(daif_clear(3));
            code.push(of(&[WFE, NOP, ISB]));
        }
    }
}

/// Breakpoints, watchpoints, steps and locks.
fn debug(code: &mut Code) {
    for from in 0..12 {
        code.x[from] = match below(3) {
            0 => 0x1fff | next(),
            1 => entry(),
            _ => value(),
        };
        let register = match below(8) {
            0 => MDSCR,
            1 => system(2, 0, 1, of(&[0, 1, 3, 4]), 4),
            2 => system(2, 0, 7, of(&[8, 9, 14]), 6),
            3 => system(2, of(&[0, 3, 4]), 0, below(16) as u32, below(8) as u32),
            _ => system(2, 0, 0, below(16) as u32, 4 + below(4) as u32),
        };
        code.push(msr(register, from as u32));
    }
    code.push(ISB);
    code.push(daif_clear(of(&[8, 0xf])));
    for _ in 0..3 {
        code.push(of(&[NOP, 0xf940_0021, 0xd420_0000, 0xd440_0000]));
    }
}

/// Vector, matrix, tagging, authentication and copying instructions, with what enables them.
fn vector(code: &mut Code) {
    code.x[0] = u64::MAX;
    code.push(msr(system(3, 0, 1, 0, 2), 0));
    code.push(ISB);
    code.x[1] = SCRATCH + below(1 << 20);
    code.x[2] = SCRATCH + (1 << 20) + below(1 << 20);
    code.x[3] = of(&[below(4096), value() & 0xf_ffff]);
    for _ in 0..=below(4) {
        let noise = next() as u32;
        code.push(match below(9) {
            0 => noise & !(0xf << 25) | 2 << 25,
            1 => noise & !(0xf << 25) | 1 << 31,
            2 => noise & !(7 << 25) | 7 << 25,
            // CPY and SET: forward, destination x1, source x2, size x3.
            3 => 0x1902_0461 | noise & 0x0400_f000 | of(&[0, 0x40_0000, 0x80_0000]),
            4 => 0x19c0_0461 | noise & 0x0400_f000 | 2 << 16,
            // LD64B, ST64B, ST64BV.
            5 => of(&[0xf83f_d044, 0xf83f_9044, 0xf824_b044, 0xf824_a044]),
            // IRG, LDG, STG, ST2G, STZG.
            6 => of(&[
                0x9ac2_1020,
                0xd960_0020,
                0xd920_0820,
                0xd9a0_0820,
                0xd960_0820,
            ]),
            7 => 0xdac1_0020 | noise & 0x3c00,
            _ => of(&[
                0xd503_417f,
                0xd503_477f,
                0xd503_467f,
                0xd50b_7721,
                0xd53b_2400,
            ]),
        });
    }
}

/// Code among devices and in nothing.
fn jump(code: &mut Code) {
    code.x[1] = address();
    if (SCRATCH..SCRATCH + (16 << 20)).contains(&code.x[1]) {
        code.x[1] |= 1;
    }
    if once_in(3) {
        code.x[27] = 0x30d0_0800;
        code.push(msr(SCTLR, 27));
        code.push(ISB);
    }
    code.push(BR_X1);
}

/// Returns to any state: EL0, AArch32, illegal ones.
fn eret(code: &mut Code) {
    code.x[1] = match below(4) {
        0 => 0xc000_0000 + (32 << 20) + below(1 << 20),
        1 => 0xc008_0000,
        2 => value(),
        _ => address() | 3,
    };
    code.x[2] = match below(4) {
        0 => 0,
        1 => of(&[0x10, 0x30]),
        _ => next() & 0xffff_ffff,
    };
    code.push(msr(ELR, 1));
    code.push(msr(SPSR, 2));
    code.push(ERET);
}

/// MSR (immediate), hints, barriers and what else has op0 0.
fn pstate(code: &mut Code) {
    for _ in 0..4 {
        // Hints are waits, too.
        let crn = if cpu() == 0 {
            of(&[3, 4, 5])
        } else {
            of(&[1, 2, 3, 4])
        };
        let register = system(0, below(8) as u32, crn, below(16) as u32, below(8) as u32);
        soon(code);
        code.push(msr(
            register,
            if once_in(4) { below(32) as u32 } else { 31 },
        ));
    }
}

/// Tables, attributes and controls that make no sense, switched on and off.
fn mmu(code: &mut Code) {
    const VITAL: &[u32] = &[
        SCTLR,
        system(3, 0, 2, 0, 0),
        system(3, 0, 2, 0, 1),
        system(3, 0, 2, 0, 2),
        system(3, 0, 10, 2, 0),
        system(3, 0, 12, 0, 0),
    ];
    for from in 2..6 {
        code.x[from] = match below(5) {
            0 => value(),
            1 => address() & !0xfff,
            2 => 0x30d0_1805 ^ 1 << below(64),
            3 => 0x30d0_0800 | below(0x2000),
            _ => 0x2_0080_3519 ^ 1 << below(40),
        };
        code.push(msr(of(VITAL), from as u32));
    }
    code.x[1] = address();
    code.push(ISB);
    code.push(load_store());
    code.push(msr(system(1, 0, 8, of(&[3, 7]), 0), 31));
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
    code.x[1] = uart::BASE as u64;
    code.x[2] = u64::from(b'a') + below(26);
    for _ in 0..40 {
        code.push(0xb900_0022);
    }
    code.x[3] = u64::from(b'\n');
    if once_in(2) {
        code.push(0xb900_0023);
    }
}
