//! Properties: no text makes the parser panic; what is accepted is sound and prints as the same
//! description; a mistake is reported where it is.

mod mutations;

use std::path::Path;

use axvmconfig::{
    Arch, AxVMConfig, AxVMCrateConfig, Diagnostics, MemFlags, Severity, VMInterruptMode, cli,
    layout::{GICR_STRIDE, MAX_VCPUS, PAGE},
    parse,
};
use mutations::{Text, configs, disjoint, mutated, points_at, replacement};
use proptest::prelude::*;

/// Good files: those under `configs/`, and some that say everything there is to say.
fn good() -> &'static [Text] {
    static GOOD: std::sync::OnceLock<Vec<Text>> = std::sync::OnceLock::new();
    GOOD.get_or_init(|| {
        let mut out = configs();
        out.extend([FULL, CLASSIC, FORM08].map(|text| (Arch::Aarch64, text.to_owned())));
        out.push((Arch::Riscv64, RISCV64.to_owned()));
        out
    })
}

const RISCV64: &str = r#"
[base]
id = 2
name = "riscv"
vm_type = 2
cpu_num = 2
phys_cpu_ids = [7, 0]
[kernel]
entry_point = 0x8020_0002
kernel_path = "Image"
kernel_load_addr = 0x8020_0000
dtb_load_addr = 0x8800_0000
memory_regions = [{ size = "256MiB" }, { gpa = 0x1000_1000, size = "4KiB", flags = "r" }]
[devices]
emu_devices = [
    ["plic", 0x0c00_0000, 0x60_0000, 0, 0x30, [4]],
    ["uart@10000000", 0x1000_0000, 0x100, 10, 2, []],
    { type = "console", base_gpa = 0x1800_0000, irq_id = 1023 },
]
passthrough_devices = [["rtc", 0x0010_1000, 0x0010_1000, 0x1000, 11]]
interrupt_mode = "emulated"
"#;

const FULL: &str = r#"
format = 1
[base]
id = 12
name = "full"
vm_type = "linux"
cpu_num = 2
phys_cpu_ids = [0x100, 0]
phys_cpu_sets = [0b11, "0x4"]
[kernel]
entry_point = 0x4020_0000
kernel_path = "../images/Image"
kernel_load_addr = 0x4020_0000
bios_path = "bios.bin"
bios_load_addr = 0x4000_0000
dtb_path = "guest.dtb"
dtb_load_addr = 0x4800_0000
ramdisk_path = "initrd"
ramdisk_load_addr = 0x5000_0000
image_location = "memory"
boot_protocol = "direct"
enable_bios = true
cmdline = "console=ttyAMA0 \"quoted\""
memory_regions = [
    { gpa = 0x4000_0000, size = "1GiB", flags = "rx" },
    { size = "64 KiB", flags = ["read", "write"] },
    { gpa = "8GiB", size = 0x20_0000, map_type = "identical" },
    [0x1_0000_0000, "2MiB", 7, "reserved"],
]
[devices]
interrupt_mode = "emulated"
emu_devices = [
    { type = "console", name = "first", irq_id = "spi0" },
    { type = "console", base_gpa = 0x0901_0000, irq_id = "none" },
    ["gicr", 0x080a_0000, 0x4_0000, 0, 0x20, [2, 0x2_0000, 0]],
    ["gicd", 0x0800_0000, 0x1_0000, 0, 0x21, []],
]
passthrough_devices = [
    { name = "rtc", base_hpa = 0x0a01_0000, length = "4KiB", irq_id = 2, dma = "unprotected" },
    ["gpio", 0x0b00_0000, 0x0903_0000, 0x1000, 7],
    { path = "/ethernet@9050000", dma = "unprotected" },
    ["serial1"],
]
passthrough_addresses = [[0x0c00_0000, 0x1_0000]]
"#;

const CLASSIC: &str = r#"
[base]
id = 1
name = "linux-qemu"
vm_type = 2
cpu_num = 1
phys_cpu_ids = [0]
phys_cpu_sets = [1]
[kernel]
entry_point = 0x8020_0000
image_location = "memory"
kernel_path = "linux-arm64.bin"
kernel_load_addr = 0x8020_0000
dtb_load_addr = 0x8000_0000
memory_regions = [
    [0x8000_0000, 0x1000_0000, 0x7, 1],
    [0x9000_0000, 0x1000_0000, 0x3, 0],
]
[devices]
emu_devices = [["console", 0x0900_0000, 0x1000, 1, 2, []]]
passthrough_devices = [["pl031@9010000", 0x0901_0000, 0x0901_0000, 0x1000, 2]]
excluded_devices = [["/timer"]]
interrupt_mode = "emu"
"#;

const FORM08: &str = r#"
[base]
id = 3
name = "new"
guest_type = "virtualized"
[kernel]
kernel_path = "Image"
enable_bios = false
boot_protocol = "direct"
memory_regions = [{ gpa = 0x8000_0000, size = 0x800_0000, flags = 7, map_type = 0 }]
[devices]
passthrough = [{ path = "/pl031@9010000" }]
disabled = [{ path = "/pl061@9030000" }]
virtual = []
"#;

/// What `AxVM::new` relies on.
fn sound(config: &AxVMCrateConfig) {
    let vm = AxVMConfig::from(config.clone());
    assert!((1..=MAX_VCPUS).contains(&vm.cpu_num));
    let vcpus = vm.get_vcpu_affinities_pcpu_ids();
    assert_eq!(vcpus.len(), vm.cpu_num);
    for (n, (vcpu, mask, affinity)) in vcpus.iter().enumerate() {
        assert_eq!(*vcpu, n);
        assert_ne!(*mask, Some(0));
        assert!(vcpus[..n].iter().all(|earlier| earlier.2 != *affinity));
    }
    let whole = |start: usize, size: usize| {
        assert!(size > 0 && start.is_multiple_of(PAGE) && size.is_multiple_of(PAGE));
        start..start.checked_add(size).unwrap()
    };
    let regions = vm.memory_regions().iter().map(|r| whole(r.gpa, r.size));
    // A device may have less than a page, but not share it.
    let emulated = vm
        .emu_devices()
        .iter()
        .map(|d| whole(d.base_gpa, d.length.next_multiple_of(PAGE)));
    let passed = vm
        .pass_through_devices()
        .iter()
        .map(|d| whole(d.base_gpa, d.length));
    assert!(disjoint(regions.chain(emulated).chain(passed).collect()));
    let host = vm
        .pass_through_devices()
        .iter()
        .map(|d| whole(d.base_hpa, d.length));
    assert!(disjoint(host.collect()));
    assert!(!vm.memory_regions().is_empty());
    assert!(
        vm.memory_regions()
            .iter()
            .all(|r| r.flags.contains(MemFlags::READ))
    );

    let emulated = vm.emu_devices().iter().filter_map(|d| d.irq_id);
    let mut irqs: Vec<u32> = emulated
        .chain(vm.pass_through_spis().iter().copied())
        .collect();
    let count = irqs.len();
    irqs.sort();
    irqs.dedup();
    assert_eq!(irqs.len(), count);
    let (first, last) = match config.arch {
        Arch::Aarch64 => (0, 987),
        _ => (1, 1023),
    };
    assert!(irqs.iter().all(|irq| (first..=last).contains(irq)));
    use axvmconfig::EmulatedDeviceType::{Console, GicDistributor, GicRedistributor, Plic};
    let mut controllers = Vec::new();
    for device in vm.emu_devices() {
        match device.emu_type {
            GicRedistributor => assert_eq!(device.length, GICR_STRIDE * vm.cpu_num),
            Plic => {
                let contexts = 0x20_0000 + 0x2000 * vm.cpu_num;
                assert!((contexts..=0x400_0000).contains(&device.length));
            }
            GicDistributor => assert_eq!(device.length, 0x1_0000),
            Console => continue,
        }
        controllers.push(device.emu_type);
    }
    controllers.sort_by_key(|kind| *kind as u8);
    match (vm.interrupt_mode(), config.arch) {
        (VMInterruptMode::NoIrq, _) => assert_eq!((controllers.len(), count), (0, 0)),
        (VMInterruptMode::Emulated, Arch::Aarch64) => {
            assert_eq!(controllers, [GicDistributor, GicRedistributor]);
        }
        (VMInterruptMode::Emulated, _) => assert_eq!(controllers, [Plic]),
        (VMInterruptMode::Passthrough, _) => panic!("not offered"),
    }
    if vm.image_config().entry_fixed {
        let entry = vm.bsp_entry().as_usize();
        assert!(vm.contains_memory_range(&(entry..entry + 4)));
    }
    let image = vm.image_config();
    let loads = [
        image.kernel_load_gpa,
        image.bios_load_gpa,
        image.dtb_load_gpa,
        image.ramdisk_load_gpa,
    ];
    for load in loads.into_iter().flatten() {
        assert!(vm.contains_memory_range(&(load.as_usize()..load.as_usize() + 1)));
    }
}

/// Printing and parsing gives the same description, without warnings.
fn round_trip(config: &AxVMCrateConfig) {
    let text = cli::to_toml(config);
    let again = match parse(&text, config.arch) {
        Ok(again) => again,
        Err(errors) => panic!("{}\n{text}", errors.0[0].line("", &text)),
    };
    assert_eq!(again.warnings, []);
    let mut expected = config.clone();
    expected.warnings.clear();
    assert_eq!(again, expected, "{text}");
    assert_eq!(cli::to_toml(&again), text);
}

fn errors(arch: Arch, text: &str) -> Option<Diagnostics> {
    match parse(text, arch) {
        Ok(config) => {
            assert!(
                config
                    .warnings
                    .iter()
                    .all(|d| d.severity() == Severity::Warning)
            );
            sound(&config);
            round_trip(&config);
            cli::memory_map(&config);
            None
        }
        Err(errors) => {
            assert!(errors.has_errors());
            for diagnostic in &errors.0 {
                cli::render("file", text, diagnostic);
                cli::json("file", text, diagnostic);
                diagnostic.line("file", text).to_string();
            }
            Some(errors)
        }
    }
}

#[test]
fn good_files_pass() {
    for (arch, text) in good() {
        assert_eq!(errors(*arch, text), None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn single_tokens(file: prop::sample::Index, token: prop::sample::Index, new in replacement()) {
        let good = good();
        let (arch, text) = file.get(good);
        let (text, token) = mutated(text, token, &new);
        if let Some(errors) = errors(*arch, &text) {
            prop_assert!(points_at(&text, &errors, &token), "`{new}` at {token:?}: {errors:?}\n{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text(text in "\\PC{0,400}") {
        errors(Arch::Aarch64, &text);
    }

    #[test]
    fn toml_like(text in "(\\[?(base|kernel|devices)\\]?\n|[a-z_]{1,8} ?= ?([0-9x_]{1,9}|\"[a-z/]{0,5}\"|\\[.{0,20}\\])\n){0,20}") {
        errors(Arch::Riscv64, &text);
    }

    #[test]
    fn mutated_bytes(file: prop::sample::Index, changes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..128), 1..8)) {
        let good = good();
        let (arch, text) = file.get(good);
        let mut bytes = text.clone().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(text) = String::from_utf8(bytes) {
            errors(*arch, &text);
        }
    }

    /// Parts of files in any order.
    #[test]
    fn shuffled_lines(file: prop::sample::Index, lines in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        let good = good();
        let (arch, text) = file.get(good);
        let all: Vec<&str> = text.lines().collect();
        let text: Vec<&str> = lines.iter().map(|line| *line.get(&all)).collect();
        errors(*arch, &text.join("\n"));
    }
}

/// Nesting doesn't eat the stack. (Frames without optimisation are several times as large as the
/// image's; with the TOML parser's own limits this overflows.)
#[test]
fn little_stack_is_enough() {
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    thread.spawn(deep_nesting).unwrap().join().unwrap();
}

fn deep_nesting() {
    for open in ["[", "{a=", "a.", "[[", "[}", "{a=]", "[\"]\",", "[#]\n"] {
        let text = format!("x = {}", open.repeat(10_000));
        assert!(errors(Arch::Aarch64, &text).is_some());
        let text = format!("{}b = 1", open.repeat(10_000));
        assert!(errors(Arch::Aarch64, &text).is_some());
    }
    // Dots and brackets multiply.
    let level = format!("{{{}a = ", "a.".repeat(70));
    assert!(
        errors(
            Arch::Aarch64,
            &format!("x = {}1{}", level.repeat(7), "}".repeat(7))
        )
        .is_some()
    );
    // Not a single error message for each byte.
    let text = format!("[base]\n{}", "x=1\n".repeat(10_000));
    assert!(errors(Arch::Aarch64, &text).unwrap().0.len() <= 100);
}

/// The pages in `docs/` are what the tables say.
#[test]
fn reference_pages() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (name, text) in [
        ("config-reference.md", cli::schema_markdown()),
        ("config-errors.md", cli::errors_markdown()),
    ] {
        let page = std::fs::read_to_string(docs.join(name)).unwrap_or_default();
        assert!(
            page == text,
            "docs/{name}: print it anew with `axvmconfig reference`"
        );
    }
}
