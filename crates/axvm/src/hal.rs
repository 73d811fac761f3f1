//! What a VM needs from the hypervisor.

use axaddrspace::{HostPhysAddr, HostVirtAddr, PagingHandler};
use axerrno::AxResult;

/// The hypervisor under a VM. All of it may be called from any CPU.
pub trait AxVMHal: Sized + 'static {
    /// Frames, windows onto guest RAM, TLB and cache maintenance.
    type PagingHandler: PagingHandler;

    /// Takes `size` bytes of RAM at exactly `base`, both multiples of 4096. `false` if any of it
    /// is not RAM or belongs to somebody.
    fn alloc_memory_region_at(base: HostPhysAddr, size: usize) -> bool;

    /// Gives back what [`alloc_memory_region_at`](Self::alloc_memory_region_at) took.
    fn dealloc_memory_region_at(base: HostPhysAddr, size: usize);

    /// The physical address of memory the hypervisor has mapped for itself.
    fn virt_to_phys(vaddr: HostVirtAddr) -> HostPhysAddr;

    /// Nanoseconds since the machine's counter started.
    fn current_time_nanos() -> u64;

    /// The VM whose vCPU task runs on this CPU; `usize::MAX` if none does.
    fn current_vm_id() -> usize;

    /// The vCPU whose task runs on this CPU; `usize::MAX` if none does.
    fn current_vcpu_id() -> usize;

    /// This CPU's index.
    fn current_pcpu_id() -> usize;

    /// The CPU a vCPU entered its guest on last: a hint, old by the time it is looked at.
    fn vcpu_resides_on(vm_id: usize, vcpu_id: usize) -> AxResult<usize>;

    /// Interrupt `irq` is recorded for this vCPU in its VM's model, or another request in its
    /// request bits: makes the vCPU look, by interrupting the CPU it runs on or waking its task.
    fn inject_irq_to_vcpu(vm_id: usize, vcpu_id: usize, irq: usize) -> AxResult;
}
