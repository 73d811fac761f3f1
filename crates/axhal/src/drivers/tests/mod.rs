//! Drivers on made-up registers: memory that keeps what is written to it.

mod pl011;
mod psci;
mod timer;

use std::{vec, vec::Vec};

use super::mmio::Mmio;

/// Registers that are memory.
pub struct Memory(Vec<u64>);

impl Memory {
    /// `len` bytes of zeros.
    pub fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(8)])
    }

    /// The registers. They must not be used once `self` is gone.
    pub fn regs(&mut self) -> Mmio {
        let va = self.0.as_mut_ptr().expose_provenance();
        // SAFETY: the vector's memory is mapped and aligned, is not reached by another way while
        // the registers are used, and outlives them in all tests.
        unsafe { Mmio::new(va, self.0.len() * 8) }
    }
}

#[test]
fn accesses_are_little_endian_and_of_their_width() {
    let mut memory = Memory::new(16);
    let regs = memory.regs();
    regs.write64(0, 0x1122_3344_5566_7788);
    assert_eq!(regs.read32(0), 0x5566_7788);
    assert_eq!(regs.read32(4), 0x1122_3344);
    regs.write8(1, 0xee);
    assert_eq!(regs.read32(0), 0x5566_ee88);
    regs.write32(12, 1);
    assert_eq!(regs.read64(8), 1 << 32);
}

#[test]
fn accesses_are_bounded() {
    let mut memory = Memory::new(16);
    let regs = memory.regs();
    let outside: [fn(Mmio); 5] = [
        |regs| _ = regs.read32(16),
        |regs| _ = regs.read32(2),
        |regs| _ = regs.read64(12),
        |regs| regs.write32(usize::MAX - 3, 0),
        |regs| regs.write8(16, 0),
    ];
    for access in outside {
        assert!(std::panic::catch_unwind(|| access(regs)).is_err());
    }
    assert_eq!(regs.slice(8, 8).unwrap().len(), 8);
    assert!(regs.slice(8, 9).is_none());
    assert!(regs.slice(4, 4).is_none());
    assert!(regs.slice(8, usize::MAX).is_none());
}
