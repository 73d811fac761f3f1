//! The registers a guest finds in memory (IHI 0069, chapter 12, "The GIC Distributor register
//! map" and "The GIC Redistributor register map").
//!
//! What a register does not implement reads as zero and ignores writes; so do reserved offsets,
//! accesses that are not aligned, and sizes a register does not support (CONSTRAINED
//! UNPREDICTABLE).

mod bitmap;
mod dist;
mod redist;

use bitmap::BitReg;

/// Bytes of the distributor's registers.
pub const DIST_SIZE: u64 = 0x1_0000;
/// Bytes of each vCPU's redistributor: RD_base and SGI_base, no VLPI frames.
pub const REDIST_STRIDE: u64 = 0x2_0000;

/// GICD_IIDR and GICR_IIDR: ProductID 0x41, implementer 0x43b (JEP106 code of Arm).
const IIDR: u32 = 0x41 << 24 | 0x43b;

/// GICD_TYPER: ITLinesNumber; no security extension; no LPIs, no message-based SPIs; INTIDs of 10
/// bits; Aff3 may be non-zero; no 1-of-N SPIs.
pub(crate) fn typer(affinities: &[u64], words: u32) -> u32 {
    const ID_BITS: u32 = 10 - 1;
    const A3V: u32 = 1 << 24;
    const NO_1_OF_N: u32 = 1 << 25;
    const RSS: u32 = 1 << 26;
    let wide = affinities.iter().any(|a| a & 0xf0 != 0);
    words | ID_BITS << 19 | A3V | NO_1_OF_N | if wide { RSS } else { 0 }
}

/// The identification registers 0xffd0..0x10000 of a frame: GICv3 (PIDR2.ArchRev 3), CoreSight.
fn id_register(offset: u64) -> u32 {
    match offset {
        0xffd0 => 0x44,
        0xffe0 => 0x92,
        0xffe4 => 0xb4,
        0xffe8 => 0x3b,
        0xfff0 => 0x0d,
        0xfff4 => 0xf0,
        0xfff8 => 0x05,
        0xfffc => 0xb1,
        _ => 0,
    }
}

/// A register of the map that both frames have at the same offsets, with 32 interrupts or less to
/// a register.
#[derive(Clone, Copy)]
enum Common {
    /// A bit each; the index of the register.
    Bits(BitReg, usize),
    /// Priorities; the first INTID, and how many.
    Priority(u32, u32),
    /// Trigger; the index of the register.
    Config(usize),
}

/// Decodes an aligned access.
fn common(offset: u64, width: usize) -> Option<Common> {
    match (offset, width) {
        (0x80..0x400, 4) => {
            let reg = BitReg::at(offset)?;
            Some(Common::Bits(reg, (offset as usize & 0x7f) / 4))
        }
        (0x400..0x800, 1 | 4) => Some(Common::Priority(offset as u32 - 0x400, width as u32)),
        (0xc00..0xd00, 4) => Some(Common::Config((offset as usize - 0xc00) / 4)),
        _ => None,
    }
}

/// The bits of 16 interrupts, one each, as the two-bit fields of GICD_ICFGR\<n\> (bit 1: edge).
fn config_of(edge: u32) -> u32 {
    (0..16).fold(0, |config, i| config | (edge >> i & 1) << (2 * i + 1))
}

/// The reverse of [`config_of`].
fn edge_of(config: u32) -> u32 {
    (0..16).fold(0, |edge, i| edge | (config >> (2 * i + 1) & 1) << i)
}

fn aligned(offset: u64, width: usize) -> bool {
    matches!(width, 1 | 2 | 4 | 8) && offset & (width as u64 - 1) == 0
}

/// Half `upper` of a 64-bit register, or all of it.
fn part_of(value: u64, offset: u64, width: usize) -> u64 {
    match (width, offset & 4) {
        (8, _) => value,
        (_, 0) => value & 0xffff_ffff,
        _ => value >> 32,
    }
}
