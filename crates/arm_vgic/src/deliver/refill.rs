//! Which interrupts get the list registers when not all fit, and what becomes of the others.

use core::sync::atomic::Ordering;

use super::{apply_dirty, base_hcr, drain_inbox};
use crate::irq::bits;
use crate::regs::{hcr, vmcr};
use crate::spis::{FIRST, Spis};
use crate::vcpu::{Bank, Vcpu};
use crate::{CpuInterface, Notify, Vgic};

/// Rank of an interrupt: the lower, the earlier it gets a list register. Priority, then active
/// before pending, then INTID. Pending ones of a group that the guest has disabled come last: they
/// would keep others from being signalled.
const DISABLED: u32 = 1 << 24;
const PENDING: u32 = 1 << 15;
const INTID: u32 = 0x3ff;

fn rank(intid: u32, prio: u8, kind: u32) -> u32 {
    kind | u32::from(prio) << 16 | intid
}

/// The best of the interrupts seen, sorted, and what kinds were left out.
struct Picked {
    ranks: [u32; 16],
    len: usize,
    room: usize,
    left_out: LeftOut,
}

#[derive(Clone, Copy, Default)]
struct LeftOut {
    pending: bool,
    active: bool,
    disabled: bool,
}

impl LeftOut {
    fn add(&mut self, rank: u32) {
        if rank & DISABLED != 0 {
            self.disabled = true;
        } else if rank & PENDING != 0 {
            self.pending = true;
        } else {
            self.active = true;
        }
    }
}

impl Picked {
    fn new(room: usize) -> Self {
        Self {
            ranks: [u32::MAX; 16],
            len: 0,
            room: room.min(16),
            left_out: LeftOut::default(),
        }
    }

    fn offer(&mut self, rank: u32) {
        let at = self.ranks[..self.len].partition_point(|&r| r < rank);
        if self.len == self.room {
            self.left_out.add(if at == self.len {
                rank
            } else {
                self.ranks[self.len - 1]
            });
            if at == self.len {
                return;
            }
        } else {
            self.len += 1;
        }
        self.ranks[at..self.len].rotate_right(1);
        self.ranks[at] = rank;
    }

    /// The best pending one gets a list register in any case: active ones can do without.
    fn insist(&mut self, best_pending: u32) {
        let ranks = &mut self.ranks[..self.len];
        if best_pending != u32::MAX
            && !ranks.contains(&best_pending)
            && let Some(last) = ranks.last_mut()
        {
            self.left_out.add(core::mem::replace(last, best_pending));
        }
    }
}

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// Fills the list registers, all of which are empty and unused, with what ranks best.
    pub(super) fn refill(&self, v: &Vcpu, me: usize, bank: &mut Bank, spis: &mut Spis) {
        drain_inbox(v, bank);
        apply_dirty::<C>(bank);
        let vmcr = C::read_vmcr();
        let mut picked = Picked::new(bank.lr_count);
        let mut best_pending = u32::MAX;
        let mut offer_pending = |picked: &mut Picked, intid, prio, group1| {
            let enabled = vmcr & if group1 { vmcr::VENG1 } else { vmcr::VENG0 } != 0;
            let rank = rank(
                intid,
                prio,
                if enabled { PENDING } else { PENDING | DISABLED },
            );
            if enabled {
                best_pending = best_pending.min(rank);
            }
            picked.offer(rank);
        };

        let ctlr = self.ctlr();
        for i in bits(bank.irqs.pending() & bank.irqs.linked) {
            let pintid = u32::from(bank.pintid[i as usize]);
            bank.irqs.resample::<C>(1 << i, pintid);
        }
        for i in bits(bank.irqs.ready(ctlr)) {
            let group1 = bank.irqs.group1 >> i & 1 != 0;
            offer_pending(&mut picked, i, bank.prio[i as usize], group1);
        }
        for i in bits(bank.irqs.active) {
            picked.offer(rank(i, bank.active_prio[i as usize], 0));
        }
        for w in bits(v.spi_words.load(Ordering::Relaxed)) {
            for b in bits(spis.queues[me][w as usize]) {
                let (n, bit) = ((w * 32 + b) as usize, 1 << b);
                let word = &mut spis.words[w as usize];
                word.resample::<C>(bit, FIRST + n as u32);
                let spi = &spis.each[n];
                if word.ready(ctlr) & bit != 0 && usize::from(spi.target) == me {
                    let group1 = word.group1 & bit != 0;
                    offer_pending(&mut picked, FIRST + n as u32, spi.prio, group1);
                } else {
                    spis.unqueue(v, me, n);
                }
            }
        }
        for_active_spis(spis, me, |n, prio| {
            picked.offer(rank(FIRST + n as u32, prio, 0));
        });
        picked.insist(best_pending);

        for (slot, &rank) in picked.ranks[..picked.len].iter().enumerate() {
            let intid = rank & INTID;
            if intid < FIRST {
                self.put_private(bank, slot, intid);
            } else {
                let n = (intid - FIRST) as usize;
                self.put_spi(me, bank, spis, slot, n);
                spis.unqueue(v, me, n);
            }
        }
        self.set_hcr(
            bank,
            base_hcr::<C>() | maintenance_for(picked.left_out, vmcr),
        );
    }

    /// The guest has deactivated EOIcount interrupts that are in no list register (IHI 0069,
    /// ICH_HCR_EL2.EOIcount). With EOImode 0 it ends them in order of priority, highest first;
    /// those in list registers rank before all others, so they are the best of the rest. With
    /// EOImode 1 this is reached only where ICC_DIR_EL1 can't be trapped.
    pub(super) fn account_eois(&self, me: usize, bank: &mut Bank, spis: &mut Spis) {
        let hcr = C::read_hcr();
        let count = (hcr & hcr::EOICOUNT) >> hcr::EOICOUNT_SHIFT;
        if count == 0 {
            return;
        }
        C::write_hcr(hcr & !hcr::EOICOUNT);
        if C::has_tdir() && C::read_vmcr() & vmcr::VEOIM != 0 {
            // Every deactivation trapped. Some CPUs count EOIs, which only drop the priority.
            return;
        }
        for _ in 0..count {
            let private = bits(bank.irqs.active).map(|i| rank(i, bank.active_prio[i as usize], 0));
            let mut best = private.min().unwrap_or(u32::MAX);
            for_active_spis(spis, me, |n, prio| {
                best = best.min(rank(FIRST + n as u32, prio, 0));
            });
            if best == u32::MAX {
                return;
            }
            self.deactivate(bank, spis, best & INTID);
        }
    }

    /// Deactivates an interrupt that is active and in no list register.
    pub(crate) fn deactivate(&self, bank: &mut Bank, spis: &mut Spis, intid: u32) {
        if intid < FIRST {
            let pintid = u32::from(bank.pintid[intid as usize]);
            bank.irqs.deactivate::<C>(1 << intid, pintid);
            return;
        }
        let n = (intid - FIRST) as usize;
        spis.set_active(n, 0, false);
        spis.words[n / 32].deactivate::<C>(1 << (n % 32), intid);
        spis.refresh(&self.vcpus, n, self.ctlr());
    }
}

/// Each SPI that is active on vCPU `me` and in no list register: its number and priority.
fn for_active_spis(spis: &Spis, me: usize, mut f: impl FnMut(usize, u8)) {
    if spis.active_out[me] == 0 {
        return;
    }
    for (w, word) in spis.words.iter().enumerate() {
        for b in bits(word.active) {
            let n = w * 32 + b as usize;
            if usize::from(spis.each[n].holder) == me {
                f(n, spis.each[n].active_prio);
            }
        }
    }
}

/// When to look again: what is left out gets its turn when no list register is pending any more,
/// when the guest enables or disables a group, or when it deactivates something it can't find.
/// That one of the groups is disabled matters only while the other is not: otherwise nothing that
/// was left out could be signalled. (QEMU to 10.0 takes "Group 0 is disabled" for true whenever
/// Group 1 is: asked with Group 0 alone enabled, it would interrupt for ever.)
fn maintenance_for(left_out: LeftOut, vmcr: u64) -> u64 {
    const BOTH: u64 = vmcr::VENG0 | vmcr::VENG1;
    let mut value = 0;
    let groups = [
        (vmcr::VENG0, hcr::VGRP0EIE, hcr::VGRP0DIE),
        (vmcr::VENG1, hcr::VGRP1EIE, hcr::VGRP1DIE),
    ];
    if left_out.active {
        value |= hcr::LRENPIE;
    }
    if left_out.pending {
        value |= hcr::NPIE;
    }
    for (enable, on_enable, on_disable) in groups {
        if vmcr & enable == 0 && left_out.disabled {
            value |= on_enable;
        }
        if vmcr & BOTH == BOTH && left_out.pending {
            value |= on_disable;
        }
    }
    value
}
