//! The redistributors' registers.

use core::sync::atomic::Ordering;

use super::{
    BitReg, Common, IIDR, REDIST_STRIDE, aligned, common, config_of, edge_of, id_register, part_of,
};
use crate::deliver::drain_inbox;
use crate::hold::InListRegisters;
use crate::irq::bits;
use crate::vcpu::{Bank, SGIS};
use crate::{CpuInterface, Notify, Vgic};

/// Where SGI_base starts in a redistributor.
const SGI_BASE: u64 = 0x1_0000;
const WAKER: u64 = 0x14;
const PROCESSOR_SLEEP: u32 = 1 << 1;
const CHILDREN_ASLEEP: u32 = 1 << 2;

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// vCPU `vcpu`, loaded on this CPU, reads `width` bytes at `offset` in the region of all
    /// redistributors, [`REDIST_STRIDE`] each.
    pub fn redist_read(&self, vcpu: usize, offset: u64, width: usize) -> u64 {
        let target = (offset / REDIST_STRIDE) as usize;
        let offset = offset % REDIST_STRIDE;
        if target >= self.vcpus.len() || !aligned(offset, width) {
            return 0;
        }
        let value = match (offset, width) {
            (0x8..0x10, 4 | 8) => return part_of(self.redist_typer(target), offset, width),
            (0x4, 4) => IIDR,
            (WAKER, 4) => match self.vcpus[target].bank.lock().sleeping {
                true => PROCESSOR_SLEEP | CHILDREN_ASLEEP,
                false => 0,
            },
            (0xffd0..SGI_BASE, 4) => id_register(offset),
            (SGI_BASE.., _) => match common(offset - SGI_BASE, width) {
                Some(Common::Bits(reg, 0)) => self.read_private_bits(vcpu, target, reg),
                Some(Common::Priority(first @ 0..32, count)) => {
                    let bank = self.vcpus[target].bank.lock();
                    let prios = bank.prio.iter().skip(first as usize).take(count as usize);
                    prios.rev().fold(0, |value, &p| value << 8 | u32::from(p))
                }
                Some(Common::Config(index @ 0..2)) => {
                    config_of(self.vcpus[target].bank.lock().irqs.edge >> (16 * index))
                }
                _ => 0,
            },
            // GICR_CTLR too: no LPIs to enable, no write pending.
            _ => 0,
        };
        u64::from(value)
    }

    /// GICR_TYPER: affinity, Last, Processor_Number; no LPIs.
    fn redist_typer(&self, target: usize) -> u64 {
        let a = self.vcpus[target].affinity;
        let affinity = (a >> 32) << 24 | a & 0xff_ffff;
        let last = target + 1 == self.vcpus.len();
        affinity << 32 | (target as u64) << 8 | u64::from(last) << 4
    }

    fn read_private_bits(&self, me: usize, target: usize, reg: BitReg) -> u32 {
        let v = &self.vcpus[target];
        self.exclusive(me, || {
            let mut bank = v.bank.lock();
            if bank.irqs.read_needs(reg) != 0 {
                return Err(InListRegisters(1 << target));
            }
            drain_inbox(v, &mut bank);
            if reg.is_pending() && target == me {
                let Bank { irqs, pintid, .. } = &mut *bank;
                return Ok(irqs.pending_now::<C>(|b| pintid[b as usize].into()));
            }
            Ok(bank.irqs.read_bits(reg))
        })
    }

    /// vCPU `vcpu`, loaded on this CPU, writes `width` bytes at `offset` in the region of all
    /// redistributors.
    pub fn redist_write(&self, vcpu: usize, offset: u64, width: usize, value: u64) {
        let target = (offset / REDIST_STRIDE) as usize;
        let offset = offset % REDIST_STRIDE;
        if target >= self.vcpus.len() || !aligned(offset, width) {
            return;
        }
        let value = value as u32;
        if (offset, width) == (WAKER, 4) {
            // Both bits follow at once: there is nothing to wait for.
            self.vcpus[target].bank.lock().sleeping = value & PROCESSOR_SLEEP != 0;
        }
        let Some(offset) = offset.checked_sub(SGI_BASE) else {
            return;
        };
        match common(offset, width) {
            Some(Common::Bits(reg, 0)) => self.write_private_bits(vcpu, target, reg, value),
            Some(Common::Priority(first @ 0..32, count)) => {
                let value = value & u32::from_ne_bytes([self.prio_mask; 4]);
                self.change_private(vcpu, target, |bank| {
                    let new = value.to_le_bytes();
                    let old = &mut bank.prio[first as usize..][..count as usize];
                    let differ = old.iter().zip(new).enumerate();
                    let differ = differ.filter(|(_, (o, n))| **o != *n);
                    let touched = differ.fold(0, |m, (i, _)| m | 1 << (first as usize + i));
                    if bank.irqs.in_lr & touched != 0 {
                        return false;
                    }
                    old.copy_from_slice(&new[..count as usize]);
                    true
                });
            }
            // GICR_ICFGR0 is read-only: SGIs are edge-triggered. So are linked PPIs' fields.
            Some(Common::Config(1)) => self.change_private(vcpu, target, |bank| {
                let irqs = &mut bank.irqs;
                let new = edge_of(value) << 16 & !irqs.linked | SGIS;
                if (new ^ irqs.edge) & irqs.in_lr != 0 {
                    return false;
                }
                irqs.edge = new;
                true
            }),
            _ => {}
        }
    }

    fn write_private_bits(&self, me: usize, target: usize, reg: BitReg, value: u32) {
        let v = &self.vcpus[target];
        self.change_private(me, target, |bank| {
            if bank.irqs.write_needs(reg, value) != 0 {
                return false;
            }
            // What was sent before counts as pending before.
            drain_inbox(v, bank);
            if reg == BitReg::SetActive {
                for b in bits(value & !bank.irqs.active) {
                    bank.active_prio[b as usize] = bank.prio[b as usize];
                }
            }
            bank.irqs.write_bits(reg, value);
            if reg == BitReg::Group {
                v.group1.store(bank.irqs.group1, Ordering::Relaxed);
            }
            let linked = value & bank.irqs.linked;
            if reg.is_pending() || reg.is_active() {
                bank.dirty |= linked;
            }
            if reg == BitReg::ClearPending {
                // Of those in `dirty`.
                bank.dirty_pending |= linked;
            }
            true
        });
    }

    /// A change to the private interrupts of `target`, which returns `false`, without having
    /// changed anything, if what it touches is in a list register.
    fn change_private(&self, me: usize, target: usize, mut change: impl FnMut(&mut Bank) -> bool) {
        let look = self.exclusive(me, || {
            let mut bank = self.vcpus[target].bank.lock();
            if !change(&mut bank) {
                return Err(InListRegisters(1 << target));
            }
            let irqs = &bank.irqs;
            let ctlr = self.ctlr();
            let more = irqs.ready(ctlr) | irqs.again(ctlr) | irqs.active;
            Ok(more | bank.dirty != 0)
        });
        if look {
            self.notify_mask(1 << target);
        }
    }
}
