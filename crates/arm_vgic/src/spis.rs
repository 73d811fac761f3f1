//! Shared peripheral interrupts: the part of the distributor that its lock protects.

use alloc::boxed::Box;
use alloc::vec;
use core::sync::atomic::Ordering;

use crate::CpuInterface;
use crate::irq::{Face, IrqWord};
use crate::regs::lr;
use crate::vcpu::Vcpu;

/// The first SPI's INTID.
pub(crate) const FIRST: u32 = 32;
/// No vCPU.
pub(crate) const NOBODY: u8 = u8::MAX;
/// Most words of SPIs: INTIDs 32..1024.
pub(crate) const MAX_WORDS: usize = 31;

/// What is not a bit of an SPI.
#[derive(Clone, Copy)]
pub(crate) struct Spi {
    /// Affinity it is routed to, as in GICD_IROUTER<n>: Aff3 in bits \[39:32\].
    pub route: u64,
    pub prio: u8,
    /// While active in the model: the priority it was acknowledged with.
    pub active_prio: u8,
    /// The vCPU of that affinity, or `NOBODY`.
    pub target: u8,
    /// While active or in a list register: the vCPU it is so on.
    pub holder: u8,
}

/// All SPIs of a VM.
pub(crate) struct Spis {
    pub words: Box<[IrqWord]>,
    pub each: Box<[Spi]>,
    /// For each vCPU the SPIs it must look at: to be delivered to it, or in its list registers
    /// and stale. A bit may be there without need; none is missing. [`Vcpu::spi_words`] has a
    /// bit for each word that is not 0.
    pub queues: Box<[[u32; MAX_WORDS]]>,
    /// For each vCPU how many SPIs are active on it and in no list register.
    pub active_out: Box<[u16]>,
    /// vCPUs (a mask) to be notified when the lock is free: see `Vgic::with_spis`.
    pub notify: u64,
}

impl Spis {
    /// `count` SPIs, for `vcpus` vCPUs, as after reset.
    pub fn new(count: u32, vcpus: usize) -> Self {
        let words = count.div_ceil(32) as usize;
        Self {
            words: vec![IrqWord::default(); words].into(),
            each: vec![
                Spi {
                    route: 0,
                    prio: 0,
                    active_prio: 0,
                    target: NOBODY,
                    holder: NOBODY
                };
                words * 32
            ]
            .into(),
            queues: vec![[0; MAX_WORDS]; vcpus].into(),
            active_out: vec![0; vcpus].into(),
            notify: 0,
        }
    }

    /// Back to power-on; `linked` bits stay. All are routed to the vCPU with affinity `route`, which
    /// was last on CPU `cpu`.
    pub fn reset<C: CpuInterface>(&mut self, route: u64, cpu: usize) {
        for (w, word) in self.words.iter_mut().enumerate() {
            for bit in crate::irq::bits(word.linked) {
                let intid = FIRST + 32 * w as u32 + bit;
                C::phys_enable(intid, false);
                C::phys_set_pending(intid, false);
                C::phys_set_active(intid, false);
                C::phys_set_edge(intid, false);
                C::phys_route(intid, cpu);
            }
            // INTIDs 1020..=1023 are not interrupts.
            let exists = if w == MAX_WORDS - 1 {
                u32::MAX >> 4
            } else {
                u32::MAX
            };
            *word = IrqWord {
                exists,
                linked: word.linked,
                ..IrqWord::default()
            };
        }
        self.each.fill(Spi {
            route,
            prio: 0,
            active_prio: 0,
            target: 0,
            holder: NOBODY,
        });
        self.queues.fill([0; MAX_WORDS]);
        self.active_out.fill(0);
        self.notify = 0;
    }

    /// SPI number (from 0), word and bit of an INTID.
    #[inline]
    pub fn place(&self, intid: u32) -> Option<(usize, usize, u32)> {
        let n = intid.checked_sub(FIRST)? as usize;
        let bit = 1 << (n % 32);
        let word = self.words.get(n / 32)?;
        (word.exists & bit != 0).then_some((n, n / 32, bit))
    }

    /// Queues SPI `n` where it has to be looked at, and has that vCPU notified.
    pub fn refresh(&mut self, vcpus: &[Vcpu], n: usize, ctlr: u32) {
        let (w, bit) = (n / 32, 1 << (n % 32));
        let (word, spi) = (&self.words[w], &self.each[n]);
        let who = if word.ready(ctlr) & bit != 0 {
            spi.target
        } else if word.stale(ctlr) & bit != 0 {
            spi.holder
        } else {
            return;
        };
        self.queue(vcpus, usize::from(who), n);
    }

    /// Has vCPU `who`, if there is one, look at SPI `n`.
    pub fn queue(&mut self, vcpus: &[Vcpu], who: usize, n: usize) {
        let (w, bit) = (n / 32, 1 << (n % 32));
        if let (Some(queue), Some(vcpu)) = (self.queues.get_mut(who), vcpus.get(who)) {
            queue[w] |= bit;
            vcpu.spi_words.fetch_or(1 << w, Ordering::Release);
            self.notify |= 1 << who;
        }
    }

    /// Takes SPI `n` out of a vCPU's queue.
    pub fn unqueue(&mut self, vcpu: &Vcpu, who: usize, n: usize) {
        let (w, bit) = (n / 32, 1 << (n % 32));
        self.queues[who][w] &= !bit;
        if self.queues[who][w] == 0 {
            vcpu.spi_words.fetch_and(!(1 << w), Ordering::Relaxed);
        }
    }

    /// Moves SPI `n`, ready or active, into an image for a list register of vCPU `who`.
    pub fn hand_over<C: CpuInterface>(&mut self, n: usize, who: usize, ctlr: u32) -> u64 {
        let (word, bit) = (&mut self.words[n / 32], 1 << (n % 32));
        let spi = &mut self.each[n];
        spi.holder = who as u8;
        let mut face = Face {
            intid: FIRST + n as u32,
            pintid: FIRST + n as u32,
            prio: spi.prio,
        };
        if word.active & bit == 0 {
            return word.hand_over_ready(bit, face);
        }
        self.active_out[who] -= 1;
        face.prio = spi.active_prio;
        let together = spi.prio == spi.active_prio && usize::from(spi.target) == who;
        word.hand_over_active::<C>(bit, face, together, ctlr)
    }

    /// Takes SPI `n` back from an image of vCPU `who`.
    pub fn take_back<C: CpuInterface>(&mut self, n: usize, who: usize, image: u64) {
        if image & lr::ACTIVE != 0 {
            self.each[n].active_prio = lr::priority(image);
            self.active_out[who] += 1;
        }
        self.words[n / 32].take_back::<C>(1 << (n % 32), FIRST + n as u32, image);
    }

    /// Makes SPI `n`, in no list register, active on vCPU `who`, or inactive.
    pub fn set_active(&mut self, n: usize, who: usize, active: bool) {
        let (word, bit) = (&mut self.words[n / 32], 1 << (n % 32));
        if (word.active & bit != 0) == active {
            return;
        }
        word.active ^= bit;
        if active {
            self.each[n].active_prio = self.each[n].prio;
            self.each[n].holder = who as u8;
            self.active_out[who] += 1;
        } else if let Some(count) = self.active_out.get_mut(usize::from(self.each[n].holder)) {
            *count -= 1;
        }
    }
}
