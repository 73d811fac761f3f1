//! What all checks use: memory, a timer that interrupts, other CPUs.

use core::sync::atomic::{AtomicUsize, Ordering};

use axhal::boot::BootInfo;
use axhal::drivers::gicv3::{self, Gic};
use axhal::drivers::mmio::Mmio;
use axhal::drivers::timer::Timer;
use axhal::machine::Region;
use axhal::paging::{self, PAGE, PhysAddr};
use axhal::{console, cpu, power};

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

/// Two blocks of RAM behind all that is used: the first becomes the frame source's, the second is
/// returned, to be guest RAM.
fn memory(info: &BootInfo) -> usize {
    let used = [Some(info.image), Some(info.fdt_region), info.initrd];
    let top = used.iter().flatten().map(Region::end).max().unwrap_or(0);
    let base = (top as usize).next_multiple_of(M2);
    assert!(
        info.machine
            .memory
            .iter()
            .any(|bank| bank.contains((base + 2 * M2) as u64))
    );
    let va = paging::map_direct(PhysAddr::from_usize(base), POOL).expect("map_direct");
    assert_eq!(va.as_usize(), paging::DIRECT_BASE + base);
    NEXT.store(base, Ordering::Relaxed);
    END.store(base + POOL, Ordering::Relaxed);
    paging::set_frame_source(frames);
    base + M2
}

fn registers(region: &Region) -> Mmio {
    let (base, len) = (region.base as usize, region.size as usize);
    let va = paging::map_device(PhysAddr::from_usize(base), len).expect("map_device");
    // SAFETY: mapped as Device for ever; an interrupt controller's registers reach no memory.
    unsafe { Mmio::new(va.as_usize(), len) }
}

/// Interrupts that a test uses: the hypervisor's timer, on this CPU.
fn timer(info: &BootInfo) -> Timer {
    let machine = &info.machine;
    let dist = registers(&machine.gic.distributor);
    let redist = registers(&machine.gic.redistributors[0]);
    let mpidr = cpu::this().mpidr();
    let gic = Gic::init(&machine.gic, dist, &[redist], mpidr).expect("gic");
    let lines = gic.init_cpu(mpidr).expect("redistributor");
    lines
        .line(machine.timer.hypervisor.intid)
        .expect("a PPI")
        .enable();
    Timer::new(&machine.timer).expect("a frequency")
}

fn irq() {
    let intid = gicv3::ack();
    if let Some(info) = (intid < 1020).then(axhal::boot::info) {
        if intid == info.machine.timer.hypervisor.intid
            && let Ok(timer) = Timer::new(&info.machine.timer)
        {
            timer.clear_deadline();
        }
        gicv3::end(intid);
        gicv3::deactivate(intid);
        INTERRUPTS.fetch_add(1, Ordering::Relaxed);
    }
    checks::preempted();
}

fn main(info: &'static BootInfo) -> ! {
    let guest_ram = memory(info);
    let timer = timer(info);
    match info.bootargs {
        "" => checks::all(info, &timer, guest_ram),
        fault => {
            faults::cause(fault, guest_ram);
            console::write(format_args!("FAIL no such fault, or none came: {fault}\n"));
        }
    }
    power::off(0)
}
