//! Device trees, read back by another crate and judged by dtc.
#![allow(clippy::single_range_in_vec_init)] // RAM is a list of ranges, often of one.

mod common;

use axloader::fdt::{
    Arch, Chosen, Device, FdtError, GicV3, GuestPlatform, Interrupt, TimerInterrupts, Uart,
    correct, generate,
};
use common::tree::{cells, dtc, dtc_quiet, dts, text, value};
use dtoolkit::fdt::Fdt;
use dtoolkit::{Node, Property};

const MEMORY: [std::ops::Range<u64>; 2] = [0x4000_0000..0x6000_0000, 0x8_0000_0000..0x8_4000_0000];

const UARTS: [Uart; 1] = [Uart {
    registers: 0x900_0000..0x900_1000,
    interrupt: Some(Interrupt {
        line: 1,
        edge: false,
    }),
    clock_hz: 24_000_000,
}];

fn platform<'a>(cpus: &'a [u64], devices: &'a [Device]) -> GuestPlatform<'a> {
    GuestPlatform {
        memory: &MEMORY,
        cpus,
        uarts: &UARTS,
        devices,
        arch: Arch::Arm {
            gic: Some(GicV3 {
                distributor: 0x800_0000..0x801_0000,
                redistributors: 0x80a_0000..0x80e_0000,
            }),
            timer: TimerInterrupts::default(),
        },
    }
}

#[test]
fn generated_tree_says_what_the_platform_is() {
    let chosen = Chosen {
        bootargs: Some("console=ttyAMA0 nokaslr"),
        ramdisk: Some(0x5f00_0000..0x5fff_1234),
        rng_seed: None,
    };
    let dtb = generate(&platform(&[0, 1, 0x100], &[]), &chosen).unwrap();
    dts(&dtb);
    let fdt = Fdt::new(&dtb).unwrap();
    let at = |path: &str| fdt.find_node(path).unwrap_or_else(|| panic!("no {path}"));

    assert_eq!(
        cells(&at("/memory@40000000"), "reg"),
        [0, 0x4000_0000, 0, 0x2000_0000]
    );
    assert_eq!(
        cells(&at("/memory@800000000"), "reg"),
        [8, 0, 0, 0x4000_0000]
    );
    assert_eq!(text(&at("/memory@40000000"), "device_type"), "memory\0");
    assert_eq!(cells(&at("/cpus"), "#address-cells"), [1]);
    assert_eq!(cells(&at("/cpus/cpu@100"), "reg"), [0x100]);
    assert_eq!(at("/cpus").children().count(), 3);
    assert_eq!(text(&at("/cpus/cpu@1"), "enable-method"), "psci\0");
    assert_eq!(
        text(&at("/psci"), "compatible"),
        "arm,psci-1.0\0arm,psci-0.2\0"
    );
    assert_eq!(text(&at("/psci"), "method"), "hvc\0");

    let intc = at("/interrupt-controller@8000000");
    assert_eq!(text(&intc, "compatible"), "arm,gic-v3\0");
    assert_eq!(
        cells(&intc, "reg"),
        [0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x4_0000]
    );
    assert_eq!(cells(&intc, "#interrupt-cells"), [3]);
    let phandle = cells(&intc, "phandle");
    assert_eq!(cells(&fdt.root(), "interrupt-parent"), phandle);
    // PPIs 13, 14, 11, 10; level high.
    assert_eq!(
        cells(&at("/timer"), "interrupts"),
        [1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4]
    );

    let uart = at("/serial@9000000");
    assert_eq!(text(&uart, "compatible"), "arm,pl011\0arm,primecell\0");
    assert_eq!(cells(&uart, "interrupts"), [0, 1, 4]);
    assert_eq!(text(&uart, "clock-names"), "uartclk\0apb_pclk\0");
    let clock = fdt.root().children().find(|node| {
        node.property("compatible")
            .is_some_and(|p| p.value() == b"fixed-clock\0")
    });
    let clock = clock.unwrap();
    let of_clock = cells(&clock, "phandle")[0];
    assert_eq!(cells(&uart, "clocks"), [of_clock, of_clock]);
    assert_eq!(cells(&clock, "clock-frequency"), [24_000_000]);

    let chosen = at("/chosen");
    assert_eq!(text(&chosen, "bootargs"), "console=ttyAMA0 nokaslr\0");
    assert_eq!(text(&chosen, "stdout-path"), "/serial@9000000\0");
    assert_eq!(cells(&chosen, "linux,initrd-start"), [0, 0x5f00_0000]);
    assert_eq!(cells(&chosen, "linux,initrd-end"), [0, 0x5fff_1234]);
    assert!(chosen.property("rng-seed").is_none());
}

#[test]
fn affinity_3_needs_two_cells() {
    let ids = [0x0, 0x1_0000_0203];
    let dtb = generate(&platform(&ids, &[]), &Chosen::default()).unwrap();
    dts(&dtb);
    let fdt = Fdt::new(&dtb).unwrap();
    assert_eq!(
        cells(&fdt.find_node("/cpus").unwrap(), "#address-cells"),
        [2]
    );
    let cpu = fdt.find_node("/cpus/cpu@100000203").unwrap();
    assert_eq!(cells(&cpu, "reg"), [1, 0x203]);
    let bad = [0x8000_0000u64];
    assert_eq!(
        generate(&platform(&bad, &[]), &Chosen::default()),
        Err(FdtError::CpuId(0x8000_0000))
    );
}

#[test]
fn many_cpus_fit_the_room() {
    let ids: Vec<u64> = (0..512).map(|n| (n % 16) | ((n / 16) << 8)).collect();
    let dtb = generate(&platform(&ids, &[]), &Chosen::default()).unwrap();
    assert!(dtb.len() as u64 <= axloader::fdt::ROOM, "{}", dtb.len());
}

#[test]
fn no_interrupt_controller_no_interrupts() {
    let mut platform = platform(&[0], &[]);
    if let Arch::Arm { gic, .. } = &mut platform.arch {
        *gic = None;
    }
    let dtb = generate(&platform, &Chosen::default()).unwrap();
    let text = dts(&dtb);
    assert!(
        !text.contains("interrupt") && !text.contains("timer"),
        "{text}"
    );
}

#[test]
fn a_console_without_interrupt_has_none() {
    let [mut uart] = UARTS;
    uart.interrupt = None;
    let platform = GuestPlatform {
        uarts: &[uart],
        ..platform(&[0], &[])
    };
    let dtb = generate(&platform, &Chosen::default()).unwrap();
    let fdt = Fdt::new(&dtb).unwrap();
    let uart = fdt.find_node("/serial@9000000").unwrap();
    assert!(uart.property("interrupts").is_none());
}

#[test]
fn a_hundred_uarts_fit_the_room() {
    let [uart] = UARTS;
    let uarts: Vec<Uart> = (0..100)
        .map(|n| Uart {
            registers: 0x900_0000 + n * 0x1000..0x900_1000 + n * 0x1000,
            ..uart.clone()
        })
        .collect();
    let platform = GuestPlatform {
        uarts: &uarts,
        ..platform(&[0, 1, 2, 3, 4, 5, 6, 7], &[])
    };
    let dtb = generate(&platform, &Chosen::default()).unwrap();
    assert!(dtb.len() as u64 <= platform.room());
    dts(&dtb);
    let fdt = Fdt::new(&dtb).unwrap();
    let at = |path: &str| fdt.find_node(path).unwrap_or_else(|| panic!("no {path}"));
    let clock = cells(&at("/serial@9000000"), "clocks");
    for (n, uart) in uarts.iter().enumerate() {
        let path = format!("/serial@{:x}", uart.registers.start);
        let alias = text(&at("/aliases"), &format!("serial{n}"));
        assert_eq!(alias.trim_end_matches('\0'), path);
        let node = at(&path);
        assert_eq!(cells(&node, "clocks"), clock);
    }
    // The console is the first, also in a tree that had one of its own where another is now.
    let user = dtc(HOST.as_bytes(), "dts", "dtb");
    for dtb in [dtb, correct(&user, &platform, &Chosen::default()).unwrap()] {
        let fdt = Fdt::new(&dtb).unwrap();
        let chosen = fdt.find_node("/chosen").unwrap();
        assert_eq!(text(&chosen, "stdout-path"), "/serial@9000000\0");
        assert!(fdt.find_node("/uart@9040000").is_none());
    }
}

#[test]
fn seed_is_passed_on() {
    let seed = core::array::from_fn(|n| n as u8);
    let chosen = Chosen {
        rng_seed: Some(seed),
        ..Chosen::default()
    };
    let dtb = generate(&platform(&[0], &[]), &chosen).unwrap();
    let fdt = Fdt::new(&dtb).unwrap();
    assert_eq!(value(&fdt.find_node("/chosen").unwrap(), "rng-seed"), seed);
}

const HOST: &str = r#"/dts-v1/;
/ {
    #address-cells = <2>; #size-cells = <2>; interrupt-parent = <&gic>;
    model = "host"; compatible = "some,board";
    clk: clk24mhz { compatible = "fixed-clock"; #clock-cells = <0>; clock-frequency = <24000000>; };
    gic: intc@1000000 {
        compatible = "arm,gic-v3"; reg = <0 0x1000000 0 0x10000 0 0x1100000 0 0x200000>;
        #interrupt-cells = <3>; #address-cells = <2>; #size-cells = <2>; ranges;
        interrupt-controller;
        its: msi-controller@1200000 {
            compatible = "arm,gic-v3-its"; msi-controller; #msi-cells = <1>;
            reg = <0 0x1200000 0 0x20000>;
        };
    };
    rtc: pl031@9010000 {
        compatible = "arm,pl031", "arm,primecell"; reg = <0 0x9010000 0 0x1000>;
        interrupts = <0 2 4>; clocks = <&clk>; clock-names = "apb_pclk";
    };
    console: uart@9000000 {
        compatible = "arm,pl011", "arm,primecell"; reg = <0 0x9000000 0 0x1000>;
        interrupts = <0 1 4>; clocks = <&clk>, <&clk>; clock-names = "uartclk", "apb_pclk";
    };
    other: uart@9040000 {
        compatible = "arm,pl011", "arm,primecell"; reg = <0 0x9040000 0 0x1000>;
        interrupts = <0 8 4>; clocks = <&clk>, <&clk>; clock-names = "uartclk", "apb_pclk";
    };
    pmu { compatible = "arm,armv8-pmuv3"; interrupts = <1 7 4>; };
    timer { compatible = "arm,armv8-timer"; interrupts = <1 13 8>, <1 14 8>, <1 11 8>, <1 10 8>; };
    firmware { psci { compatible = "arm,psci-0.2"; method = "smc"; }; };
    memory@0 { device_type = "memory"; reg = <0 0 0 0x80000000>; };
    cpus { #address-cells = <1>; #size-cells = <0>;
        cpu@0 { device_type = "cpu"; compatible = "arm,cortex-a72"; reg = <0>;
            enable-method = "spin-table"; cpu-release-addr = <0 0xd8>; }; };
    pcie@10000000 {
        compatible = "pci-host-ecam-generic"; device_type = "pci"; reg = <0 0x10000000 0 0x1000000>;
        #address-cells = <3>; #size-cells = <2>; #interrupt-cells = <1>; bus-range = <0 15>;
        ranges = <0x2000000 0 0x20000000 0 0x20000000 0 0x1000000>;
        msi-map = <0 &its 0 0x10000>;
        interrupt-map-mask = <0x1800 0 0 7>;
        interrupt-map = <0 0 0 1 &gic 0 0 0 3 4>;
    };
    aliases { serial0 = &console; serial1 = &other; rtc0 = &rtc; };
    chosen { stdout-path = "serial0:115200n8"; bootargs = "theirs"; linux,initrd-start = <1>; rng-seed = [01 02];
        kaslr-seed = <3 4>; };
};
"#;

#[test]
fn passed_through_device_keeps_what_is_portable() {
    let host = dtc(HOST.as_bytes(), "dts", "dtb");
    let host = axmachine::Fdt::new(&host).unwrap();
    let interrupt = Interrupt {
        line: 2,
        edge: true,
    };
    let at = std::iter::once(0x901_0000..0x901_1000).collect();
    let rtc = Device::from_host(&host.find("/pl031@9010000").unwrap(), at, vec![interrupt]);
    assert_eq!(rtc.clocks, [("apb_pclk".to_string(), 24_000_000)]);
    let plain = Device::new("gpio", &["some,gpio"], [0x902_0000..0x902_1000].into());
    let devices = [rtc, plain];
    let dtb = generate(&platform(&[0], &devices), &Chosen::default()).unwrap();
    dts(&dtb);
    let fdt = Fdt::new(&dtb).unwrap();
    let node = fdt.find_node("/pl031@9010000").unwrap();
    assert_eq!(text(&node, "compatible"), "arm,pl031\0arm,primecell\0");
    assert_eq!(cells(&node, "reg"), [0, 0x901_0000, 0, 0x1000]);
    assert_eq!(cells(&node, "interrupts"), [0, 2, 1]);
    assert_eq!(text(&node, "clock-names"), "apb_pclk\0");
    let clock = fdt.find_node("/clock-9010000-0").unwrap();
    assert_eq!(cells(&node, "clocks"), cells(&clock, "phandle"));
    assert_eq!(
        text(&fdt.find_node("/gpio@9020000").unwrap(), "compatible"),
        "some,gpio\0"
    );
}

/// Real boards' trees have names over the specification's 31 characters.
#[test]
fn long_names_are_kept() {
    const NODE: &str = "a-node-with-a-name-of-over-31-characters@1000";
    const PROPERTY: &str = "snps,dis-u2-freeclk-exists-quirk-and-more";
    let tree = format!(
        "/dts-v1/; / {{ #address-cells = <2>; #size-cells = <2>; {NODE} {{ \
         compatible = \"arm,pl031\"; reg = <0 0x1000 0 0x1000>; {PROPERTY} = <5>; }}; }};"
    );
    let user = dtc_quiet(tree.as_bytes());
    let dtb = correct(&user, &platform(&[0], &[]), &Chosen::default()).unwrap();
    let read = axmachine::Fdt::new(&dtb).unwrap();
    let node = read.find(&format!("/{NODE}")).unwrap();
    assert_eq!(node.property(PROPERTY), Some(&[0, 0, 0, 5][..]));

    let host = axmachine::Fdt::new(&user).unwrap();
    let node = host.find(&format!("/{NODE}")).unwrap();
    let device = Device::from_host(&node, [0x1000..0x2000].into(), Vec::new());
    let dtb = generate(&platform(&[0], &[device]), &Chosen::default()).unwrap();
    let read = axmachine::Fdt::new(&dtb).unwrap();
    assert!(
        read.find(&format!("/{NODE}"))
            .unwrap()
            .is_compatible("arm,pl031")
    );
}

/// A string with a NUL would end in the middle.
#[test]
fn a_nul_is_refused() {
    let chosen = Chosen {
        bootargs: Some("a\0b"),
        ..Chosen::default()
    };
    assert_eq!(
        generate(&platform(&[0], &[]), &chosen),
        Err(FdtError::Nul(1))
    );
}

#[test]
fn users_tree_is_corrected() {
    let user = dtc(HOST.as_bytes(), "dts", "dtb");
    let user_gic = cells(
        &Fdt::new(&user).unwrap().find_node("/intc@1000000").unwrap(),
        "phandle",
    );
    let chosen = Chosen {
        bootargs: Some("ours"),
        ramdisk: Some(0x5000_0000..0x5000_1000),
        rng_seed: None,
    };
    let dtb = correct(&user, &platform(&[0, 1], &[]), &chosen).unwrap();
    dts(&dtb);
    let fdt = Fdt::new(&dtb).unwrap();
    let has = |path: &str| fdt.find_node(path).is_some();

    for gone in [
        "/memory@0",
        "/intc@1000000",
        "/pmu",
        "/firmware/psci",
        "/uart@9000000",
    ] {
        assert!(!has(gone), "{gone}");
    }
    for kept in [
        "/uart@9040000",
        "/pl031@9010000",
        "/pcie@10000000",
        "/clk24mhz",
        "/firmware",
    ] {
        assert!(has(kept), "{kept}");
    }
    let at = |path: &str| fdt.find_node(path).unwrap_or_else(|| panic!("no {path}"));
    // References to the interrupt controller reach ours.
    let intc = at("/interrupt-controller@8000000");
    assert_eq!(cells(&intc, "phandle"), user_gic);
    assert_eq!(cells(&intc, "#address-cells"), [2]);
    assert_eq!(cells(&fdt.root(), "interrupt-parent"), user_gic);
    assert_eq!(
        cells(&at("/pcie@10000000"), "interrupt-map")[4],
        user_gic[0]
    );
    assert!(at("/pcie@10000000").property("msi-map").is_none());

    assert_eq!(at("/cpus").children().count(), 2);
    assert_eq!(text(&at("/cpus/cpu@0"), "enable-method"), "psci\0");
    assert_eq!(text(&at("/psci"), "method"), "hvc\0");
    assert_eq!(cells(&at("/timer"), "interrupts")[2], 4);
    assert_eq!(text(&fdt.root(), "model"), "host\0");
    let aliases = at("/aliases");
    assert_eq!(text(&aliases, "serial0"), "/serial@9000000\0");
    assert_eq!(text(&aliases, "serial1"), "/uart@9040000\0");
    assert_eq!(text(&aliases, "rtc0"), "/pl031@9010000\0");
    let chosen = at("/chosen");
    assert_eq!(text(&chosen, "bootargs"), "ours\0");
    assert_eq!(text(&chosen, "stdout-path"), "/serial@9000000\0");
    assert_eq!(cells(&chosen, "linux,initrd-start"), [0, 0x5000_0000]);
    // A seed that lies in a file is none.
    assert!(chosen.property("rng-seed").is_none());
    assert_eq!(cells(&chosen, "kaslr-seed"), [3, 4]);
    // Correcting is idempotent but for what it drops.
    let again = correct(&dtb, &platform(&[0, 1], &[]), &Chosen::default()).unwrap();
    let again = Fdt::new(&again).unwrap();
    assert_eq!(
        text(&again.find_node("/chosen").unwrap(), "bootargs"),
        "ours\0"
    );
    assert_eq!(
        again.root().children().count(),
        fdt.root().children().count()
    );
}

#[test]
fn one_cell_trees_are_kept_or_refused() {
    let tree = b"/dts-v1/; / { #address-cells = <1>; #size-cells = <1>; compatible = \"a,b\"; model = \"m\"; };";
    let user = dtc(tree, "dts", "dtb");
    let mut platform = platform(&[0], &[]);
    assert_eq!(
        correct(&user, &platform, &Chosen::default()),
        Err(FdtError::CellOverflow(0x8_0000_0000))
    );
    platform.memory = &MEMORY[..1];
    let dtb = correct(&user, &platform, &Chosen::default()).unwrap();
    dts(&dtb);
    let fdt = Fdt::new(&dtb).unwrap();
    let memory = fdt.find_node("/memory@40000000").unwrap();
    assert_eq!(cells(&memory, "reg"), [0x4000_0000, 0x2000_0000]);
}

/// dtc writes no such tree.
#[test]
fn all_phandles_of_a_node_are_taken() {
    let mut twice = dtc_quiet(
        b"/dts-v1/; / { #address-cells = <2>; #size-cells = <2>; a { phandle = <5>; phandlf = <3>; }; };",
    );
    let at = twice.windows(7).position(|word| word == b"phandlf");
    twice[at.unwrap() + 6] = b'e';
    let platform = platform(&[0], &[]);
    let once = correct(&twice, &platform, &Chosen::default()).unwrap();
    correct(&once, &platform, &Chosen::default()).unwrap();
}

#[test]
fn paths_of_replaced_nodes_are_bounded() {
    let name = "n".repeat(200);
    let nodes: String = (0..400)
        .map(|n| format!("psci{n} {{ compatible = \"arm,psci\"; }}; "))
        .collect();
    let tree = format!("/dts-v1/; / {{ {name} {{ {nodes} }}; }};");
    assert!(matches!(
        correct(
            &dtc_quiet(tree.as_bytes()),
            &platform(&[0], &[]),
            &Chosen::default()
        ),
        Err(FdtError::Replaced(_))
    ));
}

#[test]
fn impossible_trees_are_refused() {
    let platform = platform(&[0], &[]);
    let refuse = |tree: &str| {
        let user = dtc(
            format!("/dts-v1/; / {{ {tree} }};").as_bytes(),
            "dts",
            "dtb",
        );
        correct(&user, &platform, &Chosen::default()).unwrap_err()
    };
    assert_eq!(
        refuse(
            "compatible = \"a,b\"; model = \"m\"; #address-cells = <1>; #size-cells = <1>; \
             intc@1000 { compatible = \"arm,gic-v3\"; interrupt-controller; #interrupt-cells = <4>; #address-cells = <0>; \
             reg = <0x1000 0x1000>; };"
        ),
        FdtError::InterruptCells(4)
    );
    let deep = "n { ".repeat(40) + &"}; ".repeat(40);
    assert!(matches!(refuse(&deep), FdtError::Parse(_)));
    let twice = dtc_quiet(b"/dts-v1/; / { a { phandle = <7>; }; b { phandle = <7>; }; };");
    assert_eq!(
        correct(&twice, &self::platform(&[0], &[]), &Chosen::default()),
        Err(FdtError::PhandleTwice(7))
    );
    assert!(matches!(
        correct(b"not a tree", &platform, &Chosen::default()),
        Err(FdtError::Parse(_))
    ));
}
