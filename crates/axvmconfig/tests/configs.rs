//! The descriptions under `configs/` pass, and mean what they say.

use axvmconfig::{
    Arch, AxVMConfig, AxVMCrateConfig, EmulatedDeviceType, VMType, check_bundle, parse,
};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/vms/aarch64");

fn read(name: &str) -> AxVMCrateConfig {
    let text = std::fs::read_to_string(format!("{DIR}/{name}")).unwrap();
    parse(&text, Arch::Aarch64).unwrap_or_else(|all| {
        let lines = all.0.iter().map(|d| d.line(name, &text).to_string() + "\n");
        panic!("{}", lines.collect::<String>())
    })
}

#[test]
fn all_pass_together() {
    let names = std::fs::read_dir(DIR).unwrap();
    let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    let configs: Vec<_> = names
        .filter(|n| n.ends_with(".toml"))
        .map(|n| read(&n))
        .collect();
    assert!(configs.len() >= 4);
    for config in &configs {
        assert_eq!(config.warnings, []);
    }
    assert_eq!(check_bundle(&configs.iter().collect::<Vec<_>>()), []);
}

#[test]
fn linux() {
    let config = AxVMConfig::from(read("linux.toml"));
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
