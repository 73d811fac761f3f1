//! The kinds of instructions that cost a board more than an emulator shows, by their opcodes.

/// Whether an instruction is of a kind.
pub type Kind = fn(u32) -> bool;

/// aarch64's.
pub static AARCH64: [(&str, Kind); 9] = [
    ("mrs", |op| op & 0xfff0_0000 == 0xd530_0000),
    ("msr", |op| {
        op & 0xfff0_0000 == 0xd510_0000 || is_msr_immediate(op)
    }),
    ("dmb", |op| op & 0xffff_f0ff == 0xd503_30bf),
    ("dsb", |op| op & 0xffff_f0ff == 0xd503_309f),
    ("isb", |op| op & 0xffff_f0ff == 0xd503_30df),
    // SYS with CRn 8 and 9; with 7.
    ("tlbi", |op| op & 0xfff8_e000 == 0xd508_8000),
    ("ic/dc/at", |op| op & 0xfff8_f000 == 0xd508_7000),
    ("atomic", is_atomic),
    ("eret", |op| op == 0xd69f_03e0),
];

/// MSR (immediate): DAIFSet, DAIFClr, SPSel and the like.
fn is_msr_immediate(op: u32) -> bool {
    op & 0xfff8_f01f == 0xd500_401f
}

/// Exclusive loads and stores, compare-and-swap, and the atomics of FEAT_LSE. Loads and stores
/// that only order are none.
fn is_atomic(op: u32) -> bool {
    let exclusive = op & 0x3f80_0000 == 0x0800_0000 && op & 0x0020_0000 == 0;
    let compare_and_swap = op & 0x3fa0_7c00 == 0x08a0_7c00;
    let lse = op & 0x3b20_0c00 == 0x3820_0000;
    exclusive || compare_and_swap || lse
}

/// riscv64's (unprivileged ISA, "RV32/64G Instruction Set Listings"; privileged ISA, "Instruction
/// Set Listings"). Instructions of two bytes are of no kind.
pub static RISCV64: [(&str, Kind); 9] = [
    ("csr read", |op| is_csr(op) && !writes(op)),
    ("csr write", |op| is_csr(op) && writes(op)),
    ("fence", |op| op & 0x707f == 0x000f),
    ("fence.i", |op| op & 0x707f == 0x100f),
    // SFENCE.VMA, HFENCE.VVMA, HFENCE.GVMA, and those of Svinval.
    ("sfence/hfence", |op| {
        let function = op >> 25;
        op & 0x707f == 0x73 && matches!(function, 0x09 | 0x0b | 0x0c | 0x11 | 0x13 | 0x31 | 0x33)
    }),
    ("hlv/hsv", |op| op & 0x707f == 0x4073),
    ("atomic", |op| op & 0x7f == 0x2f),
    ("ecall", |op| op == 0x73),
    ("sret", |op| op == 0x1020_0073),
];

/// CSRRW, CSRRS, CSRRC and their immediate forms.
fn is_csr(op: u32) -> bool {
    op & 0x7f == 0x73 && op >> 12 & 3 != 0
}

/// Whether a CSR instruction writes: CSRRW always, the others unless rs1 or the immediate is 0.
fn writes(op: u32) -> bool {
    op >> 12 & 3 == 1 || op >> 15 & 31 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds of `all` that `op` counts as.
    fn kinds(all: &[(&'static str, Kind)], op: u32) -> Vec<&'static str> {
        let found = all.iter().filter(|(_, kind)| kind(op));
        found.map(|(name, _)| *name).collect()
    }

    #[test]
    fn aarch64_as_an_assembler_makes_it() {
        for (op, expected) in [
            (0xd53c_d048, "mrs"),      // mrs x8, tpidr_el2
            (0xd51c_1100, "msr"),      // msr hcr_el2, x0
            (0xd503_42ff, "msr"),      // msr daifclr, #2
            (0xd503_3f9f, "dsb"),      // dsb sy
            (0xd503_3bbf, "dmb"),      // dmb ish
            (0xd503_3fdf, "isb"),      // isb
            (0xd508_831f, "tlbi"),     // tlbi vmalle1is
            (0xd50c_83df, "tlbi"),     // tlbi vmalls12e1is
            (0xd50b_7e21, "ic/dc/at"), // dc civac, x1
            (0xd508_7800, "ic/dc/at"), // at s1e1r, x0
            (0xd508_751f, "ic/dc/at"), // ic iallu
            (0x885f_fc01, "atomic"),   // ldaxr w1, [x0]
            (0x0802_7c01, "atomic"),   // stxrb w2, w1, [x0]
            (0xc8e0_fc41, "atomic"),   // casal x0, x1, [x2]
            (0xb8e1_0002, "atomic"),   // ldaddal w1, w2, [x0]
            (0xd69f_03e0, "eret"),
        ] {
            assert_eq!(kinds(&AARCH64, op), [expected], "{op:#x}");
        }
        // ldar, stlr, ldr, add, nop, the bench's mark
        for op in [
            0x88df_fc01,
            0x889f_fc01,
            0xf940_0001,
            0x9100_0400,
            0xd503_201f,
            0xd503_2c9f,
        ] {
            assert!(kinds(&AARCH64, op).is_empty(), "{op:#x}");
        }
    }

    #[test]
    fn riscv64_as_an_assembler_makes_it() {
        for (op, expected) in [
            (0x1420_2573, "csr read"),      // csrr a0, scause
            (0x1005_1073, "csr write"),     // csrw sstatus, a0
            (0x1001_7073, "csr write"),     // csrci sstatus, 2
            (0x1401_1173, "csr write"),     // csrrw sp, sscratch, sp
            (0x0330_000f, "fence"),         // fence rw, rw
            (0x0000_100f, "fence.i"),       // fence.i
            (0x1200_0073, "sfence/hfence"), // sfence.vma
            (0x2200_0073, "sfence/hfence"), // hfence.vvma
            (0x6200_0073, "sfence/hfence"), // hfence.gvma
            (0x6c05_4573, "hlv/hsv"),       // hlv.d a0, (a0)
            (0x1005_252f, "atomic"),        // lr.w a0, (a0)
            (0x00b5_352f, "atomic"),        // amoadd.d a0, a1, (a0)
            (0x0000_0073, "ecall"),
            (0x1020_0073, "sret"),
        ] {
            assert_eq!(kinds(&RISCV64, op), [expected], "{op:#x}");
        }
        // wfi, ebreak, add, ld, nop, c.ebreak, the bench's mark
        for op in [
            0x1050_0073,
            0x0010_0073,
            0x00b5_0533,
            0x0005_3503,
            0x13,
            0x9002,
            0x0640_2013,
        ] {
            assert!(kinds(&RISCV64, op).is_empty(), "{op:#x}");
        }
    }
}
