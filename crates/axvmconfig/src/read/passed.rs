//! `devices.passthrough_devices`, `passthrough` and `passthrough_addresses`.

use alloc::{string::String, vec::Vec};

use super::{
    devices::{MAX_DEVICES, irq, offered},
    value::{NO_OLD, NODE_NAME, Reader, Table, Value, Words, span},
};
use crate::{
    At, Code, Data, Diagnostic, PassThrough, PassThroughDeviceConfig, PassThroughTarget, Span,
    keys::PASSED,
};

static DMA: Words<()> = Words {
    list: "\"unprotected\"",
    choices: &[offered("unprotected", NO_OLD, ())],
};

pub(super) fn read(reader: &mut Reader, table: &Table<'_, '_>) -> Vec<At<PassThrough>> {
    let mut devices = Vec::new();
    for key in ["passthrough_devices", "passthrough"] {
        let Some(value) = table.get(key) else {
            continue;
        };
        let list = reader.list(value, MAX_DEVICES).unwrap_or(&[]);
        devices.extend(list.iter().filter_map(|v| passed(reader, v)));
    }
    if let Some(value) = table.get("passthrough_addresses") {
        let list = reader.list(value, MAX_DEVICES).unwrap_or(&[]);
        devices.extend(list.iter().filter_map(|v| passed_range(reader, v)));
    }
    devices
}

fn passed(reader: &mut Reader, value: &Value<'_>) -> Option<At<PassThrough>> {
    let here = span(value);
    let mut dma_unprotected = false;
    let fields: [Option<&Value<'_>>; 5] = match value.get_ref().as_array() {
        Some(array) => match array.get(..) {
            Some([path]) => return device_path(reader, path, here, false),
            Some([name, gpa, hpa, length, irq]) => [name, gpa, hpa, length, irq].map(Some),
            _ => {
                const FORM: &str = "[name, base_gpa, base_hpa, length, irq_id] or [path]";
                reader.wrong(Code::WrongLength, here, Data::Want(FORM));
                return None;
            }
        },
        None => {
            let table = reader.table(value, PASSED)?;
            if let Some(value) = table.get("dma") {
                reader.choice(value, &DMA)?;
                dma_unprotected = true;
            }
            let keys = ["name", "base_gpa", "base_hpa", "length", "irq_id"];
            let fields = keys.map(|key| table.get(key));
            if let Some(path) = table.get("path") {
                if let Some(other) = fields.into_iter().flatten().next() {
                    reader.say(Diagnostic::new(Code::Conflict, span(other)).and(span(path)));
                }
                return device_path(reader, path, here, dma_unprotected);
            }
            for key in ["base_hpa", "length"] {
                if table.get(key).is_none() {
                    reader.missing(&table, key);
                }
            }
            fields
        }
    };
    let [name, gpa, hpa, length, irq_value] = fields;
    let name = match name {
        Some(value) => reader.device_name(value)?.value,
        None => String::from("device"),
    };
    let base_hpa = hpa.and_then(|v| reader.number(v))?.value;
    let base_gpa = match gpa {
        Some(value) => reader.number(value)?.value,
        None => base_hpa,
    };
    let device = PassThroughDeviceConfig {
        name,
        base_gpa,
        base_hpa,
        length: length.and_then(|v| reader.number(v))?.value,
        irq_id: match irq_value {
            Some(value) => irq(reader, value)?,
            None => None,
        },
        dma_unprotected,
    };
    Some(passed_at(
        PassThroughTarget::Address(device),
        here,
        dma_unprotected,
    ))
}

fn passed_at(target: PassThroughTarget, span: Span, dma_unprotected: bool) -> At<PassThrough> {
    let device = PassThrough {
        target,
        dma_unprotected,
    };
    At::new(device, span)
}

/// A path (`/soc/serial@9000000`) or alias (`serial0`) of the board's device tree.
fn device_path(
    reader: &mut Reader,
    value: &Value<'_>,
    here: Span,
    dma_unprotected: bool,
) -> Option<At<PassThrough>> {
    let path = reader.text(value)?;
    if path.value == "/" {
        reader.say(Diagnostic::new(Code::NoPassAll, path.span));
        return None;
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || NODE_NAME.contains(c);
    let good = |part: &str| !part.is_empty() && part.chars().all(allowed);
    let good = match path.value.strip_prefix('/') {
        Some(parts) => parts.split('/').all(good),
        None => good(&path.value),
    };
    if !good || path.value.len() > 256 {
        reader.say(Diagnostic::new(Code::BadDevicePath, path.span));
        return None;
    }
    Some(passed_at(
        PassThroughTarget::Path(path.value),
        here,
        dma_unprotected,
    ))
}

/// `[gpa, length]` of `passthrough_addresses`.
fn passed_range(reader: &mut Reader, value: &Value<'_>) -> Option<At<PassThrough>> {
    let here = span(value);
    let Some([base, length]) = reader.list(value, MAX_DEVICES)?.get(..) else {
        reader.wrong(Code::WrongLength, here, Data::Want("[gpa, length]"));
        return None;
    };
    let base = reader.number(base)?.value;
    let device = PassThroughDeviceConfig {
        name: String::from("range"),
        base_gpa: base,
        base_hpa: base,
        length: reader.number(length)?.value,
        irq_id: None,
        dma_unprotected: false,
    };
    Some(passed_at(PassThroughTarget::Address(device), here, false))
}
