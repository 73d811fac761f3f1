//! Damaged trees: whatever is in the blob, reading it ends, and without a panic.

use std::{string::ToString, sync::LazyLock, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{Architecture, Fdt, Machine, console};

static BLOBS: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| [dtb(VIRT), dtb(BOARD), dtb(RISCV)]);

/// Asks everything that can be asked. Returns whether the machine could be read.
fn read_all(blob: &[u8]) -> bool {
    let Ok(fdt) = Fdt::new(blob) else {
        return false;
    };
    let mut read = false;
    let _ = console(&fdt);
    let _ = fdt.reservations().count();
    for node in fdt.nodes().chain([fdt.root()]) {
        let path = node.to_string();
        assert!(fdt.find(&path).is_some(), "{path}");
        for reg in node.regs().into_iter().flatten() {
            assert!(reg.size != 0 && reg.base.checked_add(reg.size).is_some());
        }
        for interrupt in node.interrupts().into_iter().flatten() {
            assert!((1..1024).contains(&interrupt.number));
        }
        let _ = (node.dma(), node.is_enabled(), node.bus_regs());
        for property in node.properties() {
            let _ = node.strings(property.name).count();
        }
    }
    let _ = fdt.devices_in(0x900_0000, 0x1000).count();
    // An image reads each tree as one of its own kind.
    for kind in [Architecture::Arm, Architecture::Riscv] {
        match Machine::new(&fdt, kind) {
            Ok(machine) => {
                assert!(machine.memory.is_sorted_by(|a, b| a.end() <= b.base));
                assert!(!machine.cpus.list.is_empty());
                read |= kind == Architecture::of(&fdt);
            }
            Err(error) => {
                let _ = error.to_string();
            }
        }
    }
    read
}

#[test]
fn undamaged_trees_are_read() {
    assert!(BLOBS.iter().all(|blob| read_all(blob)));
}

#[test]
fn truncated_at_every_length() {
    for blob in BLOBS.iter() {
        for len in 0..blob.len() {
            assert!(Fdt::new(&blob[..len]).is_err());
        }
    }
}

/// Numbers that hurt.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        0_u32..20,
        any::<u32>(),
        Just(u32::MAX),
        Just(i32::MAX as u32),
        Just(1 << 31),
        (0_u32..32).prop_map(|bit| 1 << bit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes_changed(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut blob = BLOBS[which].clone();
        for (at, byte) in changes {
            let at = at.index(blob.len());
            blob[at] = byte;
        }
        read_all(&blob);
    }

    #[test]
    fn words_changed(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), number()), 1..8),
    ) {
        let mut blob = BLOBS[which].clone();
        for (at, word) in changes {
            let at = at.index(blob.len() / 4) * 4;
            blob[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        read_all(&blob);
    }

    /// Only values of properties, so that what reads them is reached.
    #[test]
    fn values_changed(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), number()), 1..4),
    ) {
        let mut blob = BLOBS[which].clone();
        let mut places = Vec::new();
        let fdt = Fdt::new(&blob).unwrap();
        for node in fdt.nodes() {
            for property in node.properties() {
                let start = property.value.as_ptr() as usize - blob.as_ptr() as usize;
                places.extend((start..start + property.value.len() / 4 * 4).step_by(4));
            }
        }
        for (at, word) in changes {
            let at = places[at.index(places.len())];
            blob[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        prop_assert!(Fdt::new(&blob).is_ok());
        read_all(&blob);
    }

    #[test]
    fn noise(blob in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(!read_all(&blob));
    }
}
