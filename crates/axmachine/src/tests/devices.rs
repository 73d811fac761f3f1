use std::{format, vec::Vec};

use super::*;
use crate::{DmaFacts, Fdt, Interrupt, MachineError, Region, Trigger};

fn regs(fdt: &Fdt<'_>, path: &str) -> Result<Vec<(u64, u64)>, MachineError> {
    let regs = fdt.find(path).expect(path).regs()?;
    Ok(regs.iter().map(|reg| (reg.base, reg.size)).collect())
}

fn interrupts(fdt: &Fdt<'_>, path: &str) -> Result<Vec<(u32, Trigger)>, MachineError> {
    let all = fdt.find(path).expect(path).interrupts()?;
    let pair = |it: &Interrupt| (it.number, it.trigger);
    Ok(all.iter().map(pair).collect())
}

#[test]
fn registers_are_translated() {
    let blob = dtb(BOARD);
    let fdt = Fdt::new(&blob).unwrap();
    assert_eq!(regs(&fdt, "serial0"), Ok(std::vec![(0x4000_1000, 0x1000)]));
    assert_eq!(
        regs(&fdt, "/soc/ethernet"),
        Ok(std::vec![(0x5001_0000, 0x800), (0x5001_0800, 0x800)])
    );
    assert_eq!(
        regs(&fdt, "/soc/interrupt-controller/its"),
        Ok(std::vec![(0x4_0002_0000, 0x2_0000)])
    );
    assert_eq!(regs(&fdt, "/timer"), Ok(std::vec![]));
    // Behind no `ranges`, and outside of all `ranges`.
    for (path, at) in [("/soc/i2c/rtc", None), ("/soc/outside", Some(0x7000_0000))] {
        match (regs(&fdt, path), at) {
            // #size-cells is 0: nothing that could be mapped.
            (Ok(regs), None) => assert!(regs.is_empty()),
            (Err(MachineError::Unreachable { address, .. }), Some(at)) => assert_eq!(address, at),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn translations_are_checked() {
    let with = |bus: &str, reg: &str| {
        let blob = dtb(&tree(&format!(
            "bus {{ #address-cells = <2>; #size-cells = <2>; {bus}; d {{ reg = <{reg}>; }}; }};"
        )));
        let fdt = Fdt::new(&blob).unwrap();
        regs(&fdt, "/bus/d")
    };
    let map = "ranges = <0 0x1000 1 0 0 0x2000>";
    assert_eq!(
        with(map, "0 0x1000 0 0x2000"),
        Ok(std::vec![(1 << 32, 0x2000)])
    );
    assert_eq!(
        with(map, "0 0x2fff 0 1"),
        Ok(std::vec![((1 << 32) + 0x1fff, 1)])
    );
    assert_eq!(with("ranges", "5 0 0 1"), Ok(std::vec![(5 << 32, 1)]));
    assert_eq!(with(map, "0 0x1000 0 0"), Ok(std::vec![]));
    for (bus, reg) in [
        (map, "0 0xfff 0 1"),
        (map, "0 0x2fff 0 2"),
        (map, "0 0x1000 0xffffffff 0xffffffff"),
        ("compatible = \"no-ranges\"", "0 0x1000 0 1"),
        ("ranges = <0 0 0xffffffff 0xffffffff 0 0x2000>", "0 1 0 1"),
    ] {
        assert!(
            matches!(with(bus, reg), Err(MachineError::Unreachable { .. })),
            "{bus}, {reg}"
        );
    }
    assert!(matches!(
        with("ranges", "0xffffffff 0xffffffff 0 2"),
        Err(MachineError::Overflow { size: 2, .. })
    ));
    assert!(matches!(
        with("ranges = <1 2 3 4 5>", "0 0 0 1"),
        Err(MachineError::Length {
            property: "ranges",
            len: 20,
            ..
        })
    ));
    let many = format!("ranges = <{}>", "9 9 9 9 0 1 ".repeat(257));
    assert!(matches!(
        with(&many, "0 0 0 1"),
        Err(MachineError::TooMany { max: 256, .. })
    ));
    let many = "0 0 0 1 ".repeat(17);
    assert!(matches!(
        with("ranges", &many),
        Err(MachineError::TooMany { max: 16, .. })
    ));
}

#[test]
fn pci_addresses_are_not_taken_for_others() {
    let blob = dtb(&tree(
        "pcie { #address-cells = <3>; #size-cells = <2>; ranges; \
         a { reg = <0x800 0 0 0 0>; }; b { reg = <0 0 0x1000 0 0x1000>; }; };",
    ));
    let fdt = Fdt::new(&blob).unwrap();
    assert!(matches!(
        regs(&fdt, "/pcie/a"),
        Err(MachineError::Unsupported { .. })
    ));
    assert_eq!(regs(&fdt, "/pcie/b"), Ok(std::vec![(0x1000, 0x1000)]));
}

#[test]
fn interrupts_of_all_forms() {
    let blob = dtb(BOARD);
    let fdt = Fdt::new(&blob).unwrap();
    assert_eq!(
        interrupts(&fdt, "timer0"),
        Ok(std::vec![(82, Trigger::Edge), (83, Trigger::Level)])
    );
    assert_eq!(
        interrupts(&fdt, "serial1"),
        Ok(std::vec![(73, Trigger::Level)])
    );
    assert_eq!(interrupts(&fdt, "/soc/outside"), Ok(std::vec![]));
    assert!(matches!(
        interrupts(&fdt, "/soc/apb/button"),
        Err(MachineError::Unsupported { .. })
    ));
}

#[test]
fn interrupts_that_cannot_be() {
    let with = |lines: &str| {
        let blob = dtb(&tree(&format!(
            "interrupt-parent = <1>; \
             gic {{ phandle = <1>; compatible = \"arm,gic-v3\"; #interrupt-cells = <3>; }}; \
             d {{ {lines} }};"
        )));
        interrupts(&Fdt::new(&blob).unwrap(), "/d")
    };
    assert_eq!(
        with("interrupts = <0 987 1 1 0 8>;"),
        Ok(std::vec![(1019, Trigger::Edge), (16, Trigger::Level)])
    );
    // `interrupts-extended` wins.
    assert_eq!(
        with("interrupts = <0 1 4>; interrupts-extended = <1 0 2 4>;"),
        Ok(std::vec![(34, Trigger::Level)])
    );
    for (lines, wrong) in [
        ("interrupts = <0 988 4>;", 988),
        ("interrupts = <1 16 4>;", 16),
        ("interrupts = <4 0 4>;", 4),
        ("interrupts = <0 1 0>;", 0),
        ("interrupts = <0 1 5>;", 5),
        ("interrupts-extended = <7 0 1 4>;", 7),
    ] {
        assert!(
            matches!(with(lines), Err(MachineError::Value { value, .. }) if value == wrong),
            "{lines}"
        );
    }
    for (lines, left) in [
        ("interrupts = <0 1 4 0 1>;", 8),
        ("interrupts-extended = <1 0 1>;", 8),
        ("interrupts-extended = [00 00];", 2),
    ] {
        assert!(
            matches!(with(lines), Err(MachineError::Length { len, .. }) if len == left),
            "{lines}: {:?}",
            with(lines)
        );
    }
    for lines in ["interrupts = <2 0 4>;", "interrupts = <3 0 4>;"] {
        assert!(matches!(with(lines), Err(MachineError::Unsupported { .. })));
    }
    let many = format!("interrupts = <{}>;", "0 1 4 ".repeat(65));
    assert!(matches!(
        with(&many),
        Err(MachineError::TooMany { max: 64, .. })
    ));
}

#[test]
fn interrupt_parents_may_not_go_in_circles() {
    let blob = dtb(&tree(
        "a { phandle = <1>; interrupt-parent = <2>; }; \
         b { phandle = <2>; interrupt-parent = <1>; }; \
         d { interrupt-parent = <1>; interrupts = <0 1 4>; };",
    ));
    assert!(matches!(
        interrupts(&Fdt::new(&blob).unwrap(), "/d"),
        Err(MachineError::Missing {
            property: "interrupt-parent",
            ..
        })
    ));
}

#[test]
fn dma_facts() {
    let blob = dtb(BOARD);
    let fdt = Fdt::new(&blob).unwrap();
    let node = |path| fdt.find(path).unwrap();
    assert_eq!(
        node("/soc/ethernet").dma(),
        DmaFacts {
            iommus: true,
            coherent: true,
            ..DmaFacts::default()
        }
    );
    assert!(node("serial0").has_registers_only());
    assert!(node("timer0").has_registers_only());
    assert!(!node("/soc/ethernet").has_registers_only());
    assert!(!node("/soc/disk").has_registers_only());

    let blob = dtb(&tree(
        "u { compatible = \"arm,pl011\"; dmas = <1 2>; }; \
         v { compatible = \"virtio,mmio\"; }; \
         w { #dma-cells = <1>; memory-region = <1>; msi-parent = <1>; };",
    ));
    let fdt = Fdt::new(&blob).unwrap();
    let node = |path| fdt.find(path).unwrap();
    assert!(node("/u").dma().uses_controller);
    assert!(!node("/u").has_registers_only());
    assert!(!node("/v").has_registers_only());
    let facts = node("/w").dma();
    assert!(facts.is_controller && facts.memory_region && facts.msi);
}

#[test]
fn devices_by_address() {
    let blob = dtb(BOARD);
    let fdt = Fdt::new(&blob).unwrap();
    let names = |address, len| -> Vec<_> {
        let found = fdt.devices_in(address, len);
        found.map(|node| node.name()).collect()
    };
    assert_eq!(names(0x4000_1000, 1), ["serial@1000"]);
    assert_eq!(names(0x4000_1fff, 2), ["serial@1000", "serial@2000"]);
    assert_eq!(names(0x5001_0fff, 1), ["ethernet@50010000"]);
    assert_eq!(names(0x5001_1800, 0x800), [""; 0]);
    assert_eq!(names(0x4000_1000, 0), [""; 0]);
    assert_eq!(names(u64::MAX, 1), [""; 0]);
    // All in a page, the disabled one too.
    assert_eq!(
        names(0x5001_0000, 0x2000),
        ["ethernet@50010000", "disk@50011000"]
    );
    assert!(!fdt.find("/soc/disk").unwrap().is_enabled());
}

#[test]
fn regions() {
    assert_eq!(Region::new(1, 0), None);
    assert_eq!(Region::new(u64::MAX, 1), None);
    assert_eq!(Region::new(u64::MAX - 1, 2), None);
    let region = Region::new(0x1000, 0x1000).unwrap();
    assert!(region.contains(0x1000) && region.contains(0x1fff));
    assert!(!region.contains(0xfff) && !region.contains(0x2000));
    let overlaps = |base, size| region.overlaps(&Region::new(base, size).unwrap());
    assert!(overlaps(0xfff, 2) && overlaps(0x1fff, 1) && overlaps(0, 0x10_0000));
    assert!(!overlaps(0xfff, 1) && !overlaps(0x2000, 1));
}
