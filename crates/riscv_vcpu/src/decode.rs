//! What the instruction was that trapped. Pure: RISC-V unprivileged ISA (load and store, "C", "Zcb"),
//! and "Transformed Instruction or Pseudoinstruction for mtinst or htinst" of the privileged ISA.

use axdevice::AccessWidth;

/// A load or store of one integer register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The register it loads or stores: 0 to 31.
    pub reg: usize,
    /// How wide it is.
    pub width: AccessWidth,
    /// It loads.
    pub load: bool,
    /// What is loaded is sign-extended.
    pub signed: bool,
    /// Bytes of the instruction: 2 or 4.
    pub length: u64,
}

impl Access {
    /// What the register gets when the device answers `value`.
    #[inline]
    pub const fn extend(&self, value: u64) -> u64 {
        let unused = 64 - 8 * self.width.bytes() as u32;
        let high = value << unused;
        if self.signed {
            (high as i64 >> unused) as u64
        } else {
            high >> unused
        }
    }
}

/// What htinst says of a guest page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trapped {
    /// Nothing: the instruction is to be fetched.
    Unknown,
    /// The access is an implicit one of a page-table walk.
    Walk {
        /// It was to set accessed or dirty.
        write: bool,
    },
    /// A load or store.
    Access(Access),
    /// Not an instruction for devices.
    Other,
}

/// Bits 1:0 of htinst: bit 0 is set for a transformed instruction, bit 1 if that has 32 bits.
const TRANSFORMED: u64 = 1 << 0;
const FULL_SIZE: u64 = 1 << 1;
/// Pseudoinstructions: a read or write of a page-table entry of 32 bits, and of 64 bits.
const WALK_READ: [u64; 2] = [0x2000, 0x3000];
const WALK_WRITE: [u64; 2] = [0x2020, 0x3020];
/// Where a transformed load or store has "Addr. Offset": how far behind the first byte of a
/// misaligned access the fault is.
const ADDRESS_OFFSET: u32 = 0x1f << 15;

/// Reads htinst.
#[inline]
pub const fn transformed(htinst: u64) -> Trapped {
    if htinst == 0 {
        return Trapped::Unknown;
    }
    if htinst & TRANSFORMED == 0 {
        if htinst == WALK_READ[0] || htinst == WALK_READ[1] {
            return Trapped::Walk { write: false };
        }
        if htinst == WALK_WRITE[0] || htinst == WALK_WRITE[1] {
            return Trapped::Walk { write: true };
        }
        // Custom: what it means is not known here, but the instruction itself is still there.
        return Trapped::Unknown;
    }
    let word = htinst as u32 | FULL_SIZE as u32;
    let length = if htinst & FULL_SIZE == 0 { 2 } else { 4 };
    match full(word, length) {
        // The first part of it went elsewhere.
        Some(_) if word & ADDRESS_OFFSET != 0 => Trapped::Other,
        Some(access) => Trapped::Access(access),
        None => Trapped::Other,
    }
}

/// Decodes an instruction as it is in memory; of a compressed one the lower half counts. `None`: no
/// load or store of one integer register.
pub const fn instruction(bits: u32) -> Option<Access> {
    if bits & 3 == 3 {
        full(bits, 4)
    } else {
        compressed(bits as u16)
    }
}

#[inline]
const fn field(bits: u32, low: u32, len: u32) -> u32 {
    bits >> low & ((1 << len) - 1)
}

/// An instruction of 32 bits, or what one of 16 was transformed to.
#[inline]
const fn full(bits: u32, length: u64) -> Option<Access> {
    const LOAD: u32 = 0b000_0011;
    const STORE: u32 = 0b010_0011;
    let funct3 = field(bits, 12, 3);
    let width = AccessWidth::from_log2(funct3 as u8);
    match field(bits, 0, 7) {
        // LB, LH, LW, LD, LBU, LHU, LWU: bit 2 of funct3 is "unsigned".
        LOAD if funct3 != 7 => Some(Access {
            reg: field(bits, 7, 5) as usize,
            width,
            load: true,
            signed: funct3 < 4,
            length,
        }),
        // SB, SH, SW, SD.
        STORE if funct3 < 4 => Some(Access {
            reg: field(bits, 20, 5) as usize,
            width,
            load: false,
            signed: false,
            length,
        }),
        _ => None,
    }
}

/// An instruction of 16 bits.
const fn compressed(bits: u16) -> Option<Access> {
    use AccessWidth::{Byte, Double, Half, Word};
    let bits = bits as u32;
    // Registers 8 to 15, in three bits.
    let short = 8 + field(bits, 2, 3) as usize;
    let (reg, width, load, signed) = match (field(bits, 0, 2), field(bits, 13, 3)) {
        // C.LW, C.LD, C.SW, C.SD.
        (0, 0b010) => (short, Word, true, true),
        (0, 0b011) => (short, Double, true, true),
        (0, 0b110) => (short, Word, false, false),
        (0, 0b111) => (short, Double, false, false),
        // Zcb: bits 12:10, and bit 6 for the half words.
        (0, 0b100) => match (field(bits, 10, 3), field(bits, 6, 1)) {
            (0b000, _) => (short, Byte, true, false),
            (0b001, 0) => (short, Half, true, false),
            (0b001, _) => (short, Half, true, true),
            (0b010, _) => (short, Byte, false, false),
            (0b011, 0) => (short, Half, false, false),
            _ => return None,
        },
        // C.LWSP, C.LDSP (not to x0, which is reserved), C.SWSP, C.SDSP.
        (2, 0b010) if field(bits, 7, 5) != 0 => (field(bits, 7, 5) as usize, Word, true, true),
        (2, 0b011) if field(bits, 7, 5) != 0 => (field(bits, 7, 5) as usize, Double, true, true),
        (2, 0b110) => (field(bits, 2, 5) as usize, Word, false, false),
        (2, 0b111) => (field(bits, 2, 5) as usize, Double, false, false),
        _ => return None,
    };
    Some(Access {
        reg,
        width,
        load,
        signed,
        length: 2,
    })
}

/// What an instruction was that is HS-mode's and not VS-mode's ("Virtual-instruction exception").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Virtual {
    /// WFI.
    Wfi,
    /// WRS.NTO (Zawrs): waits for a store by another hart, or for any time.
    WrsNto,
    /// Hypervisor instructions, CSRs that are hidden, ...: for a guest, which has no hypervisor
    /// extension, they are no instructions.
    Other,
}

/// Reads a 32-bit instruction that raised a virtual-instruction exception.
pub const fn virtual_instruction(bits: u32) -> Virtual {
    const WFI: u32 = 0x1050_0073;
    const WRS_NTO: u32 = 0x00d0_0073;
    match bits {
        WFI => Virtual::Wfi,
        WRS_NTO => Virtual::WrsNto,
        _ => Virtual::Other,
    }
}

#[cfg(test)]
mod tests;
