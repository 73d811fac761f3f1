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
    tables = sym BOOT_TABLES,
    tables_size = const ROOT_LEN * paging::PAGE,
    l3_tables = const ROOT_LEN - 2,
    root_index = const IMAGE_BASE >> 30 & 511,
    valid = const pte::VALID,
    attr_code = const pte::CODE | pte::VALID,
    attr_rodata = const pte::attributes(Attr::ReadOnly) | pte::VALID,
    attr_data = const pte::attributes(Attr::Data) | pte::VALID,
    percpu = sym CPUS,
    cpus = const CPUS.len(),
    percpu_size = const size_of::<PerCpu>(),
    percpu_id = const offset_of!(PerCpu, id),
    percpu_emergency = const offset_of!(PerCpu, emergency),
    percpu_stack = const offset_of!(PerCpu, stack),
    percpu_root = const offset_of!(PerCpu, root),
    percpu_self = const offset_of!(PerCpu, this),
    hstatus_host = const regs::HSTATUS_HOST,
    sstatus_clear = const regs::SSTATUS_CLEAR,
    satp_sv39 = const regs::SATP_SV39,
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

/// s2, s3, s4 and s1 of boot.S.
extern "C" fn primary_entry(fdt: usize, start: usize, regime: usize, hart: u64) -> ! {
    image::lies_at(start);
    // No register tells it: what is this hart's for now remembers it.
    crate::cpu::this().set_id(hart);
    let obstacle = (regime != 0).then_some("started without the hypervisor extension");
    crate::boot::enter(PhysAddr::from_usize(fdt), obstacle)
}

extern "C" fn secondary_rust_entry() -> ! {
    crate::cpu::started()
}
