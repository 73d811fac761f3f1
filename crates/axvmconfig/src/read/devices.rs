//! `[devices]`.

use alloc::vec::Vec;

use super::{
    emulated::{self, Platform},
    passed,
    value::{Choice, NO_OLD, Reader, Table, Value, Words, span},
};
use crate::{
    Arch, At, Code, Data, Diagnostic, PassThrough, PassThroughTarget, VMBaseConfig,
    VMDevicesConfig, VMInterruptMode, keys::DISABLED,
};

/// The most devices of each kind.
pub(super) const MAX_DEVICES: usize = 128;

pub(super) const fn refused<T>(name: &'static str, old: usize, code: Code) -> Choice<T> {
    Choice {
        name,
        old,
        means: Err(code),
    }
}

pub(super) const fn offered<T>(name: &'static str, old: usize, means: T) -> Choice<T> {
    Choice {
        name,
        old,
        means: Ok(means),
    }
}

static MODES: Words<VMInterruptMode> = Words {
    list: "\"emulated\" or \"none\"",
    choices: &[
        offered("emulated", NO_OLD, VMInterruptMode::Emulated),
        offered("none", NO_OLD, VMInterruptMode::NoIrq),
        offered("emu", NO_OLD, VMInterruptMode::Emulated),
        offered("no", NO_OLD, VMInterruptMode::NoIrq),
        offered("no_irq", NO_OLD, VMInterruptMode::NoIrq),
        refused("passthrough", NO_OLD, Code::NoPassthroughIrqs),
        refused("pt", NO_OLD, Code::NoPassthroughIrqs),
    ],
};

static MODELS: Words<()> = Words {
    list: "no model is offered",
    choices: &[
        refused("virtio-blk", NO_OLD, Code::NoVirtio),
        refused("virtio-net", NO_OLD, Code::NoVirtio),
        refused("virtio-console", NO_OLD, Code::NoVirtio),
        refused("ivc-channel", NO_OLD, Code::NoIvc),
    ],
};

pub(super) fn read(
    reader: &mut Reader,
    table: &Table<'_, '_>,
    base: &VMBaseConfig,
) -> VMDevicesConfig {
    let mode = table.get("interrupt_mode");
    let mode = mode.and_then(|v| reader.choice(v, &MODES));
    let mode = mode.unwrap_or(At::new(VMInterruptMode::default(), table.span));
    let platform = Platform {
        layout: reader.layout(),
        cpus: base.cpu_num.value,
        controller: mode.value != VMInterruptMode::NoIrq,
    };
    let emulated = emulated::read(reader, table, &platform);
    let passed = passed::read(reader, table);
    excluded(reader, table, &passed);
    models(reader, table);
    VMDevicesConfig {
        emu_devices: emulated,
        passthrough_devices: passed,
        passthrough_spis: Vec::new(),
        interrupt_mode: mode,
    }
}

/// `excluded_devices` and `disabled`: true of every device that isn't named elsewhere.
fn excluded(reader: &mut Reader, table: &Table<'_, '_>, passed: &[At<PassThrough>]) {
    let check = |reader: &mut Reader, path: &Value<'_>| {
        let Some(path) = reader.text(path) else {
            return;
        };
        let also = passed.iter().find(
            |device| matches!(&device.value.target, PassThroughTarget::Path(p) if *p == path.value),
        );
        let diagnostic = match also {
            Some(device) => Diagnostic::new(Code::ExcludedToo, path.span).and(device.span),
            None => Diagnostic::new(Code::NoEffect, path.span),
        };
        reader.say(diagnostic);
    };
    if let Some(value) = table.get("excluded_devices") {
        for paths in reader.list(value, MAX_DEVICES).unwrap_or(&[]) {
            for path in reader.list(paths, MAX_DEVICES).unwrap_or(&[]) {
                check(reader, path);
            }
        }
    }
    if let Some(value) = table.get("disabled") {
        for entry in reader.list(value, MAX_DEVICES).unwrap_or(&[]) {
            let path = reader.table(entry, DISABLED).and_then(|t| t.get("path"));
            if let Some(path) = path {
                check(reader, path);
            }
        }
    }
}

/// `virtual`: every model of the 0.8 form is refused by name.
fn models(reader: &mut Reader, table: &Table<'_, '_>) {
    let Some(value) = table.get("virtual") else {
        return;
    };
    for entry in reader.list(value, MAX_DEVICES).unwrap_or(&[]) {
        match entry.get_ref().as_table().and_then(|t| t.get("model")) {
            Some(model) => {
                reader.choice(model, &MODELS);
            }
            None => reader.wrong(Code::MissingKey, span(entry), Data::Want("model")),
        }
    }
}

/// An interrupt line: `0` and `"none"` mean none; on aarch64 `"spi0"` is number 0.
pub(super) fn irq(reader: &mut Reader, value: &Value<'_>) -> Option<Option<u32>> {
    let spi = value
        .get_ref()
        .as_str()
        .and_then(|text| text.strip_prefix("spi"));
    let number = match (value.get_ref().as_str(), spi) {
        (Some("none"), _) => return Some(None),
        (_, Some(number)) if reader.arch == Arch::Aarch64 => number.parse().ok(),
        (_, Some(_)) => None,
        _ => match reader.number(value)?.value {
            0 => return Some(None),
            number => u32::try_from(number).ok(),
        },
    };
    if number.is_none_or(|n| !reader.layout().lines.contains(&n)) {
        let form = match reader.arch {
            Arch::Aarch64 => "1 to 987 (INTID - 32), \"spi0\" to \"spi987\", 0 or \"none\"",
            Arch::Riscv64 => "1 to 1023 (a source of the PLIC), 0 or \"none\"",
        };
        reader.wrong(Code::BadIrq, span(value), Data::Want(form));
        return None;
    }
    Some(number)
}
