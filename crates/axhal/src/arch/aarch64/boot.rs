//! From assembly to [`crate::boot`].

use core::arch::global_asm;
use core::mem::offset_of;

use memory_addr::PhysAddr;

use super::{pte, regs};
use crate::boot::BootInfo;
use crate::cpu::{CPUS, PerCpu};
use crate::image;
use crate::paging::{self, Attr, BOOT_TABLES, IMAGE_BASE, ROOT_LEN};

global_asm!(
    include_str!("boot.S"),
    // Little-endian, 4 KiB pages, anywhere in memory (booting.rst, "Image header").
    header_flags = const 0b1010,
    max_image_bits = const IMAGE_BASE.trailing_zeros(),
    tables = sym BOOT_TABLES,
    tables_size = const ROOT_LEN * paging::PAGE,
    l3_tables = const ROOT_LEN - 3,
    l0_index = const IMAGE_BASE >> 39 & 511,
    table_desc = const pte::TABLE_OR_PAGE,
    attr_code = const pte::CODE | pte::TABLE_OR_PAGE,
    attr_rodata = const pte::attributes(Attr::ReadOnly) | pte::TABLE_OR_PAGE,
    attr_data = const pte::attributes(Attr::Data) | pte::TABLE_OR_PAGE,
    percpu = sym CPUS,
    percpu_emergency = const offset_of!(PerCpu, emergency),
    percpu_stack = const offset_of!(PerCpu, stack),
    percpu_root = const offset_of!(PerCpu, root),
    percpu_self = const offset_of!(PerCpu, this),
    hcr_host = const regs::HCR_HOST,
    cptr_el2 = const regs::CPTR_EL2,
    mair = const pte::MAIR,
    tcr_el2 = const regs::TCR_EL2,
    tcr_el1 = const regs::TCR_EL1,
    sctlr_el2_off = const regs::SCTLR_EL2_OFF,
    sctlr_el2_on = const regs::SCTLR_EL2_ON,
    sctlr_el1_off = const regs::SCTLR_EL1_OFF,
    sctlr_el1_on = const regs::SCTLR_EL1_ON,
    primary_entry = sym primary_entry,
    secondary_entry = sym secondary_rust_entry,
);

// Its address means something, not what it holds.
unsafe extern "C" {
    safe static axhal_secondary_start: u8;
}

/// The physical address at which a CPU starts.
pub fn secondary_entry() -> u64 {
    image::to_phys((&raw const axhal_secondary_start).addr()).as_usize() as u64
}

unsafe extern "Rust" {
    /// `axhal::entry!` makes it.
    safe fn axhv_main(info: &'static BootInfo) -> !;
}

/// On to the hypervisor.
pub fn main(info: &'static BootInfo) -> ! {
    axhv_main(info)
}

/// x19 to x21 of boot.S.
extern "C" fn primary_entry(fdt: usize, start: usize, regime: usize) -> ! {
    image::lies_at(start);
    let obstacle = match regime {
        0 => None,
        1 => Some("started at EL1, needs EL2"),
        _ => Some("this CPU can't clear HCR_EL2.E2H"),
    };
    crate::boot::enter(PhysAddr::from_usize(fdt), obstacle)
}

extern "C" fn secondary_rust_entry() -> ! {
    crate::cpu::started()
}
