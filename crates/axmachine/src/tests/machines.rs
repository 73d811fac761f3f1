use std::{string::ToString, vec::Vec};

use super::*;
use crate::{
    Architecture, Conduit, Controller, Cpu, EnableMethod, Fdt, Interrupt, Machine, MachineError,
    PsciVersion, Region, SEED, Trigger, Uart, bootargs, console,
};

fn machine(blob: &[u8]) -> Result<Machine, MachineError> {
    Machine::new(&Fdt::new(blob)?, Architecture::Arm)
}

fn region(base: u64, size: u64) -> Region {
    Region::new(base, size).unwrap()
}

fn level(number: u32) -> Interrupt {
    Interrupt {
        controller: Controller::Gic,
        number,
        trigger: Trigger::Level,
    }
}

#[test]
fn qemu_virt() {
    let machine = machine(&dtb(VIRT)).unwrap();
    assert_eq!(machine.cpus.found, 4);
    for (id, cpu) in machine.cpus.list.iter().enumerate() {
        let enable_method = EnableMethod::Psci;
        let id = id as u64;
        assert_eq!(*cpu, Cpu { id, enable_method });
    }
    assert!(machine.riscv().is_none());
    let arm = machine.arm().unwrap();
    assert_eq!(machine.memory[..], [region(0x4000_0000, 0x8000_0000)]);
    assert!(machine.reserved.is_empty());
    assert_eq!(machine.initrd, None);
    let uart = machine.console.unwrap();
    assert_eq!(uart.uart, Uart::Pl011);
    assert_eq!(uart.regs, region(0x900_0000, 0x1000));
    assert_eq!(uart.interrupt, Some(level(33)));
    assert_eq!(arm.gic.distributor, region(0x800_0000, 0x1_0000));
    assert_eq!(arm.gic.redistributors[..], [region(0x80a_0000, 0xf6_0000)]);
    assert_eq!(arm.gic.redistributor_stride, None);
    assert_eq!(arm.gic.maintenance, Some(level(25)));
    assert_eq!(arm.gic.its_count, 1);
    assert_eq!(arm.timer.secure_physical, Some(level(29)));
    assert_eq!(arm.timer.physical, level(30));
    assert_eq!(arm.timer.virtual_, level(27));
    assert_eq!(arm.timer.hypervisor, level(26));
    assert_eq!(arm.timer.frequency, None);
    let psci = arm.psci.unwrap();
    assert_eq!(
        (psci.conduit, psci.version),
        (Conduit::Smc, PsciVersion::V1_0)
    );
}

#[test]
fn board() {
    let machine = machine(&dtb(BOARD)).unwrap();
    let arm = machine.arm().unwrap();
    let cpus: Vec<_> = machine
        .cpus
        .list
        .iter()
        .map(|cpu| (cpu.id, cpu.enable_method))
        .collect();
    assert_eq!(
        cpus,
        [
            (0, EnableMethod::Psci),
            (0x100, EnableMethod::Unsupported),
            (0x1_0000_0203, EnableMethod::Psci)
        ]
    );
    assert_eq!(machine.cpus.found, 3);
    assert_eq!(
        machine.memory[..],
        [
            region(0x8000_0000, 0x7fe0_0000),
            region(0x8_8000_0000, 0x1_8000_0000)
        ]
    );
    let reserved: Vec<_> = machine
        .reserved
        .iter()
        .map(|it| (it.region.base, it.region.size, it.no_map))
        .collect();
    assert_eq!(
        reserved,
        [
            (0x8000_0000, 0x1_0000, false),
            (0xfe00_0000, 0x1000, false),
            (0x9e00_0000, 0x40_0000, true),
            (0x9f00_0000, 0x1000, true),
            (0xa000_0000, 0x10_0000, false),
        ]
    );
    assert_eq!(machine.initrd, Some(region(0x8_8800_0000, 0x12_3456)));
    let uart = machine.console.unwrap();
    assert_eq!(uart.uart, Uart::Pl011);
    assert_eq!(uart.regs, region(0x4000_2000, 0x1000));
    assert_eq!(uart.interrupt, Some(level(73)));
    assert_eq!(arm.gic.distributor, region(0x4_0000_0000, 0x1_0000));
    assert_eq!(
        arm.gic.redistributors[..],
        [
            region(0x4_0010_0000, 0x10_0000),
            region(0x4_0030_0000, 0x20_0000)
        ]
    );
    assert_eq!(arm.gic.redistributor_stride, Some(0x4_0000));
    assert_eq!(arm.timer.secure_physical, None);
    assert_eq!(arm.timer.physical, level(30));
    assert_eq!(arm.timer.virtual_, level(27));
    assert_eq!(arm.timer.hypervisor, level(26));
    assert_eq!(arm.timer.frequency, Some(25_000_000));
    let psci = arm.psci.unwrap();
    assert_eq!(
        (psci.conduit, psci.version),
        (Conduit::Hvc, PsciVersion::V0_2)
    );
}

#[test]
fn initrd_in_one_cell() {
    let with = |lines: &str| {
        let blob = patched(VIRT, "chosen {", &std::format!("chosen {{ {lines}"));
        machine(&blob).map(|machine| machine.initrd)
    };
    let (start, end) = ("linux,initrd-start", "linux,initrd-end");
    let both =
        |from: u32, to: u32| with(&std::format!("{start} = <{from:#x}>; {end} = <{to:#x}>;"));
    assert_eq!(
        both(0x4800_0000, 0x4800_1001),
        Ok(Some(region(0x4800_0000, 0x1001)))
    );
    assert_eq!(both(0x4800_0000, 0x4800_0000), Ok(None));
    assert!(matches!(
        both(0x4800_0000, 0x47ff_ffff),
        Err(MachineError::Value { property, value: 0x47ff_ffff, .. }) if property == end
    ));
    assert!(matches!(
        with(&std::format!("{start} = <1>;")),
        Err(MachineError::Missing { property, .. }) if property == end
    ));
    assert!(matches!(
        with(&std::format!("{end} = <1>;")),
        Err(MachineError::Missing { property, .. }) if property == start
    ));
    assert!(matches!(
        with(&std::format!("{start} = <1 2 3>; {end} = <1>;")),
        Err(MachineError::Length { len: 12, .. })
    ));
}

#[test]
fn seeds() {
    let with = |bytes: usize| {
        let text: String = (1..=bytes)
            .map(|byte| std::format!("{byte:02x} "))
            .collect();
        let blob = patched(
            VIRT,
            "chosen {",
            &std::format!("chosen {{ rng-seed = [{text}];"),
        );
        machine(&blob).unwrap().rng_seed
    };
    let whole: [u8; SEED] = core::array::from_fn(|n| n as u8 + 1);
    assert_eq!(with(SEED), Some(whole));
    assert_eq!(with(64), Some(whole));
    assert_eq!(with(SEED - 1), None);
    assert_eq!(with(0), None);
    assert_eq!(machine(&dtb(VIRT)).unwrap().rng_seed, None);
}

#[test]
fn command_lines() {
    let with = |lines: &str| {
        let blob = patched(VIRT, "chosen {", &std::format!("chosen {{ {lines}"));
        bootargs(&Fdt::new(&blob).unwrap()).map(ToString::to_string)
    };
    assert_eq!(with("").as_deref(), Ok(""));
    assert_eq!(with("bootargs;").as_deref(), Ok(""));
    assert_eq!(with("bootargs = \"\";").as_deref(), Ok(""));
    assert_eq!(with("bootargs = \"a=b c\";").as_deref(), Ok("a=b c"));
    for (value, len) in [("[61]", 1), ("[ff 00]", 2)] {
        assert!(matches!(
            with(&std::format!("bootargs = {value};")),
            Err(MachineError::Length { property: "bootargs", len: found, .. }) if found == len
        ));
    }
    let blob = dtb(BOARD);
    let fdt = Fdt::new(&blob).unwrap();
    assert_eq!(bootargs(&fdt), Ok("loglevel=debug console=linux"));
}

#[test]
fn console_choices() {
    let stdout = "stdout-path = \"/pl011@9000000\";";
    let with = |to: &str| {
        let blob = patched(VIRT, stdout, to);
        console(&Fdt::new(&blob).unwrap()).map(|found| found.map(|uart| uart.regs.base))
    };
    assert_eq!(with(stdout), Ok(Some(0x900_0000)));
    assert_eq!(
        with("stdout-path = \"/pl011@9000000:9600\";"),
        Ok(Some(0x900_0000))
    );
    assert_eq!(with("stdout-path = \"serial0\";"), Ok(Some(0x900_0000)));
    assert_eq!(
        with("linux,stdout-path = \"serial0:115200n8\";"),
        Ok(Some(0x900_0000))
    );
    assert_eq!(with(""), Ok(Some(0x900_0000)));
    assert!(matches!(
        with("stdout-path = \"/nothing\";"),
        Err(MachineError::NoNode { .. })
    ));
    assert!(matches!(
        with("stdout-path = \"/pl031\";"),
        Err(MachineError::Unsupported { .. })
    ));
    let blob = patched(VIRT, "reg = <0x00 0x9000000", "reg = <0x00 0x9000004");
    assert!(matches!(
        console(&Fdt::new(&blob).unwrap()),
        Err(MachineError::Value {
            value: 0x900_0004,
            ..
        })
    ));
    let none = dtb(&tree(""));
    assert_eq!(console(&Fdt::new(&none).unwrap()), Ok(None));
}

#[test]
fn more_cpus_than_are_used() {
    let cpus: String = (0..11)
        .map(|n| std::format!("cpu@{n:x} {{ device_type = \"cpu\"; reg = <{n}>; }};"))
        .collect();
    let blob = patched(
        VIRT,
        "\tcpus {\n\t\t#size-cells = <0x00>;\n\t\t#address-cells = <0x01>;\n",
        &std::format!("cpus {{ #size-cells = <0>; #address-cells = <1>; {cpus} }}; others {{"),
    );
    let cpus = machine(&blob).unwrap().cpus;
    assert_eq!(cpus.found, 11);
    assert_eq!(cpus.list.len(), 8);
    assert_eq!(cpus.list[7].id, 7);
    assert_eq!(cpus.list[7].enable_method, EnableMethod::Unsupported);
}

#[test]
fn errors_say_where() {
    let blob = patched(VIRT, "method = \"smc\"", "method = \"abc\"");
    let fdt = Fdt::new(&blob).unwrap();
    let node = fdt.find("/psci").unwrap().offset();
    let error = Machine::new(&fdt, Architecture::Arm).unwrap_err();
    assert_eq!(
        error,
        MachineError::Unsupported {
            node,
            what: "this PSCI method"
        }
    );
    let text = std::format!("node at {node:#x}: this PSCI method is not supported");
    assert_eq!(error.to_string(), text);
}

/// Each of these makes a good tree into one that has to be refused.
#[test]
fn refusals() {
    type Check = fn(MachineError) -> bool;
    use MachineError::{Length, Missing, NoNode, Overflow, Overlap, TooMany, Unsupported, Value};
    let cases: &[(&str, &str, Check)] = &[
        (
            "\"arm,psci-1.0\", \"arm,psci-0.2\", \"arm,psci\"",
            "\"arm,psci\"",
            |e| {
                matches!(
                    e,
                    Unsupported {
                        what: "PSCI 0.1",
                        ..
                    }
                )
            },
        ),
        (
            "compatible = \"arm,gic-v3\"",
            "compatible = \"arm,gic-400\"",
            |e| {
                matches!(
                    e,
                    Unsupported {
                        what: "a GICv2",
                        ..
                    }
                )
            },
        ),
        (
            "compatible = \"arm,gic-v3\"",
            "compatible = \"none\"",
            |e| matches!(e, NoNode { what: "arm,gic-v3" }),
        ),
        (
            "#redistributor-regions = <0x01>",
            "#redistributor-regions = <2>",
            |e| {
                matches!(
                    e,
                    Missing {
                        property: "reg",
                        ..
                    }
                )
            },
        ),
        (
            "#redistributor-regions = <0x01>",
            "#redistributor-regions = <9>",
            |e| matches!(e, Value { value: 9, .. }),
        ),
        (
            "#redistributor-regions = <0x01>",
            "redistributor-stride = <0x10000>",
            |e| {
                matches!(
                    e,
                    Value {
                        property: "redistributor-stride",
                        value: 0x1_0000,
                        ..
                    }
                )
            },
        ),
        ("0x80a0000 0x00 0xf60000", "0x80a1000 0x00 0xf60000", |e| {
            matches!(
                e,
                Value {
                    property: "reg",
                    value: 0x80a_1000,
                    ..
                }
            )
        }),
        ("#interrupt-cells = <0x03>", "#interrupt-cells = <2>", |e| {
            matches!(
                e,
                Value {
                    property: "#interrupt-cells",
                    value: 2,
                    ..
                }
            )
        }),
        ("0x01 0x0b 0x04 0x01 0x0a 0x04>", "0x01 0x0b 0x04>", |e| {
            matches!(
                e,
                Missing {
                    property: "interrupts",
                    ..
                }
            )
        }),
        (
            "0x01 0x0b 0x04 0x01 0x0a 0x04>",
            "0x01 0x0b 0x04 0x01>",
            |e| {
                matches!(
                    e,
                    Length {
                        property: "interrupts",
                        len: 4,
                        ..
                    }
                )
            },
        ),
        (
            "0x01 0x0b 0x04 0x01 0x0a 0x04>",
            "0x01 0x0b 0x04 0x00 0x0a 0x04>",
            |e| {
                matches!(
                    e,
                    Value {
                        property: "interrupts",
                        value: 42,
                        ..
                    }
                )
            },
        ),
        (
            "0x01 0x0b 0x04 0x01 0x0a 0x04>",
            "0x01 0x0b 0x04 0x01 0x10 0x04>",
            |e| {
                matches!(
                    e,
                    Value {
                        property: "interrupts",
                        value: 16,
                        ..
                    }
                )
            },
        ),
        ("always-on", "clock-frequency = <0>", |e| {
            matches!(
                e,
                Value {
                    property: "clock-frequency",
                    value: 0,
                    ..
                }
            )
        }),
        (
            "\"arm,armv8-timer\", \"arm,armv7-timer\"",
            "\"none\"",
            |e| {
                matches!(
                    e,
                    NoNode {
                        what: "arm,armv8-timer"
                    }
                )
            },
        ),
        (
            "<0x00 0x40000000 0x00 0x80000000>",
            "<0xffffffff 0xfffff000 0 0x1001>",
            |e| {
                matches!(
                    e,
                    Overflow {
                        base: 0xffff_ffff_ffff_f000,
                        size: 0x1001,
                        ..
                    }
                )
            },
        ),
        (
            "<0x00 0x40000000 0x00 0x80000000>",
            "<0 0x1000 0 0x1000 0 0x1fff 0 1>",
            |e| {
                matches!(
                    e,
                    Overlap {
                        base: 0x1fff,
                        size: 1,
                        ..
                    }
                )
            },
        ),
        ("<0x00 0x40000000 0x00 0x80000000>", "<0 0x1000 0>", |e| {
            matches!(
                e,
                Length {
                    property: "reg",
                    len: 12,
                    ..
                }
            )
        }),
        ("device_type = \"memory\"", "device_type = \"none\"", |e| {
            matches!(e, NoNode { what: "/memory" })
        }),
        ("reg = <0x03>", "reg = <0x02>", |e| {
            matches!(
                e,
                Value {
                    property: "reg",
                    value: 2,
                    ..
                }
            )
        }),
        ("reg = <0x03>", "reg = <0x80000003>", |e| {
            matches!(
                e,
                Value {
                    property: "reg",
                    value: 0x8000_0003,
                    ..
                }
            )
        }),
        ("reg = <0x03>;\n\t\t\tenable", "enable", |e| {
            matches!(
                e,
                Missing {
                    property: "reg",
                    ..
                }
            )
        }),
        (
            "cpus {\n\t\t#size-cells = <0x00>",
            "cpus {\n\t\t#size-cells = <5>",
            |e| {
                matches!(
                    e,
                    Value {
                        property: "#size-cells",
                        value: 5,
                        ..
                    }
                )
            },
        ),
    ];
    for (from, to, check) in cases {
        let blob = patched(VIRT, from, to);
        match machine(&blob) {
            Err(error) if check(error) => {}
            other => panic!("{from} -> {to}: {other:?}"),
        }
    }

    let banks: String = (0..17)
        .map(|n| std::format!("0 {n:#x}000 0 0x1000 "))
        .collect();
    let blob = patched(VIRT, "0x00 0x40000000 0x00 0x80000000", &banks);
    assert!(matches!(machine(&blob), Err(TooMany { max: 16, .. })));

    let many: String = (1..66)
        .map(|n| std::format!("/memreserve/ {n}000 1;\n"))
        .collect();
    let blob = patched(VIRT, "/dts-v1/;", &("/dts-v1/;".to_string() + &many));
    assert!(matches!(
        machine(&blob),
        Err(TooMany {
            node: 0,
            max: 64,
            ..
        })
    ));

    let far = "/dts-v1/; /memreserve/ 0xffffffffffffffff 2;";
    let blob = patched(VIRT, "/dts-v1/;", far);
    assert!(matches!(
        machine(&blob),
        Err(Overflow {
            node: 0,
            size: 2,
            ..
        })
    ));
}
