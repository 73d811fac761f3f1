//! The schema's keys: one table for each TOML table, used to refuse unknown keys, to refuse by
//! name what isn't offered yet, and (on the host) to print the reference.

use crate::Code;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Part of every form.
    Known,
    /// A device key of the classic form: not together with keys of the 0.8 form.
    Classic,
    /// A key of the 0.8 form.
    Form08,
    /// Part of the schema, and refused until it is offered.
    Refused(Code),
}

/// One key.
pub(crate) struct Key {
    /// Its name.
    pub name: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// Type and meaning, for the reference.
    #[cfg(feature = "cli")]
    pub doc: &'static str,
}

macro_rules! keys {
    ($($(#[$meta:meta])* $table:ident { $($name:literal $fate:expr, $doc:literal;)* })*) => {$(
        $(#[$meta])*
        pub(crate) static $table: &[Key] = &[$(Key {
            name: $name,
            fate: $fate,
            #[cfg(feature = "cli")]
            doc: $doc,
        },)*];
    )*};
}

use Fate::{Classic, Form08, Known, Refused};

keys! {
    /// The file itself.
    ROOT {
        "format" Known, "integer, default 1: the version of this schema";
        "base" Known, "table: who the VM is, and its CPUs";
        "kernel" Known, "table: images and memory";
        "devices" Known, "table, optional: devices and interrupts";
    }
    /// `[base]`.
    BASE {
        "id" Known, "integer from 0 to 63: the VM's own number";
        "name" Known, "string, default `vm<id>`: the VM's own name; letters, digits, `-`, `_`, `.`";
        "vm_type" Known, "`\"rtos\"` or 1 (default), `\"linux\"` or 2: a label for people";
        "guest_type" Form08, "`\"virtualized\"`: the only kind there is";
        "cpu_num" Known, "integer, default 1: how many vCPUs";
        "phys_cpu_ids" Known, "list of integers: for each vCPU the affinity value its guest reads in MPIDR_EL1, on riscv64 its hart id; default 0, 1, 2...";
        "phys_cpu_sets" Known, "list of integers: for each vCPU the logical physical CPUs it may run on, as a mask; default all";
        "exclusive" Refused(Code::NoScheduling), "not offered yet";
        "budget" Refused(Code::NoScheduling), "not offered yet";
        "period" Refused(Code::NoScheduling), "not offered yet";
        "priority" Refused(Code::NoScheduling), "not offered yet";
        "fair" Refused(Code::NoScheduling), "not offered yet";
        "on_shutdown" Refused(Code::NoPolicy), "not offered yet";
        "on_reset" Refused(Code::NoPolicy), "not offered yet";
        "on_fault" Refused(Code::NoPolicy), "not offered yet";
    }
    /// `[kernel]`.
    KERNEL {
        "entry_point" Known, "address: where vCPU 0 starts; default: what the image says, or its first byte";
        "kernel_path" Known, "string: the kernel's file, relative to this file (an arm64 or riscv64 `Image`, also gzipped or as an EFI zboot image with gzip, an ELF file, or a raw image)";
        "kernel_load_addr" Known, "address: where the kernel goes; default: where its format wants it";
        "bios_path" Known, "string: a raw image that starts the kernel";
        "bios_load_addr" Known, "address: where the BIOS goes";
        "dtb_path" Known, "string: the guest's device tree; default: generated";
        "dtb_load_addr" Known, "address: where the device tree goes, generated or not";
        "ramdisk_path" Known, "string: the ramdisk's file";
        "ramdisk_load_addr" Known, "address: where the ramdisk goes";
        "image_location" Known, "`\"memory\"`: the only place there is";
        "cmdline" Known, "string: the kernel's command line";
        "memory_regions" Known, "list of `{ gpa, size, flags, map_type }` or of `[gpa, size, flags, map_type]`: the VM's memory";
        "disk_path" Refused(Code::NoDisk), "not offered yet";
        "enable_bios" Known, "boolean: `true` needs a `bios_path`, `false` excludes it";
        "boot_protocol" Known, "`\"direct\"`: the only one there is";
        "uefi_firmware_path" Refused(Code::NoFirmwareBoot), "not offered yet";
    }
    /// An element of `kernel.memory_regions`.
    REGION {
        "gpa" Known, "address; default: the first place that is free, from the start of RAM (0x4000_0000 on aarch64, 0x8000_0000 on riscv64)";
        "size" Known, "size: a multiple of 4 KiB";
        "flags" Known, "`\"rwx\"` (default) or fewer of them, a list of `\"read\"`, `\"write\"`, `\"execute\"`, or the sum of 1, 2, 4";
        "map_type" Known, "`\"alloc\"` or 0 (default): memory from anywhere; `\"identical\"` or 1: the same address on the machine; `\"reserved\"` or 2: the same address, in memory the board reserves";
    }
    /// `[devices]`.
    DEVICES {
        "emu_devices" Classic, "list of `{ name, type, base_gpa, length, irq_id }` or of `[name, base_gpa, length, irq_id, type, [config...]]`: emulated devices; default: one console. What a guest sends to further consoles goes nowhere. The interrupt controller is added if it isn't listed";
        "passthrough_devices" Classic, "list of `{ name, base_gpa, base_hpa, length, irq_id, dma }`, `{ path, dma }`, `[name, base_gpa, base_hpa, length, irq_id]` or `[\"/path\"]`: physical devices";
        "interrupt_mode" Classic, "`\"emulated\"` (default) or `\"none\"`";
        "excluded_devices" Classic, "list of paths that are not passed through (nothing is, unless it is named)";
        "passthrough_addresses" Classic, "list of `[gpa, length]`: ranges of the machine at the same guest address";
        "passthrough" Form08, "list of `{ path, dma }`: physical devices";
        "disabled" Form08, "list of `{ path }` that are not passed through (nothing is, unless it is named)";
        "virtual" Form08, "list of `{ id, model, ... }`: no model is offered yet";
    }
    /// An element of `devices.emu_devices`.
    EMULATED {
        "name" Known, "string, default: the type";
        "type" Known, "`\"console\"`, on aarch64 `\"gicd\"` and `\"gicr\"`, on riscv64 `\"plic\"`, or an old code";
        "base_gpa" Known, "address, default by type";
        "length" Known, "size, default by type";
        "irq_id" Known, "interrupt line: on aarch64 a shared peripheral interrupt (INTID - 32), on riscv64 a source of the PLIC; `\"none\"` or 0: none; default for a console: 1, on riscv64 10";
        "config" Known, "list of integers; for `gicr` nothing, or [vCPUs, stride, first CPU]; for `plic` nothing, or [2 * vCPUs]";
    }
    /// An element of `devices.passthrough_devices` or `devices.passthrough`.
    PASSED {
        "path" Known, "string: a path or alias of the board's device tree; registers and interrupts come from there";
        "name" Known, "string, default: the path or `device`";
        "base_gpa" Known, "address, default: `base_hpa`";
        "base_hpa" Known, "address on the machine";
        "length" Known, "size: a multiple of 4 KiB";
        "irq_id" Known, "interrupt line, as above; `\"none\"` or 0: none (default)";
        "dma" Known, "`\"unprotected\"`: the device may access all memory on its own";
    }
    /// An element of `devices.disabled`.
    DISABLED {
        "path" Known, "string";
    }
}

/// The most bytes of a name that is looked up for a near one.
const LONGEST: usize = 32;

/// The name among `names` that `wrong` was probably meant to be.
pub(crate) fn nearest(
    wrong: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    if wrong.len() > LONGEST {
        return None;
    }
    names
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (distance(wrong.as_bytes(), name.as_bytes()), name))
        .filter(|(distance, name)| {
            *distance <= 1 + name.len().min(wrong.len()) / 5 || swapped(wrong, name)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Whether both have the same letters in another order.
fn swapped(a: &str, b: &str) -> bool {
    let count = |text: &str, letter| text.bytes().filter(|byte| *byte == letter).count();
    a.len() == b.len() && a.bytes().all(|c| count(a, c) == count(b, c))
}

/// How many letters must be changed, inserted or removed to get from `a` to `b` (Levenshtein);
/// capitals count as small letters. `b` has at most [`LONGEST`] bytes.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row = [0usize; LONGEST + 1];
    for (i, cell) in row.iter_mut().enumerate() {
        *cell = i;
    }
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        row[0] = left;
        for (to, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let change = diagonal + usize::from(!from.eq_ignore_ascii_case(to));
            diagonal = *cell;
            left = change.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.get(b.len()).copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let names = || BASE.iter().map(|key| key.name);
        assert_eq!(nearest("cpu_nums", names()), Some("cpu_num"));
        assert_eq!(nearest("CPU_NUM", names()), Some("cpu_num"));
        assert_eq!(nearest("phys_cpu_id", names()), Some("phys_cpu_ids"));
        assert_eq!(nearest("nmae", names()), Some("name"));
        assert_eq!(nearest("zzz", names()), None);
        assert_eq!(nearest(&"n".repeat(10_000), names()), None);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"abc", b""), 3);
    }
}
