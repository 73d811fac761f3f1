//! A file to start from.

use crate::Arch;

/// What runs in the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// A Linux kernel with a ramdisk.
    Linux,
    /// A raw bare-metal image.
    Baremetal,
}

/// A commented description to start from.
pub fn template(arch: Arch, guest: Guest, id: usize, name: &str) -> String {
    let words = match arch {
        Arch::Aarch64 => &AARCH64,
        Arch::Riscv64 => &RISCV64,
    };
    let Words {
        ram, devices, path, ..
    } = words;
    let (label, cpus, memory, images) = match guest {
        Guest::Linux => ("linux", 2, "512MiB", words.linux()),
        Guest::Baremetal => ("rtos", 1, "16MiB", words.baremetal()),
    };
    format!(
        r#"# A VM for the hypervisor on {arch}. Check it with `axvmconfig check --arch {arch}`, and see
# what it means, with all that isn't said here, with `axvmconfig explain --arch {arch}`.
format = 1

[base]
id = {id} # a number of its own among the VMs, from 0 to 63
name = "{name}" # a name of its own
vm_type = "{label}" # a label for people: "linux" or "rtos"
cpu_num = {cpus} # virtual CPUs, 1 to 8
# For each vCPU the physical CPUs it may run on, as a mask. Without it: all.
# phys_cpu_sets = [0b01, 0b10]

[kernel]
{images}
# One table for each region of memory. Without `gpa` it goes where there is room, from {ram}.
# Others: flags = "rw" (default "rwx"), map_type = "identical" (the same address on the machine).
memory_regions = [{{ size = "{memory}" }}]

# Without this table the VM has {devices}.
# [devices]
# Physical devices, by the board's device tree or by address:
# passthrough_devices = [{{ path = "{path}" }}]
"#,
        arch = arch.name(),
    )
}

/// What an architecture's file says differently.
struct Words {
    /// Where memory starts.
    ram: &'static str,
    /// What there is without a word.
    devices: &'static str,
    /// A device of a board.
    path: &'static str,
    /// What a Linux kernel is.
    image: &'static str,
    /// Linux's name of the console.
    console: &'static str,
    /// An address in memory.
    load: &'static str,
}

static AARCH64: Words = Words {
    ram: "0x4000_0000",
    devices: "a GICv3 and a console (a PL011 with SPI 1)",
    path: "/pl031@9010000",
    image: "an arm64 `Image`",
    console: "ttyAMA0",
    load: "0x4008_0000",
};

static RISCV64: Words = Words {
    ram: "0x8000_0000",
    devices: "a PLIC and a console (a 16550 with source 10)",
    path: "/soc/rtc@101000",
    image: "a riscv64 `Image`",
    console: "ttyS0",
    load: "0x8020_0000",
};

impl Words {
    fn linux(&self) -> String {
        let Self { image, console, .. } = self;
        format!(
            r#"# Paths are relative to this file.
kernel_path = "Image" # {image}, may be gzipped
ramdisk_path = "initramfs.cpio.gz"
cmdline = "console={console}""#
        )
    }

    fn baremetal(&self) -> String {
        let load = self.load;
        format!(
            r#"# Relative to this file. A raw image is loaded at the start of memory and runs from its first byte
# there; an ELF file goes where its headers say.
kernel_path = "guest.bin"
# kernel_load_addr = {load}
# entry_point = {load}"#
        )
    }
}
