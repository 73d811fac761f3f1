//! Interrupts come in: lines of emulated devices, and physical interrupts that are linked.

use core::sync::atomic::Ordering;

use crate::deliver::WAITING;
use crate::spis::Spis;
use crate::vcpu::Bank;
use crate::{CpuInterface, Notify, Vgic, Wanted};

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// Drives the line of an emulated SPI. Any CPU. A number that is no SPI of the VM, or is a
    /// passthrough one, does nothing.
    pub fn set_level(&self, spi: u32, asserted: bool) {
        self.change_spi(spi, |spis, n, w, bit| {
            let word = &mut spis.words[w];
            if word.linked & bit != 0 || (word.line & bit != 0) == asserted {
                return;
            }
            word.line ^= bit;
            // A rising line is an edge too.
            if asserted && word.edge & bit != 0 {
                word.latch |= bit;
            }
            spis.refresh(&self.vcpus, n, self.ctlr());
        });
    }

    /// One edge on the line of an emulated SPI. Any CPU. A level-sensitive SPI is not concerned:
    /// its line is low again at once.
    pub fn pulse(&self, spi: u32) {
        self.change_spi(spi, |spis, n, w, bit| {
            let word = &mut spis.words[w];
            if word.linked & bit != 0 || word.edge & bit == 0 {
                return;
            }
            word.latch |= bit;
            spis.refresh(&self.vcpus, n, self.ctlr());
        });
    }

    /// A passthrough SPI fired, on any CPU. It has been acknowledged there and its priority
    /// dropped, and it is physically active. `false`: it is not of this VM; the caller
    /// deactivates it.
    pub fn spi_fired(&self, spi: u32) -> bool {
        let mut ours = false;
        self.change_spi(spi, |spis, n, w, bit| {
            let word = &mut spis.words[w];
            ours = word.linked & bit != 0;
            if !ours {
                return;
            }
            if word.edge & bit != 0 {
                word.latch |= bit;
            } else {
                word.line |= bit;
            }
            spis.refresh(&self.vcpus, n, self.ctlr());
        });
        ours
    }

    fn change_spi(&self, intid: u32, change: impl FnOnce(&mut Spis, usize, usize, u32)) {
        self.with_spis(0, |spis| {
            if let Some((n, w, bit)) = spis.place(intid) {
                change(spis, n, w, bit);
            }
        });
    }

    /// The physical PPI behind linked PPI `intid` of `vcpu`, which is loaded on this CPU, fired.
    /// It has been acknowledged and its priority dropped, and it is physically active. Goes
    /// straight into a list register if it can; else asks for [`Wanted::Sync`]. An interrupt that
    /// is not linked does nothing.
    #[inline]
    pub fn ppi_fired(&self, vcpu: usize, intid: u32) {
        let v = &self.vcpus[vcpu];
        {
            let mut bank = v.bank.lock();
            let bank = &mut *bank;
            let bit = 1u32.checked_shl(intid).unwrap_or(0) & bank.irqs.linked;
            if bit == 0 {
                return;
            }
            bank.irqs.line |= bit;
            if bank.irqs.forwarded(self.ctlr()) & bit == 0 {
                // Disabled by the guest: it stays physically active until that changes.
                return;
            }
            if v.live.load(Ordering::Relaxed) && self.place_fired(bank, intid, bit) {
                return;
            }
        }
        self.notify.notify(vcpu, Wanted::Sync);
    }

    #[inline]
    fn place_fired(&self, bank: &mut Bank, intid: u32, bit: u32) -> bool {
        if bank.hcr & WAITING != 0 {
            return false;
        }
        let mut free = C::elrsr() & bank.lr_mask;
        if bank.irqs.in_lr & bit != 0 {
            self.replace_private(bank, &mut free, intid);
            return true;
        }
        if bank.irqs.active & bit != 0 {
            return false;
        }
        let Some(slot) = self.claim(bank, &mut free, None) else {
            return false;
        };
        self.put_private(bank, slot, intid);
        true
    }
}
