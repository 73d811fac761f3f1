//! What descriptions are checked against: the machine's memory, CPUs and devices; and what guests
//! are told of the devices they get.

use alloc::vec::Vec;
use core::ops::Range;

use axaddrspace::TableFormat;
use axhal::boot::BootInfo;
use axhal::machine::{Fdt, Node, Region, Trigger};
use axloader::fdt::{Device, FdtError, Interrupt};
use axvcpu::AxArchVCpu;
use axvmconfig::board::{Board, is_enabled};
use axvmconfig::{AxVMConfig, BoardFacts};
use spin::Once;

use crate::arch;

static BOARD: Once<Board> = Once::new();

/// Takes stock of the machine. Once.
pub fn init(info: &BootInfo) {
    BOARD.call_once(|| collect(info));
}

fn collect(info: &BootInfo) -> Board {
    let mut board = match Fdt::new(info.fdt) {
        Ok(fdt) => Board::of(&info.machine, &fdt),
        Err(error) => {
            // It could be read when the machine was.
            log::error!("device tree: {error}");
            Board::default()
        }
    };
    let own = [
        Some(&info.image),
        Some(&info.fdt_region),
        info.initrd.as_ref(),
    ];
    board.hypervisor = own.into_iter().flatten().map(range).collect();
    board.address_bits = address_bits();
    board
}

/// How many bits a guest physical address can have. A machine that can't run guests is refused
/// elsewhere.
fn address_bits() -> u32 {
    arch::VCpu::stage2_format().map_or(0, |format| format.ipa_bits())
}

fn range(region: &Region) -> Range<usize> {
    region.base as usize..region.end() as usize
}

/// Runs `f` with the facts.
pub fn with_facts<R>(f: impl FnOnce(&BoardFacts<'_>) -> R) -> R {
    f(&BOARD.call_once(|| collect(axhal::boot::info())).facts())
}

/// What the guest's device tree says of the physical devices it gets: those of the host's tree
/// whose registers it has.
pub fn guest_devices(config: &AxVMConfig) -> Result<Vec<Device>, FdtError> {
    if config.pass_through_devices().is_empty() {
        return Ok(Vec::new());
    }
    let fdt = Fdt::new(axhal::boot::info().fdt).map_err(FdtError::Parse)?;
    let devices = fdt.nodes().filter(is_enabled);
    Ok(devices
        .filter_map(|node| guest_device(config, &node))
        .collect())
}

/// A host device as the guest sees it, if it has any of its registers.
fn guest_device(config: &AxVMConfig, node: &Node<'_>) -> Option<Device> {
    let mut registers = Vec::new();
    let mut extra_lines = Vec::new();
    for region in &node.regs().ok()? {
        let passed = config.pass_through_devices().iter().find(|device| {
            let (base, length) = (device.base_hpa as u64, device.length as u64);
            base <= region.base && region.end() <= base.saturating_add(length)
        });
        let Some(passed) = passed else { continue };
        // The check of the description has bounded both.
        let start = passed.base_gpa as u64 + (region.base - passed.base_hpa as u64);
        registers.push(start..start + region.size);
        extra_lines.extend(passed.irq_id);
    }
    if registers.is_empty() {
        return None;
    }
    let mut interrupts: Vec<_> = node
        .interrupts()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|interrupt| {
            let line = interrupt.line()?;
            let edge = interrupt.trigger == Trigger::Edge;
            let given = config.pass_through_spis().contains(&line);
            given.then_some(Interrupt { line, edge })
        })
        .collect();
    // What the description gives it besides: level, as most are.
    for line in extra_lines {
        if !interrupts.iter().any(|known| known.line == line) {
            interrupts.push(Interrupt { line, edge: false });
        }
    }
    Some(Device::from_host(node, registers, interrupts))
}
