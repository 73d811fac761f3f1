//! `[base]`.

use alloc::{format, string::String, vec::Vec};

use super::value::{Choice, NO_OLD, Reader, Table, Value, Words, span};
use crate::{
    At, Code, Data, Diagnostic, Span, VMBaseConfig, VMType,
    layout::{MAX_VCPUS, MAX_VMS},
};

static VM_TYPES: Words<VMType> = Words {
    list: "\"rtos\" or \"linux\"",
    choices: &[
        Choice {
            name: "rtos",
            old: 1,
            means: Ok(VMType::Rtos),
        },
        Choice {
            name: "linux",
            old: 2,
            means: Ok(VMType::Linux),
        },
        Choice {
            name: "host",
            old: 0,
            means: Err(Code::NoHostVm),
        },
    ],
};

static GUEST_TYPES: Words<()> = Words {
    list: "\"virtualized\"",
    choices: &[
        Choice {
            name: "virtualized",
            old: 2,
            means: Ok(()),
        },
        Choice {
            name: "passthrough",
            old: NO_OLD,
            means: Err(Code::NoPassAll),
        },
        Choice {
            name: "",
            old: 0,
            means: Err(Code::NoPassAll),
        },
        Choice {
            name: "",
            old: 1,
            means: Err(Code::NoPassAll),
        },
    ],
};

pub(super) fn read(reader: &mut Reader, table: &Table<'_, '_>) -> VMBaseConfig {
    let id = match table.get("id") {
        Some(value) => reader.limited(value, 0, MAX_VMS - 1),
        None => {
            reader.missing(table, "id");
            None
        }
    };
    let id = id.unwrap_or(At::new(0, table.span));
    let name = table.get("name").and_then(|v| reader.name(v));
    let name = name.unwrap_or_else(|| At::new(format!("vm{}", id.value), id.span));
    if let Some(value) = table.get("guest_type") {
        reader.choice(value, &GUEST_TYPES);
    }
    let vm_type = table.get("vm_type").and_then(|v| vm_type(reader, v));
    let cpu_num = table.get("cpu_num").and_then(|v| cpu_num(reader, v));
    let mut numbers = |key| table.get(key).and_then(|v| numbers(reader, v));
    VMBaseConfig {
        name,
        vm_type: vm_type.unwrap_or_default(),
        cpu_num: cpu_num.unwrap_or(At::new(1, table.span)),
        phys_cpu_ids: numbers("phys_cpu_ids"),
        phys_cpu_sets: numbers("phys_cpu_sets"),
        id,
    }
}

/// `vm_type` is a label, unless other keys say that the file has the 0.8 form: there it is another
/// name of `guest_type` (see [`forms`]), with words of its own.
fn vm_type(reader: &mut Reader, value: &Value<'_>) -> Option<VMType> {
    if matches!(
        value.get_ref().as_str(),
        Some("virtualized" | "passthrough")
    ) {
        reader.choice(value, &GUEST_TYPES)?;
        return Some(VMType::default());
    }
    reader.choice(value, &VM_TYPES).map(|at| at.value)
}

fn cpu_num(reader: &mut Reader, value: &Value<'_>) -> Option<At<usize>> {
    let number = reader.number(value)?;
    if (1..=MAX_VCPUS).contains(&number.value) {
        return Some(number);
    }
    reader.wrong(Code::CpuCount, number.span, Data::Limits(1, MAX_VCPUS));
    None
}

/// A list of integers, one for each vCPU at most.
pub(super) fn numbers(reader: &mut Reader, value: &Value<'_>) -> Option<At<Vec<At<usize>>>> {
    let list = reader.list(value, 64)?;
    let read: Vec<_> = list.iter().filter_map(|v| reader.number(v)).collect();
    // Half a list would be called too short.
    (read.len() == list.len()).then(|| At::new(read, span(value)))
}

/// Device keys of the classic form and keys of the 0.8 form exclude each other; and in the 0.8
/// form `vm_type` 0 and 1 asked for the whole machine.
pub(super) fn forms(reader: &mut Reader, top: &Table<'_, '_>) {
    let Some(form08) = reader.form08 else {
        return;
    };
    if let Some(classic) = reader.classic {
        reader.say(Diagnostic::new(Code::MixedForms, classic).and(form08));
    }
    let vm_type = top
        .get("base")
        .and_then(|base| base.get_ref().as_table()?.get("vm_type"));
    if let Some(value) = vm_type
        && value.get_ref().as_integer().is_some()
    {
        let before = reader.errors();
        reader.choice(value, &GUEST_TYPES);
        // `vm_type = 0` has been refused as a host VM already.
        if reader.errors() > before {
            let at = span(value);
            let host = |d: &Diagnostic| d.span == at && d.code == Code::NoHostVm;
            reader.out.0.retain(|d| !host(d));
        }
    }
}

/// For messages and defaults: `text` at `span`.
pub(super) fn at(text: &str, span: Span) -> At<String> {
    At::new(String::from(text), span)
}
