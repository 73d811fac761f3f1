//! What only the machine knows. The hypervisor fills [`BoardFacts`] in at boot, the host's command
//! from a device tree.

use alloc::{string::String, vec::Vec};
use core::ops::Range;

use crate::{
    Arch, At, AxVMCrateConfig, Code, Data, Diagnostic, Diagnostics, PassThrough,
    PassThroughDeviceConfig, PassThroughTarget, Span, VmMemMappingType,
    layout::{Layout, PAGE, inside, line, meet},
};

/// Facts about a machine. Ranges are host physical addresses.
#[derive(Clone, Copy, Debug)]
pub struct BoardFacts<'a> {
    /// All RAM that the allocator manages or the hypervisor uses.
    pub ram: &'a [Range<usize>],
    /// Ranges the board reserves and the allocator never had.
    pub reserved: &'a [Range<usize>],
    /// What the hypervisor owns: its image, the bundle, its devices' registers.
    pub hypervisor: &'a [Range<usize>],
    /// Interrupt lines the hypervisor uses (aarch64: INTID - 32; riscv64: sources of the PLIC).
    pub hypervisor_spis: &'a [u32],
    /// Physical CPUs, numbered from 0.
    pub cpus: usize,
    /// Addresses of guests have at most this many bits.
    pub address_bits: u32,
    /// Devices.
    pub devices: &'a [BoardDevice],
    /// Whether devices' own memory accesses are confined by an IOMMU.
    pub iommu: bool,
}

/// A device of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardDevice {
    /// Its path in the device tree.
    pub path: String,
    /// Its alias, if it has one.
    pub alias: Option<String>,
    /// Its registers, as the device tree has them (not rounded to pages).
    pub registers: Vec<Range<usize>>,
    /// Its interrupt lines (aarch64: INTID - 32; riscv64: sources of the PLIC).
    pub spis: Vec<u32>,
    /// It accesses memory on its own.
    pub dma: bool,
    /// The hypervisor uses it.
    pub owned: bool,
    /// The device tree says that it isn't to be used. It counts only as a neighbour of others.
    pub disabled: bool,
}

/// The pages that hold `range`: start, size.
fn pages(range: &Range<usize>) -> (usize, usize) {
    let start = range.start & !(PAGE - 1);
    let end = range
        .end
        .max(range.start)
        .div_ceil(PAGE)
        .saturating_mul(PAGE);
    (start, end.saturating_sub(start))
}

fn extent(range: &Range<usize>) -> (usize, usize) {
    (range.start, range.end.saturating_sub(range.start))
}

/// Replaces devices that are named by device-tree path or alias by their registers and interrupts.
/// To be called before [`check_board`] and before the description becomes an
/// [`crate::AxVMConfig`]; what can't be resolved is said, and stays.
pub fn resolve_devices(config: &mut AxVMCrateConfig, board: &BoardFacts<'_>) -> Diagnostics {
    let mut out = Diagnostics::default();
    let mut resolved = Vec::new();
    for device in core::mem::take(&mut config.devices.passthrough_devices) {
        let PassThroughTarget::Path(path) = &device.value.target else {
            resolved.push(device);
            continue;
        };
        let named =
            |d: &&BoardDevice| !d.disabled && (d.path == *path || d.alias.as_ref() == Some(path));
        let code = match board.devices.iter().find(named) {
            None => Code::NoSuchDevice,
            Some(found) if found.owned => Code::DeviceOwned,
            Some(found) if found.registers.is_empty() => Code::NoRegisters,
            Some(found) => {
                let dma = device.value.dma_unprotected;
                resolved.extend(ranges(found, dma).map(|d| At::new(d, device.span)));
                let more = found.spis.iter().skip(found.registers.len());
                let more = more.map(|spi| At::new(*spi, device.span));
                config.devices.passthrough_spis.extend(more);
                continue;
            }
        };
        out.push(Diagnostic::new(code, device.span));
        resolved.push(device);
    }
    config.devices.passthrough_devices = resolved;
    out
}

/// A device as ranges of registers, each at its own address and with one of its interrupts as long
/// as there are some.
fn ranges(device: &BoardDevice, dma_unprotected: bool) -> impl Iterator<Item = PassThrough> {
    let spis = device.spis.iter().map(|spi| Some(*spi));
    let spis = spis.chain(core::iter::repeat(None));
    device
        .registers
        .iter()
        .zip(spis)
        .map(move |(range, irq_id)| {
            let (base, length) = pages(range);
            let target = PassThroughTarget::Address(PassThroughDeviceConfig {
                name: device.path.clone(),
                base_gpa: base,
                base_hpa: base,
                length,
                irq_id,
                dma_unprotected,
            });
            PassThrough {
                target,
                dma_unprotected,
            }
        })
}

/// The checks against a machine.
pub fn check_board(config: &AxVMCrateConfig, board: &BoardFacts<'_>) -> Diagnostics {
    let mut out = Diagnostics::default();
    if let Some(sets) = &config.base.phys_cpu_sets {
        let cpus = u32::try_from(board.cpus).unwrap_or(u32::MAX);
        let absent = usize::MAX.checked_shl(cpus).unwrap_or(0);
        for mask in sets.value.iter().filter(|mask| mask.value & absent != 0) {
            let highest = Data::Limits(0, board.cpus.saturating_sub(1));
            out.push(Diagnostic::new(Code::NoSuchCpu, mask.span).with(highest));
        }
    }
    memory(config, board, &mut out);
    for device in &config.devices.passthrough_devices {
        if let PassThroughTarget::Address(passed) = &device.value.target {
            self::device((config.arch, passed), device.span, board, &mut out);
        }
    }
    for device in &config.devices.emu_devices {
        let range = (device.value.base_gpa, device.value.length);
        width(range, device.span, board, &mut out);
    }
    for spi in &config.devices.passthrough_spis {
        interrupt((config.arch, spi.value), spi.span, board, &mut out);
    }
    // Once more, now that paths have become addresses and interrupts.
    super::check_alone(config, super::Sound::ALL, &mut |d| out.push(d));
    out
}

/// Guest addresses must be ones that stage 2 translates.
fn width(range: (usize, usize), span: Span, board: &BoardFacts<'_>, out: &mut Diagnostics) {
    let limit = 1usize.checked_shl(board.address_bits);
    let end = range.0.saturating_add(range.1);
    if limit.is_some_and(|limit| end > limit) {
        let range = Data::Range(range.0, range.1);
        out.push(Diagnostic::new(Code::AddressTooWide, span).with(range));
    }
}

fn memory(config: &AxVMCrateConfig, board: &BoardFacts<'_>, out: &mut Diagnostics) {
    for region in &config.kernel.memory_regions {
        let range = (region.value.gpa, region.value.size);
        let data = Data::Range(range.0, range.1);
        let mut say = |code| out.push(Diagnostic::new(code, region.span).with(data));
        let within = |ranges: &[Range<usize>]| ranges.iter().any(|r| inside(range, extent(r)));
        let touches = |ranges: &[Range<usize>]| ranges.iter().any(|r| meet(range, extent(r)));
        match region.value.map_type {
            VmMemMappingType::MapAlloc => {}
            VmMemMappingType::MapIdentical if touches(board.hypervisor) => {
                say(Code::HypervisorOwned);
            }
            VmMemMappingType::MapIdentical if !within(board.ram) || touches(board.reserved) => {
                say(Code::NotRam);
            }
            VmMemMappingType::MapIdentical => {}
            VmMemMappingType::MapReserved if touches(board.hypervisor) => {
                say(Code::HypervisorOwned);
            }
            VmMemMappingType::MapReserved if !within(board.reserved) => say(Code::NotReserved),
            VmMemMappingType::MapReserved => {}
        }
        width(range, region.span, board, out);
    }
    let ram = free_ram(board);
    if wanted(config) > ram {
        out.push(too_much(config, ram));
    }
}

/// How much of the machine's free RAM a VM takes.
fn wanted(config: &AxVMCrateConfig) -> usize {
    let regions = config.kernel.memory_regions.iter().map(|r| r.value);
    let taken = regions.filter(|r| r.map_type != VmMemMappingType::MapReserved);
    taken.fold(0, |sum, region| sum.saturating_add(region.size))
}

fn too_much(config: &AxVMCrateConfig, left: usize) -> Diagnostic {
    let regions = config.kernel.memory_regions.iter();
    let largest = regions.max_by_key(|region| region.value.size);
    let at = largest.map_or(Span::default(), |region| region.span);
    Diagnostic::new(Code::TooMuchMemory, at).with(Data::Limits(0, left))
}

/// Whether the machine has memory for VMs that run together, as [`crate::check_bundle`] says it:
/// what the earlier ones have is not there for the later ones.
pub fn check_memory(
    configs: &[&AxVMCrateConfig],
    board: &BoardFacts<'_>,
) -> Vec<(usize, Diagnostic)> {
    let all = free_ram(board);
    let mut left = all;
    let mut out = Vec::new();
    for (n, config) in configs.iter().enumerate() {
        let wanted = wanted(config);
        match left.checked_sub(wanted) {
            Some(rest) => left = rest,
            // More than there is at all has been said of it alone.
            None if wanted > all => {}
            None => out.push((n, too_much(config, left))),
        }
    }
    out
}

/// How many bytes of RAM VMs can have.
fn free_ram(board: &BoardFacts<'_>) -> usize {
    let ram = board.ram.iter().map(|ram| free(ram, board));
    ram.fold(0, usize::saturating_add)
}

/// How many bytes of `ram` neither the hypervisor has nor the board reserves.
fn free(ram: &Range<usize>, board: &BoardFacts<'_>) -> usize {
    let used = || board.hypervisor.iter().chain(board.reserved);
    let (mut at, mut free) = (ram.start, 0usize);
    while at < ram.end {
        if let Some(range) = used().find(|range| range.contains(&at)) {
            at = range.end;
            continue;
        }
        let next = used().map(|range| range.start).filter(|start| *start > at);
        let next = next.min().map_or(ram.end, |start| start.min(ram.end));
        free = free.saturating_add(next.saturating_sub(at));
        at = next;
    }
    free
}

/// A physical interrupt must exist and be free.
fn interrupt(irq: (Arch, u32), span: Span, board: &BoardFacts<'_>, out: &mut Diagnostics) {
    let (arch, irq) = irq;
    let code = if !Layout::of(arch).lines.contains(&irq) {
        Code::BadIrq
    } else if board.hypervisor_spis.contains(&irq) {
        Code::IrqOwned
    } else {
        return;
    };
    out.push(Diagnostic::new(code, span).with(line(arch, irq)));
}

/// A range of registers that is passed through.
fn device(
    passed: (Arch, &PassThroughDeviceConfig),
    span: Span,
    board: &BoardFacts<'_>,
    out: &mut Diagnostics,
) {
    let (arch, passed) = passed;
    let range = (passed.base_hpa, passed.length);
    let data = Data::Range(range.0, range.1);
    let mut say = |code| out.push(Diagnostic::new(code, span).with(data));
    let touches = |ranges: &[Range<usize>]| ranges.iter().any(|r| meet(range, extent(r)));
    // The hypervisor's registers may be few bytes of a page: the page counts.
    let known = if board.hypervisor.iter().any(|r| meet(range, pages(r))) {
        say(Code::HypervisorOwned);
        true
    } else if touches(board.ram) || touches(board.reserved) {
        say(Code::PassedRam);
        true
    } else {
        false
    };
    let mut found: Option<&BoardDevice> = None;
    let mut usable = false;
    for device in board.devices {
        if !device.registers.iter().any(|r| meet(range, pages(r))) {
            continue;
        }
        if device.owned {
            say(Code::DeviceOwned);
        }
        // Whoever has the page has all devices in it.
        if found.is_some_and(|first| first.path != device.path) {
            say(Code::PageShared);
        }
        if device.dma && !device.owned && !board.iommu && !passed.dma_unprotected {
            say(Code::DmaUnprotected);
        }
        found = Some(device);
        usable |= !device.disabled;
    }
    if !usable && !known {
        say(Code::NoSuchDevice);
    }
    if let Some(irq) = passed.irq_id {
        interrupt((arch, irq), span, board, out);
    }
    width((passed.base_gpa, passed.length), span, board, out);
}
