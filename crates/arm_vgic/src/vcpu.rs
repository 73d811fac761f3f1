//! What belongs to one vCPU: its private interrupts, and which interrupts are in which of its
//! list registers.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};

use spin::Mutex;

use crate::CpuInterface;
use crate::irq::{Face, IrqWord};
use crate::regs::lr;

/// No interrupt.
pub(crate) const EMPTY: u16 = u16::MAX;
/// SGIs: INTIDs 0..16. Always edge-triggered.
pub(crate) const SGIS: u32 = 0xffff;

/// One vCPU. On cache lines of its own: the atomics are written by other CPUs.
#[repr(align(128))]
pub(crate) struct Vcpu {
    /// Affinity as in MPIDR_EL1 without its other bits: Aff3 in bits \[39:32\].
    pub affinity: u64,
    /// SGIs sent and not looked at. Senders set bits (release) and then notify; whoever holds
    /// the bank's lock takes them all (acquire).
    pub inbox: AtomicU32,
    /// A bit for each word of SPIs in which the vCPU's queue is not empty. Changed under the
    /// distributor's lock only; read by the vCPU without it, which may miss a bit set at the
    /// same time: it is notified after that, and looks again.
    pub spi_words: AtomicU32,
    /// Which private interrupts are in Group 1: a copy for senders of SGIs. Written under the
    /// bank's lock; an SGI sent at the same time may see either.
    pub group1: AtomicU32,
    /// Its list registers are in a CPU's hardware. Set and cleared by that CPU only; while it is
    /// clear none of the vCPU's interrupts is marked `in_lr`. See `hold.rs` for the ordering.
    pub live: AtomicBool,
    /// The physical CPU it was loaded on last; 0 before. Written by that CPU, before it takes the
    /// distributor's lock to have routes follow; read under that lock.
    pub cpu: AtomicUsize,
    /// Everything else. Taken by the vCPU's own CPU, and by others for their rare accesses to
    /// this vCPU's redistributor.
    pub bank: Mutex<Bank>,
}

impl Vcpu {
    pub fn new(affinity: u64) -> Self {
        Self {
            affinity,
            inbox: AtomicU32::new(0),
            spi_words: AtomicU32::new(0),
            group1: AtomicU32::new(0),
            live: AtomicBool::new(false),
            cpu: AtomicUsize::new(0),
            bank: Mutex::new(Bank::new()),
        }
    }
}

/// The part of a vCPU that its lock protects.
pub(crate) struct Bank {
    pub irqs: IrqWord,
    pub prio: [u8; 32],
    /// Of those active in the model: the priority they were acknowledged with, which is the one
    /// the CPU interface drops at their EOI, whatever `prio` is now.
    pub active_prio: [u8; 32],
    /// The physical PPI of each linked one.
    pub pintid: [u8; 32],
    /// Linked PPIs whose physical state the vCPU's CPU has to bring in line.
    pub dirty: u32,
    /// Linked PPIs whose physical pending latch it has to clear.
    pub dirty_pending: u32,
    /// The INTID in each list register, or `EMPTY`. It stays after the guest has deactivated the
    /// interrupt, until the register is used again or folded.
    pub slots: [u16; 16],
    /// Which list register each private interrupt marked `in_lr` is in.
    pub slot_of_private: [u8; 32],
    /// A bit for each list register of the CPU it is loaded on.
    pub lr_mask: u32,
    /// How many these are.
    pub lr_count: usize,
    /// What ICH_HCR_EL2 was written with; meaningful while loaded.
    pub hcr: u64,
    /// In a CPU's hardware: VMCR and active priorities, and the list registers if live.
    pub loaded: bool,
    pub saved: Saved,
    /// GICR_WAKER.ProcessorSleep.
    pub sleeping: bool,
}

/// The virtual CPU interface of a vCPU that is not loaded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Saved {
    pub vmcr: u64,
    pub ap0r: [u32; 4],
    pub ap1r: [u32; 4],
}

impl Bank {
    fn new() -> Self {
        let mut bank = Self {
            irqs: IrqWord::default(),
            prio: [0; 32],
            active_prio: [0; 32],
            pintid: [0; 32],
            dirty: 0,
            dirty_pending: 0,
            slots: [EMPTY; 16],
            slot_of_private: [0; 32],
            lr_mask: 0,
            lr_count: 0,
            hcr: 0,
            loaded: false,
            saved: Saved::default(),
            sleeping: true,
        };
        bank.reset();
        bank
    }

    /// Back to power-on; `linked` bits stay.
    pub fn reset(&mut self) {
        self.irqs = IrqWord {
            exists: u32::MAX,
            edge: SGIS,
            linked: self.irqs.linked,
            ..IrqWord::default()
        };
        self.prio = [0; 32];
        self.active_prio = [0; 32];
        self.dirty = 0;
        self.dirty_pending = 0;
        self.slots = [EMPTY; 16];
        self.hcr = 0;
        self.saved = Saved::default();
        self.sleeping = true;
    }

    /// The list register interrupt `intid` was put in.
    pub fn slot_of(&self, intid: u32) -> Option<usize> {
        self.slots.iter().position(|&id| u32::from(id) == intid)
    }

    /// Moves private interrupt `intid` (below 32), ready or active, into an image.
    #[inline(always)]
    pub fn hand_over<C: CpuInterface>(&mut self, intid: u32, ctlr: u32) -> u64 {
        let i = (intid % 32) as usize;
        if self.irqs.active >> i & 1 != 0 {
            return self.hand_over_active::<C>(intid, ctlr);
        }
        let face = Face {
            intid,
            pintid: self.pintid[i].into(),
            prio: self.prio[i],
        };
        self.irqs.hand_over_ready(1 << i, face)
    }

    #[cold]
    fn hand_over_active<C: CpuInterface>(&mut self, intid: u32, ctlr: u32) -> u64 {
        let i = (intid % 32) as usize;
        let face = Face {
            intid,
            pintid: self.pintid[i].into(),
            prio: self.active_prio[i],
        };
        let together = self.active_prio[i] == self.prio[i];
        self.irqs
            .hand_over_active::<C>(1 << i, face, together, ctlr)
    }

    /// Takes private interrupt `intid` back from an image.
    #[inline]
    pub fn take_back<C: CpuInterface>(&mut self, intid: u32, image: u64) {
        let i = (intid % 32) as usize;
        if image & lr::ACTIVE != 0 {
            self.active_prio[i] = lr::priority(image);
        }
        self.irqs
            .take_back::<C>(1 << i, u32::from(self.pintid[i]), image);
    }
}
