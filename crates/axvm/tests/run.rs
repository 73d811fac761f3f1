//! Exits that a VM answers itself: accesses to devices, and stage-2 faults.

mod common;

use std::sync::Arc;

use axdevice::{AccessWidth, BusFault, ConsoleHook};
use axvcpu::AccessFlags;
use axvm::AxVCpuExitReason as Exit;
use axvmconfig::{MemFlags, PassThroughDeviceConfig};

use common::{RAM, Vm, config, running, two_vcpus};

const GICD: usize = 0x0800_0000;
const UART: usize = 0x0900_0000;
/// UART registers.
const DR: usize = 0x00;
const FR: usize = 0x18;
const IMSC: usize = 0x38;

fn read(addr: usize, width: AccessWidth) -> Exit {
    Exit::MmioRead {
        addr: addr.into(),
        width,
        reg: 0,
        reg_width: width,
        signed_ext: false,
    }
}

fn write(addr: usize, width: AccessWidth, data: u64) -> Exit {
    Exit::MmioWrite {
        addr: addr.into(),
        width,
        data,
    }
}

fn fault(addr: usize, access_flags: AccessFlags) -> Exit {
    Exit::NestedPageFault {
        addr: addr.into(),
        access_flags,
    }
}

/// What vCPU 0 was answered when it left the guest for these reasons. No exit reaches the
/// hypervisor but the wait at their end.
fn answers(vm: &Vm, exits: &[Exit]) -> Vec<Result<u64, BusFault>> {
    vm.with_vcpu(0, |vcpu| {
        vcpu.script.extend(exits);
        vcpu.answers.clear();
    })
    .unwrap();
    assert_eq!(vm.run_vcpu(0), Ok(Exit::Halt { deadline: None }));
    vm.with_vcpu(0, |vcpu| vcpu.answers.clone()).unwrap()
}

use AccessWidth::{Byte, Double, Word};

#[test]
fn accesses_reach_the_device_they_are_for() {
    let vm = running(two_vcpus());
    let got = answers(
        &vm,
        &[
            write(GICD, Word, 0x1234_5678),
            read(GICD, Word),
            read(GICD, Byte),
            write(UART + DR, Byte, b'A'.into()),
            read(UART + FR, Word),
            // The interrupt controller's next register refuses; the hypervisor sees nothing of it.
            read(GICD + 4, Word),
        ],
    );
    assert_eq!(&got[..4], [Ok(0), Ok(0x1234_5678), Ok(0x78), Ok(0)]);
    // UARTFR after power-on: both FIFOs empty.
    assert_eq!(got[4].unwrap() & 0x90, 0x90);
    assert_eq!(got[5], Err(BusFault));
    let mut sent = [0; 8];
    assert_eq!(vm.console().unwrap().drain_output(&mut sent), 1);
    assert_eq!(sent[0], b'A');
}

/// The console is the first UART. What is sent to another one goes nowhere, and doesn't wait there.
#[test]
fn a_second_uart_is_connected_to_nothing() {
    const OTHER: usize = 0x0a00_0000;
    let vm = running(config(
        r#"
        [base]
        id = 1
        name = "test"
        [kernel]
        kernel_path = "kernel"
        memory_regions = [{ size = "4MiB" }]
        [devices]
        emu_devices = [{ type = "console" }, { type = "console", base_gpa = 0x0a00_0000 }]
        "#,
    ));
    for _ in 0..10_000 {
        let got = answers(
            &vm,
            &[write(OTHER + DR, Byte, 0x42), read(OTHER + FR, Word)],
        );
        // UARTFR: the transmit FIFO is empty, and not full.
        assert_eq!(got[1].unwrap() & 0xa0, 0x80);
    }
    answers(&vm, &[write(UART + DR, Byte, 0x41)]);
    let mut sent = [0; 8];
    assert_eq!(vm.console().unwrap().drain_output(&mut sent), 1);
    assert_eq!(sent[0], 0x41);
}

/// A console that is busy with others.
struct Busy;

impl ConsoleHook for Busy {
    fn output_ready(&self) {}

    fn output_pressing(&self) {}

    fn input_wanted(&self) {}
}

/// An unenabled PL011 holds one character behind its queue of 4080.
#[test]
fn what_a_device_cant_take_yet_is_made_again_and_the_caller_hears_of_it() {
    let vm = running(two_vcpus());
    vm.console().unwrap().attach(Arc::new(Busy));
    let send = write(UART + DR, Byte, b'x'.into());
    assert_eq!(answers(&vm, &[send; 4081]), [Ok(0); 4081]);
    vm.with_vcpu(0, |vcpu| vcpu.script.push_back(send)).unwrap();
    assert_eq!(vm.run_vcpu(0), Ok(Exit::Nothing));
    assert_eq!(vm.console().unwrap().drain_output(&mut [0]), 1);
    // It was not answered; made again, it is.
    assert_eq!(answers(&vm, &[send]), [Ok(0)]);
}

#[test]
fn an_access_beyond_a_devices_end_is_refused() {
    let vm = running(two_vcpus());
    let got = answers(
        &vm,
        &[read(UART + 0xffc, Double), write(UART + 0xfff, Word, 0)],
    );
    assert_eq!(got, [Err(BusFault); 2]);
}

#[test]
fn addresses_of_nobody_are_external_aborts() {
    let vm = running(two_vcpus());
    let exits = [
        read(0x0c00_0000, Word),
        write(0x0c00_0000, Word, 1),
        fault(0x0c00_0000, AccessFlags::Execute),
        read(usize::MAX, Byte),
        read(RAM + (4 << 20), Word),
    ];
    assert_eq!(answers(&vm, &exits), [Err(BusFault); 5]);
}

#[test]
fn a_fault_on_memory_the_guest_may_use_is_tried_again() {
    let vm = running(two_vcpus());
    let exits = [
        read(RAM, Word),
        write(RAM, Word, 0),
        fault(RAM + 0xfff, AccessFlags::Execute),
    ];
    assert_eq!(answers(&vm, &exits), []);
}

#[test]
fn a_fault_against_the_regions_rights_is_an_abort() {
    let mut config = two_vcpus();
    config.memory_regions[0].flags = MemFlags::READ;
    let vm = running(config);
    let exits = [
        fault(RAM, AccessFlags::Read),
        fault(RAM, AccessFlags::Write),
        fault(RAM, AccessFlags::Execute),
    ];
    // Reading is tried again.
    assert_eq!(answers(&vm, &exits), [Err(BusFault); 2]);
}

#[test]
fn a_fault_on_passthrough_registers_is_an_abort() {
    let mut config = two_vcpus();
    config.pass_through_devices.push(PassThroughDeviceConfig {
        name: "rtc".into(),
        base_gpa: 0x0a00_0000,
        base_hpa: 0x1000_0000,
        length: 4096,
        irq_id: None,
        dma_unprotected: false,
    });
    let vm = running(config);
    // A stage-1 walk through them would otherwise fault for ever.
    let exits = [
        fault(0x0a00_0000, AccessFlags::Read),
        read(0x0a00_0000, Word),
    ];
    assert_eq!(answers(&vm, &exits), [Err(BusFault); 2]);
}

#[test]
fn other_exits_are_the_hypervisors_in_their_order() {
    let vm = running(two_vcpus());
    let up = Exit::CpuUp {
        target_cpu: 1,
        entry_point: RAM.into(),
        arg: 3,
    };
    let others = [up, Exit::SystemReset, Exit::CacheFlushAll, Exit::Preempted];
    vm.with_vcpu(0, |vcpu| {
        for exit in others {
            vcpu.script.extend([read(GICD, Word), exit]);
        }
    })
    .unwrap();
    for exit in others {
        assert_eq!(vm.run_vcpu(0), Ok(exit));
    }
    assert_eq!(vm.with_vcpu(0, |vcpu| vcpu.answers.len()), Ok(others.len()));
}

#[test]
fn devices_drive_lines_and_are_reset_with_the_vm() {
    let vm = running(two_vcpus());
    // RXIM; then a character comes, and the FIFO is over its trigger level or times out.
    answers(
        &vm,
        &[
            write(UART + 0x30, Word, 0x301),
            write(UART + IMSC, Word, 0x50),
        ],
    );
    assert_eq!(vm.console().unwrap().write_input(b"x"), 1);
    let driven = vm.with_vcpu(0, |vcpu| vcpu.driven()).unwrap();
    assert_eq!(driven, [(1, true)]);
    assert_eq!(answers(&vm, &[read(UART + DR, Word)]), [Ok(b'x'.into())]);
    let driven = vm.with_vcpu(0, |vcpu| vcpu.driven()).unwrap();
    assert_eq!(driven, [(1, true), (1, false)]);
    answers(&vm, &[write(GICD, Word, 5)]);
    vm.shutdown().unwrap();
    vm.unbind_vcpu(0).unwrap();
    vm.stopped();
    vm.reset().unwrap();
    vm.bind_vcpu(0).unwrap();
    let got = answers(&vm, &[read(UART + IMSC, Word), read(GICD, Word)]);
    assert_eq!(got, [Ok(0), Ok(0)]);
}

#[test]
fn a_vm_without_interrupt_controller_has_devices_still() {
    let vm = running(common::config(
        r#"
        [base]
        id = 2
        [kernel]
        kernel_path = "kernel"
        memory_regions = [{ size = "2MiB" }]
        [devices]
        interrupt_mode = "none"
        "#,
    ));
    let exits = [read(GICD, Word), write(UART + DR, Byte, 7)];
    let got = answers(&vm, &exits);
    assert_eq!(got[0], Err(BusFault));
    if vm.console().is_some() {
        assert_eq!(got[1], Ok(0));
    }
}
