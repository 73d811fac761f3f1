//! The VMs that run.

use alloc::boxed::Box;
use alloc::sync::Arc;

use axvm::AxVM;
use spin::Mutex;

use crate::arch;
use crate::hal::Hal;
use crate::task::TaskOf;

/// A VM of this image.
pub type Vm = AxVM<Hal, arch::VCpu>;

/// VM numbers are below this: they index a table, which interrupts look into.
pub const MAX_VMS: usize = axvmconfig::layout::MAX_VMS;

/// A VM and the tasks of its vCPUs, vCPU n at index n.
pub struct Running {
    /// The VM.
    pub vm: Arc<Vm>,
    /// Its tasks.
    pub tasks: Box<[TaskOf]>,
}

/// One lock for each VM: VMs don't wait for each other.
static RUNNING: [Mutex<Option<Running>>; MAX_VMS] = [const { Mutex::new(None) }; MAX_VMS];

/// Uses a running VM. `f` is short: a lock is held.
pub fn with_running<R>(vm_id: usize, f: impl FnOnce(&Running) -> R) -> Option<R> {
    RUNNING.get(vm_id)?.lock().as_ref().map(f)
}

/// From now on the VM is found by its number. It is given back if that is taken, or too large.
pub fn register(running: Running) -> Result<(), Running> {
    let Some(slot) = RUNNING.get(running.vm.id()) else {
        return Err(running);
    };
    let mut slot = slot.lock();
    if slot.is_some() {
        return Err(running);
    }
    *slot = Some(running);
    Ok(())
}

/// The VM is found no longer. It is dropped by the caller, without the lock.
pub fn unregister(vm_id: usize) -> Option<Running> {
    RUNNING.get(vm_id)?.lock().take()
}
