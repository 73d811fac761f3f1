//! `devices.emu_devices`, and the devices every VM gets.

use alloc::vec::Vec;

use super::{
    base::{at, numbers},
    devices::{MAX_DEVICES, irq, offered, refused},
    value::{Reader, Table, Value, Words, span},
};
use crate::{
    At, Code, Data, EmulatedDeviceConfig, EmulatedDeviceType as Kind, Span,
    keys::EMULATED,
    layout::{GICR_STRIDE, Layout},
};

static KINDS: Words<Kind> = Words {
    list: "\"console\", \"gicd\" or \"gicr\"",
    choices: &[
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
    ],
};

/// What the defaults depend on.
pub(super) struct Platform {
    pub layout: &'static Layout,
    pub cpus: usize,
    pub controller: bool,
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
    let choice = KINDS
        .choices
        .iter()
        .find(|c| matches!(c.means, Ok(k) if k == kind));
    choice.map_or("", |choice| choice.name)
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
    let kind = kind.and_then(|v| reader.choice(v, &KINDS))?;
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
