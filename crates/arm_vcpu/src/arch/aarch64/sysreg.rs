//! Trapped system-register accesses.

use arm_vgic::{Notify, SgiRegister, Wanted};
use axvcpu::AxVCpuExitReason;

use super::regs::{read, write};
use super::vcpu::ArmVCpu;
use super::{cpu, debug};
use crate::ArmHost;
use crate::debug::DebugReg;
use crate::decode::SysAccess;
use crate::mmio::Registers;
use crate::sysreg::{Answer, SysReg, answer, without_gic};

const ICC_SGI1R: SysReg = SysReg::new(3, 0, 12, 11, 5);
const ICC_ASGI1R: SysReg = SysReg::new(3, 0, 12, 11, 6);
const ICC_SGI0R: SysReg = SysReg::new(3, 0, 12, 11, 7);
const ICC_DIR: SysReg = SysReg::new(3, 0, 12, 11, 1);

/// Serves one; `true` goes back to the guest.
#[inline(never)]
pub fn trapped<H: ArmHost>(vcpu: &mut ArmVCpu<H>, esr: u64) -> bool {
    if SysAccess::is_write_to(esr, ICC_SGI1R) {
        return vcpu.send_sgi(esr, SysAccess::rt(esr), SgiRegister::Sgi1r);
    }
    vcpu.other_register(esr)
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

    #[inline(never)]
    fn other_register(&mut self, esr: u64) -> bool {
        let SysAccess {
            reg,
            rt,
            read: is_read,
        } = SysAccess::new(esr);
        match (reg, is_read) {
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
        if self.caches_cleaned && !is_read && self.write_translation_register(reg, rt) {
            self.skip(esr);
            return self.caches_switched();
        }
        match answer(reg, is_read) {
            Answer::Id => {
                let mut value = cpu::guest_ids().get(reg.crm, reg.op2);
                if self.vm.vgic.is_none() {
                    value = without_gic(reg.crm, reg.op2, value);
                }
                self.frame.set_gpr(rt, value);
            }
            Answer::Read(value) => self.frame.set_gpr(rt, value),
            Answer::Ignore => {}
            Answer::InterfaceEnable if self.vm.vgic.is_none() => return self.undefined(),
            Answer::InterfaceEnable => {
                // SRE, DFB, DIB: what it is on this CPU, for everybody.
                if is_read {
                    self.frame.set_gpr(rt, cpu::ICC_SRE_ALL);
                }
            }
            Answer::SetWay => {
                self.skip(esr);
                return self.set_way();
            }
            Answer::Debug => return self.debug_register(esr),
            Answer::Undefined => return self.undefined(),
        }
        self.skip(esr);
        true
    }

    /// Maintenance by set and way, which guests do around switching their caches off or on. It is
    /// done by address for all RAM, once: the rest of the guest's loop over sets and ways has
    /// nothing left to do until it switches its caches.
    fn set_way(&mut self) -> bool {
        // With write-back forced by stage 2 nobody reads guest RAM around the caches.
        if self.features.fwb || self.caches_cleaned {
            return true;
        }
        self.caches_cleaned = true;
        write!("HCR_EL2", self.hcr());
        self.leave(AxVCpuExitReason::CacheFlushAll)
    }

    /// Does a write that HCR_EL2.TVM trapped; `false` if it is another register's.
    fn write_translation_register(&mut self, reg: SysReg, rt: usize) -> bool {
        let value = self.frame.gpr(rt);
        let SysReg {
            op0: 3,
            op1: 0,
            crn,
            crm,
            op2,
        } = reg
        else {
            return false;
        };
        match (crn, crm, op2) {
            (1, 0, 0) => {
                const CACHES: u64 = 1 << 2 | 1 << 12;
                // The next set/way loop belongs to the next switch.
                self.caches_cleaned = (read!("SCTLR_EL1") ^ value) & CACHES == 0;
                write!("SCTLR_EL1", value);
            }
            (2, 0, 0) => write!("TTBR0_EL1", value),
            (2, 0, 1) => write!("TTBR1_EL1", value),
            (2, 0, 2) => write!("TCR_EL1", value),
            (5, 1, 0) => write!("AFSR0_EL1", value),
            (5, 1, 1) => write!("AFSR1_EL1", value),
            (5, 2, 0) => write!("ESR_EL1", value),
            (6, 0, 0) => write!("FAR_EL1", value),
            (10, 2, 0) => write!("MAIR_EL1", value),
            (10, 3, 0) => write!("AMAIR_EL1", value),
            (13, 0, 1) => write!("CONTEXTIDR_EL1", value),
            _ => return false,
        }
        true
    }

    /// After a write of a translation register: the caches may just have been switched, and what
    /// was written before is then to be seen on the other side.
    fn caches_switched(&mut self) -> bool {
        if self.caches_cleaned {
            return true;
        }
        write!("HCR_EL2", self.hcr());
        self.leave(AxVCpuExitReason::CacheFlushAll)
    }

    #[cold]
    fn debug_register(&mut self, esr: u64) -> bool {
        let access = SysAccess::new(esr);
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
                debug::restore(&self.debug, self.features);
            } else if was_in_use {
                debug::clear(self.features);
            }
        }
        self.skip(esr);
        true
    }
}
