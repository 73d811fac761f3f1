//! Whatever the files and the configuration say: no panic, no overlap, no write outside RAM.
#![allow(clippy::single_range_in_vec_init)] // RAM is a list of ranges, often of one.

mod common;

use axloader::fdt::{
    self, Arch, Chosen, Device, GicV3, GuestPlatform, Interrupt, IsaExtensions, MmuType, Plic,
    RiscvCpu, TimerInterrupts, Uart,
};
use axloader::{LoadPlan, Loader};
use common::*;
use proptest::prelude::*;

/// Small addresses around interesting borders, and any.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0x3ff0u64..0x4200).prop_map(|page| page << 16),
        1 => 0x4000_0000u64..0x4100_0000,
        1 => any::<u64>(),
    ]
}

fn kernel() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![Just(0), 1u64..0x100_0000, any::<u64>()];
    let offset = prop_oneof![Just(0), Just(0x8_0000), any::<u64>()];
    let segment = (
        address(),
        prop_oneof![Just(0), 0usize..0x3000],
        0u64..0x3_0000,
    )
        .prop_map(|(paddr, len, more)| Load {
            vaddr: paddr,
            paddr,
            data: vec![7; len],
            mem_size: len as u64 + more,
        });
    let segments = proptest::collection::vec(segment, 0..4);
    let plain = prop_oneof![
        (offset, size, 64usize..0x9000, any::<bool>()).prop_map(|(t, s, len, riscv)| {
            if riscv {
                riscv_image(t, s, len)
            } else {
                image(t, s, len)
            }
        }),
        (
            2u16..4,
            prop_oneof![Just(183), Just(243)],
            address(),
            segments
        )
            .prop_map(|(kind, machine, entry, loads)| elf(kind, machine, entry, &loads)),
        proptest::collection::vec(any::<u8>(), 0..300),
    ];
    let packed =
        (plain, any::<bool>()).prop_map(|(file, pack)| if pack { gzip(&file) } else { file });
    let flips = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3);
    (packed, flips).prop_map(|(mut file, flips)| {
        for (at, value) in flips
            .into_iter()
            .filter(|_| !file.is_empty())
            .collect::<Vec<_>>()
        {
            let at = at.index(file.len());
            file[at] = value;
        }
        file
    })
}

fn arm_arch() -> Arch<'static> {
    Arch::Arm {
        gic: Some(GicV3 {
            distributor: 0x800_0000..0x801_0000,
            redistributors: 0x80a_0000..0x80e_0000,
        }),
        timer: TimerInterrupts::default(),
    }
}

fn riscv_arch() -> Arch<'static> {
    Arch::Riscv {
        plic: Some(Plic {
            registers: 0xc00_0000..0x1000_0000,
            sources: 96,
        }),
        cpu: RiscvCpu {
            timebase_hz: 10_000_000,
            isa: "rv64imac",
            extensions: Some(IsaExtensions {
                base: "rv64i",
                extensions: &["i", "m", "a", "c"],
            }),
            mmu: MmuType::Sv39,
            cbom_block_size: None,
            cboz_block_size: Some(64),
            cbop_block_size: None,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn plans_hold(
        kernel in kernel(),
        kernel_addr in proptest::option::of(address()),
        entry in proptest::option::of(address()),
        ramdisk in proptest::option::of((0usize..0x2_0000).prop_map(|len| vec![3; len])),
        ramdisk_addr in proptest::option::of(address()),
        dtb_addr in proptest::option::of(address()),
        dtb_len in prop_oneof![Just(0), 0usize..0x3_0000],
        gap in 0u64..0x200,
        riscv in any::<bool>(),
    ) {
        let ram = [0x4000_0000..0x4080_0000, 0x4080_0000 + (gap << 12)..0x4180_0000];
        let mut given = if riscv { riscv_inputs(&kernel, &ram) } else { inputs(&kernel, &ram) };
        (given.kernel_addr, given.entry) = (kernel_addr, entry);
        given.ramdisk = ramdisk.as_deref();
        (given.ramdisk_addr, given.dtb_addr) = (ramdisk_addr, dtb_addr);
        let Ok(mut plan) = LoadPlan::new(&given) else { return Ok(()) };
        if plan.set_dtb(vec![9; dtb_len]).is_err() {
            // A place that was chosen has the room that was asked for.
            prop_assert!(dtb_addr.is_some() || dtb_len as u64 > fdt::ROOM);
            return Ok(());
        }
        let mut memory = Memory::new(&ram);
        match Loader::new(&plan).run(&mut memory) {
            Ok(()) => prop_assert_eq!(plan.overwritten(), memory.ranges()),
            Err(axloader::LoadError::Gzip(_)) => {}
            Err(error) => prop_assert!(false, "{:?}", error),
        }
    }

    #[test]
    fn hostile_trees_do_no_harm(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
        riscv in any::<bool>(),
    ) {
        let memory = [0x4000_0000..0x6000_0000];
        let platform = GuestPlatform {
            memory: &memory,
            cpus: &[0, 1],
            uarts: &[Uart {
                registers: 0x900_0000..0x900_1000,
                interrupt: Some(Interrupt { line: 1, edge: false }),
                clock_hz: 24_000_000,
            }],
            devices: &[Device::new("gpio", &["some,gpio"], vec![0x902_0000..0x902_1000])],
            arch: if riscv { riscv_arch() } else { arm_arch() },
        };
        let mut dtb = fdt::generate(&platform, &Chosen::default()).unwrap();
        for (at, value) in flips {
            let at = at.index(dtb.len());
            dtb[at] = value;
        }
        if let Some(cut) = cut {
            dtb.truncate(cut.index(dtb.len()));
        }
        // Either way is fine; what comes out must be a tree.
        if let Ok(out) = fdt::correct(&dtb, &platform, &Chosen::default()) {
            prop_assert!(fdt::correct(&out, &platform, &Chosen::default()).is_ok());
        }
    }
}
