//! Physical interrupts that arrive while the guest runs.

use axvcpu::AxVCpuExitReason;

use super::switch::Frame;
use super::vcpu::ArmVCpu;
use crate::ArmHost;

/// INTIDs from here on say "nothing there" (IHI 0069, 2.2.1).
const FIRST_SPECIAL: u32 = 1020;
const LAST_SPECIAL: u32 = 1023;

/// The handler of IRQs (and FIQs, of which a Non-secure EL2 gets none) from the guest.
///
/// # Safety
/// Called by the vectors with the frame of the vCPU that [`super::switch::enter`] entered.
pub unsafe extern "C" fn on_irq<H: ArmHost>(frame: *mut Frame) -> bool {
    // SAFETY: as in `exit::on_sync`.
    let vcpu = unsafe { &mut *frame.cast::<ArmVCpu<H>>() };
    let intid = H::ack();
    if intid == H::virtual_timer_intid() || intid == H::physical_timer_intid() {
        vcpu.timer_fired(intid)
    } else if intid == H::KICK_SGI {
        H::end(intid);
        H::deactivate(intid);
        vcpu.kicked()
    } else {
        vcpu.other_interrupt(intid)
    }
}

impl<H: ArmHost> ArmVCpu<H> {
    /// The guest's own timer: linked, so that the guest's EOI ends it physically.
    #[inline]
    fn timer_fired(&mut self, intid: u32) -> bool {
        H::end(intid);
        // A VM without an interrupt controller polls its timer: it stays active, and fires no more.
        if let Some(vgic) = &self.vm.vgic {
            vgic.ppi_fired(self.id, intid);
            self.serve_requests();
        }
        true
    }

    /// Somebody left a request.
    #[inline]
    fn kicked(&mut self) -> bool {
        H::kicked();
        self.serve_requests();
        match self.vm.sync.get(self.id) {
            Some(sync) if sync.has_requests() => self.leave(AxVCpuExitReason::Preempted),
            _ => self.go_on(),
        }
    }

    #[inline(never)]
    fn other_interrupt(&mut self, intid: u32) -> bool {
        if (FIRST_SPECIAL..=LAST_SPECIAL).contains(&intid) {
            return true;
        }
        if let Some(vgic) = &self.vm.vgic {
            if intid == H::maintenance_intid() {
                vgic.maintenance(self.id);
                H::end(intid);
                H::deactivate(intid);
                self.serve_requests();
                return true;
            }
            if self.vm.is_passthrough(intid) {
                H::end(intid);
                vgic.spi_fired(intid);
                self.serve_requests();
                return true;
            }
        }
        self.leave(AxVCpuExitReason::ExternalInterrupt {
            vector: intid.into(),
        })
    }
}
