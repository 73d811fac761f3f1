//! Trapped system-register accesses.

use arm_vgic::{Notify, SgiRegister, Wanted};
use axvcpu::AxVCpuExitReason;

use super::vcpu::ArmVCpu;
use super::{cpu, debug};
use crate::ArmHost;
use crate::debug::DebugReg;
use crate::decode::SysAccess;
use crate::mmio::Registers;
use crate::sysreg::{Answer, SysReg, answer};

const ICC_SGI1R: SysReg = SysReg::new(3, 0, 12, 11, 5);
const ICC_ASGI1R: SysReg = SysReg::new(3, 0, 12, 11, 6);
const ICC_SGI0R: SysReg = SysReg::new(3, 0, 12, 11, 7);
const ICC_DIR: SysReg = SysReg::new(3, 0, 12, 11, 1);

/// Serves one; `true` goes back to the guest.
#[inline]
pub fn trapped<H: ArmHost>(vcpu: &mut ArmVCpu<H>, esr: u64) -> bool {
    let access = SysAccess::new(esr);
    if access.reg == ICC_SGI1R && !access.read {
        return vcpu.send_sgi(esr, access.rt, SgiRegister::Sgi1r);
    }
    vcpu.other_register(esr, access)
}

impl<H: ArmHost> ArmVCpu<H> {
    #[inline]
    fn send_sgi(&mut self, esr: u64, rt: usize, register: SgiRegister) -> bool {
        let Some(vgic) = &self.vm.vgic else {
            return self.undefined();
        };
        let notifier = vgic.notifier();
        vgic.send_sgi(self.id, register, self.frame.gpr(rt), |target| {
            notifier.notify(target, Wanted::Sync);
        });
        self.skip(esr);
        // One of the targets may be this vCPU.
        self.serve_requests();
        self.go_on()
    }

    fn other_register(&mut self, esr: u64, access: SysAccess) -> bool {
        let SysAccess { reg, rt, read } = access;
        match (reg, read) {
            (ICC_SGI0R, false) => return self.send_sgi(esr, rt, SgiRegister::Sgi0r),
            (ICC_ASGI1R, false) => return self.send_sgi(esr, rt, SgiRegister::Asgi1r),
            (ICC_DIR, false) => {
                let Some(vgic) = &self.vm.vgic else {
                    return self.undefined();
                };
                vgic.write_dir(self.id, self.frame.gpr(rt));
                self.skip(esr);
                self.serve_requests();
                return true;
            }
            _ => {}
        }
        match answer(reg, read) {
            Answer::Id => {
                let value = cpu::guest_ids().get(reg.crm, reg.op2);
                self.frame.set_gpr(rt, value);
            }
            Answer::Read(value) => self.frame.set_gpr(rt, value),
            Answer::Ignore => {}
            Answer::SetWay => {
                self.skip(esr);
                // With write-back forced by stage 2, set/way maintenance has nothing to make
                // visible: nobody reads guest RAM around the caches.
                return self.features.fwb || self.leave(AxVCpuExitReason::CacheFlushAll);
            }
            Answer::Debug => return self.debug_register(esr, access),
            Answer::Undefined => return self.undefined(),
        }
        self.skip(esr);
        true
    }

    fn debug_register(&mut self, esr: u64, access: SysAccess) -> bool {
        let SysReg {
            op1, crn, crm, op2, ..
        } = access.reg;
        let Some(reg) = DebugReg::decode(op1, crn, crm, op2) else {
            return self.undefined();
        };
        if access.read {
            let Some(value) = self.debug.read(reg) else {
                return self.undefined();
            };
            self.frame.set_gpr(access.rt, value);
        } else {
            let was_in_use = self.debug.in_use();
            if self.debug.write(reg, self.frame.gpr(access.rt)).is_none() {
                return self.undefined();
            }
            if self.debug.in_use() {
                debug::restore(&self.debug);
            } else if was_in_use {
                debug::clear();
            }
        }
        self.skip(esr);
        true
    }
}
