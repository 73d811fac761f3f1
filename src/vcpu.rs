//! vCPU tasks, and the exit loop: the one place where the hypervisor answers what a guest does.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use axerrno::{AxError, AxErrorKind, AxResult};
use axvcpu::{AxArchVCpu, AxVCpuExitReason, Request};
use axvm::{StopCause, VmFault};

use crate::interrupt;
use crate::manager;
use crate::task::{Data, SCHEDULER};
use crate::vm::Vm;

/// What the task of a vCPU carries.
pub struct VCpuTask {
    vm: Arc<Vm>,
    id: usize,
    /// The vCPU's state is in the CPU that the task runs on. Touched by that CPU only.
    bound: AtomicBool,
}

impl VCpuTask {
    /// For vCPU `id` of `vm`.
    pub fn new(vm: Arc<Vm>, id: usize) -> Self {
        Self {
            vm,
            id,
            bound: AtomicBool::new(false),
        }
    }

    /// VM and vCPU numbers.
    pub fn ids(&self) -> (usize, usize) {
        (self.vm.id(), self.id)
    }

    /// The task leaves its CPU: so does the vCPU's state.
    pub fn put_away(&self) {
        if self.bound.swap(false, Ordering::Relaxed)
            && let Err(error) = self.vm.unbind_vcpu(self.id)
        {
            let error = name(error);
            log::error!("VM {}: unbinding vCPU {}: {error}", self.vm.id(), self.id);
        }
    }

    fn bind(&self) -> AxResult {
        if !self.bound.load(Ordering::Relaxed) {
            self.vm.bind_vcpu(self.id)?;
            self.bound.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What an error is called. (`AxError` formats itself with all names of Linux's errors, which are
/// 5 KB and none of which occurs.)
pub fn name(error: AxError) -> &'static str {
    AxErrorKind::try_from(error.code()).map_or("unknown", |kind| kind.as_str())
}

/// Runs `f` with what the current task carries.
fn with_own<R>(f: impl FnOnce(&VCpuTask) -> R) -> Option<R> {
    SCHEDULER
        .with_current(|task| task.data().0.as_ref().map(f))
        .flatten()
}

/// The life of a vCPU's task.
pub fn main(vm: &Arc<Vm>, id: usize) {
    loop {
        if vm.is_stopping() {
            if !manager::left(vm) {
                return;
            }
            continue;
        }
        match vm.take_power_on(id) {
            Ok(true) => {
                if let Err(error) = run(vm, id) {
                    log::error!("VM {}: vCPU {id}: {}", vm.id(), name(error));
                    vm.stop(StopCause::Fault(VmFault::Unhandled { vcpu: id }));
                }
                with_own(VCpuTask::put_away);
            }
            Ok(false) => {
                // Off: nothing of what was recorded for it counts.
                if let Some(sync) = vm.vcpu_sync(id) {
                    sync.take_requests();
                }
                if !vm.is_stopping() && !vm.has_power_on(id) {
                    sleep(vm, id, None);
                }
            }
            Err(error) => {
                log::error!("VM {}: starting vCPU {id}: {}", vm.id(), name(error));
                vm.stop(StopCause::Fault(VmFault::Unhandled { vcpu: id }));
            }
        }
    }
}

/// The exit loop. Returns when the vCPU is off, or its VM stops.
fn run(vm: &Arc<Vm>, id: usize) -> AxResult {
    loop {
        if vm.is_stopping() {
            return Ok(());
        }
        if SCHEDULER.need_resched() {
            SCHEDULER.preempt();
        }
        with_own(VCpuTask::bind).unwrap_or(Ok(()))?;
        match vm.run_vcpu(id)? {
            AxVCpuExitReason::Nothing => {}
            AxVCpuExitReason::ExternalInterrupt { vector } => interrupt::acknowledged(vector),
            AxVCpuExitReason::Preempted => {
                if let Some(sync) = vm.vcpu_sync(id) {
                    // Stop is seen by the VM's status; a switched-on vCPU is on already.
                    sync.take_request(Request::Stop);
                    sync.take_request(Request::PowerOn);
                }
            }
            AxVCpuExitReason::Halt { deadline } => sleep(vm, id, deadline),
            AxVCpuExitReason::CpuUp {
                target_cpu,
                entry_point,
                arg,
            } => {
                let result = vm.power_on(target_cpu, entry_point, arg as usize);
                vm.with_vcpu(id, |vcpu| vcpu.complete_cpu_up(result))?;
            }
            AxVCpuExitReason::CpuDown => {
                with_own(VCpuTask::put_away);
                if vm.powered_off(id) {
                    vm.stop(StopCause::AllCpusOff);
                }
                return Ok(());
            }
            AxVCpuExitReason::CacheFlushAll => {
                with_own(VCpuTask::put_away);
                vm.clean_ram(manager::pause);
            }
            AxVCpuExitReason::SystemDown => vm.stop(StopCause::PoweredOff),
            AxVCpuExitReason::SystemReset => vm.stop(StopCause::Reset),
            AxVCpuExitReason::SendIPI { targets } => {
                for target in (0..64).filter(|target| targets >> target & 1 != 0) {
                    vm.inject_interrupt_to_vcpu(target);
                }
            }
            AxVCpuExitReason::Hypercall { .. } => {
                // No call is offered yet.
                const NOT_SUPPORTED: u64 = u64::MAX;
                vm.with_vcpu(id, |vcpu| vcpu.set_return_value(NOT_SUPPORTED))?;
            }
            AxVCpuExitReason::FailEntry(fault) => {
                vm.stop(StopCause::Fault(VmFault::Guest { vcpu: id, fault }));
            }
            // Served by `run_vcpu`, or of another architecture.
            _ => vm.stop(StopCause::Fault(VmFault::Unhandled { vcpu: id })),
        }
    }
}

/// Blocks until something is recorded for the vCPU, or the deadline (in ticks) passes.
fn sleep(vm: &Arc<Vm>, id: usize, deadline: Option<u64>) {
    let Some(sync) = vm.vcpu_sync(id) else { return };
    with_own(VCpuTask::put_away);
    if sync.block() {
        SCHEDULER.park_until(deadline.unwrap_or(u64::MAX));
        sync.leave();
    }
}

/// Task data for a vCPU.
pub fn data(vm: &Arc<Vm>, id: usize) -> Data {
    Data(Some(VCpuTask::new(vm.clone(), id)))
}
