//! A vCPU comes to a CPU and leaves it; maintenance interrupts; what its guest waits for.

use core::sync::atomic::Ordering;

use crate::deliver::{WAITING, apply_dirty, drain_inbox};
use crate::hold::InListRegisters;
use crate::irq::bits;
use crate::regs::{lr, misr, vmcr};
use crate::spis::{FIRST, Spis};
use crate::vcpu::{Bank, EMPTY, Saved};
use crate::{CpuInterface, Notify, Vgic, Wanted};

fn apr_count<C: CpuInterface>() -> usize {
    1 << (C::pre_bits().clamp(5, 7) - 5)
}

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// Puts `vcpu`'s CPU interface into this CPU's hardware, where no other vCPU is loaded, and
    /// makes its linked PPIs physically active or not. Its timers have their state already. Asks
    /// for [`Wanted::Sync`], by which its interrupts follow.
    pub fn load(&self, vcpu: usize) {
        let here = C::cpu();
        if self.vcpus[vcpu].cpu.swap(here, Ordering::Relaxed) != here && self.passthrough {
            self.route_to(vcpu, here);
        }
        let mut bank = self.vcpus[vcpu].bank.lock();
        let Saved { vmcr, ap0r, ap1r } = bank.saved;
        C::write_vmcr(vmcr);
        for n in 0..apr_count::<C>() {
            C::write_ap0r(n, ap0r[n]);
            C::write_ap1r(n, ap1r[n]);
        }
        bank.lr_count = C::lr_count().min(16);
        bank.lr_mask = (1 << bank.lr_count) - 1;
        bank.loaded = true;
        bank.dirty = bank.irqs.linked;
        apply_dirty::<C>(&mut bank);
        drop(bank);
        self.notify.notify(vcpu, Wanted::Sync);
    }

    /// `vcpu` has moved to CPU `cpu`: the passthrough SPIs that target it follow. One that fires on
    /// its way is delivered from wherever it was routed: see [`spi_fired`](Self::spi_fired).
    #[cold]
    fn route_to(&self, vcpu: usize, cpu: usize) {
        let spis = self.spis.lock();
        for (w, word) in spis.words.iter().enumerate() {
            for b in bits(word.linked) {
                let n = w * 32 + b as usize;
                if usize::from(spis.each[n].target) == vcpu {
                    C::phys_route(FIRST + n as u32, cpu);
                }
            }
        }
    }

    /// Takes everything of `vcpu` out of this CPU's hardware: before another vCPU is loaded, and
    /// before its task sleeps or is switched out for another reason. Its timers still run. Linked
    /// PPIs are physically inactive afterwards, and the virtual CPU interface is off.
    pub fn put(&self, vcpu: usize) {
        let v = &self.vcpus[vcpu];
        self.with_spis(1 << vcpu, |spis| {
            let mut bank = v.bank.lock();
            if !bank.loaded {
                return;
            }
            self.fold_all(vcpu, &mut bank, spis);
            v.live.store(false, Ordering::Release);
            apply_dirty::<C>(&mut bank);
            bank.saved.vmcr = C::read_vmcr();
            for n in 0..apr_count::<C>() {
                bank.saved.ap0r[n] = C::read_ap0r(n);
                bank.saved.ap1r[n] = C::read_ap1r(n);
            }
            self.set_hcr(&mut bank, 0);
            bank.loaded = false;
            for i in bits(bank.irqs.linked) {
                C::phys_set_active(u32::from(bank.pintid[i as usize]), false);
            }
        });
    }

    /// The maintenance interrupt fired (or may have) while `vcpu` is loaded on this CPU. Its cause
    /// is gone afterwards. Asks for [`Wanted::Sync`] if there is more to deliver.
    pub fn maintenance(&self, vcpu: usize) {
        let v = &self.vcpus[vcpu];
        if !v.live.load(Ordering::Relaxed) {
            return;
        }
        let more = self.with_spis(0, |spis| {
            let mut bank = v.bank.lock();
            if C::misr() & !misr::EOI != 0 {
                self.fold_locked(v, vcpu, &mut bank, spis);
                return true;
            }
            // Level-sensitive ones that the guest has deactivated: their lines count again.
            for slot in bits(C::eisr() & bank.lr_mask) {
                self.fold_slot(vcpu, &mut bank, spis, slot as usize & 15);
            }
            bank.irqs.ready(self.ctlr()) != 0
        });
        if more {
            self.notify.notify(vcpu, Wanted::Sync);
        }
    }

    /// Whether a virtual interrupt is signalled to `vcpu`, so that WFI does not wait: one that is
    /// pending, enabled, in an enabled group, not masked by ICC_PMR_EL1, and able to preempt what
    /// is active (IHI 0069, "Preemption"). Called by the vCPU's own task.
    pub fn has_deliverable(&self, vcpu: usize) -> bool {
        let v = &self.vcpus[vcpu];
        let spis = self.spis.lock();
        let mut bank = v.bank.lock();
        drain_inbox(v, &mut bank);
        let face = Interface::of::<C>(&bank);
        let ctlr = self.ctlr();
        let irqs = &bank.irqs;
        let private = |i: u32| face.signals(bank.prio[i as usize], irqs.group1 >> i & 1 != 0);
        // Those pending once more are signalled unless they are active still: then this is an
        // early end of a WFI, as it may have.
        if bits(irqs.ready(ctlr) | irqs.again(ctlr)).any(private)
            || self.queued(vcpu, &spis, &face, ctlr)
        {
            return true;
        }
        v.live.load(Ordering::Relaxed) && in_list_registers::<C>(&bank, &face)
    }

    fn queued(&self, me: usize, spis: &Spis, face: &Interface, ctlr: u32) -> bool {
        bits(self.vcpus[me].spi_words.load(Ordering::Relaxed)).any(|w| {
            let word = &spis.words[w as usize];
            let again = word.again(ctlr);
            bits(spis.queues[me][w as usize] & (word.ready(ctlr) | again)).any(|b| {
                let spi = &spis.each[(w * 32 + b) as usize];
                let who = if again >> b & 1 != 0 {
                    spi.holder
                } else {
                    spi.target
                };
                usize::from(who) == me && face.signals(spi.prio, word.group1 >> b & 1 != 0)
            })
        })
    }

    /// The guest wrote `value` to ICC_DIR_EL1 and that trapped (IHI 0069, "ICC_DIR_EL1"): it
    /// deactivates one interrupt, which another vCPU may have acknowledged. Ignored with
    /// EOImode 0.
    pub fn write_dir(&self, vcpu: usize, value: u64) {
        if C::read_vmcr() & vmcr::VEOIM == 0 {
            return;
        }
        let intid = value as u32 & 0xff_ffff;
        let v = &self.vcpus[vcpu];
        let more = self.exclusive(vcpu, || {
            self.with_spis(0, |spis| {
                let mut bank = v.bank.lock();
                let (active, in_lr, holder) = if intid < FIRST {
                    let (irqs, bit) = (&bank.irqs, 1u32 << intid);
                    (irqs.active & bit != 0, irqs.in_lr & bit != 0, vcpu)
                } else {
                    let Some((n, w, bit)) = spis.place(intid) else {
                        return Ok(false);
                    };
                    let (word, holder) = (&spis.words[w], usize::from(spis.each[n].holder));
                    (word.active & bit != 0, word.in_lr & bit != 0, holder)
                };
                if in_lr && holder != vcpu {
                    return Err(InListRegisters(1 << holder));
                }
                if in_lr && let Some(slot) = bank.slot_of(intid) {
                    deactivate_in_lr::<C>(slot);
                } else if active {
                    self.deactivate(&mut bank, spis, intid);
                }
                // It may have been what kept something from being delivered.
                Ok(bank.irqs.ready(self.ctlr()) != 0 || bank.hcr & WAITING != 0)
            })
        });
        if more {
            self.notify.notify(vcpu, Wanted::Sync);
        }
    }
}

/// What the hardware does for a write of ICC_DIR_EL1 that does not trap.
fn deactivate_in_lr<C: CpuInterface>(slot: usize) {
    let image = C::read_lr(slot);
    if image & lr::ACTIVE == 0 {
        return;
    }
    C::write_lr(slot, image & !lr::ACTIVE);
    if image & lr::HW != 0 {
        C::phys_set_active((image >> lr::PINTID_SHIFT) as u32 & 0x1fff, false);
    }
}

fn in_list_registers<C: CpuInterface>(bank: &Bank, face: &Interface) -> bool {
    (0..bank.lr_count).any(|slot| {
        bank.slots[slot] != EMPTY && {
            let image = C::read_lr(slot);
            image & lr::STATE == lr::PENDING
                && face.signals(lr::priority(image), image & lr::GROUP1 != 0)
        }
    })
}

/// What decides whether a pending interrupt is signalled.
struct Interface {
    vmcr: u64,
    /// The highest active group priority; 0xff: none.
    running: u8,
}

impl Interface {
    fn of<C: CpuInterface>(bank: &Bank) -> Self {
        let (mut vmcr, mut running) = (bank.saved.vmcr, 0xff);
        if bank.loaded {
            vmcr = C::read_vmcr();
        }
        for n in (0..apr_count::<C>()).rev() {
            let active = if bank.loaded {
                C::read_ap0r(n) | C::read_ap1r(n)
            } else {
                bank.saved.ap0r[n] | bank.saved.ap1r[n]
            };
            if active != 0 {
                let level = n as u32 * 32 + active.trailing_zeros();
                running = (level << (8 - C::pre_bits().clamp(5, 7))) as u8;
            }
        }
        Self { vmcr, running }
    }

    fn signals(&self, prio: u8, group1: bool) -> bool {
        let enable = if group1 { vmcr::VENG1 } else { vmcr::VENG0 };
        if self.vmcr & enable == 0 || prio >= (self.vmcr >> vmcr::VPMR_SHIFT) as u8 {
            return false;
        }
        // The group priority: Group 1 without CBPR has one bit of subpriority less.
        let subpriority = if group1 && self.vmcr & vmcr::VCBPR == 0 {
            self.vmcr >> vmcr::VBPR1_SHIFT & 7
        } else {
            (self.vmcr >> vmcr::VBPR0_SHIFT & 7) + 1
        };
        let group = (u32::from(prio) >> subpriority << subpriority) as u8;
        self.running == 0xff || group < self.running
    }
}
