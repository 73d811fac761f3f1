use super::AccessWidth::{Byte, Double, Half, Word};
use super::*;
use proptest::prelude::*;

fn load(reg: usize, width: AccessWidth, signed: bool, length: u64) -> Access {
    Access {
        reg,
        width,
        load: true,
        signed,
        length,
    }
}

fn store(reg: usize, width: AccessWidth, length: u64) -> Access {
    Access {
        reg,
        width,
        load: false,
        signed: false,
        length,
    }
}

/// Words as an assembler makes them.
#[test]
fn plain_instructions() {
    for (bits, access) in [
        (0x0005_8503, load(10, Byte, true, 4)),   // lb a0, 0(a1)
        (0x0005_9503, load(10, Half, true, 4)),   // lh
        (0x0005_a503, load(10, Word, true, 4)),   // lw
        (0x0005_b503, load(10, Double, true, 4)), // ld
        (0x0005_c503, load(10, Byte, false, 4)),  // lbu
        (0x0005_d503, load(10, Half, false, 4)),  // lhu
        (0x0005_e503, load(10, Word, false, 4)),  // lwu
        (0x0005_a003, load(0, Word, true, 4)),    // lw zero, 0(a1)
        (0x7ff5_af83, load(31, Word, true, 4)),   // lw t6, 2047(a1)
        (0x00a5_8023, store(10, Byte, 4)),        // sb a0, 0(a1)
        (0x00a5_9023, store(10, Half, 4)),        // sh
        (0x00a5_a023, store(10, Word, 4)),        // sw
        (0x00a5_b023, store(10, Double, 4)),      // sd
        (0x0005_a023, store(0, Word, 4)),         // sw zero, 0(a1)
    ] {
        assert_eq!(instruction(bits), Some(access), "{bits:#x}");
    }
}

#[test]
fn compressed_instructions() {
    for (bits, access) in [
        (0x4188, load(10, Word, true, 2)),   // c.lw a0, 0(a1)
        (0x5dfc, load(15, Word, true, 2)),   // c.lw a5, 124(a1)
        (0x6188, load(10, Double, true, 2)), // c.ld a0, 0(a1)
        (0xc188, store(10, Word, 2)),        // c.sw a0, 0(a1)
        (0xe188, store(10, Double, 2)),      // c.sd a0, 0(a1)
        (0x4502, load(10, Word, true, 2)),   // c.lwsp a0, 0(sp)
        (0x6f82, load(31, Double, true, 2)), // c.ldsp t6, 0(sp)
        (0xc02a, store(10, Word, 2)),        // c.swsp a0, 0(sp)
        (0xe07e, store(31, Double, 2)),      // c.sdsp t6, 0(sp)
        (0x8188, load(10, Byte, false, 2)),  // c.lbu a0, 0(a1)
        (0x8588, load(10, Half, false, 2)),  // c.lhu a0, 0(a1)
        (0x85c8, load(10, Half, true, 2)),   // c.lh a0, 0(a1)
        (0x8988, store(10, Byte, 2)),        // c.sb a0, 0(a1)
        (0x8d88, store(10, Half, 2)),        // c.sh a0, 0(a1)
    ] {
        assert_eq!(instruction(bits), Some(access), "{bits:#x}");
        // What lies behind it does not count.
        assert_eq!(instruction(bits | 0xffff_0000), Some(access), "{bits:#x}");
    }
}

#[test]
fn what_is_not_for_devices() {
    for bits in [
        0x0005_2507u32, // flw fa0, 0(a0)
        0x0005_3507,    // fld
        0x00a5_2027,    // fsw
        0x00a5_3027,    // fsd
        0x0205_0007,    // vle8.v v0, (a0)
        0x0205_0027,    // vse8.v v0, (a0)
        0x00b5_252f,    // amoadd.w a0, a1, (a0)
        0x1005_252f,    // lr.w a0, (a0)
        0x18b5_252f,    // sc.w a0, a1, (a0)
        0x0045_200f,    // cbo.zero (a0)
        0x0005_f503,    // load with funct3 7
        0x00a5_c023,    // store with funct3 4
        0x2188,         // c.fld
        0xa188,         // c.fsd
        0x2502,         // c.fldsp
        0xa02a,         // c.fsdsp
        0x4002,         // c.lwsp to x0
        0x6002,         // c.ldsp to x0
        0x8dc8,         // Zcb, a reserved store
        0x9188,         // Zcb, reserved
        0x0000,         // defined illegal
        0x8082,         // ret
        0x0000_0013,    // nop
    ] {
        assert_eq!(instruction(bits), None, "{bits:#x}");
    }
}

/// The transformed form: no immediate, no base register; bit 1 is clear for a compressed one.
#[test]
fn transformed_instructions() {
    assert_eq!(transformed(0), Trapped::Unknown);
    assert_eq!(transformed(0x3000), Trapped::Walk { write: false });
    assert_eq!(transformed(0x3020), Trapped::Walk { write: true });
    assert_eq!(transformed(0x2000), Trapped::Walk { write: false });
    assert_eq!(transformed(0x2020), Trapped::Walk { write: true });
    let lw = 0x0000_2503;
    assert_eq!(transformed(lw), Trapped::Access(load(10, Word, true, 4)));
    let c_lw = lw & !2;
    assert_eq!(transformed(c_lw), Trapped::Access(load(10, Word, true, 2)));
    let sd = 0x00a0_3023;
    assert_eq!(transformed(sd), Trapped::Access(store(10, Double, 4)));
    assert_eq!(transformed(sd & !2), Trapped::Access(store(10, Double, 2)));
    // The second part of a misaligned access; an AMO; a vector load.
    assert_eq!(transformed(lw | 1 << 15), Trapped::Other);
    assert_eq!(transformed(0x00b0_252f), Trapped::Other);
    assert_eq!(transformed(0x0200_0007), Trapped::Other);
    // A custom one.
    assert_eq!(transformed(0x4000), Trapped::Unknown);
}

#[test]
fn loads_extend() {
    assert_eq!(load(1, Byte, true, 4).extend(0x80), -128i64 as u64);
    assert_eq!(load(1, Byte, false, 4).extend(0xff80), 0x80);
    assert_eq!(
        load(1, Word, true, 4).extend(0x8000_0000),
        0xffff_ffff_8000_0000
    );
    assert_eq!(load(1, Word, false, 4).extend(0x8000_0000), 0x8000_0000);
    assert_eq!(load(1, Double, true, 4).extend(u64::MAX), u64::MAX);
}

#[test]
fn waits_are_known() {
    assert_eq!(virtual_instruction(0x1050_0073), Virtual::Wfi);
    assert_eq!(virtual_instruction(0x00d0_0073), Virtual::WrsNto);
    // sret, hfence.vvma, csrr a0, hstatus.
    for bits in [0x1020_0073, 0x2200_0073, 0x6000_2573] {
        assert_eq!(virtual_instruction(bits), Virtual::Other);
    }
}

proptest! {
    /// Whatever the bits: a register that exists, and the length that bits 1:0 say.
    #[test]
    fn any_bits(bits: u32) {
        if let Some(access) = instruction(bits) {
            prop_assert!(access.reg < 32);
            prop_assert_eq!(access.length, if bits & 3 == 3 { 4 } else { 2 });
            prop_assert!(access.load || !access.signed);
        }
    }

    /// A load or store and its transformed form are the same access.
    #[test]
    fn transforming_loses_nothing(bits: u32, wide: bool) {
        // Loads lose their immediate in 31:20, stores theirs in 31:25 and 11:7; both lose rs1.
        let (bits, keep) = match bits & 1 {
            0 => (bits & !0x7f | 0x03, 0x0000_7fff),
            _ => (bits & !0x7f | 0x23, 0x01f0_707f),
        };
        let word = bits & keep;
        let htinst = if wide { word } else { word & !2 };
        let expected = instruction(bits).map(|access| Access {
            length: if wide { 4 } else { 2 },
            ..access
        });
        match transformed(htinst.into()) {
            Trapped::Access(access) => prop_assert_eq!(Some(access), expected),
            Trapped::Other => prop_assert_eq!(expected, None),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn any_htinst(htinst: u64) {
        let _ = transformed(htinst);
    }
}
