//! One vCPU as its VM sees it.

use axaddrspace::GuestPhysAddr;
use axdevice::LastHit;
use axvcpu::AxArchVCpu;
use spin::Mutex;

/// What only the vCPU's own task uses.
pub(crate) struct Own<V> {
    pub arch: V,
    /// The device it used last.
    pub last: LastHit,
}

/// A vCPU: its architectural state, and where it starts when it is switched on.
pub struct AxVCpu<V: AxArchVCpu> {
    id: usize,
    phys_id: usize,
    cpu_mask: Option<usize>,
    /// Taken by the vCPU's own task while it uses the vCPU; never waited for.
    pub(crate) own: Mutex<Own<V>>,
    /// Entry point and argument, from whoever switches it on to its own task.
    start: Mutex<Option<(GuestPhysAddr, usize)>>,
}

impl<V: AxArchVCpu> AxVCpu<V> {
    pub(crate) fn new(id: usize, phys_id: usize, cpu_mask: Option<usize>, arch: V) -> Self {
        Self {
            id,
            phys_id,
            cpu_mask,
            own: Mutex::new(Own {
                arch,
                last: LastHit::default(),
            }),
            start: Mutex::new(None),
        }
    }

    /// Its number in the VM, from 0.
    pub fn id(&self) -> usize {
        self.id
    }

    /// The id its guest knows it by (MPIDR affinity, hart id).
    pub fn phys_id(&self) -> usize {
        self.phys_id
    }

    /// The physical CPUs it may run on, a bit each; `None`: all.
    pub fn cpu_mask(&self) -> Option<usize> {
        self.cpu_mask
    }

    pub(crate) fn set_start(&self, entry: GuestPhysAddr, arg: usize) {
        *self.start.lock() = Some((entry, arg));
    }

    pub(crate) fn has_start(&self) -> bool {
        self.start.lock().is_some()
    }

    pub(crate) fn take_start(&self) -> Option<(GuestPhysAddr, usize)> {
        self.start.lock().take()
    }
}
