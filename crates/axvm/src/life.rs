//! A VM's life: loaded, started, stopped, reset.

use core::sync::atomic::{Ordering, fence};

use axaddrspace::{GuestPhysAddr, GuestPhysRange, PagingHandler};
use axerrno::AxResult;
use axvcpu::{ArchVm, AxArchVCpu, Kick, PowerOnError, PowerState, Request};

use crate::{AxVCpu, AxVM, AxVMHal, StopCause, VmError, VmFault, VmStatus};

impl<H: AxVMHal, V: AxArchVCpu> AxVM<H, V> {
    /// Where it is in its life.
    pub fn status(&self) -> VmStatus {
        VmStatus::from_raw(self.status.load(Ordering::Acquire))
    }

    /// Why it stops or stopped.
    pub fn cause(&self) -> Option<StopCause> {
        *self.cause.lock()
    }

    /// Why it can't go on, if that is why it stops.
    pub fn fault(&self) -> Option<VmFault> {
        match self.cause() {
            Some(StopCause::Fault(fault)) => Some(fault),
            _ => None,
        }
    }

    fn step(&self, from: VmStatus, to: VmStatus) -> Result<(), VmError> {
        self.status
            .compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(|found| VmError::State(VmStatus::from_raw(found)))
    }

    /// Clears its RAM but for `keep`, which the caller overwrites at once by
    /// [`write_image`](Self::write_image). `pause` is called between pieces of at most 64 KiB.
    pub fn clear_ram(&self, keep: &[GuestPhysRange], pause: impl FnMut()) -> Result<(), VmError> {
        match self.status() {
            VmStatus::Created => {
                self.memory.clear(keep, pause);
                Ok(())
            }
            other => Err(VmError::State(other)),
        }
    }

    /// Its RAM is cleared and its images are in place; vCPU 0 will start at `entry` with `arg`.
    pub fn loaded(&self, entry: GuestPhysAddr, arg: usize) -> Result<(), VmError> {
        if !self.memory.ranges().any(|ram| ram.contains(entry)) {
            return Err(VmError::Entry(entry));
        }
        *self.boot.lock() = Some((entry, arg));
        self.step(VmStatus::Created, VmStatus::Loaded)
    }

    /// Starts it: its clock begins to run and vCPU 0 is switched on. The tasks of its vCPUs exist.
    pub fn boot(&self) -> AxResult {
        self.step(VmStatus::Loaded, VmStatus::Running)?;
        let (entry, arg) = (*self.boot.lock()).ok_or(VmError::State(VmStatus::Loaded))?;
        self.arch.start();
        let bsp = self.vcpus.first().ok_or(VmError::VCpu(0))?;
        let phys_id = bsp.phys_id() as u64;
        self.power_on(phys_id, entry, arg)
            .map_err(|_| VmError::VCpu(0).into())
    }

    /// Switches on the vCPU that the guest knows by `phys_id`.
    pub fn power_on(
        &self,
        phys_id: u64,
        entry: GuestPhysAddr,
        arg: usize,
    ) -> Result<(), PowerOnError> {
        let vcpu = self
            .vcpus
            .iter()
            .find(|vcpu| vcpu.phys_id() as u64 == phys_id);
        let vcpu = vcpu.ok_or(PowerOnError::NoSuchCpu)?;
        let sync = self.sync.get(vcpu.id()).ok_or(PowerOnError::NoSuchCpu)?;
        if !self.memory.ranges().any(|ram| ram.contains(entry)) {
            return Err(PowerOnError::InvalidAddress);
        }
        sync.claim_power_on()?;
        vcpu.set_start(entry, arg);
        self.request(vcpu.id(), Request::PowerOn);
        Ok(())
    }

    /// For the vCPU's own task, unbound: takes the order to start that [`power_on`](Self::power_on)
    /// left, and resets the vCPU. `false` if there is none.
    pub fn take_power_on(&self, id: usize) -> AxResult<bool> {
        let vcpu = self.vcpus.get(id).ok_or(VmError::VCpu(id))?;
        let sync = self.sync.get(id).ok_or(VmError::VCpu(id))?;
        sync.take_request(Request::PowerOn);
        let Some((entry, arg)) = vcpu.take_start() else {
            return Ok(false);
        };
        self.with_vcpu(id, |arch| arch.set_entry(entry, arg))??;
        sync.set_power(PowerState::On);
        Ok(true)
    }

    /// Whether [`take_power_on`](Self::take_power_on) would find an order.
    pub fn has_power_on(&self, id: usize) -> bool {
        self.vcpus.get(id).is_some_and(AxVCpu::has_start)
    }

    /// For the vCPU's own task, unbound: the vCPU is off. `true` if it was the last one that was
    /// on, or on its way.
    pub fn powered_off(&self, id: usize) -> bool {
        if let Some(sync) = self.sync.get(id) {
            sync.set_power(PowerState::Off);
        }
        // Of two that go at once, each stores and then looks: one of them at least sees both off.
        fence(Ordering::SeqCst);
        self.sync.iter().all(|sync| sync.power() == PowerState::Off)
    }

    /// Stops it. The first cause wins, except that a VM which is to restart may be stopped for good;
    /// the vCPUs leave the guest as soon as they see the request.
    pub fn stop(&self, cause: StopCause) {
        {
            let mut first = self.cause.lock();
            if first.is_some_and(|first| first != StopCause::Reset) {
                return;
            }
            *first = Some(cause);
            // Under the lock: who sees the cause sees the status. A VM that has stopped stays so.
            if self.status() != VmStatus::Stopped {
                self.status
                    .store(VmStatus::Stopping as u8, Ordering::Release);
            }
        }
        for id in 0..self.vcpus.len() {
            self.request(id, Request::Stop);
        }
    }

    /// Stops it because the hypervisor wants it.
    pub fn shutdown(&self) -> AxResult {
        self.stop(StopCause::Requested);
        Ok(())
    }

    /// Whether its vCPUs are to leave.
    pub fn is_stopping(&self) -> bool {
        matches!(self.status(), VmStatus::Stopping | VmStatus::Stopped)
    }

    /// All its vCPU tasks have ended: its interrupts are made quiet.
    pub fn stopped(&self) {
        self.arch.reset();
        self.bus.reset();
        self.status
            .store(VmStatus::Stopped as u8, Ordering::Release);
    }

    /// From `Stopped` back to `Created`: the same frames and tables, vCPUs and devices as after
    /// power-on. Its RAM is to be cleared and loaded again.
    pub fn reset(&self) -> AxResult {
        self.step(VmStatus::Stopped, VmStatus::Created)?;
        *self.cause.lock() = None;
        // What the old life left in TLBs and instruction caches has the same VMID.
        let vmid = self.memory.space.lock().vmid();
        H::PagingHandler::flush_stage2(vmid, None);
        for (vcpu, sync) in self.vcpus.iter().zip(self.sync.iter()) {
            vcpu.take_start();
            sync.take_requests();
            sync.set_power(PowerState::Off);
            let fresh = V::new(&self.arch, vcpu.id())?;
            vcpu.own.try_lock().ok_or(VmError::VCpu(vcpu.id()))?.arch = fresh;
        }
        Ok(())
    }

    /// Makes guest RAM coherent with what its caches-off observers see: set/way maintenance of the
    /// guest, by address. `pause` is called between pieces, with no vCPU of the VM bound here. Ends
    /// early if the VM stops.
    pub fn clean_ram(&self, mut pause: impl FnMut()) {
        self.memory.clean(|| {
            pause();
            !self.is_stopping()
        });
    }

    /// Interrupts are recorded for a vCPU in the VM's model: it is to look.
    pub fn inject_interrupt_to_vcpu(&self, id: usize) {
        self.request(id, Request::Interrupt);
    }

    /// Physical interrupt `line` fired on this CPU while none of this VM's vCPUs ran there, and was
    /// acknowledged: see [`ArchVm::line_fired`]. Called on any CPU, with interrupts masked.
    pub fn line_fired(&self, line: u32) -> bool {
        self.arch.line_fired(line)
    }

    /// Leaves a request and makes the vCPU look at it.
    fn request(&self, id: usize, request: Request) {
        let Some(sync) = self.sync.get(id) else {
            return;
        };
        if sync.request(request) != Kick::None {
            let _ = H::inject_irq_to_vcpu(self.id(), id, 0);
        }
    }
}
