//! Where the image lies, and what is in it. Boot code mapped it at its linked address.

use core::sync::atomic::{AtomicUsize, Ordering};

use memory_addr::PhysAddr;

use crate::machine::Region;
use crate::paging::IMAGE_BASE;

// Their addresses mean something, not what they hold.
unsafe extern "C" {
    safe static __data_end: u8;
    /// The one exception: the bundle's bytes, and those of the pages it takes.
    safe static __bundle_lengths: [usize; 2];
    safe static __bss_start: u8;
    safe static __bss_end: u8;
    safe static __build_id: u8;
    safe static __build_id_end: u8;
}

/// Where the image lies.
static IMAGE: AtomicUsize = AtomicUsize::new(0);

/// Boot code found it here.
pub fn lies_at(start: usize) {
    IMAGE.store(start, Ordering::Relaxed);
}

/// Physical minus virtual address, for what is linked before .bss, and for .bss.
fn shifts() -> (usize, usize) {
    let image = IMAGE.load(Ordering::Relaxed).wrapping_sub(IMAGE_BASE);
    let linked = (&raw const __bss_start).addr();
    let lies = (&raw const __data_end).addr() + __bundle_lengths[1];
    (image, image.wrapping_add(lies).wrapping_sub(linked))
}

/// The physical address of something in the image.
pub fn to_phys(va: usize) -> PhysAddr {
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
pub fn region() -> Option<Region> {
    let start = IMAGE.load(Ordering::Relaxed);
    let end = (&raw const __bss_end).addr().wrapping_add(shifts().1);
    Region::new(start as u64, end.wrapping_sub(start) as u64)
}

/// The memory of the embedded bundle; empty if there is none.
pub fn bundle() -> Option<Region> {
    let start = to_phys((&raw const __data_end).addr());
    let len = __bundle_lengths[0];
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

/// Is `va` in the unmapped pages below the boot CPU's stack?
pub fn is_boot_guard(va: usize) -> bool {
    ((&raw const __data_end).addr()..(&raw const __bss_start).addr()).contains(&va)
}
