//! `[devices]`.

use alloc::{string::String, vec::Vec};

use super::{
    base::{at, numbers},
    value::{Choice, NO_OLD, Reader, Table, Value, span},
};
use crate::{
    Arch, At, Code, Data, Diagnostic, EmulatedDeviceConfig, EmulatedDeviceType as Kind,
    PassThrough, PassThroughDeviceConfig, PassThroughTarget, Span, VMBaseConfig, VMDevicesConfig,
    VMInterruptMode,
    keys::{DISABLED, EMULATED, PASSED},
    layout::{GICR_STRIDE, Layout, SPI_COUNT},
};

/// The most devices of each kind.
const MAX_DEVICES: usize = 64;

const fn refused<T>(name: &'static str, old: usize, code: Code) -> Choice<T> {
    Choice {
        name,
        old,
        means: Err(code),
    }
}

const fn offered<T>(name: &'static str, old: usize, means: T) -> Choice<T> {
    Choice {
        name,
        old,
        means: Ok(means),
    }
}

static KINDS: &[Choice<Kind>] = &[
    offered("console", 2, Kind::Console),
    offered("gicd", 0x21, Kind::GicDistributor),
    offered("gicr", 0x20, Kind::GicRedistributor),
    // On aarch64 "the interrupt controller" by one address is the distributor.
    offered("intc", 1, Kind::GicDistributor),
    refused("dummy", 0, Code::NoDummy),
    refused("ivc", 0xa, Code::NoIvc),
    refused("its", 0x22, Code::NoIts),
    refused("plic", 0x30, Code::OtherArch),
    refused("virtio-blk", 0xe1, Code::NoVirtio),
    refused("virtio-net", 0xe2, Code::NoVirtio),
    refused("virtio-console", 0xe3, Code::NoVirtio),
];

static MODES: &[Choice<VMInterruptMode>] = &[
    offered("emulated", NO_OLD, VMInterruptMode::Emulated),
    offered("none", NO_OLD, VMInterruptMode::NoIrq),
    offered("emu", NO_OLD, VMInterruptMode::Emulated),
    offered("no", NO_OLD, VMInterruptMode::NoIrq),
    offered("no_irq", NO_OLD, VMInterruptMode::NoIrq),
    refused("passthrough", NO_OLD, Code::NoPassthroughIrqs),
    refused("pt", NO_OLD, Code::NoPassthroughIrqs),
];

static MODELS: &[Choice<()>] = &[
    refused("virtio-blk", NO_OLD, Code::NoVirtio),
    refused("virtio-net", NO_OLD, Code::NoVirtio),
    refused("virtio-console", NO_OLD, Code::NoVirtio),
    refused("ivc-channel", NO_OLD, Code::NoIvc),
];

static DMA: &[Choice<()>] = &[offered("unprotected", NO_OLD, ())];

pub(super) fn read(
    reader: &mut Reader,
    table: &Table<'_, '_>,
    arch: Arch,
    base: &VMBaseConfig,
) -> VMDevicesConfig {
    let mode = table.get("interrupt_mode");
    let mode = mode.and_then(|v| reader.choice(v, MODES));
    let mode = mode.unwrap_or(At::new(VMInterruptMode::default(), table.span));
    let platform = Platform {
        layout: Layout::of(arch),
        cpus: base.cpu_num.value,
        controller: mode.value != VMInterruptMode::NoIrq,
    };
    let emulated = emulated_devices(reader, table, &platform);
    let passed = passed_devices(reader, table);
    excluded(reader, table, &passed);
    models(reader, table);
    VMDevicesConfig {
        emu_devices: emulated,
        passthrough_devices: passed,
        passthrough_spis: Vec::new(),
        interrupt_mode: mode,
    }
}

/// What the defaults depend on.
struct Platform {
    layout: &'static Layout,
    cpus: usize,
    controller: bool,
}

impl Platform {
    /// Where a device is unless the file says something else: base, size.
    fn range(&self, kind: Kind) -> (usize, usize) {
        match kind {
            Kind::GicDistributor => self.layout.gicd,
            Kind::GicRedistributor => (self.layout.gicr_base, GICR_STRIDE * self.cpus),
            Kind::Console => self.layout.console,
        }
    }

    fn spi(&self, kind: Kind) -> Option<u32> {
        (kind == Kind::Console && self.controller).then_some(self.layout.console_spi)
    }

    fn default(&self, kind: Kind, span: Span) -> At<EmulatedDeviceConfig> {
        let (base_gpa, length) = self.range(kind);
        let device = EmulatedDeviceConfig {
            name: kind_name(kind).into(),
            base_gpa,
            length,
            irq_id: self.spi(kind),
            emu_type: kind,
            cfg_list: Vec::new(),
        };
        At::new(device, span)
    }
}

/// The word for a kind.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    let choice = KINDS.iter().find(|c| matches!(c.means, Ok(k) if k == kind));
    choice.map_or("", |choice| choice.name)
}

fn emulated_devices(
    reader: &mut Reader,
    table: &Table<'_, '_>,
    platform: &Platform,
) -> Vec<At<EmulatedDeviceConfig>> {
    let mut devices = Vec::new();
    match table.get("emu_devices") {
        Some(value) => {
            for value in reader.list(value, MAX_DEVICES).unwrap_or(&[]) {
                let first = |kind| {
                    !devices
                        .iter()
                        .any(|d: &At<EmulatedDeviceConfig>| d.value.emu_type == kind)
                };
                if let Some(device) = emulated(reader, value, platform, first) {
                    devices.push(device);
                }
            }
        }
        None => devices.push(platform.default(Kind::Console, table.span)),
    }
    if platform.controller {
        for kind in [Kind::GicRedistributor, Kind::GicDistributor] {
            if !devices.iter().any(|d| d.value.emu_type == kind) {
                devices.insert(0, platform.default(kind, table.span));
            }
        }
    }
    devices
}

fn emulated(
    reader: &mut Reader,
    value: &Value<'_>,
    platform: &Platform,
    first: impl Fn(Kind) -> bool,
) -> Option<At<EmulatedDeviceConfig>> {
    let here = span(value);
    let fields: [Option<&Value<'_>>; 6] = match value.get_ref().as_array() {
        Some(array) => match array.get(..) {
            Some([name, base, length, irq, kind]) => [
                Some(name),
                Some(base),
                Some(length),
                Some(irq),
                Some(kind),
                None,
            ],
            Some([name, base, length, irq, kind, config]) => {
                [name, base, length, irq, kind, config].map(Some)
            }
            _ => {
                const FORM: &str = "[name, base_gpa, length, irq_id, type, [config...]]";
                reader.wrong(Code::WrongLength, here, Data::Want(FORM));
                return None;
            }
        },
        None => {
            let table = reader.table(value, EMULATED)?;
            if table.get("type").is_none() {
                reader.missing(&table, "type");
            }
            ["name", "base_gpa", "length", "irq_id", "type", "config"].map(|key| table.get(key))
        }
    };
    let [name, base, length, irq_value, kind, config] = fields;
    let kind = kind.and_then(|v| reader.choice(v, KINDS))?;
    let (default_base, default_length) = platform.range(kind.value);
    let name = match name {
        Some(value) => reader.name(value)?,
        None => at(kind_name(kind.value), here),
    };
    let base = match base {
        Some(value) => reader.number(value)?,
        None if first(kind.value) => At::new(default_base, here),
        None => {
            reader.wrong(Code::MissingKey, here, Data::Want("base_gpa"));
            return None;
        }
    };
    let length = match length {
        Some(value) => reader.number(value)?,
        None => At::new(default_length, here),
    };
    let irq_id = match irq_value {
        Some(value) => irq(reader, value)?,
        None if first(kind.value) => platform.spi(kind.value),
        None => None,
    };
    if length.value != default_length {
        reader.wrong(Code::DeviceSize, length.span, Data::Number(default_length));
    }
    if let Some(value) = irq_value.filter(|_| irq_id.is_some() && kind.value != Kind::Console) {
        reader.wrong(Code::DeviceConfig, span(value), Data::Want("no interrupt"));
    }
    if let Some(value) = config {
        device_config(reader, value, kind.value, platform);
    }
    let device = EmulatedDeviceConfig {
        name: name.value,
        base_gpa: base.value,
        length: default_length,
        irq_id,
        emu_type: kind.value,
        cfg_list: Vec::new(),
    };
    Some(At::new(device, here))
}

/// The only numbers a device takes are those of the redistributors, and they say what is so
/// anyway: one for each vCPU, 128 KiB apart, from vCPU 0 on.
fn device_config(reader: &mut Reader, value: &Value<'_>, kind: Kind, platform: &Platform) {
    let Some(numbers) = numbers(reader, value) else {
        return;
    };
    let given = numbers.value.iter().map(|at| at.value);
    let same = [platform.cpus, GICR_STRIDE, 0];
    let fits = numbers.value.is_empty() || kind == Kind::GicRedistributor && given.eq(same);
    if !fits {
        const FORM: &str = "[]; for gicr also [vCPUs, 0x20000, 0]";
        reader.wrong(Code::DeviceConfig, numbers.span, Data::Want(FORM));
    }
}

/// A shared peripheral interrupt: `0` and `"none"` mean none, `"spi0"` is number 0.
fn irq(reader: &mut Reader, value: &Value<'_>) -> Option<Option<u32>> {
    let number = match value.get_ref().as_str() {
        Some("none") => return Some(None),
        Some(text) if text.starts_with("spi") => {
            text.strip_prefix("spi").and_then(|n| n.parse().ok())
        }
        _ => match reader.number(value)?.value {
            0 => return Some(None),
            number => u32::try_from(number).ok(),
        },
    };
    if number.is_none_or(|n| n >= SPI_COUNT) {
        const FORM: &str = "1 to 987 (INTID - 32), \"spi0\" to \"spi987\", 0 or \"none\"";
        reader.wrong(Code::BadIrq, span(value), Data::Want(FORM));
        return None;
    }
    Some(number)
}

fn passed_devices(reader: &mut Reader, table: &Table<'_, '_>) -> Vec<At<PassThrough>> {
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
                reader.choice(value, DMA)?;
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
        Some(value) => reader.name(value)?.value,
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
    // Devicetree specification 0.4, table 2.1: the characters of node names.
    let allowed = |c: char| c.is_ascii_alphanumeric() || ",._+-@".contains(c);
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
                reader.choice(model, MODELS);
            }
            None => reader.wrong(Code::MissingKey, span(entry), Data::Want("model")),
        }
    }
}
