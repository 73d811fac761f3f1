//! What VMs need of the hypervisor.

use axaddrspace::{HostPhysAddr, HostVirtAddr};
use axerrno::{AxError, AxResult};
use axhal::{cpu, paging};
use axvcpu::Kick;
use axvm::AxVMHal;

use crate::{arch, memory, vm};

/// The hypervisor under its VMs.
pub struct Hal;

impl AxVMHal for Hal {
    type PagingHandler = memory::Paging;

    fn alloc_memory_region_at(base: HostPhysAddr, size: usize) -> bool {
        memory::take_at(base, size)
    }

    fn dealloc_memory_region_at(base: HostPhysAddr, size: usize) {
        memory::give_back(base, size);
    }

    fn virt_to_phys(vaddr: HostVirtAddr) -> HostPhysAddr {
        paging::translate(vaddr).unwrap_or(HostPhysAddr::from_usize(usize::MAX))
    }

    fn current_time_nanos() -> u64 {
        let timer = arch::timer();
        timer.scale().to_nanos(timer.now())
    }

    fn current_vm_id() -> usize {
        cpu::this().current().map_or(usize::MAX, |(vm, _)| vm)
    }

    fn current_vcpu_id() -> usize {
        cpu::this().current().map_or(usize::MAX, |(_, vcpu)| vcpu)
    }

    fn current_pcpu_id() -> usize {
        cpu::index()
    }

    fn vcpu_resides_on(vm_id: usize, vcpu_id: usize) -> AxResult<usize> {
        vm::with_running(vm_id, |running| {
            running
                .vm
                .vcpu_sync(vcpu_id)
                .map(|sync| sync.cpu())
                .ok_or(AxError::NotFound)
        })
        .ok_or(AxError::NotFound)?
    }

    fn inject_irq_to_vcpu(vm_id: usize, vcpu_id: usize, _irq: usize) -> AxResult {
        vm::with_running(vm_id, |running| {
            let sync = running.vm.vcpu_sync(vcpu_id).ok_or(AxError::NotFound)?;
            match sync.kick() {
                Kick::None => {}
                Kick::Interrupt(cpu) => arch::kick(cpu),
                Kick::Wake => {
                    if let Some(task) = running.tasks.get(vcpu_id) {
                        task.unpark();
                    }
                }
            }
            Ok(())
        })
        .ok_or(AxError::NotFound)?
    }
}
