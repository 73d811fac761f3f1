//! Running a vCPU: the exits that the VM itself answers.

use axaddrspace::{GuestPhysAddr, MappingFlags};
use axdevice::{BusFault, WriteFault};
use axerrno::AxResult;
use axvcpu::{AccessFlags, AxArchVCpu, AxVCpuExitReason};

use crate::vcpu::Own;
use crate::{AxVM, AxVMHal, VmError};

impl<H: AxVMHal, V: AxArchVCpu> AxVM<H, V> {
    /// Puts a vCPU's state into this CPU. Interrupts are masked, and no other vCPU is bound here.
    pub fn bind_vcpu(&self, id: usize) -> AxResult {
        self.with_vcpu(id, V::bind)
    }

    /// Takes a vCPU's state out of this CPU, where it is bound.
    pub fn unbind_vcpu(&self, id: usize) -> AxResult {
        self.with_vcpu(id, V::unbind)
    }

    /// Uses a vCPU: its own task, while it does not run.
    pub fn with_vcpu<R>(&self, id: usize, f: impl FnOnce(&mut V) -> R) -> AxResult<R> {
        let vcpu = self.vcpus.get(id).ok_or(VmError::VCpu(id))?;
        let mut own = vcpu.own.try_lock().ok_or(VmError::VCpu(id))?;
        Ok(f(&mut own.arch))
    }

    /// Runs a bound vCPU until an exit that is the hypervisor's. Accesses to emulated devices and
    /// stage-2 faults are served here. Called by the vCPU's own task, with interrupts masked.
    pub fn run_vcpu(&self, id: usize) -> AxResult<AxVCpuExitReason> {
        let vcpu = self.vcpus.get(id).ok_or(VmError::VCpu(id))?;
        let mut own = vcpu.own.try_lock().ok_or(VmError::VCpu(id))?;
        let Own { arch, last } = &mut *own;
        loop {
            let exit = arch.run()?;
            let answer = match exit {
                AxVCpuExitReason::MmioRead { addr, width, .. } => self
                    .bus
                    .read(id, addr, width, last)
                    .or_else(|| self.unclaimed(addr, AccessFlags::Read)),
                AxVCpuExitReason::MmioWrite { addr, width, data } => {
                    match self.bus.write(id, addr, width, data, last) {
                        Some(Ok(())) => Some(Ok(0)),
                        Some(Err(WriteFault::Refused)) => Some(Err(BusFault)),
                        // It is made again, unless the caller has something better to do first.
                        Some(Err(WriteFault::Busy)) => return Ok(AxVCpuExitReason::Nothing),
                        None => self.unclaimed(addr, AccessFlags::Write),
                    }
                }
                AxVCpuExitReason::NestedPageFault { addr, access_flags } => {
                    self.unclaimed(addr, access_flags)
                }
                other => return Ok(other),
            };
            if let Some(result) = answer {
                arch.complete_mmio(result);
            }
        }
    }

    /// An access to an address that no device owns: an external abort, unless stage 2 allows it by
    /// now. Then (`None`) the guest makes it again.
    #[cold]
    fn unclaimed(&self, addr: GuestPhysAddr, access: AccessFlags) -> Option<Result<u64, BusFault>> {
        let needed = match access {
            AccessFlags::Read => MappingFlags::READ,
            AccessFlags::Write => MappingFlags::WRITE,
            AccessFlags::Execute => MappingFlags::EXECUTE,
        };
        let mapping = self.memory.space.lock().translate(addr);
        match mapping {
            // Nothing but data accesses is allowed on devices, no table walks (HCR_EL2.PTW).
            Some(mapping)
                if mapping.flags.contains(needed)
                    && !mapping.flags.contains(MappingFlags::DEVICE) =>
            {
                None
            }
            _ => Some(Err(BusFault)),
        }
    }
}
