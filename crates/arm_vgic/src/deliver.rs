//! Moving interrupts between the model and the list registers of the vCPU loaded on this CPU.

mod refill;

use core::sync::atomic::Ordering;

use crate::irq::bits;
use crate::regs::{hcr, lr};
use crate::spis::{FIRST, Spis};
use crate::vcpu::{Bank, EMPTY, Vcpu};
use crate::{CpuInterface, Notify, Vgic, Wanted};

/// The bits of ICH_HCR_EL2 that are set while something pending waits outside the list registers.
pub(crate) const WAITING: u64 =
    hcr::NPIE | hcr::VGRP0EIE | hcr::VGRP0DIE | hcr::VGRP1EIE | hcr::VGRP1DIE;

/// ICH_HCR_EL2 while nothing waits. Trapped writes of ICC_DIR_EL1 tell which interrupt the guest
/// deactivates, also one that is in another vCPU's list register or in none; guests with EOImode 0
/// never write it.
#[inline]
pub(crate) fn base_hcr<C: CpuInterface>() -> u64 {
    hcr::EN | if C::has_tdir() { hcr::TDIR } else { 0 }
}

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// Before an entry to the guest, if [`Wanted::Sync`] was asked for since the last: moves what
    /// was recorded for `vcpu`, which is loaded on this CPU, into list registers. `false`: another
    /// vCPU's access needs the list registers empty for a moment; look at the requests and call it
    /// again, do not enter.
    #[inline]
    pub fn sync_in(&self, vcpu: usize) -> bool {
        let v = &self.vcpus[vcpu];
        if v.live.load(Ordering::Relaxed)
            && v.spi_words.load(Ordering::Acquire) == 0
            && self.place_private(v, &mut v.bank.lock(), None)
        {
            return true;
        }
        self.sync_all(vcpu)
    }

    #[inline(never)]
    fn sync_all(&self, me: usize) -> bool {
        let v = &self.vcpus[me];
        self.with_spis(1 << me, |spis| {
            let mut bank = v.bank.lock();
            let bank = &mut *bank;
            if !bank.loaded {
                return true;
            }
            if !v.live.load(Ordering::Relaxed) {
                if !self.try_live(me) {
                    return false;
                }
                self.refill(v, me, bank, spis);
            } else if spis.active_out[me] != 0 && bank.hcr & hcr::LRENPIE == 0
                || !self.place_private(v, bank, Some(spis))
                || !self.place_spis(v, me, bank, spis)
            {
                self.fold_all(me, bank, spis);
                self.refill(v, me, bank, spis);
            }
            true
        })
    }

    /// Runs `f` under the distributor's lock, and then notifies the vCPUs for which it queued
    /// something, except those in the mask `except`.
    #[inline]
    pub(crate) fn with_spis<R>(&self, except: u64, f: impl FnOnce(&mut Spis) -> R) -> R {
        let (result, notify) = {
            let mut spis = self.spis.lock();
            let result = f(&mut spis);
            (result, core::mem::take(&mut spis.notify))
        };
        self.notify_mask(notify & !except);
        result
    }

    /// Private interrupts into list registers that are free; with `spis` also into those that an
    /// SPI has left. `false`: not all of them fit.
    #[inline]
    fn place_private(&self, v: &Vcpu, bank: &mut Bank, mut spis: Option<&mut Spis>) -> bool {
        drain_inbox(v, bank);
        // Software made one active: it has to be in a list register, or counted.
        if bank.irqs.active != 0 && bank.hcr & hcr::LRENPIE == 0 {
            return false;
        }
        if bank.dirty != 0 {
            apply_dirty::<C>(bank);
        }
        let ctlr = self.ctlr();
        let todo = bank.irqs.ready(ctlr) | bank.irqs.again(ctlr);
        if todo == 0 {
            return true;
        }
        let mut free = C::elrsr() & bank.lr_mask;
        for intid in bits(todo) {
            let bit = 1 << intid;
            if bank.irqs.in_lr & bit != 0 {
                self.replace_private(bank, &mut free, intid);
                continue;
            }
            if bank.irqs.linked & bit != 0 {
                let pintid = u32::from(bank.pintid[intid as usize]);
                bank.irqs.resample::<C>(bit, pintid);
                if bank.irqs.ready(ctlr) & bit == 0 {
                    continue;
                }
            }
            let Some(slot) = self.claim(bank, &mut free, spis.as_deref_mut()) else {
                return false;
            };
            self.put_private(bank, slot, intid);
        }
        true
    }

    /// Private interrupt `intid` is pending once more: its list register is brought up to date.
    /// Mostly the guest has deactivated it, and the register is one of the `free` ones.
    #[inline(always)]
    pub(crate) fn replace_private(&self, bank: &mut Bank, free: &mut u32, intid: u32) {
        let slot = usize::from(bank.slot_of_private[intid as usize % 32]);
        if *free >> (slot & 31) & 1 != 0 {
            *free &= !(1 << slot);
            bank.take_back::<C>(intid, 0);
            self.put_private(bank, slot, intid);
        } else {
            self.update_private(bank, slot, intid);
        }
    }

    #[cold]
    fn update_private(&self, bank: &mut Bank, slot: usize, intid: u32) {
        bank.slots[slot & 15] = EMPTY;
        bank.take_back::<C>(intid, C::read_lr(slot));
        if (bank.irqs.ready(self.ctlr()) | bank.irqs.active) & 1 << intid != 0 {
            self.put_private(bank, slot, intid);
        } else {
            C::write_lr(slot, 0);
        }
    }

    #[inline(always)]
    pub(crate) fn put_private(&self, bank: &mut Bank, slot: usize, intid: u32) {
        let image = bank.hand_over::<C>(intid, self.ctlr());
        bank.slots[slot & 15] = intid as u16;
        bank.slot_of_private[intid as usize % 32] = slot as u8;
        C::write_lr(slot, image);
    }

    /// SPIs of this vCPU's queue into list registers that are free. `false`: not all of them fit.
    fn place_spis(&self, v: &Vcpu, me: usize, bank: &mut Bank, spis: &mut Spis) -> bool {
        let ctlr = self.ctlr();
        for w in bits(v.spi_words.load(Ordering::Relaxed)) {
            for b in bits(spis.queues[me][w as usize]) {
                let (n, bit) = ((w * 32 + b) as usize, 1 << b);
                let intid = FIRST + n as u32;
                let word = &mut spis.words[w as usize];
                let slot = if word.in_lr & bit != 0 {
                    if word.stale(ctlr) & bit == 0 || usize::from(spis.each[n].holder) != me {
                        spis.unqueue(v, me, n);
                        continue;
                    }
                    let slot = bank.slot_of(intid);
                    if let Some(slot) = slot {
                        self.fold_slot(me, bank, spis, slot);
                    }
                    slot
                } else {
                    word.resample::<C>(bit, intid);
                    None
                };
                let (word, spi) = (&spis.words[w as usize], &spis.each[n]);
                let here = word.ready(ctlr) & bit != 0 && usize::from(spi.target) == me
                    || word.active & bit != 0 && usize::from(spi.holder) == me && slot.is_some();
                if here {
                    let free = || self.claim(bank, &mut (C::elrsr() & bank.lr_mask), Some(spis));
                    let Some(slot) = slot.or_else(free) else {
                        return false;
                    };
                    self.put_spi(me, bank, spis, slot, n);
                }
                spis.unqueue(v, me, n);
            }
        }
        true
    }

    fn put_spi(&self, me: usize, bank: &mut Bank, spis: &mut Spis, slot: usize, n: usize) {
        let image = spis.hand_over::<C>(n, me, self.ctlr());
        bank.slots[slot] = FIRST as u16 + n as u16;
        C::write_lr(slot, image);
    }

    /// One of the list registers in `free`, which are empty by ICH_ELRSR_EL2. What was in it has
    /// been deactivated by the guest; with `spis` that may have been an SPI.
    #[inline]
    pub(crate) fn claim(
        &self,
        bank: &mut Bank,
        free: &mut u32,
        mut spis: Option<&mut Spis>,
    ) -> Option<usize> {
        while *free != 0 {
            let slot = free.trailing_zeros() as usize & 15;
            *free &= *free - 1;
            let id = bank.slots[slot];
            if id != EMPTY {
                let intid = u32::from(id);
                if intid < FIRST {
                    bank.take_back::<C>(intid, 0);
                } else if let Some(spis) = &mut spis {
                    let n = (intid - FIRST) as usize;
                    spis.take_back::<C>(n, 0, 0);
                    // It may be pending once more, for another vCPU now.
                    spis.refresh(&self.vcpus, n, self.ctlr());
                } else {
                    continue;
                }
                bank.slots[slot] = EMPTY;
            }
            return Some(slot);
        }
        None
    }

    /// Takes back what is in list register `slot` and empties it.
    pub(crate) fn fold_slot(&self, me: usize, bank: &mut Bank, spis: &mut Spis, slot: usize) {
        let id = core::mem::replace(&mut bank.slots[slot], EMPTY);
        if id == EMPTY {
            return;
        }
        let (intid, image) = (u32::from(id), C::read_lr(slot));
        if image & (lr::STATE | lr::EOI) != 0 {
            C::write_lr(slot, 0);
        }
        if intid < FIRST {
            bank.take_back::<C>(intid, image);
            return;
        }
        let n = (intid - FIRST) as usize;
        spis.take_back::<C>(n, me, image);
        spis.refresh(&self.vcpus, n, self.ctlr());
    }

    /// Takes back everything from the list registers.
    pub(crate) fn fold_all(&self, me: usize, bank: &mut Bank, spis: &mut Spis) {
        // First: it counts interrupts that are in the model now.
        self.account_eois(me, bank, spis);
        for slot in 0..bank.lr_count {
            self.fold_slot(me, bank, spis, slot);
        }
    }

    /// Takes all interrupts of `vcpu`, which is loaded on this CPU, out of its list registers,
    /// because [`Wanted::Fold`] was asked for. Asks for [`Wanted::Sync`] itself, so that they are
    /// filled again before the next entry. Does nothing if they are not in use.
    pub fn fold(&self, vcpu: usize) {
        let v = &self.vcpus[vcpu];
        if !v.live.load(Ordering::Relaxed) {
            return;
        }
        self.with_spis(1 << vcpu, |spis| {
            self.fold_locked(v, vcpu, &mut v.bank.lock(), spis);
        });
        self.notify.notify(vcpu, Wanted::Sync);
    }

    pub(crate) fn fold_locked(&self, v: &Vcpu, me: usize, bank: &mut Bank, spis: &mut Spis) {
        self.fold_all(me, bank, spis);
        // That nothing is in list registers is no reason for a maintenance interrupt now.
        self.set_hcr(bank, base_hcr::<C>());
        v.live.store(false, Ordering::Release);
    }

    pub(crate) fn set_hcr(&self, bank: &mut Bank, value: u64) {
        if bank.hcr != value {
            C::write_hcr(value);
            bank.hcr = value;
        }
    }
}

/// SGIs that were sent become pending.
#[inline]
pub(crate) fn drain_inbox(v: &Vcpu, bank: &mut Bank) {
    if v.inbox.load(Ordering::Relaxed) != 0 {
        bank.irqs.latch |= v.inbox.swap(0, Ordering::Acquire);
    }
}

/// Brings the physical state of linked PPIs in line, on the CPU they belong to.
pub(crate) fn apply_dirty<C: CpuInterface>(bank: &mut Bank) {
    for i in bits(core::mem::take(&mut bank.dirty_pending)) {
        C::phys_set_pending(u32::from(bank.pintid[i as usize]), false);
    }
    for i in bits(core::mem::take(&mut bank.dirty)) {
        let pintid = u32::from(bank.pintid[i as usize]);
        bank.irqs.apply::<C>(1 << i, pintid);
    }
}
