//! `[kernel]` but its memory.

use alloc::{string::String, vec::Vec};

use super::value::{Choice, NO_OLD, Reader, Table, Value, Words};
use crate::{At, Code, Data, Diagnostic, VMKernelConfig};

static LOCATIONS: Words<()> = Words {
    list: "\"memory\"",
    choices: &[
        Choice {
            name: "memory",
            old: NO_OLD,
            means: Ok(()),
        },
        Choice {
            name: "fs",
            old: NO_OLD,
            means: Err(Code::NoFileSystem),
        },
    ],
};

static PROTOCOLS: Words<()> = Words {
    list: "\"direct\"",
    choices: &[
        Choice {
            name: "direct",
            old: NO_OLD,
            means: Ok(()),
        },
        Choice {
            name: "multiboot",
            old: NO_OLD,
            means: Err(Code::NoFirmwareBoot),
        },
        Choice {
            name: "uefi",
            old: NO_OLD,
            means: Err(Code::NoFirmwareBoot),
        },
    ],
};

/// Everything but the memory regions.
pub(super) fn read(reader: &mut Reader, table: &Table<'_, '_>) -> VMKernelConfig {
    if let Some(value) = table.get("image_location") {
        reader.choice(value, &LOCATIONS);
    }
    if let Some(value) = table.get("boot_protocol") {
        reader.choice(value, &PROTOCOLS);
    }
    let kernel_path = match table.get("kernel_path") {
        Some(value) => reader.path(value),
        None => {
            reader.missing(table, "kernel_path");
            None
        }
    };
    let mut path = |key| table.get(key).and_then(|v| reader.path(v));
    let bios_path = path("bios_path");
    let dtb_path = path("dtb_path");
    let ramdisk_path = path("ramdisk_path");
    let mut address = |key| table.get(key).and_then(|v| reader.number(v));
    let kernel = VMKernelConfig {
        entry_point: address("entry_point"),
        kernel_path: kernel_path.unwrap_or_else(|| At::new(String::new(), table.span)),
        kernel_load_addr: address("kernel_load_addr"),
        bios_path,
        bios_load_addr: address("bios_load_addr"),
        dtb_path,
        dtb_load_addr: address("dtb_load_addr"),
        ramdisk_path,
        ramdisk_load_addr: address("ramdisk_load_addr"),
        cmdline: table.get("cmdline").and_then(|v| cmdline(reader, v)),
        memory_regions: Vec::new(),
    };
    bios(reader, table, &kernel);
    kernel
}

fn cmdline(reader: &mut Reader, value: &Value<'_>) -> Option<At<String>> {
    let text = reader.text(value)?;
    let max = reader.layout().cmdline;
    if text.value.len() > max || text.value.contains('\0') {
        reader.wrong(Code::OutOfLimits, text.span, Data::Limits(0, max));
        return None;
    }
    Some(text)
}

fn bios(reader: &mut Reader, table: &Table<'_, '_>, kernel: &VMKernelConfig) {
    let Some(enable) = table.get("enable_bios").and_then(|v| reader.boolean(v)) else {
        return;
    };
    match &kernel.bios_path {
        None if enable.value => {
            let missing = Diagnostic::new(Code::MissingKey, enable.span);
            reader.say(missing.with(Data::Want("bios_path")));
        }
        Some(path) if !enable.value => {
            reader.say(Diagnostic::new(Code::Conflict, path.span).and(enable.span));
        }
        _ => {}
    }
}
