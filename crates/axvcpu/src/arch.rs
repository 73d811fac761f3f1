//! What an architecture implements: a vCPU, and the part of a VM its vCPUs share.

use alloc::sync::Arc;
use alloc::vec::Vec;

use axaddrspace::{GuestPhysAddr, GuestPhysRange, HostPhysAddr, TableFormat};
use axdevice::{Bus, BusFault, ConsolePort, IrqSink, MmioDevice};
use axerrno::AxResult;

use crate::{AxVCpuExitReason, PowerOnError, VCpuSync};

/// A VM's memory, as far as a vCPU has to look into it: to fetch an instruction that the hardware
/// did not decode, to walk the guest's own tables, to serve a call that passes bytes in memory.
pub trait GuestMemory: Send + Sync {
    /// Copies from guest RAM. `false` if any byte of it is not RAM.
    fn read(&self, gpa: GuestPhysAddr, buffer: &mut [u8]) -> bool;

    /// Copies to guest RAM. `false` if any byte of it is not RAM that the guest may write.
    fn write(&self, gpa: GuestPhysAddr, data: &[u8]) -> bool;
}

/// Which UART model an architecture's guests expect as their console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleModel {
    /// Arm PrimeCell PL011.
    Pl011,
    /// 16550-compatible.
    Ns16550,
}

/// What a region of the interrupt controller's registers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqchipRole {
    /// The part that exists once (GIC distributor, PLIC).
    Distributor,
    /// The part that exists for each vCPU (GIC redistributors), one after another.
    Redistributor,
}

/// Where the guest finds a part of its interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IrqchipRegion {
    /// Which part.
    pub role: IrqchipRole,
    /// Its registers.
    pub range: GuestPhysRange,
}

/// What [`ArchVm::new`] is made from.
pub struct VmSetup<'a> {
    /// The VM's id.
    pub vm_id: usize,
    /// For each vCPU the id its guest knows it by (MPIDR affinity fields, hart id). Distinct.
    pub phys_ids: &'a [usize],
    /// Where the interrupt controller is; empty for a VM without interrupts.
    pub irqchip: &'a [IrqchipRegion],
    /// Physical interrupts that belong to this VM, each delivered as the line of the same number.
    pub passthrough_lines: &'a [u32],
    /// How each vCPU is reached; as many as `phys_ids`.
    pub sync: Arc<[VCpuSync]>,
    /// The VM's memory.
    pub memory: Arc<dyn GuestMemory>,
    /// Makes vCPU `vcpu_id` of VM `vm_id` look at what has been recorded for it: see
    /// `AxVMHal::inject_irq_to_vcpu`.
    pub notify: fn(vm_id: usize, vcpu_id: usize, irq: usize),
}

/// The part of a VM that its vCPUs share and that is the architecture's: its interrupt controller
/// above all. Read by all its vCPUs at once; what changes is locked or atomic inside.
pub trait ArchVm: Send + Sync + Sized + 'static {
    /// Builds it.
    fn new(setup: VmSetup<'_>) -> AxResult<Arc<Self>>;

    /// The interrupt controller's memory-mapped registers.
    fn mmio_devices(self: &Arc<Self>) -> Vec<(GuestPhysRange, Arc<dyn MmioDevice>)>;

    /// Where devices drive their lines.
    fn irq_sink(self: &Arc<Self>) -> Arc<dyn IrqSink>;

    /// The stage-2 translation its vCPUs run under. Called before any of them runs.
    fn set_stage2(&self, root: HostPhysAddr, vmid: u16);

    /// The VM's bus. An architecture may serve plain device accesses there itself, without
    /// [`run`](AxArchVCpu::run) returning. Called before any vCPU runs. What it keeps of the bus
    /// must not lead from a device back to the bus.
    fn attach_bus(&self, _bus: &Arc<Bus>) {}

    /// The VM's console. An architecture whose firmware calls have a console (SBI's debug console)
    /// serves them with it. Called before any vCPU runs. What it keeps of the console must not lead
    /// from the console back to it.
    fn attach_console(&self, _console: &Arc<dyn ConsolePort>) {}

    /// Physical interrupt `line` fired on this CPU, was acknowledged there, and fires no more (it is
    /// active, or claimed) until the guest ends it. Called on any CPU, whichever vCPUs run. `false`:
    /// it does not belong to this VM.
    fn line_fired(&self, line: u32) -> bool;

    /// The VM starts now: its clock begins to run.
    fn start(&self);

    /// Back to the state after power-on; no vCPU of the VM is bound. Physical interrupts that
    /// belong to the VM are disabled, neither pending nor active.
    fn reset(&self);
}

/// A virtual CPU of one architecture. Every method but `new` is called by one CPU at a time, with
/// interrupts masked.
pub trait AxArchVCpu: Send + Sized + 'static {
    /// What its VM's vCPUs share.
    type Vm: ArchVm;

    /// The stage-2 tables it runs under.
    type Stage2: TableFormat;

    /// The console its guests expect.
    const CONSOLE: ConsoleModel;

    /// Stage-2 tables as this machine has them.
    fn stage2_format() -> AxResult<Self::Stage2>;

    /// vCPU number `vcpu_id` of `vm`, in the architecture's reset state.
    fn new(vm: &Arc<Self::Vm>, vcpu_id: usize) -> AxResult<Self>;

    /// Reset state, to start at `entry` with `arg` in the first argument register. Not while
    /// bound.
    fn set_entry(&mut self, entry: GuestPhysAddr, arg: usize) -> AxResult;

    /// Makes this vCPU the one whose state is in this CPU's registers.
    fn bind(&mut self);

    /// Takes its state out of this CPU's registers.
    fn unbind(&mut self);

    /// Runs the guest until something the vCPU does not serve itself. Only while bound.
    fn run(&mut self) -> AxResult<AxVCpuExitReason>;

    /// Answers the last [`MmioRead`](AxVCpuExitReason::MmioRead),
    /// [`MmioWrite`](AxVCpuExitReason::MmioWrite) or
    /// [`NestedPageFault`](AxVCpuExitReason::NestedPageFault): the value read (anything for a
    /// write), or the architecture's external abort. Without an answer the access is made again.
    fn complete_mmio(&mut self, result: Result<u64, BusFault>);

    /// Sets a general register.
    fn set_gpr(&mut self, reg: usize, value: u64);

    /// The result of a call of the guest to its firmware or hypervisor
    /// ([`Hypercall`](AxVCpuExitReason::Hypercall)).
    fn set_return_value(&mut self, value: u64);

    /// Answers a [`CpuUp`](AxVCpuExitReason::CpuUp) in the architecture's own numbers.
    fn complete_cpu_up(&mut self, result: Result<(), PowerOnError>);
}
