//! `devices.emu_devices`, and the devices every VM gets.

use alloc::vec::Vec;

use super::{
    base::{at, numbers},
    devices::{MAX_DEVICES, irq, offered, refused},
    value::{Reader, Table, Value, Words, span},
};
use crate::{
    Arch, At, Code, Data, EmulatedDeviceConfig, EmulatedDeviceType as Kind, Span,
    keys::EMULATED,
    layout::{GICR_STRIDE, Layout, PAGE, Registers},
};

/// An architecture's own kinds, and what nobody has.
macro_rules! kinds {
    ($list:literal, $($own:expr,)*) => {
        Words {
            list: $list,
            choices: &[
                offered("console", 2, Kind::Console),
                $($own,)*
                refused("dummy", 0, Code::NoDummy),
                refused("ivc", 0xa, Code::NoIvc),
                refused("its", 0x22, Code::NoIts),
                refused("virtio-blk", 0xe1, Code::NoVirtio),
                refused("virtio-net", 0xe2, Code::NoVirtio),
                refused("virtio-console", 0xe3, Code::NoVirtio),
            ],
        }
    };
}

static AARCH64: Words<Kind> = kinds! {
    "\"console\", \"gicd\" or \"gicr\"",
    offered("gicd", 0x21, Kind::GicDistributor),
    offered("gicr", 0x20, Kind::GicRedistributor),
    // "The interrupt controller" by one address is the distributor.
    offered("intc", 1, Kind::GicDistributor),
    refused("plic", 0x30, Code::OtherArch),
};

static RISCV64: Words<Kind> = kinds! {
    "\"console\" or \"plic\"",
    offered("plic", 0x30, Kind::Plic),
    offered("intc", 1, Kind::Plic),
    refused("gicd", 0x21, Code::OtherArch),
    refused("gicr", 0x20, Code::OtherArch),
};

/// What the defaults depend on.
pub(super) struct Platform {
    pub layout: &'static Layout,
    pub cpus: usize,
    pub controller: bool,
}

impl Platform {
    fn line(&self, kind: Kind) -> Option<u32> {
        (kind == Kind::Console && self.controller).then_some(self.layout.console_line)
    }

    fn default(&self, registers: &Registers, span: Span) -> At<EmulatedDeviceConfig> {
        let device = EmulatedDeviceConfig {
            name: kind_name(registers.kind).into(),
            base_gpa: registers.base,
            length: *registers.sizes(self.cpus).end(),
            irq_id: self.line(registers.kind),
            emu_type: registers.kind,
            cfg_list: Vec::new(),
        };
        At::new(device, span)
    }
}

/// The word for a kind.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::GicDistributor => "gicd",
        Kind::GicRedistributor => "gicr",
        Kind::Plic => "plic",
        Kind::Console => "console",
    }
}

pub(super) fn read(
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
        None => devices.push(platform.default(&platform.layout.console, table.span)),
    }
    if platform.controller {
        for part in platform.layout.controllers.iter().rev() {
            if !devices.iter().any(|d| d.value.emu_type == part.kind) {
                devices.insert(0, platform.default(part, table.span));
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
    let words = match reader.arch {
        Arch::Aarch64 => &AARCH64,
        Arch::Riscv64 => &RISCV64,
    };
    let kind = kind.and_then(|v| reader.choice(v, words))?;
    let registers = platform.layout.registers(kind.value)?;
    let sizes = registers.sizes(platform.cpus);
    let name = match name {
        Some(value) => reader.device_name(value)?,
        None => at(kind_name(kind.value), here),
    };
    let base = match base {
        Some(value) => reader.number(value)?,
        None if first(kind.value) => At::new(registers.base, here),
        None => {
            reader.wrong(Code::MissingKey, here, Data::Want("base_gpa"));
            return None;
        }
    };
    let length = match length {
        Some(value) => reader.number(value)?,
        None => At::new(*sizes.end(), here),
    };
    let irq_id = match irq_value {
        Some(value) => irq(reader, value)?,
        None if first(kind.value) => platform.line(kind.value),
        None => None,
    };
    if !sizes.contains(&length.value) {
        let want = match sizes.start() == sizes.end() {
            true => Data::Number(*sizes.end()),
            false => Data::Want("0x20_0000, with 0x2000 for each vCPU, to 0x400_0000"),
        };
        reader.wrong(Code::DeviceSize, length.span, want);
    } else if length.value > PAGE && !length.value.is_multiple_of(PAGE) {
        reader.wrong(Code::Misaligned, length.span, Data::Number(PAGE));
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
        length: length.value,
        irq_id,
        emu_type: kind.value,
        cfg_list: Vec::new(),
    };
    Some(At::new(device, here))
}

/// The only numbers a device takes are those of the interrupt controllers, and they say what is so
/// anyway. Redistributors: one for each vCPU, 128 KiB apart, from vCPU 0 on. A PLIC: two contexts
/// for each vCPU.
fn device_config(reader: &mut Reader, value: &Value<'_>, kind: Kind, platform: &Platform) {
    let Some(numbers) = numbers(reader, value) else {
        return;
    };
    let given: Vec<_> = numbers.value.iter().map(|at| at.value).collect();
    let cpus = platform.cpus;
    match (kind, given.as_slice()) {
        (_, []) => {}
        (Kind::GicRedistributor, given) if *given == [cpus, GICR_STRIDE, 0] => {}
        (Kind::Plic, [contexts]) if *contexts == 2 * cpus => {}
        _ => {
            const FORM: &str = "[]; for gicr also [vCPUs, 0x20000, 0], for plic [2 * vCPUs]";
            reader.wrong(Code::DeviceConfig, numbers.span, Data::Want(FORM));
        }
    }
}
