//! One interrupt line: its enable, pending and active bits, priority and trigger.

use spin::Mutex;

use super::{
    GICD_CTLR, GicError, ICACTIVER, ICENABLER, ICFGR, ICPENDR, IPRIORITYR, ISACTIVER, ISENABLER,
    ISPENDR, wait_for_writes,
};
use crate::{drivers::mmio::Mmio, machine::Trigger};

/// GICD_ICFGR and GICR_ICFGR have 16 lines each, and no registers to set or clear single bits.
static CONFIG: Mutex<()> = Mutex::new(());

/// An interrupt of the distributor or of one CPU's redistributor. Those of a redistributor may be
/// used from other CPUs too.
///
/// The bits have registers that set and registers that clear, so that no lock is needed.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The frame with this line's bits.
    bank: Mmio,
    /// The frame with the control register.
    control: Mmio,
    /// The bit of that register which says that a write is on its way.
    write_pending: u32,
    intid: u32,
}

impl Line {
    /// `intid` must be one of the bank's.
    pub(super) fn new(bank: Mmio, intid: u32, control: Mmio, write_pending: u32) -> Self {
        Self {
            bank,
            control,
            write_pending,
            intid,
        }
    }

    /// Its number.
    #[inline]
    pub fn intid(&self) -> u32 {
        self.intid
    }

    #[inline]
    fn write_bit(&self, registers: usize) {
        let register = registers + self.intid as usize / 32 * 4;
        self.bank.write32(register, 1 << (self.intid % 32));
    }

    #[inline]
    fn read_bit(&self, registers: usize) -> bool {
        let register = registers + self.intid as usize / 32 * 4;
        self.bank.read32(register) >> (self.intid % 32) & 1 != 0
    }

    /// Lets it be signalled.
    #[inline]
    pub fn enable(&self) {
        self.write_bit(ISENABLER);
    }

    /// Keeps it from being signalled, and waits until that is so. It may have been acknowledged
    /// already by a CPU that has not handled it yet.
    pub fn disable(&self) -> Result<(), GicError> {
        self.write_bit(ICENABLER);
        // Both control registers are the first of their frames.
        wait_for_writes(&self.control, GICD_CTLR, self.write_pending)
    }

    /// Whether it may be signalled.
    pub fn is_enabled(&self) -> bool {
        self.read_bit(ISENABLER)
    }

    /// Sets its priority: the lower, the more urgent. The low bits may not exist.
    pub fn set_priority(&self, priority: u8) {
        self.bank.write8(IPRIORITYR + self.intid as usize, priority);
    }

    /// Sets what makes it pending. It must be disabled: changing this on an enabled line is
    /// UNPREDICTABLE. Software-generated interrupts are edges, and some CPUs' private ones are
    /// what they are.
    pub fn set_trigger(&self, trigger: Trigger) -> Result<(), GicError> {
        let intid = self.intid;
        if self.is_enabled() {
            return Err(GicError::Enabled { intid });
        }
        let register = ICFGR + intid as usize / 16 * 4;
        let edge = 2 << (intid % 16 * 2);
        let _config = CONFIG.lock();
        let old = self.bank.read32(register);
        let new = match trigger {
            Trigger::Edge => old | edge,
            Trigger::Level => old & !edge,
        };
        self.bank.write32(register, new);
        if self.bank.read32(register) & edge != new & edge {
            return Err(GicError::FixedTrigger { intid });
        }
        Ok(())
    }

    /// Makes it pending.
    #[inline]
    pub fn set_pending(&self) {
        self.write_bit(ISPENDR);
    }

    /// Takes back that it is pending. A level triggered line stays pending while it is high.
    #[inline]
    pub fn clear_pending(&self) {
        self.write_bit(ICPENDR);
    }

    /// Whether it is pending (or active and pending).
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.read_bit(ISPENDR)
    }

    /// Makes it active, so that it is not signalled until it is deactivated.
    #[inline]
    pub fn set_active(&self) {
        self.write_bit(ISACTIVER);
        // Reading it back makes sure that the write has arrived before a guest is entered: the
        // guest's deactivation takes another way, and must not come first.
        let _ = self.read_bit(ISACTIVER);
    }

    /// Makes it inactive.
    #[inline]
    pub fn clear_active(&self) {
        self.write_bit(ICACTIVER);
    }

    /// Whether it is active.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.read_bit(ISACTIVER)
    }
}
