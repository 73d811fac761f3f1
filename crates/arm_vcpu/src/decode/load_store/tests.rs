//! `a64.txt` has instructions as an assembler encodes them. Here their *text* is parsed, so that
//! two independent readings are compared.

use proptest::prelude::*;

use super::*;

const ASSEMBLED: &str = include_str!("a64.txt");

fn number(text: &str) -> i64 {
    text.trim_start_matches('#').parse().unwrap()
}

/// `x5`, `w5`, `xzr`, `sp`: its number, and whether it has 64 bits.
fn register_of(text: &str) -> (usize, bool) {
    let (bank, number) = text.split_at(1);
    match number {
        "zr" | "p" => (31, true),
        _ => (number.parse().unwrap(), bank == "x"),
    }
}

fn base_of(text: &str) -> Base {
    match text {
        "sp" => Base::Sp,
        _ => Base::Gpr(register_of(text).0),
    }
}

/// What a mnemonic with a register of that width does.
fn transfer_of(mnemonic: &str, reg: &str) -> Transfer {
    let is64 = reg.starts_with('x');
    let natural = if is64 {
        AccessWidth::Double
    } else {
        AccessWidth::Word
    };
    let signed = mnemonic.ends_with("sw") || mnemonic.ends_with("sb") || mnemonic.ends_with("sh");
    let width = match mnemonic {
        m if m.ends_with('b') => AccessWidth::Byte,
        m if m.ends_with('h') => AccessWidth::Half,
        m if m.ends_with("sw") => AccessWidth::Word,
        _ => natural,
    };
    Transfer {
        reg: register_of(reg).0,
        width,
        load: mnemonic.starts_with('l'),
        reg_width: natural,
        signed,
    }
}

/// Reads `ldp x1, x2, [sp, #16]!` and the like.
fn parse(text: &str) -> LoadStore {
    let (mnemonic, operands) = text.split_once(' ').unwrap();
    let (registers, address) = operands.split_once('[').map_or_else(
        || operands.rsplit_once(", ").unwrap(),
        |(registers, address)| (registers.trim_end_matches(", "), address),
    );
    let registers: Vec<&str> = registers.split(", ").collect();
    let first = transfer_of(mnemonic, registers[0]);
    let second = registers.get(1).map(|reg| transfer_of(mnemonic, reg));
    let (base, offset, write_back) = parse_address(address);
    LoadStore {
        base,
        offset,
        first,
        second,
        write_back,
    }
}

fn parse_address(text: &str) -> (Base, Offset, Option<i64>) {
    if text.starts_with('#') {
        return (Base::Pc, Offset::Immediate(number(text)), None);
    }
    let (inside, after) = text.split_once(']').unwrap();
    let parts: Vec<&str> = inside.split(", ").collect();
    let base = base_of(parts[0]);
    if let Some(post) = after.strip_prefix(", ") {
        return (base, Offset::Immediate(0), Some(number(post)));
    }
    match parts.get(1) {
        None => (base, Offset::Immediate(0), None),
        Some(immediate) if immediate.starts_with('#') => {
            let bytes = number(immediate);
            (
                base,
                Offset::Immediate(bytes),
                (after == "!").then_some(bytes),
            )
        }
        Some(reg) => {
            let (kind, shift) = match parts.get(2) {
                None => ("lsl", 0),
                Some(text) => match text.split_once(" #") {
                    None => (*text, 0),
                    Some((kind, shift)) => (kind, shift.parse().unwrap()),
                },
            };
            let extend = match kind {
                "uxtw" => Extend::Unsigned32,
                "sxtw" => Extend::Signed32,
                _ => Extend::Full,
            };
            (
                base,
                Offset::Register {
                    reg: register_of(reg).0,
                    extend,
                    shift,
                },
                None,
            )
        }
    }
}

#[test]
fn agrees_with_the_assembler() {
    let mut accesses = 0;
    for line in ASSEMBLED.lines() {
        let (word, text) = line.split_once(' ').unwrap();
        let word = u32::from_str_radix(word, 16).unwrap();
        let found = load_store(word);
        let expected = match text.split_once(": ") {
            None => {
                accesses += 1;
                Ok(Decoded::Access(parse(text)))
            }
            Some(("Prefetch", _)) => Ok(Decoded::Prefetch),
            Some(("Exclusive", _)) => Err(Unsupported::Exclusive),
            Some(("Atomic", _)) => Err(Unsupported::Atomic),
            Some(("Vector", _)) => Err(Unsupported::Vector),
            Some(("Other", _)) => Err(Unsupported::Other),
            Some(("Unpredictable", _)) => Err(Unsupported::Unpredictable),
            Some((other, _)) => panic!("{other}"),
        };
        assert_eq!(found, expected, "{line}");
    }
    assert!(accesses > 450, "{accesses}");
}

/// What assemblers refuse: CONSTRAINED UNPREDICTABLE and unallocated encodings (C6.2, LDP, STR...).
#[test]
fn refused_encodings() {
    for (word, text) in [
        (0xa940_0441, "ldp x1, x1, [x2]"),
        (0xa8c1_1063, "ldp x3, x4, [x3], #16"),
        (0xa981_0c64, "stp x4, x3, [x3, #16]!"),
        (0xf800_8463, "str x3, [x3], #8"),
        (0xf840_8c63, "ldr x3, [x3, #8]!"),
    ] {
        assert_eq!(load_store(word), Err(Unsupported::Unpredictable), "{text}");
    }
    for (word, text) in [
        (0xb9c0_0000 | 1 << 22, "size 2, opc 3"),
        (0xf9c0_0000, "size 3, opc 3"),
        (0xf880_0400, "prefetch with write-back"),
        (0x2840_0000 | 1 << 30, "non-temporal LDPSW"),
        (0xe940_0000, "pair, opc 3"),
        (
            0xf862_0820 & !(1 << 14),
            "register offset with option 0b00x",
        ),
    ] {
        assert_eq!(load_store(word), Err(Unsupported::Other), "{text}");
    }
}

#[test]
fn offsets_extend_and_shift() {
    let gpr = |reg: usize| if reg == 31 { 0 } else { 0x1_8000_0004 };
    let value = |extend, shift| {
        Offset::Register {
            reg: 1,
            extend,
            shift,
        }
        .value(gpr)
    };
    assert_eq!(value(Extend::Unsigned32, 0), 0x8000_0004);
    assert_eq!(value(Extend::Signed32, 3), 0xffff_fffc_0000_0020);
    assert_eq!(value(Extend::Full, 1), 0x3_0000_0008);
    assert_eq!(
        Offset::Register {
            reg: 31,
            extend: Extend::Full,
            shift: 3
        }
        .value(gpr),
        0
    );
    assert_eq!(Offset::Immediate(-8).value(gpr), (-8i64) as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Any word: no panic, and what comes out can be executed.
    #[test]
    fn any_word_is_harmless(word: u32) {
        let Ok(Decoded::Access(access)) = load_store(word) else { return Ok(()) };
        // C4.1: loads and stores only.
        prop_assert_eq!((word >> 27 & 1, word >> 25 & 1, word >> 26 & 1), (1, 0, 0));
        for transfer in [Some(access.first), access.second].into_iter().flatten() {
            prop_assert!(transfer.reg < 32);
            prop_assert!(transfer.width <= transfer.reg_width);
            prop_assert!(!transfer.signed || (transfer.load && transfer.width < transfer.reg_width));
            prop_assert!(access.write_back.is_none() || access.base != Base::Gpr(transfer.reg));
        }
        prop_assert!(access.write_back.is_none() || access.base != Base::Pc);
        if let Some(second) = access.second {
            prop_assert!(!second.load || second.reg != access.first.reg);
            prop_assert_eq!(second.width, access.first.width);
        }
    }
}
