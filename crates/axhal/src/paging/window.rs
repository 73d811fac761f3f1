//! Windows: how guest RAM, which is mapped nowhere, is reached for a moment.
//!
//! Each CPU has two slots, one for a 2 MiB block and one for single pages, with unmapped slots
//! around. Only their CPU uses the addresses, so only its TLB is flushed when a window closes.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use arrayvec::ArrayVec;
use memory_addr::PhysAddr;
use spin::Once;

use super::space::{BOOT_TABLES, SPACE, Tables};
use super::table::{Frames, Table};
use super::{Attr, PAGE, PagingError, WINDOWS_BASE};
use crate::arch::layout::ROOT_LEVEL;
use crate::arch::{pte, tlb};
use crate::cpu::{self, MAX_CPUS};
use crate::image;
use crate::irq;
use crate::machine::{MAX_BANKS, MAX_RESERVATIONS, Machine, Region};

/// What a window can show at once.
const WINDOW: usize = 2 << 20;
/// Slots per CPU: block, nothing, pages, nothing.
const SLOTS: usize = 4;
const PAGES_SLOT: usize = 2;

/// The table of level 2 that maps all windows.
static WINDOWS: Tables<1> = Tables::new();
/// Each CPU's table of level 3.
static PAGES: [AtomicPtr<Table>; MAX_CPUS] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_CPUS];
/// Where a whole block may be mapped: RAM, but for what may not be mapped.
static RAM: Once<Ram> = Once::new();

struct Ram {
    banks: ArrayVec<Region, MAX_BANKS>,
    no_map: ArrayVec<Region, MAX_RESERVATIONS>,
}

/// Remembers which memory is RAM.
pub(crate) fn set_ram(machine: &Machine) {
    let hidden = machine
        .reserved
        .iter()
        .filter(|reservation| reservation.no_map);
    RAM.call_once(|| Ram {
        banks: machine.memory.clone(),
        no_map: hidden.map(|reservation| reservation.region).collect(),
    });
}

/// Prepares the windows of CPU `index`.
pub(crate) fn init_cpu(index: usize) -> Result<(), PagingError> {
    let _masked = irq::MaskGuard::new();
    let mut space = SPACE.lock();
    let frame = space.alloc().ok_or(PagingError::NoFrame)?;
    PAGES[index].store(
        ptr::from_ref(space.table(frame)).cast_mut(),
        Ordering::Relaxed,
    );
    let windows = &WINDOWS.0[0];
    windows[index * SLOTS + PAGES_SLOT].store(pte::table(frame), Ordering::Release);
    // Level 1 of the image, entry for WINDOWS_BASE. All CPUs write the same.
    let level2 = image::to_phys(ptr::from_ref(windows).addr());
    BOOT_TABLES.0[1 - ROOT_LEVEL][WINDOWS_BASE >> 30 & 511]
        .store(pte::table(level2), Ordering::Release);
    tlb::publish_own();
    Ok(())
}

/// Is the whole block at `block` RAM? If it is not, mapping it would let the CPU read, ahead of
/// any access, what is not there or is not ours.
fn is_ram(block: usize) -> bool {
    let (Some(ram), Some(block)) = (RAM.get(), Region::new(block as u64, WINDOW as u64)) else {
        return false;
    };
    let holds = |bank: &Region| bank.base <= block.base && block.end() <= bank.end();
    ram.banks.iter().any(holds) && !ram.no_map.iter().any(|region| region.overlaps(&block))
}

/// Maps `len` bytes of RAM at `pa`, within one 2 MiB aligned block, into this CPU's window, runs
/// `f` with the address of the first byte, and unmaps them. Interrupts are masked meanwhile. `f`
/// must neither switch tasks nor keep the pointer.
///
/// # Panics
/// If the range leaves its block, or a window is open on this CPU: the caller's mistake.
pub fn with_window<R>(pa: PhysAddr, len: usize, f: impl FnOnce(*mut u8) -> R) -> R {
    let base = pa.as_usize();
    let (block, offset) = (base & !(WINDOW - 1), base & (WINDOW - 1));
    assert!(
        len <= WINDOW - offset && base < 1 << 48,
        "a window of {len:#x} bytes at {base:#x}"
    );
    let _masked = irq::MaskGuard::new();
    let cpu = cpu::index();
    let slot = cpu * SLOTS;
    let va = WINDOWS_BASE + slot * WINDOW;
    let entry = &WINDOWS.0[0][slot];
    if is_ram(block) {
        assert!(entry.load(Ordering::Relaxed) == 0, "a window in a window");
        entry.store(
            pte::leaf(PhysAddr::from_usize(block), Attr::Data, 2),
            Ordering::Relaxed,
        );
        tlb::publish_local(va, 1);
        let result = f(ptr::with_exposed_provenance_mut(va + offset));
        entry.store(0, Ordering::Relaxed);
        tlb::flush_local(va);
        return result;
    }
    // SAFETY: `init_cpu` stored a table that stays one; it ran before this CPU can get here.
    let table = unsafe { PAGES[cpu].load(Ordering::Relaxed).as_ref() };
    let table = table.expect("this CPU has windows");
    let va = va + PAGES_SLOT * WINDOW;
    let pages = offset / PAGE..(offset + len).div_ceil(PAGE);
    for (index, entry) in table.iter().enumerate().take(pages.end).skip(pages.start) {
        assert!(entry.load(Ordering::Relaxed) == 0, "a window in a window");
        let page = PhysAddr::from_usize(block + index * PAGE);
        entry.store(pte::leaf(page, Attr::Data, 3), Ordering::Relaxed);
    }
    tlb::publish_local(va + pages.start * PAGE, pages.len());
    let result = f(ptr::with_exposed_provenance_mut(va + offset));
    for (index, entry) in table.iter().enumerate().take(pages.end).skip(pages.start) {
        entry.store(0, Ordering::Relaxed);
        tlb::flush_local(va + index * PAGE);
    }
    result
}
