//! The device trees of RISC-V guests, read back by another crate and judged by dtc.
#![allow(clippy::single_range_in_vec_init)] // RAM is a list of ranges, often of one.

mod common;

use axloader::fdt::{
    Arch, Chosen, Device, FdtError, GuestPlatform, Interrupt, IsaExtensions, MmuType, Plic,
    RiscvCpu, Uart, correct, generate,
};
use common::tree::{cells, dtc, dts, text};
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;

const MEMORY: [std::ops::Range<u64>; 2] = [0x8000_0000..0xa000_0000, 0x8_0000_0000..0x8_4000_0000];

const CPU: RiscvCpu<'_> = RiscvCpu {
    timebase_hz: 10_000_000,
    isa: "rv64imafdc_zicbom_zicboz_sstc",
    extensions: Some(IsaExtensions {
        base: "rv64i",
        extensions: &["i", "m", "a", "f", "d", "c", "zicbom", "zicboz", "sstc"],
    }),
    mmu: MmuType::Sv48,
    cbom_block_size: Some(64),
    cboz_block_size: Some(64),
    cbop_block_size: None,
};

const UARTS: [Uart; 1] = [Uart {
    registers: 0x1000_0000..0x1000_0100,
    interrupt: Some(Interrupt {
        line: 10,
        edge: false,
    }),
    clock_hz: 3_686_400,
}];

fn platform<'a>(cpus: &'a [u64], devices: &'a [Device]) -> GuestPlatform<'a> {
    GuestPlatform {
        memory: &MEMORY,
        cpus,
        uarts: &UARTS,
        devices,
        arch: Arch::Riscv {
            plic: Some(Plic {
                registers: 0xc00_0000..0x1000_0000,
                sources: 96,
            }),
            cpu: CPU,
        },
    }
}

#[test]
fn generated_tree_says_what_the_platform_is() {
    let chosen = Chosen {
        bootargs: Some("console=ttyS0"),
        ramdisk: Some(0x9f00_0000..0x9fff_1234),
        rng_seed: None,
    };
    let dtb = generate(&platform(&[0, 1, 5], &[]), &chosen).unwrap();
    dts(&dtb);
    let fdt = Fdt::new(&dtb).unwrap();
    let at = |path: &str| fdt.find_node(path).unwrap_or_else(|| panic!("no {path}"));

    assert_eq!(text(&at("/"), "compatible"), "riscv-virtio\0");
    assert_eq!(
        cells(&at("/memory@80000000"), "reg"),
        [0, 0x8000_0000, 0, 0x2000_0000]
    );
    let cpus = at("/cpus");
    assert_eq!(cells(&cpus, "#address-cells"), [1]);
    assert_eq!(cells(&cpus, "#size-cells"), [0]);
    assert_eq!(cells(&cpus, "timebase-frequency"), [10_000_000]);
    assert_eq!(cpus.children().count(), 3);
    let cpu = at("/cpus/cpu@5");
    assert_eq!(cells(&cpu, "reg"), [5]);
    assert_eq!(text(&cpu, "device_type"), "cpu\0");
    assert_eq!(text(&cpu, "compatible"), "riscv\0");
    assert_eq!(text(&cpu, "riscv,isa"), "rv64imafdc_zicbom_zicboz_sstc\0");
    assert_eq!(text(&cpu, "riscv,isa-base"), "rv64i\0");
    assert_eq!(
        text(&cpu, "riscv,isa-extensions"),
        "i\0m\0a\0f\0d\0c\0zicbom\0zicboz\0sstc\0"
    );
    assert_eq!(text(&cpu, "mmu-type"), "riscv,sv48\0");
    assert_eq!(cells(&cpu, "riscv,cbom-block-size"), [64]);
    assert_eq!(cells(&cpu, "riscv,cboz-block-size"), [64]);
    assert!(cpu.property("riscv,cbop-block-size").is_none());

    let plic = at("/soc/interrupt-controller@c000000");
    assert_eq!(
        text(&plic, "compatible"),
        "sifive,plic-1.0.0\0riscv,plic0\0"
    );
    assert_eq!(cells(&plic, "reg"), [0, 0xc00_0000, 0, 0x400_0000]);
    assert_eq!(cells(&plic, "#interrupt-cells"), [1]);
    assert_eq!(cells(&plic, "riscv,ndev"), [96]);
    // Context 2n + 1 is CPU n's supervisor mode: external interrupt 9 of its own controller.
    let contexts: Vec<u32> = ["0", "1", "5"]
        .iter()
        .flat_map(|id| {
            let intc = at(&format!("/cpus/cpu@{id}/interrupt-controller"));
            assert_eq!(text(&intc, "compatible"), "riscv,cpu-intc\0");
            assert_eq!(cells(&intc, "#interrupt-cells"), [1]);
            assert!(intc.property("interrupt-controller").is_some());
            let phandle = cells(&intc, "phandle")[0];
            [phandle, u32::MAX, phandle, 9]
        })
        .collect();
    assert_eq!(cells(&plic, "interrupts-extended"), contexts);
    let phandle = cells(&plic, "phandle");
    // The harts' controllers would inherit it: then Linux finds none that has no parent.
    assert!(fdt.root().property("interrupt-parent").is_none());

    let uart = at("/soc/serial@10000000");
    assert_eq!(text(&uart, "compatible"), "ns16550a\0");
    assert_eq!(cells(&uart, "reg"), [0, 0x1000_0000, 0, 0x100]);
    assert_eq!(cells(&uart, "interrupts"), [10]);
    assert_eq!(cells(&uart, "interrupt-parent"), phandle);
    assert_eq!(cells(&uart, "clock-frequency"), [3_686_400]);
    assert_eq!(text(&at("/aliases"), "serial0"), "/soc/serial@10000000\0");
    let chosen = at("/chosen");
    assert_eq!(text(&chosen, "stdout-path"), "/soc/serial@10000000\0");
    assert_eq!(cells(&chosen, "linux,initrd-start"), [0, 0x9f00_0000]);
    // Nothing of the other architecture.
    let text = dts(&dtb);
    assert!(!text.contains("arm,") && !text.contains("psci"), "{text}");
}

/// Both properties of the newer form or none; and hart ids of more than 32 bits.
#[test]
fn the_older_form_alone_and_wide_hart_ids() {
    let ids = [0x1_0000_0007];
    let mut platform = platform(&ids, &[]);
    if let Arch::Riscv { cpu, .. } = &mut platform.arch {
        cpu.extensions = None;
        cpu.mmu = MmuType::Sv39;
        cpu.cbom_block_size = None;
    }
    let dtb = generate(&platform, &Chosen::default()).unwrap();
    dts(&dtb);
    let fdt = Fdt::new(&dtb).unwrap();
    let cpu = fdt.find_node("/cpus/cpu@100000007").unwrap();
    assert_eq!(cells(&cpu, "reg"), [1, 7]);
    assert_eq!(text(&cpu, "mmu-type"), "riscv,sv39\0");
    for absent in [
        "riscv,isa-base",
        "riscv,isa-extensions",
        "riscv,cbom-block-size",
    ] {
        assert!(cpu.property(absent).is_none(), "{absent}");
    }
}

#[test]
fn many_harts_fit_the_room() {
    let ids: Vec<u64> = (0..64).collect();
    let long = "rv64imafdcv_".to_string() + &"zsomething_".repeat(40);
    let names = vec!["zsomething"; 48];
    let mut platform = platform(&ids, &[]);
    if let Arch::Riscv { cpu, .. } = &mut platform.arch {
        cpu.isa = &long;
        cpu.extensions = Some(IsaExtensions {
            base: "rv64i",
            extensions: &names,
        });
    }
    let dtb = generate(&platform, &Chosen::default()).unwrap();
    // All 64 that a VM may have, and an ISA string of over 450 characters in both forms.
    let room = platform.room();
    assert!(dtb.len() as u64 <= room, "{}", dtb.len());
    assert!(room <= 2 << 20, "what a kernel may be given");
}

#[test]
fn no_plic_no_shared_interrupts() {
    let device = Device {
        interrupts: vec![Interrupt {
            line: 3,
            edge: false,
        }],
        ..Device::new("gpio", &["some,gpio"], [0x1100_0000..0x1100_1000].into())
    };
    let devices = [device];
    let mut platform = platform(&[0], &devices);
    if let Arch::Riscv { plic, .. } = &mut platform.arch {
        *plic = None;
    }
    let dtb = generate(&platform, &Chosen::default()).unwrap();
    let text = dts(&dtb);
    assert!(
        !text.contains("interrupts") && !text.contains("interrupt-parent"),
        "{text}"
    );
    // The hart's own stays: its timer needs it.
    assert!(text.contains("riscv,cpu-intc"));
}

#[test]
fn sources_have_one_cell_and_are_bounded() {
    let device = |line| Device {
        interrupts: vec![Interrupt { line, edge: true }],
        ..Device::new("gpio", &["some,gpio"], [0x1100_0000..0x1100_1000].into())
    };
    for line in [1, 96] {
        let devices = [device(line)];
        let dtb = generate(&platform(&[0], &devices), &Chosen::default()).unwrap();
        dts(&dtb);
        let fdt = Fdt::new(&dtb).unwrap();
        let node = fdt.find_node("/soc/gpio@11000000").unwrap();
        assert_eq!(cells(&node, "interrupts"), [line]);
    }
    for line in [0, 97, u32::MAX] {
        let devices = [device(line)];
        assert_eq!(
            generate(&platform(&[0], &devices), &Chosen::default()),
            Err(FdtError::Interrupt(line))
        );
    }
}

/// As QEMU's virt machine describes itself, shortened.
const HOST: &str = r#"/dts-v1/;
/ {
    #address-cells = <2>; #size-cells = <2>; model = "host"; compatible = "riscv-virtio";
    memory@80000000 { device_type = "memory"; reg = <0 0x80000000 0 0x40000000>; };
    cpus { #address-cells = <1>; #size-cells = <0>; timebase-frequency = <1000>;
        cpu0: cpu@0 { device_type = "cpu"; reg = <0>; compatible = "riscv"; riscv,isa = "rv64imafdch";
            intc0: interrupt-controller { #interrupt-cells = <1>; #address-cells = <0>;
                interrupt-controller; compatible = "riscv,cpu-intc"; }; };
        cpu-map { cluster0 { core0 { cpu = <&cpu0>; }; }; };
    };
    pmu { compatible = "riscv,pmu"; };
    soc { #address-cells = <2>; #size-cells = <2>; compatible = "simple-bus"; ranges;
        console: serial@10000000 { compatible = "ns16550a"; reg = <0 0x10000000 0 0x100>;
            interrupts = <10>; interrupt-parent = <&plic>; clock-frequency = <3686400>; };
        other: serial@10002000 { compatible = "ns16550a"; reg = <0 0x10002000 0 0x100>;
            interrupts = <12>; interrupt-parent = <&plic>; clock-frequency = <3686400>; };
        rtc: rtc@101000 { compatible = "google,goldfish-rtc"; reg = <0 0x101000 0 0x1000>;
            interrupts = <11>; interrupt-parent = <&plic>; };
        plic: plic@c000000 { compatible = "sifive,plic-1.0.0", "riscv,plic0"; riscv,ndev = <96>;
            reg = <0 0xc000000 0 0x600000>; interrupts-extended = <&intc0 11>, <&intc0 9>;
            interrupt-controller; #interrupt-cells = <1>; #address-cells = <0>; };
        clint@2000000 { compatible = "sifive,clint0", "riscv,clint0"; reg = <0 0x2000000 0 0x10000>;
            interrupts-extended = <&intc0 3>, <&intc0 7>; };
    };
    aliases { serial0 = &console; serial1 = &other; rtc0 = &rtc; };
    chosen { stdout-path = "/soc/serial@10000000"; bootargs = "theirs"; };
};
"#;

#[test]
fn users_tree_is_corrected() {
    let user = dtc(HOST.as_bytes(), "dts", "dtb");
    let user_plic = cells(
        &Fdt::new(&user)
            .unwrap()
            .find_node("/soc/plic@c000000")
            .unwrap(),
        "phandle",
    );
    let chosen = Chosen {
        bootargs: Some("ours"),
        ..Chosen::default()
    };
    let dtb = correct(&user, &platform(&[0, 1], &[]), &chosen).unwrap();
    dts(&dtb);
    let fdt = Fdt::new(&dtb).unwrap();
    let at = |path: &str| fdt.find_node(path).unwrap_or_else(|| panic!("no {path}"));
    for gone in [
        "/pmu",
        "/soc/plic@c000000",
        "/soc/clint@2000000",
        "/soc/serial@10000000",
        "/cpus/cpu-map",
    ] {
        assert!(fdt.find_node(gone).is_none(), "{gone}");
    }
    let intc = at("/axhv-soc/interrupt-controller@c000000");
    assert_eq!(cells(&intc, "phandle"), user_plic);
    assert_eq!(cells(&intc, "interrupts-extended").len(), 8);
    for device in ["/soc/rtc@101000", "/soc/serial@10002000"] {
        assert_eq!(cells(&at(device), "interrupt-parent"), user_plic);
    }
    assert_eq!(cells(&at("/cpus"), "timebase-frequency"), [10_000_000]);
    assert_eq!(text(&at("/cpus/cpu@1"), "riscv,isa-base"), "rv64i\0");
    let aliases = at("/aliases");
    assert_eq!(text(&aliases, "serial0"), "/axhv-soc/serial@10000000\0");
    assert_eq!(text(&aliases, "serial1"), "/soc/serial@10002000\0");
    assert_eq!(text(&aliases, "rtc0"), "/soc/rtc@101000\0");
    assert_eq!(
        text(&at("/chosen"), "stdout-path"),
        "/axhv-soc/serial@10000000\0"
    );
    let again = correct(&dtb, &platform(&[0, 1], &[]), &Chosen::default()).unwrap();
    let again = Fdt::new(&again).unwrap();
    assert_eq!(
        again.root().children().count(),
        fdt.root().children().count()
    );
}

/// Its references have two cells: they can't be made a PLIC's.
#[test]
fn an_aplic_is_refused() {
    let tree = r#"/dts-v1/; / { compatible = "a,b"; model = "m"; #address-cells = <2>; #size-cells = <2>;
        interrupt-controller@d000000 { compatible = "riscv,aplic"; reg = <0 0xd000000 0 0x8000>;
            interrupt-controller; #interrupt-cells = <2>; #address-cells = <0>; }; };"#;
    let user = dtc(tree.as_bytes(), "dts", "dtb");
    assert_eq!(
        correct(&user, &platform(&[0], &[]), &Chosen::default()),
        Err(FdtError::InterruptCells(2))
    );
}
