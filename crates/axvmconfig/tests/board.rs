//! A board's facts from its device tree, and descriptions checked against it.

// One range is what is meant.
#![allow(clippy::single_range_in_vec_init)]

use axmachine::Fdt;
use axvmconfig::{
    Arch, AxVMConfig, Code, Data, Diagnostics, board::Board, check_board, check_memory, cli, parse,
    resolve_devices,
};
use vm_fdt::{Error, FdtWriter};

/// A device of the tree: name, compatible, base, SPI.
type Device = (&'static str, &'static str, u64, Option<u32>);

const DEVICES: &[Device] = &[
    ("pl011@9000000", "arm,pl011", 0x900_0000, Some(1)),
    ("pl031@9010000", "arm,pl031", 0x901_0000, Some(2)),
    ("virtio@a000000", "virtio,mmio", 0xa00_0000, Some(16)),
    ("virtio@a000200", "virtio,mmio", 0xa00_0200, Some(17)),
    ("flash@0", "cfi-flash", 0, None),
    ("pl061@9030000", "arm,pl061", 0x903_0000, Some(7)),
    ("off@9030800", "arm,pl061", 0x903_0800, None),
    ("off@9050000", "arm,pl061", 0x905_0000, None),
];

/// The tree of a machine like QEMU's `virt`, with two CPUs and 1 GiB.
fn tree() -> Result<Vec<u8>, Error> {
    let mut fdt = FdtWriter::new()?;
    let root = fdt.begin_node("")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_u32("interrupt-parent", 1)?;
    let cpus = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 0)?;
    for n in 0..2 {
        let cpu = fdt.begin_node(&format!("cpu@{n}"))?;
        fdt.property_string("device_type", "cpu")?;
        fdt.property_string("compatible", "arm,cortex-a72")?;
        fdt.property_string("enable-method", "psci")?;
        fdt.property_u32("reg", n)?;
        fdt.end_node(cpu)?;
    }
    fdt.end_node(cpus)?;
    let memory = fdt.begin_node("memory@40000000")?;
    fdt.property_string("device_type", "memory")?;
    fdt.property_array_u64("reg", &[0x4000_0000, 0x4000_0000])?;
    fdt.end_node(memory)?;
    let reserved = fdt.begin_node("reserved-memory")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_null("ranges")?;
    let rtos = fdt.begin_node("rtos@70000000")?;
    fdt.property_array_u64("reg", &[0x7000_0000, 0x100_0000])?;
    fdt.property_null("no-map")?;
    fdt.end_node(rtos)?;
    fdt.end_node(reserved)?;
    let psci = fdt.begin_node("psci")?;
    fdt.property_string("compatible", "arm,psci-1.0")?;
    fdt.property_string("method", "smc")?;
    fdt.end_node(psci)?;
    let timer = fdt.begin_node("timer")?;
    fdt.property_string("compatible", "arm,armv8-timer")?;
    fdt.property_array_u32("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4])?;
    fdt.end_node(timer)?;
    let gic = fdt.begin_node("intc@8000000")?;
    fdt.property_string("compatible", "arm,gic-v3")?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 3)?;
    fdt.property_u32("phandle", 1)?;
    let gic_regs = [0x800_0000, 0x1_0000, 0x80a_0000, 0xf6_0000];
    fdt.property_array_u64("reg", &gic_regs)?;
    fdt.property_array_u32("interrupts", &[1, 9, 4])?;
    fdt.end_node(gic)?;
    for (name, compatible, base, spi) in DEVICES {
        let device = fdt.begin_node(name)?;
        fdt.property_string("compatible", compatible)?;
        fdt.property_array_u64("reg", &[*base, 0x200])?;
        if name.starts_with("off") {
            fdt.property_string("status", "disabled")?;
        }
        if let Some(spi) = spi {
            fdt.property_array_u32("interrupts", &[0, *spi, 4])?;
        }
        fdt.end_node(device)?;
    }
    let aliases = fdt.begin_node("aliases")?;
    fdt.property_string("rtc0", "/pl031@9010000")?;
    fdt.end_node(aliases)?;
    let chosen = fdt.begin_node("chosen")?;
    fdt.property_string("stdout-path", "/pl011@9000000")?;
    fdt.end_node(chosen)?;
    fdt.end_node(root)?;
    fdt.finish()
}

fn board() -> Board {
    let blob = tree().unwrap();
    let fdt = Fdt::new(&blob).unwrap();
    Board::new(&fdt).unwrap()
}

/// What there is to say about a VM with these devices; and the VM.
fn check(devices: &str) -> (Diagnostics, AxVMConfig) {
    let text = format!(
        "[base]\nid = 1\n[kernel]\nkernel_path = \"k\"\nmemory_regions = [{{ size = \"1MiB\" }}]\n\
         [devices]\npassthrough_devices = [{devices}]\n"
    );
    let mut config = parse(&text, Arch::Aarch64).unwrap();
    let board = board();
    let mut out = resolve_devices(&mut config, &board.facts());
    for diagnostic in check_board(&config, &board.facts()).0 {
        out.push(diagnostic);
    }
    (out, config.into())
}

fn codes(devices: &str) -> Vec<Code> {
    check(devices).0.0.iter().map(|d| d.code).collect()
}

#[test]
fn facts() {
    let board = board();
    assert_eq!(board.cpus, 2);
    assert_eq!(board.ram, [0x4000_0000..0x8000_0000]);
    assert!(board.reserved.contains(&(0x7000_0000..0x7100_0000)));
    // The console's.
    assert_eq!(board.hypervisor_spis, [1]);
    let find = |path: &str| board.devices.iter().find(|d| d.path == path);
    let rtc = find("/pl031@9010000").unwrap();
    assert_eq!(rtc.alias.as_deref(), Some("rtc0"));
    assert_eq!(
        (rtc.spis.as_slice(), rtc.dma, rtc.owned),
        (&[2][..], false, false)
    );
    assert_eq!(rtc.registers, [0x901_0000..0x901_0200]);
    for owned in ["/pl011@9000000", "/intc@8000000", "/flash@0"] {
        assert!(find(owned).unwrap().owned, "{owned}");
    }
    assert!(find("/virtio@a000000").unwrap().dma);
    for aside in ["/memory@40000000", "/cpus/cpu@0", "/chosen"] {
        assert!(find(aside).is_none(), "{aside}");
    }
}

#[test]
fn devices_by_path_and_alias() {
    for name in ["/pl031@9010000", "rtc0"] {
        let (said, vm) = check(&format!("{{ path = \"{name}\" }}"));
        assert_eq!(said.0, []);
        assert!(vm.unresolved_devices.is_empty());
        let [device] = vm.pass_through_devices().as_slice() else {
            panic!("one device");
        };
        // The whole page: nobody else has registers there.
        assert_eq!(
            (device.base_gpa, device.base_hpa, device.length),
            (0x901_0000, 0x901_0000, 0x1000)
        );
        assert_eq!(vm.pass_through_spis(), &[2]);
    }
    let (said, vm) = check("[\"/pl099@0\"]");
    assert_eq!(said.0[0].code, Code::NoSuchDevice);
    assert_eq!(vm.unresolved_devices, ["/pl099@0"]);
}

#[test]
fn memory_of_several() {
    let text = |size| {
        format!(
            "[base]\nid = 1\n[kernel]\nkernel_path = \"k\"\n\
             memory_regions = [{{ size = \"1MiB\" }}, {{ size = \"{size}\" }}]\n"
        )
    };
    let configs = ["500MiB", "2GiB", "500MiB", "1MiB", "510MiB"]
        .map(|size| parse(&text(size), Arch::Aarch64).unwrap());
    let board = board();
    let found = check_memory(&configs.iter().collect::<Vec<_>>(), &board.facts());
    // 1 GiB without what is reserved; what can't be there at all is said of it alone.
    let found: Vec<_> = found.iter().map(|(n, d)| (*n, d.code, d.data)).collect();
    let left = (1024 - 16 - 501 - 501 - 2) << 20;
    assert_eq!(found, [(4, Code::TooMuchMemory, Data::Limits(0, left))]);
    let alone = check_board(&configs[1], &board.facts());
    assert_eq!(alone.0[0].code, Code::TooMuchMemory);
}

#[test]
fn refusals() {
    assert_eq!(codes("[\"/pl011@9000000\"]"), [Code::DeviceOwned]);
    assert_eq!(codes("[\"/psci\"]"), [Code::NoRegisters]);
    assert_eq!(
        codes("{ path = \"/virtio@a000000\" }"),
        [Code::PageShared, Code::DmaUnprotected]
    );
    assert_eq!(
        codes("{ path = \"/virtio@a000000\", dma = \"unprotected\" }"),
        [Code::PageShared]
    );
    // A device that is switched off has its registers still.
    assert_eq!(codes("[\"/pl061@9030000\"]"), [Code::PageShared]);
    assert_eq!(codes("[\"/off@9050000\"]"), [Code::NoSuchDevice]);
    assert_eq!(
        codes("[\"gpio\", 0x9050000, 0x9050000, 0x1000, 0]"),
        [Code::NoSuchDevice]
    );
    assert_eq!(
        codes("[\"gic\", 0xc00_0000, 0x80b_0000, 0x1000, 0]"),
        [Code::DeviceOwned]
    );
}

/// What programs say, or nothing where they aren't installed.
fn output(program: &str, args: &[&str]) -> Option<Vec<u8>> {
    let out = std::process::Command::new(program).args(args).output();
    out.ok()
        .filter(|out| out.status.success())
        .map(|out| out.stdout)
}

/// The board of a device tree that QEMU makes up.
fn qemu(arch: &str, machine: &str, cpu: &str, cpus: usize) -> Option<Board> {
    let name = format!("{arch}-{cpus}.dtb");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (program, cpus) = (format!("qemu-system-{arch}"), cpus.to_string());
    let machine = format!("{machine},dumpdtb={}", file.display());
    let args = [
        "-M", &machine, "-cpu", cpu, "-smp", &cpus, "-m", "2G", "-display", "none",
    ];
    // Versions before 10 have another GIC, or no such CPU.
    let version = output(&program, &["--version"])?;
    if !version.starts_with(b"QEMU emulator version 10.") {
        return None;
    }
    output(&program, &args)?;
    let blob = std::fs::read(file).ok()?;
    Some(Board::new(&Fdt::new(&blob).unwrap()).unwrap())
}

/// The boards under `configs/boards` are what their first lines say.
fn boards_are_qemus(arch: &str, machine: &str, cpu: &str) {
    let prefix = format!("qemu-{arch}-");
    let names = cli::board::names();
    let names: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with(&prefix))
        .collect();
    assert!(!names.is_empty());
    for name in names {
        if output("dtc", &["--version"]).is_none() {
            continue;
        }
        let ours = cli::board::read(name.as_ref()).unwrap();
        assert_eq!(*name, format!("{prefix}{}cpu", ours.cpus));
        let Some(theirs) = qemu(arch, machine, cpu, ours.cpus) else {
            continue;
        };
        assert_eq!(ours.ram, theirs.ram);
        assert_eq!(ours.cpus, theirs.cpus);
        assert_eq!(ours.hypervisor_spis, theirs.hypervisor_spis);
        let devices = |board: Board| {
            let mut all = board.devices;
            all.retain(|device| !device.registers.is_empty());
            all.sort_by(|a, b| a.path.cmp(&b.path));
            all
        };
        assert_eq!(devices(ours), devices(theirs), "{name}");
    }
}

#[test]
fn aarch64_boards_are_qemus() {
    let machine = "virt,virtualization=on,gic-version=3";
    boards_are_qemus("aarch64", machine, "cortex-a72");
}

#[test]
fn riscv64_boards_are_qemus() {
    boards_are_qemus("riscv64", "virt", "rv64");
}

#[test]
fn command() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("board");
    std::fs::create_dir_all(&folder).unwrap();
    let (dtb, vm) = (folder.join("board.dtb"), folder.join("vm.toml"));
    std::fs::write(&dtb, tree().unwrap()).unwrap();
    let text = "[base]\nid = 1\nphys_cpu_sets = [0b100]\n[kernel]\nkernel_path = \"k\"\n\
        memory_regions = [{ size = \"1MiB\" }]\n";
    std::fs::write(&vm, text).unwrap();
    let run = |args: &[&std::path::Path]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_axvmconfig"));
        command.arg("check").args(args).output().unwrap()
    };
    assert_eq!(run(&[&vm]).status.code(), Some(0));
    let checked = run(&["--board".as_ref(), &dtb, &vm]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&checked.stderr).contains("error[E0701]"));
    // By name.
    let unknown = run(&["--board".as_ref(), "toaster".as_ref(), &vm]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(
        said.contains("no board `toaster`; there are: qemu-aarch64-2cpu, "),
        "{said}"
    );
    let help = run(&["--help".as_ref()]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("qemu-aarch64-2cpu"));
    if output("dtc", &["--version"]).is_some() {
        let two = run(&["--board".as_ref(), "qemu-aarch64-2cpu".as_ref(), &vm]);
        assert!(String::from_utf8_lossy(&two.stderr).contains("error[E0701]"));
        let four = run(&["--board".as_ref(), "qemu-aarch64-4cpu".as_ref(), &vm]);
        assert_eq!(four.status.code(), Some(0));
        // A board of another architecture.
        let riscv64: [&std::path::Path; 3] =
            ["--board".as_ref(), "qemu-riscv64-4cpu".as_ref(), &vm];
        assert_eq!(run(&riscv64).status.code(), Some(0));
        let wrong = run(&[&riscv64[..], &["--arch".as_ref(), "aarch64".as_ref()]].concat());
        assert_eq!(wrong.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("the board's CPUs are riscv64"));
    }
    // Not a device tree.
    assert_eq!(run(&["--board".as_ref(), &vm, &vm]).status.code(), Some(1));
}
