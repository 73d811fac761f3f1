//! Why a vCPU stopped running.

use axaddrspace::GuestPhysAddr;
use axdevice::AccessWidth;

/// What a guest's access wanted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFlags {
    /// A data read, or a translation-table walk.
    Read,
    /// A data write.
    Write,
    /// An instruction fetch.
    Execute,
}

/// What stops a VM for good when its architecture can't answer it with a fault of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestFault {
    /// A trap that this hypervisor enables nowhere, or has no meaning for.
    UnexpectedTrap {
        /// The architecture's syndrome (ESR_EL2, scause).
        syndrome: u64,
        /// The guest's program counter.
        pc: u64,
    },
    /// An exception's handler can't be fetched, and that raises the same exception again: the vCPU
    /// will never execute another instruction.
    NoHandler {
        /// Where the handler would be.
        pc: u64,
    },
    /// An error that the hardware attributes to this guest (SError, a machine check).
    HardwareError {
        /// The architecture's syndrome.
        syndrome: u64,
        /// The guest's program counter.
        pc: u64,
    },
}

/// Why [`run`](crate::AxArchVCpu::run) returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AxVCpuExitReason {
    /// A call to the hypervisor that the architecture's own standard (PSCI, SBI) does not define.
    Hypercall {
        /// Function number.
        nr: u64,
        /// Arguments.
        args: [u64; 6],
    },
    /// A read of device memory; to be answered by
    /// [`complete_mmio`](crate::AxArchVCpu::complete_mmio).
    MmioRead {
        /// Where.
        addr: GuestPhysAddr,
        /// How wide the bus access is.
        width: AccessWidth,
        /// The register that receives it.
        reg: usize,
        /// How wide that register is.
        reg_width: AccessWidth,
        /// Whether the value is sign-extended from `width` to `reg_width`.
        signed_ext: bool,
    },
    /// A write to device memory; to be answered by
    /// [`complete_mmio`](crate::AxArchVCpu::complete_mmio).
    MmioWrite {
        /// Where.
        addr: GuestPhysAddr,
        /// How wide.
        width: AccessWidth,
        /// What; bits above `width` are zero.
        data: u64,
    },
    /// A trapped system-register read that the vCPU does not serve itself.
    SysRegRead {
        /// The architecture's register number.
        addr: u64,
        /// The general register that receives it.
        reg: usize,
    },
    /// A trapped system-register write that the vCPU does not serve itself.
    SysRegWrite {
        /// The architecture's register number.
        addr: u64,
        /// What.
        value: u64,
    },
    /// A port read (x86).
    IoRead {
        /// Port number.
        port: u16,
        /// How wide.
        width: AccessWidth,
    },
    /// A port write (x86).
    IoWrite {
        /// Port number.
        port: u16,
        /// How wide.
        width: AccessWidth,
        /// What; bits above `width` are zero.
        data: u64,
    },
    /// A physical interrupt that is the hypervisor's own. Where taking one means to acknowledge it
    /// (GIC) that is done, and it has not been ended; elsewhere it is pending still.
    ExternalInterrupt {
        /// The interrupt controller's number for it.
        vector: u64,
    },
    /// A stage-2 fault that is not a device access the vCPU could decode.
    NestedPageFault {
        /// Where.
        addr: GuestPhysAddr,
        /// What the access wanted.
        access_flags: AccessFlags,
    },
    /// The guest waits for an interrupt, at most until the deadline.
    Halt {
        /// The host's counter value (raw ticks) at which the wait ends by itself: a guest timer
        /// that is due, or the limit the guest gave. `None`: only an interrupt ends it.
        deadline: Option<u64>,
    },
    /// A vCPU is to be started.
    CpuUp {
        /// Which one: the id the guest knows it by (MPIDR affinity, hart id).
        target_cpu: u64,
        /// Where it starts.
        entry_point: GuestPhysAddr,
        /// What it finds in its first argument register.
        arg: u64,
    },
    /// This vCPU switches itself off.
    CpuDown,
    /// The guest maintains caches by set and way, which reaches this CPU's caches only: all RAM of
    /// the VM is to be cleaned and invalidated by address instead.
    CacheFlushAll,
    /// The guest switches its machine off.
    SystemDown,
    /// The guest restarts its machine.
    SystemReset,
    /// An inter-processor interrupt, recorded in the model already: its targets are to be woken.
    SendIPI {
        /// A bit for each vCPU id.
        targets: u64,
    },
    /// A request bit is set: see [`VCpuSync::take_requests`](crate::VCpuSync::take_requests).
    Preempted,
    /// The VM can't go on.
    FailEntry(GuestFault),
    /// Handled; nothing to do.
    Nothing,
}
