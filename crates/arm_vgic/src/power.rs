//! What a vCPU's power and sleep need to know and to change.

use crate::regs::lr;
use crate::vcpu::Saved;
use crate::{CpuInterface, Notify, Vgic};

impl<C: CpuInterface, N: Notify> Vgic<C, N> {
    /// `vcpu`, which is not loaded, is switched on: its CPU interface is as after a warm reset. Its
    /// redistributor, and with it its private interrupts, stays as it is: that is no part of the
    /// CPU.
    pub fn reset_interface(&self, vcpu: usize) {
        if let Some(vcpu) = self.vcpus.get(vcpu) {
            let mut bank = vcpu.bank.lock();
            if !bank.loaded {
                bank.saved = Saved::default();
            }
        }
    }

    /// Whether linked PPI `intid` would be signalled to `vcpu`, whose task calls, if its line rose
    /// now: enabled, and neither pending nor active. Its deadline is then one that ends a wait.
    pub fn ppi_can_fire(&self, vcpu: usize, intid: u32) -> bool {
        let bit = 1u32.checked_shl(intid).unwrap_or(0);
        let Some(vcpu) = self.vcpus.get(vcpu) else {
            return false;
        };
        let bank = vcpu.bank.lock();
        let irqs = &bank.irqs;
        if irqs.linked & irqs.forwarded(self.ctlr()) & !irqs.active & bit == 0 {
            return false;
        }
        // A list register keeps the number of an interrupt that the guest is done with.
        irqs.in_lr & bit == 0
            || bank
                .slot_of(intid)
                .is_none_or(|slot| C::read_lr(slot) & lr::STATE == 0)
    }
}
