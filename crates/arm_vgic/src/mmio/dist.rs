//! The distributor's registers.

use core::sync::atomic::Ordering;

use super::{BitReg, Common, IIDR, aligned, common, config_of, edge_of, id_register, part_of};
use crate::hold::InListRegisters;
use crate::irq::{ENABLE_GRP0, ENABLE_GRP1, bits};
use crate::spis::{FIRST, Spis};
use crate::{AFFINITY_MASK, CpuInterface, Notify, Vgic};

/// GICD_CTLR.ARE and GICD_CTLR.DS, both RAO/WI; RWP is 0, as writes take effect at once.
const CTLR_FIXED: u32 = 1 << 4 | 1 << 6;

/// The SPI that GICD_IROUTER\<n\> at `offset` routes.
fn router(offset: u64) -> Option<u32> {
    (0x6100..0x8000)
        .contains(&offset)
        .then(|| (offset as u32 - 0x6000) / 8)
}

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// vCPU `vcpu`, loaded on this CPU, reads `width` bytes at `offset` in the distributor.
    #[inline]
    pub fn dist_read(&self, vcpu: usize, offset: u64, width: usize) -> u64 {
        if !aligned(offset, width) {
            return 0;
        }
        let value = match (offset, width) {
            (0x0, 4) => self.ctlr() | CTLR_FIXED,
            (0x4, 4) => self.typer,
            (0x8, 4) => IIDR,
            (0xffd0..0x1_0000, 4) => id_register(offset),
            _ => return self.dist_read_spis(vcpu, offset, width),
        };
        u64::from(value)
    }

    #[inline(never)]
    fn dist_read_spis(&self, vcpu: usize, offset: u64, width: usize) -> u64 {
        if let (Some(intid), 4 | 8) = (router(offset), width) {
            let spis = self.spis.lock();
            let route = spis.place(intid).map_or(0, |(n, ..)| spis.each[n].route);
            return part_of(route, offset, width);
        }
        let value = match common(offset, width) {
            Some(Common::Bits(reg, index)) => self.read_spi_bits(vcpu, reg, index),
            Some(Common::Priority(first, count)) => {
                let spis = self.spis.lock();
                (0..count).fold(0, |value, i| {
                    let prio = spis.place(first + i).map_or(0, |(n, ..)| spis.each[n].prio);
                    value | u32::from(prio) << (8 * i)
                })
            }
            Some(Common::Config(index)) => {
                let spis = self.spis.lock();
                let word = (index / 2).checked_sub(1).and_then(|w| spis.words.get(w));
                config_of(word.map_or(0, |w| w.edge) >> (index % 2 * 16))
            }
            None => 0,
        };
        u64::from(value)
    }

    /// Index 0, INTIDs below 32, is RAZ/WI with affinity routing.
    fn read_spi_bits(&self, vcpu: usize, reg: BitReg, index: usize) -> u32 {
        self.exclusive(vcpu, || {
            self.with_spis(0, |spis| {
                let Some(w) = index.checked_sub(1).filter(|&w| w < spis.words.len()) else {
                    return Ok(0);
                };
                in_the_way(spis, w, spis.words[w].read_needs(reg))?;
                let word = &mut spis.words[w];
                if reg.is_pending() {
                    return Ok(word.pending_now::<C>(|b| intid(w, b)));
                }
                Ok(word.read_bits(reg))
            })
        })
    }

    /// vCPU `vcpu`, loaded on this CPU, writes `width` bytes at `offset` in the distributor.
    pub fn dist_write(&self, vcpu: usize, offset: u64, width: usize, value: u64) {
        if !aligned(offset, width) {
            return;
        }
        if let (0, 4) = (offset, width) {
            return self.write_ctlr(vcpu, value as u32);
        }
        if let (Some(intid), 4 | 8) = (router(offset), width) {
            return self.write_router(vcpu, intid, offset, width, value);
        }
        let value = value as u32;
        match common(offset, width) {
            Some(Common::Bits(reg, index)) => self.write_spi_bits(vcpu, reg, index, value),
            Some(Common::Priority(first, count)) => {
                for i in 0..count {
                    self.write_spi_priority(vcpu, first + i, (value >> (8 * i)) as u8);
                }
            }
            Some(Common::Config(index)) => self.write_spi_config(vcpu, index, edge_of(value)),
            None => {}
        }
    }

    fn write_ctlr(&self, vcpu: usize, value: u32) {
        let new = value & (ENABLE_GRP0 | ENABLE_GRP1);
        let mut changed = false;
        self.exclusive(vcpu, || {
            self.with_spis(0, |spis| {
                let old = self.ctlr();
                if old & !new != 0 {
                    // Interrupts of that group come out of all list registers.
                    let live = |v: &crate::vcpu::Vcpu| v.live.load(Ordering::Acquire);
                    let vcpus = self.vcpus.iter().enumerate();
                    let mask = vcpus.fold(0, |m, (i, v)| m | u64::from(live(v)) << i);
                    if mask != 0 {
                        return Err(InListRegisters(mask));
                    }
                }
                changed = old != new;
                self.ctlr.store(new, Ordering::Relaxed);
                for w in 0..spis.words.len() {
                    self.refresh_word(spis, w);
                }
                Ok(())
            })
        });
        if changed {
            self.notify_mask(u64::MAX >> (64 - self.vcpus.len()));
        }
    }

    fn write_spi_bits(&self, vcpu: usize, reg: BitReg, index: usize, value: u32) {
        self.exclusive(vcpu, || {
            self.with_spis(0, |spis| {
                let Some(w) = index.checked_sub(1).filter(|&w| w < spis.words.len()) else {
                    return Ok(());
                };
                let word = spis.words[w];
                in_the_way(spis, w, word.write_needs(reg, value))?;
                let value = value & word.exists;
                if reg.is_active() {
                    self.set_spis_active(vcpu, spis, w, value, reg == BitReg::SetActive);
                } else {
                    spis.words[w].write_bits(reg, value);
                }
                let word = &mut spis.words[w];
                for b in bits(value & word.linked) {
                    let intid = intid(w, b);
                    if reg.is_enable() {
                        C::phys_enable(intid, reg == BitReg::SetEnable);
                    } else if reg != BitReg::Group {
                        if reg == BitReg::ClearPending {
                            C::phys_set_pending(intid, false);
                        }
                        word.apply::<C>(1 << b, intid);
                    }
                }
                self.refresh_word(spis, w);
                Ok(())
            })
        });
    }

    /// An SPI that software makes active is so on the vCPU it is routed to.
    fn set_spis_active(&self, me: usize, spis: &mut Spis, w: usize, value: u32, active: bool) {
        for b in bits(value) {
            let n = w * 32 + b as usize;
            let target = usize::from(spis.each[n].target);
            let who = if target < self.vcpus.len() {
                target
            } else {
                me
            };
            spis.set_active(n, who, active);
            if active {
                spis.queue(&self.vcpus, usize::from(spis.each[n].holder), n);
            }
        }
    }

    fn write_spi_priority(&self, vcpu: usize, intid: u32, prio: u8) {
        self.change_idle_spi(vcpu, intid, |spis, n| {
            let prio = prio & self.prio_mask;
            let changed = spis.each[n].prio != prio;
            (changed, move |spis: &mut Spis| spis.each[n].prio = prio)
        });
    }

    fn write_router(&self, vcpu: usize, intid: u32, offset: u64, width: usize, value: u64) {
        self.change_idle_spi(vcpu, intid, |spis, n| {
            let old = spis.each[n].route;
            let new = AFFINITY_MASK
                & match (width, offset & 4) {
                    (8, _) => value,
                    (_, 0) => old & !0xffff_ffff | value & 0xffff_ffff,
                    _ => old & 0xffff_ffff | value << 32,
                };
            let target = self.target_of(new);
            (old != new, move |spis: &mut Spis| {
                spis.each[n].route = new;
                spis.each[n].target = target;
                let linked = spis.words[n / 32].linked >> (n % 32) & 1 != 0;
                if let (true, Some(target)) = (linked, self.vcpus.get(usize::from(target))) {
                    C::phys_route(intid, target.cpu.load(Ordering::Relaxed));
                }
            })
        });
    }

    fn write_spi_config(&self, vcpu: usize, index: usize, edge: u32) {
        for b in 0..16 {
            let intid = index as u32 * 16 + b;
            let edge = edge >> b & 1 != 0;
            self.change_idle_spi(vcpu, intid, |spis, n| {
                let (w, bit) = (n / 32, 1 << (n % 32));
                let changed = (spis.words[w].edge & bit != 0) != edge;
                (changed, move |spis: &mut Spis| {
                    spis.words[w].edge ^= bit;
                    if spis.words[w].linked & bit != 0 {
                        C::phys_set_edge(intid, edge);
                    }
                })
            });
        }
    }

    /// A change of an SPI that must not be in a list register. `plan` says whether there is
    /// anything to change, and what does it.
    fn change_idle_spi<F: FnOnce(&mut Spis)>(
        &self,
        vcpu: usize,
        intid: u32,
        plan: impl Fn(&Spis, usize) -> (bool, F),
    ) {
        self.exclusive(vcpu, || {
            self.with_spis(0, |spis| {
                let Some((n, w, bit)) = spis.place(intid) else {
                    return Ok(());
                };
                let (changed, change) = plan(spis, n);
                if changed {
                    in_the_way(spis, w, spis.words[w].in_lr & bit)?;
                    change(spis);
                    spis.refresh(&self.vcpus, n, self.ctlr());
                }
                Ok(())
            })
        });
    }

    /// Queues those SPIs of a word that may have to be looked at.
    fn refresh_word(&self, spis: &mut Spis, w: usize) {
        let word = &spis.words[w];
        for b in bits(word.pending() | word.in_lr) {
            spis.refresh(&self.vcpus, w * 32 + b as usize, self.ctlr());
        }
    }
}

fn intid(w: usize, b: u32) -> u32 {
    FIRST + w as u32 * 32 + b
}

/// `Err` if any of these SPIs of word `w` is in a list register: the vCPUs that hold them.
fn in_the_way(spis: &Spis, w: usize, which: u32) -> Result<(), InListRegisters> {
    if which == 0 {
        return Ok(());
    }
    let holders = bits(which).fold(0, |mask, b| {
        mask | 1u64.unbounded_shl(spis.each[w * 32 + b as usize].holder.into())
    });
    Err(InListRegisters(holders))
}
