//! From assembly to [`crate::boot`].

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicUsize, Ordering};

use memory_addr::PhysAddr;

use super::{pte, regs};
use crate::boot::BootInfo;
use crate::cpu::{CPUS, PerCpu};
use crate::machine::Region;
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

// Their addresses mean something, not what they hold.
unsafe extern "C" {
    safe static __data_end: u8;
    safe static __bundle_start: u8;
    safe static __bundle_end: u8;
    safe static __bundle_pages_end: u8;
    safe static __bss_start: u8;
    safe static __bss_end: u8;
    safe static __build_id: u8;
    safe static __build_id_end: u8;
    safe static axhal_secondary_start: u8;
}

/// Where the image lies.
static IMAGE: AtomicUsize = AtomicUsize::new(0);

/// Physical minus virtual address, for what is linked before .bss, and for .bss.
fn shifts() -> (usize, usize) {
    let image = IMAGE.load(Ordering::Relaxed).wrapping_sub(IMAGE_BASE);
    let linked = (&raw const __bss_start).addr();
    let bundle = (&raw const __bundle_pages_end).addr() - (&raw const __bundle_start).addr();
    let lies = (&raw const __data_end).addr() + bundle;
    (image, image.wrapping_add(lies).wrapping_sub(linked))
}

/// The physical address of something in the image.
pub fn image_to_phys(va: usize) -> PhysAddr {
    let (image, bss) = shifts();
    let shift = if va < (&raw const __bss_start).addr() {
        image
    } else {
        bss
    };
    PhysAddr::from_usize(va.wrapping_add(shift))
}

/// The virtual address of `pa`, if it is in .bss.
pub fn phys_to_bss(pa: PhysAddr) -> Option<usize> {
    let va = pa.as_usize().wrapping_sub(shifts().1);
    ((&raw const __bss_start).addr()..(&raw const __bss_end).addr())
        .contains(&va)
        .then_some(va)
}

/// The memory the image takes, from its header to the end of .bss.
pub fn image() -> Option<Region> {
    let start = IMAGE.load(Ordering::Relaxed);
    let end = (&raw const __bss_end).addr().wrapping_add(shifts().1);
    Region::new(start as u64, end.wrapping_sub(start) as u64)
}

/// The memory of the embedded bundle; empty if there is none.
pub fn bundle() -> Option<Region> {
    let start = image_to_phys((&raw const __data_end).addr());
    let len = (&raw const __bundle_end).addr() - (&raw const __bundle_start).addr();
    Region::new(start.as_usize() as u64, len as u64)
}

/// The build id of the image: the descriptor of the linker's note.
pub fn build_id() -> &'static [u8] {
    let start = &raw const __build_id;
    let len = (&raw const __build_id_end).addr() - start.addr();
    // SAFETY: the linker script puts the symbols around one section of .rodata.
    let note = unsafe { core::slice::from_raw_parts(start, len) };
    // Name size, descriptor size and type, of four bytes each; the name "GNU\0"; the descriptor.
    note.get(16..).unwrap_or_default()
}

/// The physical address at which a CPU starts.
pub fn secondary_entry() -> u64 {
    image_to_phys((&raw const axhal_secondary_start).addr()).as_usize() as u64
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
extern "C" fn primary_entry(fdt: usize, image: usize, regime: usize) -> ! {
    IMAGE.store(image, Ordering::Relaxed);
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

/// Is `va` in the unmapped pages below the boot CPU's stack?
pub fn is_boot_guard(va: usize) -> bool {
    ((&raw const __data_end).addr()..(&raw const __bss_start).addr()).contains(&va)
}
