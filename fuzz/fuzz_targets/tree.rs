//! Any bytes are a device tree or are refused: as the machine's by the hypervisor and by the command
//! that checks boards, and as a guest's own, which is corrected and is a tree then, too.
#![no_main]

mod heap;

use axloader::fdt::{
    Arch, Chosen, Device, GicV3, GuestPlatform, Interrupt, IsaExtensions, MmuType, Plic, RiscvCpu,
    TimerInterrupts, Uart, correct,
};
use axmachine::{Architecture, Fdt, Machine, bootargs, console};
use axvmconfig::board::Board;
use libfuzzer_sys::fuzz_target;

/// What correcting a tree of `size` bytes may take.
fn limit(size: usize) -> usize {
    (512 << 10) + 64 * size
}

fuzz_target!(|blob: &[u8]| {
    heap::bounded(0, || read(blob));
    if let Ok(fdt) = Fdt::new(blob) {
        let _ = Board::new(&fdt);
    }
    for arch in [arm(), riscv()] {
        corrected(blob, arch);
    }
});

/// What happens before there is a heap.
fn read(blob: &[u8]) {
    let Ok(fdt) = Fdt::new(blob) else {
        return;
    };
    let _ = (console(&fdt), bootargs(&fdt));
    for node in fdt.nodes() {
        for reg in node.regs().into_iter().flatten() {
            assert!(reg.size != 0 && reg.base.checked_add(reg.size).is_some());
        }
        for interrupt in node.interrupts().into_iter().flatten() {
            assert!((1..1024).contains(&interrupt.number));
        }
        let _ = (node.dma(), node.is_enabled(), node.bus_regs());
    }
    for architecture in [Architecture::Arm, Architecture::Riscv] {
        if let Ok(machine) = Machine::new(&fdt, architecture) {
            assert!(machine.memory.is_sorted_by(|a, b| a.end() <= b.base));
            assert!(!machine.cpus.list.is_empty());
        }
    }
}

fn corrected(blob: &[u8], arch: Arch<'_>) {
    let platform = GuestPlatform {
        memory: &[0x4000_0000..0x6000_0000],
        cpus: &[0, 1],
        uarts: &[Uart {
            registers: 0x900_0000..0x900_1000,
            interrupt: Some(Interrupt {
                line: 1,
                edge: false,
            }),
            clock_hz: 24_000_000,
        }],
        devices: &[Device::new(
            "gpio",
            &["some,gpio"],
            vec![0x902_0000..0x902_1000],
        )],
        arch,
    };
    let chosen = Chosen {
        bootargs: Some("console=ttyS0"),
        ramdisk: Some(0x4800_0000..0x4900_0000),
        ..Chosen::default()
    };
    let out = heap::bounded(limit(blob.len()), || correct(blob, &platform, &chosen));
    if let Ok(out) = out {
        let fdt = Fdt::new(&out).expect("what was corrected is a tree");
        let root = fdt.root();
        let memory: Vec<_> = root
            .children()
            .filter(|node| node.name() == "memory@40000000")
            .collect();
        assert_eq!(memory.len(), 1);
        correct(&out, &platform, &chosen).expect("what was corrected can be corrected");
    }
}

fn arm() -> Arch<'static> {
    Arch::Arm {
        gic: Some(GicV3 {
            distributor: 0x800_0000..0x801_0000,
            redistributors: 0x80a_0000..0x80e_0000,
        }),
        timer: TimerInterrupts::default(),
    }
}

fn riscv() -> Arch<'static> {
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
