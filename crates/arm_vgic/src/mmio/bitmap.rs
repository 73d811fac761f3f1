//! The registers with a bit for each interrupt: what they read, which list registers are in the
//! way, and what writes do.

use crate::irq::IrqWord;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BitReg {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
}

impl BitReg {
    /// The register at an offset.
    pub fn at(offset: u64) -> Option<Self> {
        Some(match offset >> 7 {
            1 => Self::Group,
            2 => Self::SetEnable,
            3 => Self::ClearEnable,
            4 => Self::SetPending,
            5 => Self::ClearPending,
            6 => Self::SetActive,
            7 => Self::ClearActive,
            _ => return None,
        })
    }

    /// Reads pending state.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::SetPending | Self::ClearPending)
    }

    /// Reads active state.
    pub fn is_active(self) -> bool {
        matches!(self, Self::SetActive | Self::ClearActive)
    }

    pub fn is_enable(self) -> bool {
        matches!(self, Self::SetEnable | Self::ClearEnable)
    }
}

impl IrqWord {
    /// What the register reads, as far as the model knows.
    pub(super) fn read_bits(&self, reg: BitReg) -> u32 {
        match reg {
            BitReg::Group => self.group1,
            BitReg::SetEnable | BitReg::ClearEnable => self.enabled,
            BitReg::SetPending | BitReg::ClearPending => self.pending(),
            BitReg::SetActive | BitReg::ClearActive => self.active,
        }
    }

    /// The interrupts in list registers that are in the way of a read.
    pub(super) fn read_needs(&self, reg: BitReg) -> u32 {
        if reg.is_pending() || reg.is_active() {
            self.in_lr
        } else {
            0
        }
    }

    /// The interrupts in list registers that are in the way of writing `value`.
    pub(super) fn write_needs(&self, reg: BitReg, value: u32) -> u32 {
        let touched = match reg {
            BitReg::Group => self.group1 ^ value,
            // It may be active, and a list register then says nothing of its being enabled.
            BitReg::SetEnable => 0,
            BitReg::ClearEnable => self.enabled & value,
            _ => value,
        };
        touched & self.exists & self.in_lr
    }

    /// Writes any register but those of the active state of SPIs, with nothing in the way.
    pub(super) fn write_bits(&mut self, reg: BitReg, value: u32) {
        let value = value & self.exists;
        match reg {
            BitReg::Group => self.group1 = value,
            BitReg::SetEnable => self.enabled |= value,
            BitReg::ClearEnable => self.enabled &= !value,
            BitReg::SetPending => self.latch |= value,
            BitReg::ClearPending => {
                self.latch &= !value;
                // A linked one's line is the physical controller's to say.
                self.line &= !(value & self.linked);
            }
            BitReg::SetActive => self.active |= value,
            BitReg::ClearActive => self.active &= !value,
        }
    }
}
