use super::*;
use crate::{
    Architecture, Controller, Cpu, EnableMethod, Extensions, Fdt, Hart, Interrupt, Machine,
    MachineError, Mmu, Region, Trigger, Uart, bootargs, console,
};

fn machine(blob: &[u8]) -> Result<Machine, MachineError> {
    let fdt = Fdt::new(blob)?;
    Machine::new(&fdt, Architecture::of(&fdt))
}

fn source(number: u32) -> Interrupt {
    Interrupt {
        controller: Controller::Plic,
        number,
        trigger: Trigger::Level,
    }
}

#[test]
fn all_of_it() {
    let blob = dtb(RISCV);
    assert_eq!(bootargs(&Fdt::new(&blob).unwrap()), Ok("loglevel=debug"));
    let machine = machine(&blob).unwrap();
    let cpus: Vec<_> = machine
        .cpus
        .list
        .iter()
        .map(|&Cpu { id, enable_method }| (id, enable_method))
        .collect();
    assert_eq!(
        cpus,
        [
            (0, EnableMethod::Unsupported),
            (1, EnableMethod::Sbi),
            (2, EnableMethod::Sbi)
        ]
    );
    let region = |base, size| Region::new(base, size).unwrap();
    assert_eq!(machine.memory[..], [region(0x8000_0000, 0x8000_0000)]);
    let reserved: Vec<_> = machine
        .reserved
        .iter()
        .map(|r| (r.region, r.no_map))
        .collect();
    assert_eq!(
        reserved,
        [
            (region(0x8000_0000, 0x4_0000), true),
            (region(0x8004_0000, 0x2_0000), true)
        ]
    );
    let console = machine.console.unwrap();
    assert_eq!(console.regs, region(0x1000_0000, 0x100));
    assert_eq!(console.interrupt, Some(source(10)));
    assert_eq!(console.interrupt.unwrap().line(), Some(10));
    let clock = Some(3_686_400);
    let (shift, width) = (0, 1);
    assert_eq!(
        console.uart,
        Uart::Ns16550 {
            shift,
            width,
            clock
        }
    );
    assert!(machine.arm().is_none());
    let riscv = machine.riscv().unwrap();
    assert_eq!(riscv.timebase, 10_000_000);
    assert_eq!(riscv.plic.regs, region(0xc00_0000, 0x60_0000));
    assert_eq!(riscv.plic.sources, 95);
    assert_eq!(riscv.plic.contexts[..], [None, Some(2), Some(4)]);
    use Extensions as E;
    let imac = E::A | E::C;
    let imafdch = imac | E::F | E::D | E::H;
    assert_eq!(
        riscv.harts[..],
        [
            Hart {
                extensions: imac,
                mmu: None,
                cbom_block: None,
                cboz_block: None
            },
            Hart {
                extensions: imafdch
                    | E::ZICBOM
                    | E::ZICBOZ
                    | E::SSTC
                    | E::SVADU
                    | E::SMSTATEEN
                    | E::SVVPTC,
                mmu: Some(Mmu::Sv57),
                cbom_block: Some(64),
                cboz_block: Some(64)
            },
            Hart {
                extensions: imafdch | E::ZICBOM | E::SSTC | E::SVPBMT,
                mmu: Some(Mmu::Sv39),
                cbom_block: None,
                cboz_block: None
            },
        ]
    );
    assert_eq!(riscv.common(), imac);
}

#[test]
fn other_consoles() {
    let stdout = "stdout-path = \"/soc/serial@10000000\"";
    let with = |from: &str, to: &str| {
        let blob = patched(RISCV, from, to);
        console(&Fdt::new(&blob).unwrap())
    };
    let found = with(stdout, "stdout-path = \"/soc/serial@10002000:115200\"");
    let found = found.unwrap().unwrap();
    assert_eq!(found.interrupt, Some(source(12)));
    let (shift, width, clock) = (2, 4, None);
    assert_eq!(
        found.uart,
        Uart::Ns16550 {
            shift,
            width,
            clock
        }
    );
    for (lines, property) in [
        ("reg-shift = <9>;", "reg-shift"),
        ("reg-io-width = <8>;", "reg-io-width"),
    ] {
        assert!(matches!(
            with("clock-frequency = <3686400>;", lines),
            Err(MachineError::Value { property: found, .. }) if found == property
        ));
    }
    assert!(matches!(
        with("\"ns16550a\"", "\"other,uart\""),
        Err(MachineError::Unsupported { .. })
    ));
}

#[test]
fn isa_strings() {
    use Extensions as E;
    for (isa, extensions) in [
        ("", E::empty()),
        ("rv32imafdch", E::empty()),
        ("rv64i", E::empty()),
        ("rv64gc", E::A | E::F | E::D | E::C),
        ("rv64imafdcvh", E::A | E::F | E::D | E::C | E::V | E::H),
        ("rv64i2p1m2p0a2p1c_h1p0", E::A | E::C | E::H),
        ("rv64imasstc", E::A | E::SSTC),
        (
            "rv64ima_zicboz1p0_sstc1p0_svadu",
            E::A | E::ZICBOZ | E::SSTC | E::SVADU,
        ),
        ("rv64ima_zve64d_zvl128b_zbp_zb1p", E::A),
        // As QEMU 7 writes it: the modes, that are no extensions.
        ("rv64imafdcsuh", E::A | E::F | E::D | E::C),
        ("rv64ima__h_", E::A | E::H),
        ("rv64\u{e9}h", E::H),
    ] {
        let from = "rv64imafdch_zicbom_zicsr_sstc_svpbmt";
        let blob = patched(RISCV, from, isa);
        let riscv = machine(&blob).unwrap();
        let found = riscv.riscv().unwrap().harts[2].extensions;
        assert_eq!(found, extensions, "{isa}");
    }
}

/// Each of these makes a good tree into one that has to be refused.
#[test]
fn refusals() {
    type Check = fn(MachineError) -> bool;
    use MachineError::{Length, Missing, NoNode, Unsupported, Value};
    let cases: &[(&str, &str, Check)] = &[
        ("timebase-frequency = <10000000>;", "", |e| {
            matches!(
                e,
                Missing {
                    property: "timebase-frequency",
                    ..
                }
            )
        }),
        ("<10000000>", "<0>", |e| {
            matches!(
                e,
                Value {
                    property: "timebase-frequency",
                    value: 0,
                    ..
                }
            )
        }),
        ("<10000000>", "<1 0>", |e| {
            matches!(
                e,
                Value {
                    value: 0x1_0000_0000,
                    ..
                }
            )
        }),
        ("riscv,ndev = <95>;", "", |e| {
            matches!(
                e,
                Missing {
                    property: "riscv,ndev",
                    ..
                }
            )
        }),
        ("riscv,ndev = <95>", "riscv,ndev = <1024>", |e| {
            matches!(e, Value { value: 1024, .. })
        }),
        ("<6 0xffffffff>", "<6>", |e| {
            matches!(
                e,
                Length {
                    property: "interrupts-extended",
                    len: 36,
                    ..
                }
            )
        }),
        ("\"sifive,plic-1.0.0\", \"riscv,plic0\"", "\"none\"", |e| {
            matches!(
                e,
                NoNode {
                    what: "sifive,plic-1.0.0"
                }
            )
        }),
        ("0xc000000 0 0x600000", "0xc000100 0 0x600000", |e| {
            matches!(
                e,
                Value {
                    property: "reg",
                    value: 0xc00_0100,
                    ..
                }
            )
        }),
        ("cboz-block-size = <64>", "cboz-block-size = <48>", |e| {
            matches!(e, Value { value: 48, .. })
        }),
        ("cbom-block-size = <64>", "cbom-block-size = <0>", |e| {
            matches!(e, Value { value: 0, .. })
        }),
        ("reg = <2>;", "reg = <1>;", |e| {
            matches!(
                e,
                Value {
                    property: "reg",
                    value: 1,
                    ..
                }
            )
        }),
    ];
    for (from, to, check) in cases {
        let blob = patched(RISCV, from, to);
        match machine(&blob) {
            Err(error) if check(error) => {}
            other => panic!("{from} -> {to}: {other:?}"),
        }
    }
    for (from, to, check) in [
        (
            "interrupts = <11>",
            "interrupts = <0>",
            (|e| matches!(e, Value { value: 0, .. })) as Check,
        ),
        ("interrupts = <11>", "interrupts = <1024>", |e| {
            matches!(e, Value { value: 1024, .. })
        }),
        (
            "#address-cells = <0>;\n\t\t\t#interrupt-cells = <1>",
            "#interrupt-cells = <2>",
            |e| matches!(e, Unsupported { .. }),
        ),
    ] {
        let blob = patched(RISCV, from, to);
        let fdt = Fdt::new(&blob).unwrap();
        let error = fdt.find("/soc/rtc").unwrap().interrupts().unwrap_err();
        assert!(check(error), "{from} -> {to}: {error:?}");
    }
}
