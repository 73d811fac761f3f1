//! The state of 32 interrupts.

use crate::CpuInterface;
use crate::regs::lr;

/// GICD_CTLR.EnableGrp0.
pub(crate) const ENABLE_GRP0: u32 = 1 << 0;
/// GICD_CTLR.EnableGrp1.
pub(crate) const ENABLE_GRP1: u32 = 1 << 1;

/// The bits set in `word`, lowest first.
pub(crate) fn bits(mut word: u32) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros();
            word &= word - 1;
            bit
        })
    })
}

/// What a list register says of an interrupt besides its state.
#[derive(Clone, Copy)]
pub(crate) struct Face {
    pub intid: u32,
    /// The physical one, if it is linked.
    pub pintid: u32,
    /// If it is active, the one it was acknowledged with.
    pub prio: u8,
}

/// The state of 32 interrupts, a bit each.
///
/// While an interrupt is in a list register (`in_lr`), the list register owns its active state
/// and the pending state it was given; `latch`, and `line` of a linked one, then mean *pending
/// once more*.
#[derive(Clone, Copy, Default)]
pub(crate) struct IrqWord {
    /// Implemented at all; the others stay 0.
    pub exists: u32,
    pub enabled: u32,
    pub group1: u32,
    /// Edge-triggered; else level-sensitive.
    pub edge: u32,
    /// Pending: an edge came, or software set it (of either trigger).
    pub latch: u32,
    /// The level of the input line. A linked interrupt's: it fired, and was asserted when last
    /// looked at.
    pub line: u32,
    pub active: u32,
    pub in_lr: u32,
    /// In a list register, and: level-sensitive and pending by `latch` rather than `line` alone;
    /// or edge-triggered and to be looked at when it is deactivated.
    pub soft: u32,
    /// Stands for a physical interrupt, which is physically active while this one is pending or
    /// active here or in a list register.
    pub linked: u32,
}

impl IrqWord {
    /// Pending, as far as the model owns it.
    #[inline]
    pub fn pending(&self) -> u32 {
        self.latch | (self.line & !self.edge)
    }

    /// Enabled, and its group is enabled in the distributor.
    #[inline]
    pub fn forwarded(&self, ctlr: u32) -> u32 {
        let mut groups = 0;
        if ctlr & ENABLE_GRP1 != 0 {
            groups |= self.group1;
        }
        if ctlr & ENABLE_GRP0 != 0 {
            groups |= !self.group1;
        }
        self.enabled & groups
    }

    /// To be delivered, and not in a list register.
    #[inline]
    pub fn ready(&self, ctlr: u32) -> u32 {
        self.pending() & self.forwarded(ctlr) & !self.active & !self.in_lr
    }

    /// In a list register, and pending once more (see the type).
    #[inline]
    pub fn again(&self, ctlr: u32) -> u32 {
        let more = self.latch & self.edge & !self.soft | (self.latch | self.line) & self.linked;
        self.in_lr & more & self.forwarded(ctlr)
    }

    /// In a list register that no longer says all of it: pending once more, or a level that fell.
    pub fn stale(&self, ctlr: u32) -> u32 {
        let fell = !self.edge & !self.linked & !self.line & !self.soft;
        self.again(ctlr) | self.in_lr & fell
    }

    /// Moves interrupt `bit`, which is ready, into a list register and returns its image.
    #[inline]
    pub fn hand_over_ready(&mut self, bit: u32, face: Face) -> u64 {
        let mut image = self.image_of(bit, face) | lr::PENDING;
        if self.linked & bit != 0 {
            self.line &= !bit;
        } else if self.edge & bit == 0 {
            // The line is sampled again when the guest has deactivated it.
            image |= lr::EOI;
        }
        self.soft |= self.latch & !self.edge & bit;
        self.latch &= !bit;
        self.in_lr |= bit;
        image
    }

    /// What of an image does not depend on the state.
    #[inline]
    fn image_of(&self, bit: u32, face: Face) -> u64 {
        let mut image = u64::from(face.intid) | u64::from(face.prio) << lr::PRIORITY_SHIFT;
        if self.group1 & bit != 0 {
            image |= lr::GROUP1;
        }
        if self.linked & bit != 0 {
            image |= lr::HW | u64::from(face.pintid) << lr::PINTID_SHIFT;
        }
        image
    }

    /// Moves interrupt `bit`, which is active, into a list register and returns its image.
    /// `together`: if it is pending too, it can be so in the same list register, with the same
    /// priority and on the same vCPU.
    pub fn hand_over_active<C: CpuInterface>(
        &mut self,
        bit: u32,
        face: Face,
        together: bool,
        ctlr: u32,
    ) -> u64 {
        let mut image = self.image_of(bit, face) | lr::ACTIVE;
        if self.linked & bit != 0 {
            // Pending and active is for software interrupts only (ICH_LR<n>_EL2.State). The
            // physical controller keeps the pending half until the guest deactivates.
            self.pend_physically::<C>(bit, face.pintid);
        } else if self.edge & bit == 0 {
            image |= lr::EOI;
        } else if self.latch & self.forwarded(ctlr) & bit != 0 {
            if together {
                image |= lr::PENDING;
                self.latch &= !bit;
            } else {
                // The pending half waits for the other.
                image |= lr::EOI;
                self.soft |= bit;
            }
        }
        self.active &= !bit;
        self.in_lr |= bit;
        image
    }

    /// Takes interrupt `bit` back from a list register that reads `image`.
    #[inline]
    pub fn take_back<C: CpuInterface>(&mut self, bit: u32, pintid: u32, image: u64) {
        self.in_lr &= !bit;
        let soft = self.soft & bit;
        self.soft &= !bit;
        if image & lr::ACTIVE != 0 {
            self.active |= bit;
        }
        if image & lr::PENDING == 0 {
            return;
        }
        if self.edge & bit != 0 || soft != 0 {
            self.latch |= bit;
        } else if self.linked & bit != 0 {
            self.line |= bit;
            self.resample::<C>(bit, pintid);
        }
    }

    /// The linked level-sensitive interrupts that fired and were not taken yet.
    #[inline]
    fn fired(&self) -> u32 {
        self.line & self.linked & !self.edge & !self.latch & !self.active & !self.in_lr
    }

    /// One that [`fired`](Self::fired): forgets it if its line has fallen since. The physical
    /// controller fires it again if that is wrong.
    pub fn resample<C: CpuInterface>(&mut self, bit: u32, pintid: u32) {
        if self.fired() & bit != 0 && !C::phys_is_pending(pintid) {
            self.line &= !bit;
            C::phys_set_active(pintid, false);
        }
    }

    /// What is pending, where the physical interrupts `pintid` can be asked: linked ones are as
    /// their lines are now. With nothing in a list register.
    #[cold]
    pub fn pending_now<C: CpuInterface>(&mut self, pintid: impl Fn(u32) -> u32) -> u32 {
        for b in bits(self.fired()) {
            self.resample::<C>(1 << b, pintid(b));
        }
        let known = self.pending();
        bits(self.linked & !known).fold(known, |pending, b| {
            pending | u32::from(C::phys_is_pending(pintid(b))) << b
        })
    }

    /// The guest has deactivated interrupt `bit`, which is in no list register.
    pub fn deactivate<C: CpuInterface>(&mut self, bit: u32, pintid: u32) {
        self.active &= !bit;
        if self.linked & bit != 0 && self.pending() & bit == 0 {
            C::phys_set_active(pintid, false);
        }
    }

    /// Brings the physical state of linked interrupt `bit` in line with the model's.
    pub fn apply<C: CpuInterface>(&mut self, bit: u32, pintid: u32) {
        if self.in_lr & bit != 0 {
            return;
        }
        if self.active & bit != 0 {
            self.pend_physically::<C>(bit, pintid);
        }
        C::phys_set_active(pintid, (self.active | self.pending()) & bit != 0);
    }

    fn pend_physically<C: CpuInterface>(&mut self, bit: u32, pintid: u32) {
        if self.latch & bit != 0 {
            C::phys_set_pending(pintid, true);
        }
        // A line that is asserted still fires again by itself.
        self.latch &= !bit;
        self.line &= !bit;
    }
}
