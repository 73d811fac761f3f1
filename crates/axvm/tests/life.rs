//! A VM's life: loaded, started, stopped, reset; its vCPUs' power.

mod common;

use axaddrspace::GuestPhysRange;
use axerrno::AxError;
use axvcpu::{Kick, PowerOnError, PowerState, Request};
use axvm::{StopCause, VmError, VmFault, VmStatus};

use common::host::{self, frames_out};
use common::vcpu::REFUSED;
use common::{RAM, Vm, loaded, running, two_vcpus};
use std::sync::atomic::Ordering;

/// Its vCPUs leave, as their tasks would do.
fn leave(vm: &Vm) {
    vm.unbind_vcpu(0).unwrap();
    vm.stopped();
    assert_eq!(vm.status(), VmStatus::Stopped);
}

fn power(vm: &Vm) -> [PowerState; 2] {
    [0, 1].map(|id| vm.vcpu_sync(id).unwrap().power())
}

#[test]
fn boot_switches_vcpu_0_on() {
    let vm = loaded(two_vcpus());
    assert_eq!(vm.status(), VmStatus::Loaded);
    assert!(!vm.has_power_on(0));
    vm.boot().unwrap();
    assert_eq!(vm.status(), VmStatus::Running);
    assert_eq!(power(&vm), [PowerState::OnPending, PowerState::Off]);
    assert!(vm.has_power_on(0) && !vm.has_power_on(1));
    let (entry, starts) = {
        assert_eq!(vm.take_power_on(0), Ok(true));
        vm.with_vcpu(0, |v| (v.entry, v.vm.starts.load(Ordering::Relaxed)))
            .unwrap()
    };
    assert_eq!((entry, starts), (Some((RAM, 0x77)), 1));
    assert_eq!(power(&vm), [PowerState::On, PowerState::Off]);
    // An order is taken once.
    assert_eq!(vm.take_power_on(0), Ok(false));
    assert_eq!(vm.take_power_on(1), Ok(false));
}

#[test]
fn steps_out_of_order_are_refused() {
    let vm = Vm::build(two_vcpus()).unwrap();
    assert_eq!(vm.boot(), Err(AxError::BadState));
    assert_eq!(vm.reset(), Err(AxError::BadState));
    // An entry outside RAM, and the first byte behind it.
    for entry in [0, RAM - 4, RAM + (4 << 20)] {
        let refused = Err(VmError::Entry(entry.into()));
        assert_eq!(vm.loaded(entry.into(), 0), refused);
    }
    vm.loaded(RAM.into(), 0).unwrap();
    let state = |status| Err(VmError::State(status));
    assert_eq!(vm.loaded(RAM.into(), 0), state(VmStatus::Loaded));
    assert_eq!(vm.clear_ram(&[], || {}), state(VmStatus::Loaded));
    vm.boot().unwrap();
    assert_eq!(vm.boot(), Err(AxError::BadState));
    assert_eq!(vm.reset(), Err(AxError::BadState));
    assert_eq!(vm.clear_ram(&[], || {}), state(VmStatus::Running));
}

#[test]
fn a_guest_switches_its_vcpus_on_and_off() {
    let mut config = two_vcpus();
    config.phys_cpu_ids = Some(vec![0x100, 0x200]);
    let vm = running(config);
    let on = |id, entry: usize| vm.power_on(id, entry.into(), 9);
    assert_eq!(on(1, RAM), Err(PowerOnError::NoSuchCpu));
    assert_eq!(on(0x200, 0x100), Err(PowerOnError::InvalidAddress));
    assert_eq!(on(0x100, RAM), Err(PowerOnError::AlreadyOn));
    assert_eq!(on(0x200, RAM + 8), Ok(()));
    assert_eq!(on(0x200, RAM + 16), Err(PowerOnError::Pending));
    assert_eq!(vm.take_power_on(1), Ok(true));
    let entry = vm.with_vcpu(1, |vcpu| vcpu.entry);
    assert_eq!(entry, Ok(Some((RAM + 8, 9))));
    assert_eq!(power(&vm), [PowerState::On, PowerState::On]);
    // The last one that goes off is told so; one on its way up counts as on.
    assert!(!vm.powered_off(1));
    assert_eq!(on(0x200, RAM), Ok(()));
    assert!(!vm.powered_off(0));
    assert_eq!(vm.take_power_on(1), Ok(true));
    assert!(vm.powered_off(1));
}

#[test]
fn the_first_cause_wins_and_every_vcpu_hears_of_it() {
    let vm = running(two_vcpus());
    let sync = vm.vcpu_sync(0).unwrap();
    assert!(sync.enter(3));
    host::with(|s| s.notified.clear());
    let fault = VmFault::Unhandled { vcpu: 1 };
    vm.stop(StopCause::Fault(fault));
    assert_eq!(vm.shutdown(), Ok(()));
    vm.stop(StopCause::PoweredOff);
    assert_eq!(vm.cause(), Some(StopCause::Fault(fault)));
    assert_eq!(vm.fault(), Some(fault));
    assert_eq!(vm.status(), VmStatus::Stopping);
    assert!(vm.is_stopping());
    // vCPU 0 is in the guest and has to be told; vCPU 1 looks by itself.
    assert_eq!(host::with(|s| s.notified.clone()), [(1, 0)]);
    assert_eq!(sync.kick(), Kick::Interrupt(3));
    for id in 0..2 {
        assert!(vm.vcpu_sync(id).unwrap().take_request(Request::Stop));
    }
    sync.leave();
    leave(&vm);
    assert!(vm.is_stopping());
    assert_eq!(vm.cause(), Some(StopCause::Fault(fault)));
}

/// Whoever wants the VM to end isn't held up by a guest that restarts.
#[test]
fn a_restart_gives_way_to_another_cause() {
    let vm = running(two_vcpus());
    vm.stop(StopCause::Reset);
    vm.stop(StopCause::Requested);
    vm.stop(StopCause::Reset);
    assert_eq!(vm.cause(), Some(StopCause::Requested));
    leave(&vm);
    vm.stop(StopCause::PoweredOff);
    assert_eq!(vm.status(), VmStatus::Stopped);
    assert_eq!(vm.cause(), Some(StopCause::Requested));
}

#[test]
fn reset_is_power_on_with_the_same_memory() {
    let vm = running(two_vcpus());
    let taken = host::with(|s| s.taken.clone());
    vm.with_vcpu(0, |vcpu| {
        vcpu.script.push_back(axvm::AxVCpuExitReason::Nothing)
    })
    .unwrap();
    vm.power_on(1, RAM.into(), 5).unwrap();
    vm.write_to_guest_of(RAM.into(), b"old").unwrap();
    vm.stop(StopCause::Reset);
    leave(&vm);
    let resets = |vm: &Vm| {
        vm.with_vcpu(0, |v| v.vm.resets.load(Ordering::Relaxed))
            .unwrap()
    };
    assert_eq!(resets(&vm), 1);
    host::with(|s| s.flushes.clear());
    vm.reset().unwrap();
    assert_eq!(vm.status(), VmStatus::Created);
    assert_eq!((vm.cause(), vm.fault()), (None, None));
    assert_eq!(host::with(|s| s.taken.clone()), taken);
    // What its old life left in TLBs is of no use to the new one.
    let vmid = vm
        .with_vcpu(0, |vcpu| vcpu.vm.stage2.lock().unwrap().unwrap().1)
        .unwrap();
    assert_eq!(host::with(|s| s.flushes.clone()), [(vmid, None)]);
    for id in 0..2 {
        let sync = vm.vcpu_sync(id).unwrap();
        assert_eq!(
            (sync.power(), sync.has_requests()),
            (PowerState::Off, false)
        );
        assert!(!vm.has_power_on(id));
        let fresh = vm.with_vcpu(id, |vcpu| vcpu.entry.is_none() && vcpu.script.is_empty());
        assert_eq!(fresh, Ok(true));
    }
    vm.clear_ram(&[], || {}).unwrap();
    let mut bytes = [1; 3];
    vm.read_from_guest_of(RAM.into(), &mut bytes).unwrap();
    assert_eq!(bytes, [0; 3]);
    vm.loaded(RAM.into(), 0x88).unwrap();
    vm.boot().unwrap();
    assert_eq!(vm.take_power_on(0), Ok(true));
    assert_eq!(vm.with_vcpu(0, |vcpu| vcpu.entry), Ok(Some((RAM, 0x88))));
    vm.stop(StopCause::Requested);
    vm.stopped();
    drop(vm);
    assert_eq!(frames_out(), 0);
}

#[test]
fn a_reset_that_fails_is_an_error_and_the_vm_can_be_dropped() {
    let vm = running(two_vcpus());
    vm.stop(StopCause::Reset);
    leave(&vm);
    REFUSED.set(1);
    assert_eq!(vm.reset(), Err(AxError::Unsupported));
    drop(vm);
    assert_eq!(frames_out(), 0);
}

#[test]
fn a_vcpu_is_used_by_one_at_a_time() {
    let vm = running(two_vcpus());
    let inner = vm.with_vcpu(0, |_| vm.with_vcpu(0, |_| ()));
    assert_eq!(inner, Ok(Err(AxError::ResourceBusy)));
    assert_eq!(
        vm.with_vcpu(0, |_| vm.run_vcpu(0)),
        Ok(Err(AxError::ResourceBusy))
    );
    assert_eq!(vm.with_vcpu(2, |_| ()), Err(AxError::ResourceBusy));
    assert_eq!(vm.take_power_on(2), Err(AxError::ResourceBusy));
}

#[test]
fn interrupts_make_a_vcpu_look() {
    let vm = running(two_vcpus());
    host::with(|s| s.notified.clear());
    let sync = vm.vcpu_sync(1).unwrap();
    assert!(sync.block());
    vm.inject_interrupt_to_vcpu(1);
    vm.inject_interrupt_to_vcpu(7);
    assert_eq!(host::with(|s| s.notified.clone()), [(1, 1)]);
    assert!(sync.take_request(Request::Interrupt));
}

#[test]
fn cleaning_covers_all_ram_in_pieces_and_ends_with_the_vm() {
    let vm = running(two_vcpus());
    host::with(|s| s.cleaned.clear());
    vm.clean_ram(|| {});
    let cleaned = host::with(|s| std::mem::take(&mut s.cleaned));
    assert_eq!(cleaned.iter().map(|(_, len)| len).sum::<usize>(), 4 << 20);
    assert!(cleaned.iter().all(|&(_, len)| len <= 64 << 10));
    let mut pauses = 0;
    vm.clean_ram(|| {
        pauses += 1;
        if pauses == 3 {
            vm.stop(StopCause::Requested);
        }
    });
    assert_eq!(pauses, 3);
    assert_eq!(host::with(|s| s.cleaned.len()), 3);
}

#[test]
fn a_loaded_image_may_be_kept() {
    let vm = Vm::build(two_vcpus()).unwrap();
    let image = GuestPhysRange {
        start: (RAM + 100).into(),
        end: (RAM + 200).into(),
    };
    vm.write_image(image.start, &[7; 100]).unwrap();
    vm.clear_ram(&[image], || {}).unwrap();
    let mut bytes = [9; 102];
    vm.read_from_guest_of((RAM + 99).into(), &mut bytes)
        .unwrap();
    assert_eq!((bytes[0], bytes[1], bytes[100], bytes[101]), (0, 7, 7, 0));
}
