//! What all checks use: memory, a timer that interrupts, other CPUs.

use core::sync::atomic::{AtomicUsize, Ordering};

use axhal::boot::BootInfo;
use axhal::drivers::mmio::Mmio;
use axhal::machine::Region;
use axhal::paging::{self, PAGE, PhysAddr};
use axhal::{console, power};

use crate::arch::{self, Event};
use crate::{checks, faults};

// A bundle that is more than a page and not whole pages.
core::arch::global_asm!(
    ".section .bundle, \"a\"",
    ".ascii \"first\"",
    ".zero 5000",
    ".ascii \"last\"",
    ".previous",
);

axhal::entry!(main = main, irq = irq);

/// One line to the console.
#[macro_export]
macro_rules! say {
    ($($what:tt)*) => { axhal::console::write(format_args!("{}\n", format_args!($($what)*))) };
}

/// The frames of the source are this long, and guest RAM begins as far behind their start.
pub const POOL: usize = 1 << 20;
/// A block.
pub const M2: usize = 2 << 20;

static NEXT: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
/// How many interrupts came.
pub static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);

fn frames(count: usize, align: usize) -> Option<PhysAddr> {
    let end = END.load(Ordering::Relaxed);
    let take = |next: usize| {
        let base = next.checked_next_multiple_of(align)?;
        base.checked_add(count * PAGE).filter(|&next| next <= end)
    };
    let next = NEXT
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .ok()?;
    Some(PhysAddr::from_usize(next.next_multiple_of(align)))
}

/// Two blocks of RAM that nobody uses: the first becomes the frame source's, the second is
/// returned, to be guest RAM.
fn memory(info: &BootInfo) -> usize {
    let reserved = info.machine.reserved.iter().map(|reserved| reserved.region);
    let used = [Some(info.image), Some(info.fdt_region), info.initrd];
    let used = used.into_iter().flatten().chain(reserved);
    // Right behind one of those that are used.
    let place = |end: u64| Region::new(end.next_multiple_of(M2 as u64), 2 * M2 as u64);
    let free = |place: &Region| {
        let holds = |bank: &Region| bank.base <= place.base && place.end() <= bank.end();
        info.machine.memory.iter().any(holds) && !used.clone().any(|used| used.overlaps(place))
    };
    let mut places = used.clone().filter_map(|used| place(used.end()));
    let base = places.find(free).expect("free RAM").base as usize;
    let va = paging::map_direct(PhysAddr::from_usize(base), POOL).expect("map_direct");
    assert_eq!(va.as_usize(), paging::DIRECT_BASE + base);
    NEXT.store(base, Ordering::Relaxed);
    END.store(base + POOL, Ordering::Relaxed);
    paging::set_frame_source(frames);
    base + M2
}

/// Maps registers.
pub fn registers(region: &Region) -> Mmio {
    let (base, len) = (region.base as usize, region.size as usize);
    let va = paging::map_device(PhysAddr::from_usize(base), len).expect("map_device");
    // SAFETY: mapped as Device for ever; an interrupt controller's registers reach no memory.
    unsafe { Mmio::new(va.as_usize(), len) }
}

fn irq() {
    match arch::serve() {
        Event::None => {}
        Event::Timer | Event::Other => {
            INTERRUPTS.fetch_add(1, Ordering::Relaxed);
        }
        Event::Kick => {
            axhal::park_if_stopping();
            checks::kicked();
        }
    }
    checks::preempted();
}

fn main(info: &'static BootInfo) -> ! {
    let guest_ram = memory(info);
    let timer = arch::init(info);
    match info.bootargs {
        "" => checks::all(info, &timer, guest_ram),
        fault => {
            faults::cause(fault, guest_ram);
            console::write(format_args!("FAIL no such fault, or none came: {fault}\n"));
        }
    }
    power::off(0)
}
