//! What differs between architectures, as far as the tests know: all of it is here.

/// An architecture, and what its machines, guests and consoles say.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// Its name, which is also Linux's, QEMU's and that of our folders.
    pub name: &'static str,
    /// The board that can run a hypervisor, as QEMU's `-M` takes it.
    pub board: &'static str,
    /// Other boards that can, and what tests on them are called.
    pub other_boards: &'static [(&'static str, &'static str)],
    /// The board for a guest without a hypervisor.
    pub bare_board: &'static str,
    /// Arguments for QEMU that take from the board what a hypervisor needs, and what the hypervisor
    /// says then.
    pub unfit: (&'static [&'static str], &'static str),
    /// The CPU model of `make run`.
    pub cpu: &'static str,
    /// The CPU model with the most features.
    pub rich_cpu: &'static str,
    /// All CPU models.
    pub models: &'static [&'static str],
    /// CPU models without something that the others have, for the test guest alone.
    pub reduced: &'static [&'static str],
    /// The machines for the self-test: CPU model, CPUs, RAM.
    pub selftests: &'static [(&'static str, usize, &'static str)],
    /// U-Boot, and QEMU's option that starts it.
    pub uboot: (&'static str, &'static str),
    /// The memory and the keys of a VM in which U-Boot runs.
    pub uboot_guest: (&'static str, &'static str),
    /// Where RAM starts, a machine's and a guest's.
    pub ram: u64,
    /// How far from there the kernel lies that `guests/bios` starts.
    pub bios_kernel: u64,
    /// Firmware starts first, and drops what is typed until it has done so.
    pub firmware: bool,
    /// What Linux calls its console.
    pub tty: &'static str,
    /// The rows of Linux's timer and of its inter-processor interrupts in `/proc/interrupts`.
    pub linux_interrupts: [&'static str; 2],
    /// What `guests/hello` says about its CPU and its firmware.
    pub hello: [&'static str; 2],
    /// How many cases of the test guest pass at least: on the board itself, with one vCPU, with more.
    pub testguest: [usize; 3],
    /// The ways by which `guests/naive` prints.
    pub naive: &'static [&'static str],
    /// How the VM of `guests/faulty` ends.
    pub fault: &'static str,
    /// The classes of `guests/chaos`: vectors or what comes nearest, system registers, devices, the
    /// interrupt controller, firmware calls.
    pub chaos: [&'static str; 5],
    /// A device without DMA that guests may have.
    pub rtc: Rtc,
    /// Devices that no VM may have: a name for the test, the device, the code of the refusal.
    pub refused: &'static [(&'static str, &'static str, &'static str)],
    /// Tests that make no sense here, and why.
    pub without: &'static [(&'static str, &'static str)],
}

/// The board's clock.
#[derive(Debug, PartialEq, Eq)]
pub struct Rtc {
    /// An entry of `passthrough_devices` that names it by its path.
    pub by_path: &'static str,
    /// The same by its address.
    pub by_address: &'static str,
    /// What `guests/rtc` says when it has found it.
    pub found: &'static str,
    /// What Linux calls it.
    pub linux: &'static str,
    /// For each of two CPUs a word of the interrupt controller's, a mask for it, and what it is if the
    /// CPU gets its interrupts.
    pub routes: [(u64, u32, u32); 2],
    /// Its row in `/proc/interrupts`, if a shell can set its alarm.
    pub alarm: Option<&'static str>,
}

/// 64-bit Arm.
pub static AARCH64: Arch = Arch {
    name: "aarch64",
    board: "virt,virtualization=on,gic-version=3",
    // EL3 allows what Linux asks firmware for; the GIC has two Security states.
    other_boards: &[("with_el3", "virt,virtualization=on,gic-version=3,secure=on")],
    bare_board: "virt,gic-version=3",
    unfit: (
        &["-machine", "virtualization=off"],
        "axhv: started at EL1, needs EL2",
    ),
    cpu: "cortex-a72",
    rich_cpu: "max",
    models: &["cortex-a53", "cortex-a72", "neoverse-n1", "max"],
    reduced: &[],
    selftests: &[
        ("cortex-a53", 1, "512M"),
        ("cortex-a72", 8, "2G"),
        ("neoverse-n1", 4, "2G"),
        ("max", 2, "2G"),
    ],
    uboot: ("-bios", "/usr/lib/u-boot/qemu_arm64/u-boot.bin"),
    // It looks for its tree where RAM starts, and for its settings in QEMU's second flash.
    uboot_guest: (
        "{ size = \"256MiB\" }, { gpa = 0x400_0000, size = \"2MiB\" }",
        "kernel_load_addr = 0x4020_0000\ndtb_load_addr = 0x4000_0000\n",
    ),
    ram: 0x4000_0000,
    bios_kernel: 0x8_0000,
    firmware: false,
    tty: "ttyAMA0",
    linux_interrupts: ["arch_timer", "IPI"],
    hello: ["CPU 0 runs at EL1", "PSCI version 0x10001"],
    testguest: [90, 105, 120],
    naive: &["unlooked"],
    fault: "fault: vCPU 0: no exception handler can be fetched, pc 0x200000200",
    chaos: ["vector", "sysreg", "mmio", "gic", "psci"],
    rtc: Rtc {
        by_path: "{ path = \"/pl031@9010000\" }",
        by_address: "[\"clock\", 0x9010000, 0x9010000, 0x1000, 2]",
        found: "rtc: part 0x31",
        linux: "rtc-pl031",
        // GICD_IROUTER34: Aff0.
        routes: [(0x800_6110, 0xff, 0), (0x800_6110, 0xff, 1)],
        alarm: Some("rtc-pl031"),
    },
    refused: &[
        ("gic", "[\"/intc@8000000\"]", "E0706"),
        ("console", "[\"/pl011@9000000\"]", "E0706"),
        ("flash", "[\"/flash@0\"]", "E0706"),
        ("shared", "[\"/virtio_mmio@a000000\"]", "E0707"),
        ("dma", "[\"/virtio_mmio@a001000\"]", "E0708"),
        (
            "ram",
            "[\"ram\", 0x50000000, 0x50000000, 0x1000, 0]",
            "E0710",
        ),
        // The physical UART's line; the guest's own UART has another one.
        (
            "line",
            "[\"clock\", 0x9010000, 0x9010000, 0x1000, 1]]\n\
             emu_devices = [[\"uart\", 0x9000000, 0x1000, 40, \"console\"]",
            "E0713",
        ),
        ("nothing", "[\"/nothing\"]", "E0705"),
    ],
    without: &[(
        "selftest::harts_at_the_images_start",
        "no PSCI is known that starts a CPU elsewhere than it is told",
    )],
};

/// 64-bit RISC-V.
pub static RISCV64: Arch = Arch {
    name: "riscv64",
    board: "virt",
    other_boards: &[("with_aclint", "virt,aclint=on")],
    bare_board: "virt",
    unfit: (
        &["-cpu", "rv64,h=false"],
        "axhv: started without the hypervisor extension",
    ),
    cpu: "rv64",
    rich_cpu: "rva23s64",
    models: &["rv64", "rva23s64"],
    reduced: &["rv64,sstc=off"],
    selftests: &[
        ("rv64", 1, "512M"),
        ("rv64", 8, "2G"),
        ("rva23s64", 2, "2G"),
    ],
    uboot: ("-kernel", "/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"),
    uboot_guest: ("{ size = \"256MiB\" }", "kernel_load_addr = 0x8020_0000\n"),
    ram: 0x8000_0000,
    bios_kernel: 0x20_0000,
    firmware: true,
    tty: "ttyS0",
    linux_interrupts: ["riscv-timer", "IPI"],
    hello: ["CPU 0 runs at S-mode", "SBI version 0x2000000"],
    testguest: [95, 105, 125],
    naive: &["unlooked", "legacy"],
    fault: "fault: vCPU 0: no exception handler can be fetched, pc 0x200000000",
    chaos: ["vector", "csr", "mmio", "plic", "sbi"],
    rtc: Rtc {
        by_path: "{ path = \"/soc/rtc@101000\" }",
        by_address: "[\"clock\", 0x101000, 0x101000, 0x1000, 11]",
        found: "rtc: a goldfish",
        linux: "goldfish_rtc",
        // Source 11's enable bits in the contexts of supervisor mode.
        routes: [
            (0xc00_2080, 1 << 11, 1 << 11),
            (0xc00_2180, 1 << 11, 1 << 11),
        ],
        // Linux takes it for one that wakes nobody, so that /sys has no alarm of it.
        alarm: None,
    },
    refused: &[
        ("plic", "[\"/soc/plic@c000000\"]", "E0706"),
        ("console", "[\"/soc/serial@10000000\"]", "E0706"),
        ("flash", "[\"/flash@20000000\"]", "E0706"),
        ("dma", "[\"/soc/virtio_mmio@10001000\"]", "E0708"),
        (
            "ram",
            "[\"ram\", 0x90000000, 0x90000000, 0x1000, 0]",
            "E0710",
        ),
        (
            "line",
            "[\"clock\", 0x101000, 0x101000, 0x1000, 10]]\n\
             emu_devices = [[\"uart\", 0x10000000, 0x100, 40, \"console\"]",
            "E0713",
        ),
        ("nothing", "[\"/nothing\"]", "E0705"),
    ],
    without: &[
        (
            "passthrough::linux_second_uart",
            "QEMU's board has one UART only",
        ),
        (
            "faults::leaves_no_timer",
            "a guest's timer interrupts VS-mode only, and QEMU's traces don't show it",
        ),
    ],
};

/// What the tests go over when `ARCH` names none; scripts/lib.sh has the same list.
pub static ARCHES: &[&Arch] = &[&AARCH64, &RISCV64];

/// The architecture that the environment's `ARCH` names, or all.
pub fn asked() -> Vec<&'static Arch> {
    let known = [&AARCH64, &RISCV64];
    match std::env::var("ARCH") {
        Ok(name) if !name.is_empty() => {
            known.into_iter().filter(|arch| arch.name == name).collect()
        }
        _ => ARCHES.to_vec(),
    }
}

impl Arch {
    /// QEMU's program: the environment's `QEMU`, with the name of this architecture.
    pub fn qemu(&self) -> String {
        let program = std::env::var("QEMU").unwrap_or_default();
        match program.rsplit_once("qemu-system-") {
            Some((path, _)) => format!("{path}qemu-system-{}", self.name),
            None if program.is_empty() => format!("qemu-system-{}", self.name),
            None => program,
        }
    }

    /// Arguments for a script of ours: the variables that say what it is to work for, behind `env`.
    pub fn variables(&self) -> [String; 5] {
        let arch = format!("ARCH={}", self.name);
        let qemu = format!("QEMU={}", self.qemu());
        [arch, qemu, "VMS=".into(), "CPU=".into(), "GIC=".into()]
    }
}

/// A CPU model as a part of a test's name.
pub fn word(model: &str) -> String {
    model.replace(['-', ',', '='], "_")
}

/// `count` of something, as a part of a test's name.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count}_{what}{}", if count == 1 { "" } else { "s" })
}
