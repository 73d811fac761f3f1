//! The descriptions under `configs/` pass, and mean what they say.

use axvmconfig::{
    Arch, AxVMConfig, AxVMCrateConfig, EmulatedDeviceType, VMType, check_bundle, parse,
};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/vms");

fn read(arch: Arch, name: &str) -> AxVMCrateConfig {
    let text = std::fs::read_to_string(format!("{DIR}/{}/{name}", arch.name())).unwrap();
    parse(&text, arch).unwrap_or_else(|all| {
        let lines = all.0.iter().map(|d| d.line(name, &text).to_string() + "\n");
        panic!("{}", lines.collect::<String>())
    })
}

/// The descriptions of an architecture, in order.
fn names(arch: Arch) -> Vec<String> {
    let names = std::fs::read_dir(format!("{DIR}/{}", arch.name())).unwrap();
    let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    names
}

#[test]
fn all_pass_together() {
    for arch in Arch::ALL {
        let names = names(*arch);
        assert_eq!(
            names,
            self::names(Arch::Aarch64),
            "every architecture has them all"
        );
        assert!(names.len() >= 4);
        let configs: Vec<_> = names.iter().map(|name| read(*arch, name)).collect();
        for config in &configs {
            assert_eq!(config.warnings, []);
        }
        assert_eq!(check_bundle(&configs.iter().collect::<Vec<_>>()), []);
    }
}

#[test]
fn linux() {
    let config = AxVMConfig::from(read(Arch::Aarch64, "linux.toml"));
    assert_eq!(
        (config.id(), config.name(), config.vm_type),
        (1, "linux", VMType::Linux)
    );
    assert_eq!(
        config.get_vcpu_affinities_pcpu_ids(),
        [(0, None, 0), (1, None, 1)]
    );
    let regions = config.memory_regions();
    assert_eq!(regions.len(), 1);
    assert_eq!((regions[0].gpa, regions[0].size), (0x4000_0000, 512 << 20));
    let devices: Vec<_> = config
        .emu_devices()
        .iter()
        .map(|d| (d.emu_type, d.base_gpa, d.length, d.irq_id))
        .collect();
    let expected = [
        (
            EmulatedDeviceType::GicDistributor,
            0x0800_0000,
            0x1_0000,
            None,
        ),
        (
            EmulatedDeviceType::GicRedistributor,
            0x080a_0000,
            0x4_0000,
            None,
        ),
        (EmulatedDeviceType::Console, 0x0900_0000, 0x1000, Some(1)),
    ];
    assert_eq!(devices, expected);
    assert_eq!(
        config.image_config().cmdline.as_deref(),
        Some("console=ttyAMA0")
    );
    assert_eq!(config.bsp_entry().as_usize(), 0x4000_0000);
    assert!(!config.image_config().entry_fixed);
    assert!(config.contains_memory_range(&(0x4000_0000..0x6000_0000)));
    assert!(!config.contains_memory_range(&(0x4000_0000..0x6000_0001)));
}
