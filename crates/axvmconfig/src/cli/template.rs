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
    let Arch::Aarch64 = arch;
    let (label, cpus, memory, images) = match guest {
        Guest::Linux => ("linux", 2, "512MiB", LINUX),
        Guest::Baremetal => ("rtos", 1, "16MiB", BAREMETAL),
    };
    format!(
        r#"# A VM for the hypervisor. Check it with `axvmconfig check`, and see what it means, with all
# that isn't said here, with `axvmconfig explain`.
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
# One table for each region of memory. Without `gpa` it goes where there is room, from 0x4000_0000.
# Others: flags = "rw" (default "rwx"), map_type = "identical" (the same address on the machine).
memory_regions = [{{ size = "{memory}" }}]

# Without this table the VM has a GICv3 and a console (a PL011 with SPI 1).
# [devices]
# Physical devices, by the board's device tree or by address:
# passthrough_devices = [{{ path = "/pl031@9010000" }}]
"#
    )
}

const LINUX: &str = r#"# Paths are relative to this file.
kernel_path = "Image" # an arm64 `Image`, may be gzipped
ramdisk_path = "initramfs.cpio.gz"
cmdline = "console=ttyAMA0""#;

const BAREMETAL: &str = r#"# Relative to this file. A raw image is loaded at the start of memory and runs from its first byte
# there; an ELF file goes where its headers say.
kernel_path = "guest.bin"
# kernel_load_addr = 0x4008_0000
# entry_point = 0x4008_0000"#;
