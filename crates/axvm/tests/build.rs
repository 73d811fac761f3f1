//! Building a VM from its configuration: what it has then, and that nothing stays taken when it
//! can't be built, or when it is gone.

mod common;

use std::ops::ControlFlow;

use axaddrspace::GuestPhysRange;
use axerrno::{AxError, AxErrorKind};
use axvm::{AxVMConfig, VmError, VmStatus};
use axvmconfig::VmMemMappingType::{MapAlloc, MapIdentical, MapReserved};
use axvmconfig::{MemFlags, PassThroughDeviceConfig, VMInterruptMode, VmMemConfig};
use proptest::prelude::*;

use common::host::{self, BASE, frames_out};
use common::vcpu::{NO_SUCH_VCPU, REFUSED};
use common::{RAM, Vm, two_vcpus};

const MIB: usize = 1 << 20;

fn region(gpa: usize, size: usize, map_type: axvmconfig::VmMemMappingType) -> VmMemConfig {
    VmMemConfig {
        gpa,
        size,
        flags: MemFlags::READ | MemFlags::WRITE | MemFlags::EXECUTE,
        map_type,
    }
}

fn with_regions(regions: &[VmMemConfig]) -> AxVMConfig {
    let mut config = two_vcpus();
    config.memory_regions = regions.to_vec();
    config
}

/// Why `config` is refused; nothing is taken afterwards.
fn refused(config: AxVMConfig) -> VmError {
    let error = Vm::build(config).err().expect("an error");
    assert_eq!(frames_out(), 0, "{error:?}");
    error
}

fn device(base_gpa: usize, length: usize) -> PassThroughDeviceConfig {
    PassThroughDeviceConfig {
        name: "device".into(),
        base_gpa,
        base_hpa: 0x1000_0000,
        length,
        irq_id: None,
        dma_unprotected: false,
    }
}

#[test]
fn a_vm_is_what_its_configuration_says() {
    let mut config = two_vcpus();
    config.phys_cpu_ids = Some(vec![0x100, 0x200]);
    config.phys_cpu_sets = Some(vec![1, 2]);
    let vm = Vm::build(config).unwrap();
    assert_eq!((vm.id(), vm.name()), (1, "test"));
    assert_eq!(vm.status(), VmStatus::Created);
    assert_eq!((vm.cause(), vm.fault()), (None, None));
    let vcpus: Vec<_> = vm
        .vcpu_list()
        .iter()
        .map(|vcpu| (vcpu.id(), vcpu.phys_id(), vcpu.cpu_mask()))
        .collect();
    assert_eq!(vcpus, [(0, 0x100, Some(1)), (1, 0x200, Some(2))]);
    assert!(vm.vcpu(1).is_some() && vm.vcpu(2).is_none());
    assert!(vm.vcpu_sync(1).is_some() && vm.vcpu_sync(2).is_none());
    assert!(vm.console().is_some());
    let ram: Vec<_> = vm.ram().map(|r| (r.start.as_usize(), r.size())).collect();
    assert_eq!(ram, [(RAM, 4 * MIB)]);
    // The vCPUs run under the VM's own tables.
    let stage2 = vm.with_vcpu(0, |vcpu| *vcpu.vm.stage2.lock().unwrap());
    let (root, vmid) = stage2.unwrap().expect("set");
    assert!(host::with(|s| s.taken.contains_key(&root)));
    assert_ne!(vmid, 0);
    drop(vm);
    assert_eq!(frames_out(), 0);
    assert!(host::with(|s| s.flushes.contains(&(vmid, None))));
}

#[test]
fn two_vms_share_neither_vmid_nor_memory() {
    let stage2 = |vm: &Vm| vm.with_vcpu(0, |vcpu| *vcpu.vm.stage2.lock().unwrap());
    let (one, two) = (
        Vm::build(two_vcpus()).unwrap(),
        Vm::build(two_vcpus()).unwrap(),
    );
    assert_ne!(
        stage2(&one).unwrap().unwrap().1,
        stage2(&two).unwrap().unwrap().1
    );
    one.write_to_guest_of(RAM.into(), b"one").unwrap();
    two.write_to_guest_of(RAM.into(), b"two").unwrap();
    let mut bytes = [0; 3];
    one.read_from_guest_of(RAM.into(), &mut bytes).unwrap();
    assert_eq!(&bytes, b"one");
}

#[test]
fn identical_memory_is_taken_at_its_own_address() {
    let at = BASE + 4 * MIB;
    let vm = Vm::build(with_regions(&[region(at, MIB, MapIdentical)])).unwrap();
    assert!(host::with(|s| s.taken.get(&at) == Some(&256)));
    // Nobody else gets it while the VM is there; afterwards it is free.
    let again = || Vm::build(with_regions(&[region(at, MIB, MapIdentical)]));
    let taken = VmError::RegionTaken {
        base: at,
        size: MIB,
    };
    assert_eq!(again().err(), Some(taken));
    assert_eq!(AxError::from(taken), AxError::AddrInUse);
    drop(vm);
    assert!(again().is_ok());
    assert_eq!(frames_out(), 0);
}

#[test]
fn reserved_memory_is_never_the_allocators() {
    let at = BASE + 8 * MIB;
    let vm = Vm::build(with_regions(&[region(at, MIB, MapReserved)])).unwrap();
    assert!(!host::with(|s| s.taken.contains_key(&at)));
    vm.write_to_guest_of((at + 5).into(), b"x").unwrap();
    drop(vm);
    assert_eq!(frames_out(), 0);
}

#[test]
fn memory_may_come_in_pieces() {
    host::with(|s| s.largest = Some(64));
    let vm = Vm::build(two_vcpus()).unwrap();
    let ram: Vec<_> = vm.ram().collect();
    assert!(ram.len() >= 16, "{ram:?}");
    let mut at = RAM;
    for range in ram {
        assert_eq!(range.start.as_usize(), at);
        at = range.end.as_usize();
    }
    assert_eq!(at, RAM + 4 * MIB);
    // Bytes across the pieces' borders are next to one another for the guest.
    let data: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    vm.write_image((RAM + 1000).into(), &data).unwrap();
    let mut read = vec![0; data.len()];
    vm.read_from_guest_of((RAM + 1000).into(), &mut read)
        .unwrap();
    assert_eq!(read, data);
    // It is seen with the guest's caches off, and as instructions.
    let bytes = |ranges: &[(usize, usize)]| ranges.iter().map(|(_, len)| len).sum::<usize>();
    assert_eq!(host::with(|s| bytes(&s.cleaned)), data.len());
    assert_eq!(host::with(|s| bytes(&s.synced)), data.len());
}

#[test]
fn wrong_configurations_are_errors() {
    let with = |change: fn(&mut AxVMConfig)| {
        let mut config = two_vcpus();
        change(&mut config);
        refused(config)
    };
    assert_eq!(with(|c| c.cpu_num = 0), VmError::CpuCount(0));
    assert_eq!(with(|c| c.cpu_num = 65), VmError::CpuCount(65));
    assert_eq!(with(|c| c.memory_regions.clear()), VmError::NoMemoryRegion);
    let unresolved = with(|c| c.unresolved_devices.push("/rtc".into()));
    assert_eq!(unresolved, VmError::UnresolvedDevice);
    let no_chip = with(|c| {
        c.interrupt_mode = VMInterruptMode::NoIrq;
        c.spi_list.push(7);
    });
    assert_eq!(no_chip, VmError::NoInterruptController);
    // The console's line, once more.
    let twice = with(|c| c.spi_list.push(1));
    assert!(matches!(twice, VmError::Line(taken) if taken.0 == 1));
    let listed_twice = with(|c| c.spi_list.extend([7, 7]));
    assert!(matches!(listed_twice, VmError::Line(taken) if taken.0 == 7));
    let under_device = with(|c| c.memory_regions[0].gpa = 0x0900_0000 - 4096);
    assert!(matches!(under_device, VmError::Bus(_)), "{under_device:?}");
    let in_ram = with(|c| c.pass_through_devices.push(device(RAM, 4096)));
    assert!(matches!(in_ram, VmError::Space(_)), "{in_ram:?}");
    let too_much = with(|c| c.memory_regions[0].size = 64 * MIB);
    let (gpa, size) = (RAM, 64 * MIB);
    assert_eq!(too_much, VmError::OutOfMemory { gpa, size });
    let error = Vm::new(with_regions(&[])).err();
    assert_eq!(error, Some(AxError::InvalidInput));
}

#[test]
fn a_vcpu_that_cant_be_made_takes_the_vm_with_it() {
    for id in 0..2 {
        REFUSED.set(id);
        assert_eq!(
            refused(two_vcpus()),
            VmError::Arch(AxErrorKind::Unsupported)
        );
    }
    REFUSED.set(NO_SUCH_VCPU);
    assert!(Vm::build(two_vcpus()).is_ok());
}

/// Each allocation that a VM makes fails once.
#[test]
fn out_of_memory_at_any_point_gives_everything_back() {
    let identical = region(BASE + 24 * MIB, MIB, MapIdentical);
    let mut regions = [region(RAM, MIB, MapAlloc), identical];
    regions[0].size += 4096;
    let steps = (0..100).try_for_each(|budget| {
        host::with(|s| (s.budget, s.largest) = (Some(budget), Some(16)));
        match Vm::build(with_regions(&regions)) {
            Ok(_) => ControlFlow::Break(budget),
            Err(error) => {
                let space = matches!(error, VmError::Space(_));
                assert!(
                    space || matches!(error, VmError::OutOfMemory { .. }),
                    "{error:?}"
                );
                assert_eq!(frames_out(), 0);
                ControlFlow::Continue(())
            }
        }
    });
    // A root, 17 pieces of memory and the tables for them.
    assert!(matches!(steps, ControlFlow::Break(20..)), "{steps:?}");
}

#[test]
fn passthrough_registers_are_mapped_and_are_not_memory() {
    let mut config = two_vcpus();
    config.pass_through_devices.push(device(0x0a00_0000, 8192));
    config.spi_list.push(40);
    let vm = Vm::build(config).unwrap();
    assert!(vm.read_from_guest_of(0x0a00_0000.into(), &mut [0]).is_err());
    assert!(vm.line_fired(40) && !vm.line_fired(41));
}

#[test]
fn guest_memory_is_reached_by_its_rights() {
    let mut config = two_vcpus();
    config.memory_regions[0].flags = MemFlags::READ | MemFlags::EXECUTE;
    let vm = Vm::build(config).unwrap();
    let at = RAM.into();
    assert_eq!(vm.write_to_guest_of(at, b"no"), Err(AxError::BadAddress));
    // Images go anywhere.
    vm.write_image(at, b"yes").unwrap();
    let mut bytes = [0; 3];
    vm.read_from_guest_of(at, &mut bytes).unwrap();
    assert_eq!(&bytes, b"yes");
    let mut fetched = [0; 3];
    assert_eq!(
        vm.with_vcpu(0, |vcpu| vcpu.reads(RAM, &mut fetched)),
        Ok(true)
    );
    assert_eq!(&fetched, b"yes");
    let end = RAM + 4 * MIB;
    assert!(vm.write_image((end - 1).into(), b"xy").is_err());
    assert_eq!(
        vm.read_from_guest_of(end.into(), &mut [0]),
        Err(AxError::BadAddress)
    );
    assert!(vm.write_image(usize::MAX.into(), b"x").is_err());
}

/// Page numbers inside the RAM, as byte ranges that need not be whole pages.
fn kept() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..4 * MIB, 1..300_000usize), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// All RAM but what is kept reads as zeros, what is kept is as before, and the work comes in
    /// pieces.
    #[test]
    fn clearing_leaves_what_is_kept(kept in kept(), largest in prop::option::of(1usize..600)) {
        host::with(|s| s.largest = largest);
        let vm = Vm::build(two_vcpus()).unwrap();
        let mut after = vec![0; 4 * MIB];
        vm.write_image(RAM.into(), &vec![0xee; 4 * MIB]).unwrap();
        let ranges: Vec<GuestPhysRange> = kept
            .iter()
            .map(|&(start, len)| (start, (start + len).min(4 * MIB)))
            .map(|(start, end)| GuestPhysRange {
                start: (RAM + start).into(),
                end: (RAM + end).into(),
            })
            .collect();
        let (mut pauses, mut cleaned) = (0, 0);
        host::with(|s| s.cleaned.clear());
        vm.clear_ram(&ranges, || {
            pauses += 1;
            let bytes: usize = host::with(|s| s.cleaned.drain(..).map(|(_, len)| len).sum());
            assert!(bytes <= 64 << 10, "{bytes} bytes between two pauses");
            cleaned += bytes;
        }).unwrap();
        vm.read_from_guest_of(RAM.into(), &mut after).unwrap();
        let mut expected = vec![0; 4 * MIB];
        for range in &ranges {
            expected[range.start.as_usize() - RAM..range.end.as_usize() - RAM].fill(0xee);
        }
        prop_assert!(after == expected);
        // What was cleared is seen with the guest's caches off, too.
        prop_assert_eq!(cleaned, expected.iter().filter(|&&byte| byte == 0).count());
        prop_assert!(!ranges.is_empty() || pauses >= 64);
        drop(vm);
        prop_assert_eq!(frames_out(), 0);
    }
}
