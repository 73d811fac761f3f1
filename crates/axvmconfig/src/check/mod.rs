//! The checks: pure functions over a description. What one file says is checked by
//! [`crate::parse`]; what several say together, or what only the machine knows, by the others.

mod board;
mod bundle;
mod images;

use alloc::vec::Vec;

pub use board::{BoardDevice, BoardFacts, check_board, check_memory, resolve_devices};
pub use bundle::check_bundle;
pub use images::{ImageSizes, check_images};

use crate::{
    Arch, At, AxVMCrateConfig, Code, Data, Diagnostic, MemFlags, PassThroughTarget, VMBaseConfig,
    VMDevicesConfig, VMInterruptMode, VMKernelConfig,
    layout::{GPA_END, Layout, PAGE, inside, line, meet},
};

/// Which parts could be read without an error: a check that depends on others isn't made.
#[derive(Clone, Copy)]
pub(crate) struct Sound {
    pub cpus: bool,
    pub memory: bool,
    pub devices: bool,
}

impl Sound {
    /// A description that was read without an error.
    pub const ALL: Self = Self {
        cpus: true,
        memory: true,
        devices: true,
    };
}

/// Where diagnostics go.
type Sink<'a> = dyn FnMut(Diagnostic) + 'a;

/// Everything that can be known from the file alone.
pub(crate) fn check_alone(config: &AxVMCrateConfig, sound: Sound, say: &mut Sink<'_>) {
    if sound.cpus {
        cpus(config.arch, &config.base, say);
    }
    let ranges = devices(config.arch, &config.devices, say);
    interrupts(config.arch, &config.devices, say);
    let regions = regions(&config.kernel, say);
    if sound.devices {
        for region in &regions {
            for device in &ranges {
                if meet(region.value, device.value) {
                    let data = Data::Ranges(region.value, device.value);
                    let at = Diagnostic::new(Code::RegionOverDevice, region.span);
                    say(at.with(data).and(device.span));
                }
            }
        }
    }
    images::addresses(config, sound.memory, say);
}

/// A range (start, size) and its place in the file.
type Extent = At<(usize, usize)>;

fn cpus(arch: Arch, base: &VMBaseConfig, say: &mut Sink<'_>) {
    let count = base.cpu_num.value;
    let mut length = |list: &Option<At<Vec<At<usize>>>>, code| {
        if let Some(list) = list
            && list.value.len() != count
        {
            let at = Diagnostic::new(code, list.span).with(Data::Number(count));
            say(at.and(base.cpu_num.span));
        }
    };
    length(&base.phys_cpu_ids, Code::CpuIdsLength);
    length(&base.phys_cpu_sets, Code::CpuSetsLength);
    let elements = |list: &Option<At<Vec<At<usize>>>>| list.clone().map_or(Vec::new(), |l| l.value);
    let ids = elements(&base.phys_cpu_ids);
    for (n, id) in ids.iter().enumerate() {
        if let Some(first) = ids.iter().take(n).find(|earlier| *earlier == id) {
            say(Diagnostic::new(Code::CpuIdTwice, id.span).and(first.span));
        }
        if id.value & !Layout::of(arch).cpu_id_bits != 0 {
            let form = match arch {
                Arch::Aarch64 => "Aff3 in bits 32 to 39, Aff2, Aff1, and an Aff0 of at most 15",
                Arch::Riscv64 => "a hart id of at most 32 bits",
            };
            say(Diagnostic::new(Code::BadAffinity, id.span).with(Data::Want(form)));
        }
    }
    for mask in elements(&base.phys_cpu_sets) {
        if mask.value == 0 {
            say(Diagnostic::new(Code::EmptyMask, mask.span));
        }
    }
}

/// Where devices are in the guest: emulated ones, and physical ones whose address is known. Whole
/// pages: less than a page is neither memory nor another device's.
pub(crate) fn device_ranges(devices: &VMDevicesConfig) -> Vec<(usize, usize)> {
    extents(devices).into_iter().map(|at| at.value).collect()
}

fn extents(devices: &VMDevicesConfig) -> Vec<Extent> {
    let emulated = devices.emu_devices.iter();
    let emulated = emulated.map(|d| {
        let length = d.value.length.checked_next_multiple_of(PAGE);
        At::new((d.value.base_gpa, length.unwrap_or(d.value.length)), d.span)
    });
    let passed = devices.passthrough_devices.iter();
    let passed = passed.filter_map(|d| match &d.value.target {
        PassThroughTarget::Address(device) => {
            Some(At::new((device.base_gpa, device.length), d.span))
        }
        PassThroughTarget::Path(_) => None,
    });
    emulated.chain(passed).collect()
}

fn devices(arch: Arch, devices: &VMDevicesConfig, say: &mut Sink<'_>) -> Vec<Extent> {
    for (n, device) in devices.emu_devices.iter().enumerate() {
        let kind = device.value.emu_type;
        let controller = kind.is_controller();
        let same = |other: &&At<_>| {
            let other: &crate::EmulatedDeviceConfig = &other.value;
            other.emu_type == kind
        };
        let earlier = devices.emu_devices.iter().take(n);
        if let Some(first) = earlier.clone().find(same).filter(|_| controller) {
            say(Diagnostic::new(Code::DeviceTwice, device.span).and(first.span));
        }
        if controller && devices.interrupt_mode.value == VMInterruptMode::NoIrq {
            let at = Diagnostic::new(Code::ControllerWithoutIrqs, device.span);
            say(at.and(devices.interrupt_mode.span));
        }
        let align = Layout::of(arch).registers(kind).map_or(PAGE, |r| r.align);
        if !device.value.base_gpa.is_multiple_of(align) {
            let at = Diagnostic::new(Code::DeviceMisaligned, device.span);
            say(at.with(Data::Number(align)));
        }
    }
    let mut good: Vec<Extent> = Vec::new();
    for device in extents(devices) {
        if !range(device, say) {
            continue;
        }
        if let Some(first) = good.iter().find(|d| meet(d.value, device.value)) {
            let data = Data::Ranges(device.value, first.value);
            let at = Diagnostic::new(Code::DevicesOverlap, device.span);
            say(at.with(data).and(first.span));
        }
        good.push(device);
    }
    host_ranges(devices, say);
    good
}

/// The passed-through devices' own addresses: whole pages, each given once.
fn host_ranges(devices: &VMDevicesConfig, say: &mut Sink<'_>) {
    let mut seen: Vec<Extent> = Vec::new();
    for device in &devices.passthrough_devices {
        let PassThroughTarget::Address(passed) = &device.value.target else {
            continue;
        };
        let host = At::new((passed.base_hpa, passed.length), device.span);
        // The length is the same as in the guest, where its faults have been found.
        if !host.value.1.is_multiple_of(PAGE) || !range(host, say) {
            continue;
        }
        if let Some(first) = seen.iter().find(|d| meet(d.value, host.value)) {
            let data = Data::Ranges(host.value, first.value);
            let at = Diagnostic::new(Code::DevicesOverlap, host.span);
            say(at.with(data).and(first.span));
        }
        seen.push(host);
    }
}

/// A range in the guest: not empty, whole pages, inside the address space.
fn range(range: Extent, say: &mut Sink<'_>) -> bool {
    let (start, size) = range.value;
    let code = if size == 0 {
        Code::EmptyRange
    } else if !start.is_multiple_of(PAGE) || !size.is_multiple_of(PAGE) {
        Code::Misaligned
    } else if start.checked_add(size).is_none_or(|end| end > GPA_END) {
        Code::Overflow
    } else {
        return true;
    };
    let data = match code {
        Code::Misaligned => Data::Number(PAGE),
        Code::EmptyRange => Data::None,
        _ => Data::Range(start, size),
    };
    say(Diagnostic::new(code, range.span).with(data));
    false
}

fn interrupts(arch: Arch, devices: &VMDevicesConfig, say: &mut Sink<'_>) {
    let emulated = devices.emu_devices.iter();
    let emulated = emulated.filter_map(|d| Some(At::new(d.value.irq_id?, d.span)));
    let passed = devices.passthrough_devices.iter();
    let passed = passed.filter_map(|d| match &d.value.target {
        PassThroughTarget::Address(device) => Some(At::new(device.irq_id?, d.span)),
        PassThroughTarget::Path(_) => None,
    });
    let more = devices.passthrough_spis.iter().copied();
    let mut seen: Vec<At<u32>> = Vec::new();
    for irq in emulated.chain(passed).chain(more) {
        if devices.interrupt_mode.value == VMInterruptMode::NoIrq {
            let at = Diagnostic::new(Code::IrqWithoutController, irq.span);
            say(at.and(devices.interrupt_mode.span));
        }
        if let Some(first) = seen.iter().find(|earlier| earlier.value == irq.value) {
            let number = line(arch, irq.value);
            say(Diagnostic::new(Code::IrqTwice, irq.span)
                .with(number)
                .and(first.span));
        }
        seen.push(irq);
    }
}

fn regions(kernel: &VMKernelConfig, say: &mut Sink<'_>) -> Vec<Extent> {
    let mut good: Vec<Extent> = Vec::new();
    for region in &kernel.memory_regions {
        let region = At::new((region.value.gpa, region.value.size), region.span);
        if !range(region, say) {
            continue;
        }
        if let Some(first) = good.iter().find(|r| meet(r.value, region.value)) {
            let data = Data::Ranges(region.value, first.value);
            let at = Diagnostic::new(Code::RegionsOverlap, region.span);
            say(at.with(data).and(first.span));
        }
        good.push(region);
    }
    good
}

/// Whether one region with these rights contains the range.
fn in_memory(kernel: &VMKernelConfig, range: (usize, usize), rights: MemFlags) -> bool {
    kernel.memory_regions.iter().any(|region| {
        let region = region.value;
        region.flags.contains(rights) && inside(range, (region.gpa, region.size))
    })
}
