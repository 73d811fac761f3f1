//! `kernel.memory_regions`.

use super::value::{Choice, NO_OLD, Reader, Table, Value, Words, span};
use crate::{
    At, Code, Data, Diagnostic, MemFlags, Span, VMDevicesConfig, VMKernelConfig, VmMemConfig,
    VmMemMappingType,
    check::device_ranges,
    keys::REGION,
    layout::{PAGE, place},
};

use alloc::vec::Vec;

/// The most memory regions of a VM.
const MAX_REGIONS: usize = 32;

static MAP_TYPES: Words<VmMemMappingType> = Words {
    list: "\"alloc\", \"identical\" or \"reserved\"",
    choices: &[
        Choice {
            name: "alloc",
            old: 0,
            means: Ok(VmMemMappingType::MapAlloc),
        },
        Choice {
            name: "identical",
            old: 1,
            means: Ok(VmMemMappingType::MapIdentical),
        },
        Choice {
            name: "reserved",
            old: 2,
            means: Ok(VmMemMappingType::MapReserved),
        },
    ],
};

static RIGHTS: Words<MemFlags> = Words {
    list: "\"read\", \"write\" or \"execute\"",
    choices: &[
        Choice {
            name: "read",
            old: NO_OLD,
            means: Ok(MemFlags::READ),
        },
        Choice {
            name: "write",
            old: NO_OLD,
            means: Ok(MemFlags::WRITE),
        },
        Choice {
            name: "execute",
            old: NO_OLD,
            means: Ok(MemFlags::EXECUTE),
        },
        Choice {
            name: "user",
            old: NO_OLD,
            means: Err(Code::NoMemoryKind),
        },
        Choice {
            name: "device",
            old: NO_OLD,
            means: Err(Code::NoMemoryKind),
        },
        Choice {
            name: "uncached",
            old: NO_OLD,
            means: Err(Code::NoMemoryKind),
        },
    ],
};

/// `memory_regions`; whether they are all there. Regions without an address get one that meets no
/// other region and no device.
pub(super) fn read(
    reader: &mut Reader,
    top: &Table<'_, '_>,
    devices: &VMDevicesConfig,
    kernel: &mut VMKernelConfig,
) -> bool {
    let before = reader.errors();
    let Some(table) = top.get("kernel").and_then(|v| v.get_ref().as_table()) else {
        return false;
    };
    let Some(value) = table.get("memory_regions") else {
        // Said of the table, as all keys that are missing.
        let at = top.get("kernel").map_or_else(Span::default, span);
        reader.wrong(Code::MissingKey, at, Data::Want("memory_regions"));
        return false;
    };
    let list = reader.list(value, MAX_REGIONS).unwrap_or(&[]);
    let regions: Vec<_> = list.iter().filter_map(|v| region(reader, v)).collect();
    let mut taken = device_ranges(devices);
    taken.extend(regions.iter().filter_map(|r| Some((r.gpa?.value, r.size))));
    let layout = reader.layout();
    for region in regions {
        let gpa = match region.gpa {
            Some(gpa) => gpa.value,
            None => match place(layout.ram_base, region.size, layout.ram_align, &taken) {
                Some(gpa) => {
                    taken.push((gpa, region.size));
                    gpa
                }
                None => {
                    let range = Data::Range(layout.ram_base, region.size);
                    reader.wrong(Code::Overflow, region.span, range);
                    continue;
                }
            },
        };
        let config = VmMemConfig {
            gpa,
            size: region.size,
            flags: region.flags,
            map_type: region.map_type,
        };
        kernel.memory_regions.push(At::new(config, region.span));
    }
    if list.is_empty() && value.get_ref().is_array() {
        reader.say(Diagnostic::new(Code::NoMemory, span(value)));
    }
    reader.errors() == before
}

/// A region whose address may be left open.
struct Region {
    gpa: Option<At<usize>>,
    size: usize,
    flags: MemFlags,
    map_type: VmMemMappingType,
    span: Span,
}

fn region(reader: &mut Reader, value: &Value<'_>) -> Option<Region> {
    let at = span(value);
    let fields: [Option<&Value<'_>>; 4] = match value.get_ref().as_array() {
        Some(array) => match array.get(..) {
            Some([gpa, size, flags, map_type]) => {
                [Some(gpa), Some(size), Some(flags), Some(map_type)]
            }
            _ => {
                const FORM: &str = "[gpa, size, flags, map_type]";
                reader.wrong(Code::WrongLength, at, Data::Want(FORM));
                return None;
            }
        },
        None => {
            let table = reader.table(value, REGION)?;
            if table.get("size").is_none() {
                reader.missing(&table, "size");
            }
            ["gpa", "size", "flags", "map_type"].map(|key| table.get(key))
        }
    };
    let [gpa_value, size, flags_value, map_value] = fields;
    let gpa = gpa_value.map(|v| reader.number(v));
    let size = size.and_then(|v| reader.number(v));
    let flags = match flags_value {
        Some(value) => flags(reader, value),
        None => Some(MemFlags::all()),
    };
    let map_type = match map_value {
        Some(value) => reader.choice(value, &MAP_TYPES).map(|at| at.value),
        None => Some(VmMemMappingType::MapAlloc),
    };
    let (size, flags, map_type) = (size?, flags?, map_type?);
    // `Some(None)`: there is one, and it is wrong.
    let gpa = match gpa {
        Some(gpa) => Some(gpa?),
        None => None,
    };
    if gpa.is_none() && map_type != VmMemMappingType::MapAlloc {
        reader.say(Diagnostic::new(Code::NeedsAddress, at));
        return None;
    }
    let old_code = |v: Option<&Value<'_>>| v.filter(|v| v.get_ref().is_integer()).map(span);
    if let Some(at) = old_code(flags_value).filter(|_| flags != MemFlags::all()) {
        reader.say(Diagnostic::new(Code::FlagsCount, at));
    }
    if let Some(at) = old_code(map_value).filter(|_| map_type == VmMemMappingType::MapIdentical) {
        reader.say(Diagnostic::new(Code::IdentityCounts, at));
    }
    Some(Region {
        gpa,
        size: region_size(reader, size)?,
        flags,
        map_type,
        span: at,
    })
}

/// A size that regions can have: with another one no place could be found.
fn region_size(reader: &mut Reader, size: At<usize>) -> Option<usize> {
    if size.value == 0 {
        reader.say(Diagnostic::new(Code::EmptyRange, size.span));
        return None;
    }
    if !size.value.is_multiple_of(PAGE) {
        reader.wrong(Code::Misaligned, size.span, Data::Number(PAGE));
        return None;
    }
    Some(size.value)
}

/// Access rights: `"rwx"`, a list of words, or a sum of old codes.
fn flags(reader: &mut Reader, value: &Value<'_>) -> Option<MemFlags> {
    let at = span(value);
    let flags = if value.get_ref().is_array() {
        let mut flags = MemFlags::empty();
        for word in reader.list(value, RIGHTS.choices.len())? {
            flags |= reader.choice(word, &RIGHTS)?.value;
        }
        flags
    } else if let Some(text) = value.get_ref().as_str() {
        let mut flags = MemFlags::empty();
        for letter in text.chars() {
            flags |= match letter {
                'r' => MemFlags::READ,
                'w' => MemFlags::WRITE,
                'x' => MemFlags::EXECUTE,
                _ => {
                    const FORM: &str = "\"r\", \"rw\", \"rx\" or \"rwx\"";
                    reader.wrong(Code::UnknownName, at, Data::Want(FORM));
                    return None;
                }
            };
        }
        flags
    } else {
        let bits = reader.number(value)?.value;
        if bits > 63 {
            reader.wrong(Code::OutOfLimits, at, Data::Limits(0, 7));
            return None;
        }
        if bits > 7 {
            reader.say(Diagnostic::new(Code::NoMemoryKind, at));
            return None;
        }
        MemFlags::from_bits_truncate(bits as u8)
    };
    if !flags.contains(MemFlags::READ) {
        reader.say(Diagnostic::new(Code::NotReadable, at));
        return None;
    }
    Some(flags)
}
