//! A64 loads and stores whose aborts have no valid syndrome: pairs, and those that write back
//! their base register (DDI 0487, C4.1.96, "Loads and Stores"; D24.2.40, ISV).
//!
//! A32 and T32 instructions have other encodings: not to be asked when SPSR_EL2.M[4] is set.

use axdevice::AccessWidth;

/// What one register and one access of an instruction do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// General register 0 to 30; 31 is the zero register.
    pub reg: usize,
    /// Width of the access.
    pub width: AccessWidth,
    /// A load; else a store.
    pub load: bool,
    /// Loads: width of the register that is written; above it the general register is cleared.
    pub reg_width: AccessWidth,
    /// Loads: sign-extended from `width` to `reg_width`; else zero-extended.
    pub signed: bool,
}

/// What an address starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// General register 0 to 30.
    Gpr(usize),
    /// The current stack pointer.
    Sp,
    /// The address of the instruction.
    Pc,
}

/// How a register offset is extended to 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extend {
    /// Zero-extended from 32 bits (UXTW).
    Unsigned32,
    /// Sign-extended from 32 bits (SXTW).
    Signed32,
    /// All 64 bits (LSL, SXTX).
    Full,
}

/// What is added to the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// Bytes.
    Immediate(i64),
    /// A general register (31 is zero), extended, then shifted left.
    Register {
        /// Its number.
        reg: usize,
        /// How it is extended.
        extend: Extend,
        /// By how many bits it is shifted.
        shift: u32,
    },
}

impl Offset {
    /// The offset in bytes, modulo 2^64. `gpr` reads a general register; 31 reads as zero.
    pub fn value(self, gpr: impl Fn(usize) -> u64) -> u64 {
        match self {
            Self::Immediate(bytes) => bytes as u64,
            Self::Register { reg, extend, shift } => {
                let value = gpr(reg);
                let value = match extend {
                    Extend::Unsigned32 => u64::from(value as u32),
                    Extend::Signed32 => value as u32 as i32 as u64,
                    Extend::Full => value,
                };
                value << (shift & 63)
            }
        }
    }
}

/// A load or store of general registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadStore {
    /// The address is this...
    pub base: Base,
    /// ... plus this: the first access goes there.
    pub offset: Offset,
    /// The first access.
    pub first: Transfer,
    /// The second access of a pair, at the address right behind the first.
    pub second: Option<Transfer>,
    /// Added to the base register afterwards.
    pub write_back: Option<i64>,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Loads or stores general registers.
    Access(LoadStore),
    /// A prefetch: no access that matters.
    Prefetch,
}

/// Why an instruction is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Load- or store-exclusive: device memory has no exclusive monitor.
    Exclusive,
    /// Read-modify-write, or 64-byte single-copy atomic: a device can't do it.
    Atomic,
    /// Vector or floating-point registers.
    Vector,
    /// CONSTRAINED UNPREDICTABLE: a register is loaded twice, or loaded and written back.
    Unpredictable,
    /// Not a load or store, unallocated, or one that this decoder doesn't know (tags, memory copy,
    /// authenticated loads).
    Other,
}

/// A field of the instruction word.
const fn field(word: u32, at: u32, len: u32) -> u32 {
    word >> at & (u32::MAX >> (32 - len))
}

/// The same as a signed number.
const fn signed_field(word: u32, at: u32, len: u32) -> i64 {
    ((word << (32 - at - len)) as i32 >> (32 - len)) as i64
}

const VECTOR: u32 = 1 << 26;

/// Decodes one A64 instruction.
pub fn load_store(word: u32) -> Result<Decoded, Unsupported> {
    // C4.1: op0 (bits 28:25) is x1x0 for loads and stores.
    if field(word, 27, 1) != 1 || field(word, 25, 1) != 0 {
        return Err(Unsupported::Other);
    }
    match (field(word, 28, 2), field(word, 24, 2)) {
        // Bits 29:28 and 25:24 of C4.1.96's op0 and op2.
        (0b00, 0b00) if word & VECTOR == 0 => exclusive_or_ordered(word),
        (0b00, _) if word & VECTOR != 0 => Err(Unsupported::Vector),
        (0b01, 0b00) => literal(word),
        (0b01, 0b01) => ordered_unscaled(word),
        (0b10, _) => pair(word),
        (0b11, 0b00) => single(word),
        (0b11, 0b01) => {
            let scale = field(word, 30, 2);
            let offset = i64::from(field(word, 10, 12)) << scale;
            register(word, Offset::Immediate(offset), None, true)
        }
        _ => Err(Unsupported::Other),
    }
}

/// Rn, where 31 is the stack pointer.
fn base(word: u32) -> Base {
    match field(word, 5, 5) {
        31 => Base::Sp,
        reg => Base::Gpr(reg as usize),
    }
}

fn width(log2: u32) -> AccessWidth {
    match log2 & 3 {
        0 => AccessWidth::Byte,
        1 => AccessWidth::Half,
        2 => AccessWidth::Word,
        _ => AccessWidth::Double,
    }
}

/// The register width of a plain access: W registers up to 32 bits.
fn natural(width: AccessWidth) -> AccessWidth {
    match width {
        AccessWidth::Double => AccessWidth::Double,
        _ => AccessWidth::Word,
    }
}

/// The access that `size` and `opc` of the "load/store register" groups mean; `None` for a
/// prefetch (C4.1.96, the tables of each group).
fn transfer(size: u32, opc: u32, reg: u32) -> Result<Option<Transfer>, Unsupported> {
    let width = width(size);
    let (load, reg_width, signed) = match (opc, size) {
        (0, _) => (false, natural(width), false),
        (1, _) => (true, natural(width), false),
        (2, 3) => return Ok(None),
        (2, _) => (true, AccessWidth::Double, true),
        (3, 0 | 1) => (true, AccessWidth::Word, true),
        _ => return Err(Unsupported::Other),
    };
    let reg = reg as usize;
    Ok(Some(Transfer {
        reg,
        width,
        load,
        reg_width,
        signed,
    }))
}

/// LDAR, STLR, LDLAR, STLLR; all else in the group is exclusive or compare-and-swap.
fn exclusive_or_ordered(word: u32) -> Result<Decoded, Unsupported> {
    let (o2, o1) = (field(word, 23, 1), field(word, 21, 1));
    match (o2, o1) {
        (1, 0) => {
            let load = field(word, 22, 1);
            plain(
                word,
                transfer(field(word, 30, 2), load, field(word, 0, 5))?,
                0,
            )
        }
        // CAS; CASP has the sizes that exclusive pairs don't.
        (1, 1) => Err(Unsupported::Atomic),
        (0, 1) if field(word, 31, 1) == 0 => Err(Unsupported::Atomic),
        _ => Err(Unsupported::Exclusive),
    }
}

/// An access at the base register plus an immediate.
fn plain(word: u32, first: Option<Transfer>, offset: i64) -> Result<Decoded, Unsupported> {
    Ok(match first {
        None => Decoded::Prefetch,
        Some(first) => Decoded::Access(LoadStore {
            base: base(word),
            offset: Offset::Immediate(offset),
            first,
            second: None,
            write_back: None,
        }),
    })
}

/// LDR, LDRSW, PRFM (literal).
fn literal(word: u32) -> Result<Decoded, Unsupported> {
    if word & VECTOR != 0 {
        return Err(Unsupported::Vector);
    }
    let (width, signed) = match field(word, 30, 2) {
        0 => (AccessWidth::Word, false),
        1 => (AccessWidth::Double, false),
        2 => (AccessWidth::Word, true),
        _ => return Ok(Decoded::Prefetch),
    };
    let first = Transfer {
        reg: field(word, 0, 5) as usize,
        width,
        load: true,
        reg_width: if signed { AccessWidth::Double } else { width },
        signed,
    };
    Ok(Decoded::Access(LoadStore {
        base: Base::Pc,
        offset: Offset::Immediate(signed_field(word, 5, 19) * 4),
        first,
        second: None,
        write_back: None,
    }))
}

/// LDAPUR, STLUR and their kin (FEAT_LRCPC2); the group's rest is tags, memory copy, and others.
fn ordered_unscaled(word: u32) -> Result<Decoded, Unsupported> {
    if word & VECTOR != 0 {
        return Err(Unsupported::Vector);
    }
    if field(word, 21, 1) != 0 || field(word, 10, 2) != 0 {
        return Err(Unsupported::Other);
    }
    match transfer(field(word, 30, 2), field(word, 22, 2), field(word, 0, 5))? {
        None => Err(Unsupported::Other),
        first => plain(word, first, signed_field(word, 12, 9)),
    }
}

/// LDP, STP, LDPSW, LDNP, STNP.
fn pair(word: u32) -> Result<Decoded, Unsupported> {
    if word & VECTOR != 0 {
        return Err(Unsupported::Vector);
    }
    let load = field(word, 22, 1) != 0;
    let non_temporal = field(word, 23, 2) == 0;
    let (width, signed) = match (field(word, 30, 2), load) {
        (0, _) => (AccessWidth::Word, false),
        (1, true) if !non_temporal => (AccessWidth::Word, true),
        (2, _) => (AccessWidth::Double, false),
        _ => return Err(Unsupported::Other),
    };
    let reg_width = if signed { AccessWidth::Double } else { width };
    let transfer = |reg: u32| Transfer {
        reg: reg as usize,
        width,
        load,
        reg_width,
        signed,
    };
    let (first, second) = (transfer(field(word, 0, 5)), transfer(field(word, 10, 5)));
    let immediate = signed_field(word, 15, 7) * width.bytes() as i64;
    // Bits 24:23: no-allocate, post-indexed, signed offset, pre-indexed.
    let (offset, write_back) = match field(word, 23, 2) {
        1 => (0, Some(immediate)),
        3 => (immediate, Some(immediate)),
        _ => (immediate, None),
    };
    let base = base(word);
    let written = |reg: usize| write_back.is_some() && base == Base::Gpr(reg);
    if (load && first.reg == second.reg) || written(first.reg) || written(second.reg) {
        return Err(Unsupported::Unpredictable);
    }
    Ok(Decoded::Access(LoadStore {
        base,
        offset: Offset::Immediate(offset),
        first,
        second: Some(second),
        write_back,
    }))
}

/// Single registers but for unsigned offsets: unscaled, post- and pre-indexed, unprivileged,
/// register offset, atomics.
fn single(word: u32) -> Result<Decoded, Unsupported> {
    let immediate = signed_field(word, 12, 9);
    match (field(word, 21, 1), field(word, 10, 2)) {
        (0, 0b00) => register(word, Offset::Immediate(immediate), None, true),
        (0, 0b01) => register(word, Offset::Immediate(0), Some(immediate), false),
        // LDTR, STTR: stage 1 has already allowed the access when stage 2 refuses it.
        (0, 0b10) if word & VECTOR == 0 => {
            register(word, Offset::Immediate(immediate), None, false)
        }
        (0, 0b11) => register(word, Offset::Immediate(immediate), Some(immediate), false),
        (1, 0b10) => {
            let extend = match field(word, 13, 3) {
                0b010 => Extend::Unsigned32,
                0b110 => Extend::Signed32,
                0b011 | 0b111 => Extend::Full,
                _ => return Err(Unsupported::Other),
            };
            let shift = field(word, 12, 1) * field(word, 30, 2);
            let reg = field(word, 16, 5) as usize;
            register(word, Offset::Register { reg, extend, shift }, None, true)
        }
        (1, 0b00) if word & VECTOR == 0 => atomic(word),
        _ => Err(Unsupported::Other),
    }
}

/// LDAPR (FEAT_LRCPC) is a plain load among the atomics: bits 23:10 are A=1, R=0, 1, Rs=11111,
/// o3=1, opc=100, 00.
fn atomic(word: u32) -> Result<Decoded, Unsupported> {
    const LDAPR: u32 = 0b10_1111_1111_0000;
    if field(word, 10, 14) != LDAPR {
        return Err(Unsupported::Atomic);
    }
    plain(word, transfer(field(word, 30, 2), 1, field(word, 0, 5))?, 0)
}

/// A single register at an address; `prefetch` if the group has one.
fn register(
    word: u32,
    offset: Offset,
    write_back: Option<i64>,
    prefetch: bool,
) -> Result<Decoded, Unsupported> {
    if word & VECTOR != 0 {
        return Err(Unsupported::Vector);
    }
    let Some(first) = transfer(field(word, 30, 2), field(word, 22, 2), field(word, 0, 5))? else {
        return if prefetch {
            Ok(Decoded::Prefetch)
        } else {
            Err(Unsupported::Other)
        };
    };
    let base = base(word);
    if write_back.is_some() && base == Base::Gpr(first.reg) {
        return Err(Unsupported::Unpredictable);
    }
    Ok(Decoded::Access(LoadStore {
        base,
        offset,
        first,
        second: None,
        write_back,
    }))
}

#[cfg(test)]
mod tests;
