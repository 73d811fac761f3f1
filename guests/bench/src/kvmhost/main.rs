//! A program for Linux on riscv64: runs the bench guest as a VM of the kernel's KVM, so that one
//! program tells what KVM costs. It is as small as such a program can be: RAM in one piece, two vCPUs
//! with a thread each, a PLIC and a UART that serve an access in a few instructions. What a row
//! costs is the kernel's doing, then, and not its own.
//!
//! usage: kvmhost KERNEL DEVICE-TREE
#![no_std]
#![no_main]

mod devices;
mod linux;

use core::sync::atomic::{AtomicU64, Ordering};
use devices::{Board, ROOM};
use linux::{Run, ioctl};

/// Where RAM begins, its size, where the kernel and the device tree go.
const RAM: u64 = 0x8000_0000;
const RAM_SIZE: u64 = 64 << 20;
const KERNEL: u64 = RAM + 0x20_0000;
const TREE: u64 = RAM + RAM_SIZE - (1 << 20);

/// Linux, Documentation/virt/kvm/api.rst, include/uapi/linux/kvm.h.
const CREATE_VM: u64 = 0xae01;
const RUN_SIZE: u64 = 0xae04;
const CREATE_VCPU: u64 = 0xae41;
const SET_MEMORY: u64 = 0x4020_ae46;
const RUN: u64 = 0xae80;
const SET_REGISTER: u64 = 0x4010_aeac;
/// The ids of `pc`, `a0` and `a1`: KVM_REG_RISCV, 64 bits, KVM_REG_RISCV_CORE.
const PC: u64 = 0x8030_0000_0200_0000;
const A0: u64 = PC + 10;
const A1: u64 = PC + 11;

const EXIT_MMIO: u32 = 6;
const EXIT_INTERRUPTED: u32 = 10;
const EXIT_SYSTEM_EVENT: u32 = 24;
const EXIT_SBI: u32 = 35;
const EXIT_CSR: u32 = 36;

/// SBI_ERR_NOT_SUPPORTED.
const NOT_SUPPORTED: u64 = -2_i64 as u64;

const VCPUS: usize = 2;

/// The descriptors of the vCPUs, and where the kernel tells why each came back.
static VCPU: [AtomicU64; VCPUS] = [const { AtomicU64::new(0) }; VCPUS];
static STATE: [AtomicU64; VCPUS] = [const { AtomicU64::new(0) }; VCPUS];

linux::program!(main);

fn main(arguments: linux::Arguments) {
    let kvm = linux::open(c"/dev/kvm");
    let vm = ioctl(kvm, CREATE_VM, 0);
    let memory = linux::memory(None, RAM_SIZE);
    // Slot, flags, address, size, where it is here.
    let region = [0, RAM, RAM_SIZE, memory];
    ioctl(vm, SET_MEMORY, region.as_ptr() as u64);
    for (argument, address) in [(1, KERNEL), (2, TREE)] {
        let file = linux::open(arguments.get(argument));
        linux::read_whole(file, memory + address - RAM, RAM + RAM_SIZE - address);
    }
    let size = ioctl(kvm, RUN_SIZE, 0);
    for number in 0..VCPUS {
        let vcpu = ioctl(vm, CREATE_VCPU, number as u64);
        VCPU[number].store(vcpu, Ordering::Relaxed);
        STATE[number].store(linux::memory(Some(vcpu), size), Ordering::Relaxed);
    }
    let first = VCPU[0].load(Ordering::Relaxed);
    for (register, value) in [(PC, KERNEL), (A0, 0), (A1, TREE)] {
        let pair = [register, &raw const value as u64];
        ioctl(first, SET_REGISTER, pair.as_ptr() as u64);
    }
    // The other one waits in the kernel until the guest starts it.
    linux::thread(run, 1);
    run(0);
}

/// Runs a vCPU until the VM is off.
extern "C" fn run(number: usize) -> ! {
    let vcpu = VCPU[number].load(Ordering::Relaxed);
    let state = Run::new(STATE[number].load(Ordering::Relaxed));
    linux::stay_on(number);
    loop {
        // A signal ends it early, which is no harm.
        let _ = linux::try_ioctl(vcpu, RUN, 0);
        match state.exit_reason() {
            EXIT_MMIO => access(&state),
            EXIT_INTERRUPTED => {}
            EXIT_SBI => state.set_sbi_result(NOT_SUPPORTED, 0),
            EXIT_CSR => state.set_csr_result(0),
            EXIT_SYSTEM_EVENT => linux::exit(0),
            other => linux::fail("KVM gave up", u64::from(other)),
        }
    }
}

/// Serves an access to a device.
fn access(state: &Run) {
    let (address, is_write) = state.mmio();
    devices::with(|board: &mut Board| {
        if is_write {
            if let Some(text) = board.write(address, state.mmio_data()) {
                linux::print(text);
            }
        } else {
            state.set_mmio_data(board.read(address));
        }
        for (line, vcpu) in board.lines().iter().zip(&VCPU) {
            if let Some(level) = line {
                linux::interrupt(vcpu.load(Ordering::Relaxed), *level);
            }
        }
    });
}

const _: () = assert!(ROOM > 128, "a line of the guest's fits");
