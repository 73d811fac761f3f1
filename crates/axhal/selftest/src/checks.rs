//! What must succeed.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axhal::boot::BootInfo;
use axhal::context::{self, Context};
use axhal::drivers::timer::Timer;
use axhal::paging::{self, PAGE, PagingError, PhysAddr, VirtAddr};
use axhal::{cpu, irq, mem};

use crate::arch;
use crate::bare::{INTERRUPTS, M2};
use crate::say;

pub fn all(info: &'static BootInfo, timer: &Timer, guest_ram: usize) {
    bundle(info);
    stacks();
    mappings(guest_ram);
    windows(info, guest_ram);
    memory_helpers();
    interrupts(timer);
    switches(timer);
    arch::extra(info);
    cpus(guest_ram);
}

fn bundle(info: &BootInfo) {
    let bytes = info.bundle().expect("bundle");
    match info.initrd {
        Some(initrd) => assert_eq!(bytes.len() as u64, initrd.size),
        None => {
            assert!(bytes.len() == 5009 && bytes.starts_with(b"first") && bytes.ends_with(b"last"))
        }
    }
    say!("PASS bundle");
}

fn stacks() {
    let first = paging::alloc_stack(4).expect("stack");
    let second = paging::alloc_stack(2).expect("stack");
    let (bottom, top) = (first.bottom(), first.top());
    assert_eq!(
        (top - bottom, second.top() - top),
        (4 * PAGE, paging::STACK_SLOT)
    );
    assert!(paging::translate(bottom).is_some() && paging::translate(top - 1).is_some());
    assert!(paging::translate(bottom - 1).is_none() && paging::translate(top).is_none());
    // SAFETY: nothing runs on it.
    let (_, count) = unsafe { first.free() }.expect("free");
    assert!(count == 4 && paging::translate(bottom).is_none());
    let third = paging::alloc_stack(31).expect("stack");
    assert_eq!(third.top(), top, "the slot is used again");
    for pages in [0, 1, 32, usize::MAX] {
        let refused = PagingError::NoStackSlot { pages };
        assert_eq!(paging::alloc_stack(pages).err(), Some(refused));
    }
    assert_eq!(
        paging::alloc_stack(31).map(|s| s.top() - s.bottom()),
        Ok(31 * PAGE)
    );
    say!("PASS stacks");
}

fn mappings(guest_ram: usize) {
    let pa = PhysAddr::from_usize(guest_ram + 8);
    let va = paging::map_readonly(pa, 5000).expect("map_readonly");
    assert_eq!(paging::map_readonly(pa, 5000), Ok(va));
    assert_eq!(paging::translate(va), Some(pa));
    // SAFETY: nothing uses it.
    unsafe { paging::unmap(va - 8, 2 * PAGE) }.expect("unmap");
    assert_eq!(paging::translate(va), None);
    for (base, len) in [
        (1 << 47, PAGE),
        (1 << 30, 0),
        (usize::MAX & !(PAGE - 1), PAGE),
        (4, PAGE),
    ] {
        let refused = Err(PagingError::OutOfRange { base, len });
        assert_eq!(paging::map_direct(PhysAddr::from_usize(base), len), refused);
    }
    // SAFETY: refused.
    assert!(unsafe { paging::unmap(VirtAddr::from_usize(paging::IMAGE_BASE), PAGE) }.is_err());
    say!("PASS mappings");
}

fn windows(info: &BootInfo, guest_ram: usize) {
    let at = |offset| PhysAddr::from_usize(guest_ram + offset);
    let mut shown = 0;
    let zero = |p| {
        // SAFETY: what the window shows, 2 MiB of RAM that nothing else uses.
        unsafe { mem::zero(p, M2) }
    };
    paging::with_window(at(0), M2, zero);
    // SAFETY: as above.
    paging::with_window(at(0x12345), 1, |p| unsafe { p.write_volatile(0x5a) });
    paging::with_window(at(0), M2, |p| {
        shown = p.addr();
        // SAFETY: as above.
        let byte = |offset| unsafe { p.add(offset).read_volatile() };
        assert_eq!(
            [byte(0), byte(0x12344), byte(0x12345), byte(M2 - 1)],
            [0, 0, 0x5a, 0]
        );
        assert!(irq::masked());
    });
    assert_eq!(
        paging::translate(VirtAddr::from_usize(shown)),
        None,
        "a window stays open"
    );
    // What is not RAM is shown page by page: the UART's first page holds its flag register.
    if let Some(console) = &info.machine.console {
        let pa = PhysAddr::from_usize(console.regs.base as usize + 0x18);
        let other = paging::with_window(pa, 4, |p| p.addr());
        assert!(other / M2 != shown / M2 && other >= paging::WINDOWS_BASE);
        assert_eq!(paging::translate(VirtAddr::from_usize(other)), None);
    }
    say!("PASS windows");
}

fn memory_helpers() {
    const LEN: usize = 4096;
    let (mut from, mut to) = ([0u8; LEN], [0u8; LEN]);
    for (index, byte) in from.iter_mut().enumerate() {
        *byte = (index * 7 % 251) as u8;
    }
    for (a, b, len) in [
        (0, 0, LEN),
        (1, 1, 4000),
        (3, 0, 700),
        (7, 15, 300),
        (5, 5, 20),
        (8, 16, 1000),
        (0, 0, 0),
        (16, 8, 128),
        (9, 9, 64),
        (2, 2, 79),
        (0, 1, 4095),
    ] {
        to.fill(0xee);
        // SAFETY: both ranges are inside their arrays.
        unsafe { mem::copy(to.as_mut_ptr().add(b), from.as_ptr().add(a), len) };
        assert!(to[b..b + len] == from[a..a + len], "copy {a} {b} {len}");
        // SAFETY: inside, and mapped.
        unsafe {
            mem::zero(to.as_mut_ptr().add(b), len);
            mem::clean_inv_poc(to.as_ptr().addr() + b, len);
            mem::sync_icache(to.as_ptr().addr() + b, len);
        }
        assert!(
            to[b..b + len].iter().all(|&byte| byte == 0),
            "zero {b} {len}"
        );
        let around = to[..b].iter().chain(&to[b + len..]);
        assert!(
            around.into_iter().all(|&byte| byte == 0xee),
            "around {b} {len}"
        );
    }
    say!("PASS memory");
}

/// Spins, with interrupts open, until one more came.
fn wait_for_one(timer: &Timer) {
    let before = INTERRUPTS.load(Ordering::Relaxed);
    timer.set_deadline(timer.now() + timer.scale().to_ticks(1_000_000));
    irq::preemptible(|| {
        assert!(!irq::masked());
        while INTERRUPTS.load(Ordering::Relaxed) == before {
            core::hint::spin_loop();
        }
        let guard = irq::MaskGuard::new();
        assert!(irq::masked());
        drop(guard);
        assert!(!irq::masked());
    });
    assert!(irq::masked());
}

fn interrupts(timer: &Timer) {
    wait_for_one(timer);
    let before = INTERRUPTS.load(Ordering::Relaxed);
    let deadline = timer.now() + timer.scale().to_ticks(5_000_000);
    timer.set_deadline(deadline);
    while INTERRUPTS.load(Ordering::Relaxed) == before {
        irq::wait_for_interrupt();
    }
    assert!(timer.now() >= deadline && irq::masked());
    say!("PASS interrupts");
}

struct Shared(UnsafeCell<Option<Context>>);
// SAFETY: used by the boot CPU only, one step after the other.
unsafe impl Sync for Shared {}
static MAIN: Shared = Shared(UnsafeCell::new(None));
static TASK: Shared = Shared(UnsafeCell::new(None));
static STEP: AtomicUsize = AtomicUsize::new(0);
static PREEMPT: AtomicBool = AtomicBool::new(false);

/// Leaves `from` for `to`.
fn switch(from: &Shared, to: &Shared) {
    // SAFETY: one CPU and interrupts masked, so nobody else looks at the two; `to` was left by a
    // switch, or made new, before.
    unsafe {
        let from: *mut Context = (*from.0.get()).insert(Context::default());
        let to: *const Context = (*to.0.get()).as_ref().expect("a context");
        context::switch(from, to);
    }
}

/// The end of an interrupt: the task is preempted if it asked for it.
pub fn preempted() {
    if PREEMPT.swap(false, Ordering::Relaxed) {
        switch(&TASK, &MAIN);
    }
}

extern "C" fn task(arg: usize) -> ! {
    assert!(arg == 0xabc && irq::masked());
    STEP.store(1, Ordering::Relaxed);
    switch(&TASK, &MAIN);
    STEP.store(2, Ordering::Relaxed);
    PREEMPT.store(true, Ordering::Relaxed);
    irq::preemptible(|| {
        while PREEMPT.load(Ordering::Relaxed) {
            core::hint::spin_loop();
        }
    });
    STEP.store(3, Ordering::Relaxed);
    loop {
        switch(&TASK, &MAIN);
    }
}

fn switches(timer: &Timer) {
    let stack = paging::alloc_stack(4).expect("stack");
    // SAFETY: as in `switch`.
    unsafe { *TASK.0.get() = Some(Context::new(task, 0xabc, stack.top().as_usize())) };
    for step in 1..=3 {
        timer.set_deadline(timer.now() + timer.scale().to_ticks(1_000_000));
        switch(&MAIN, &TASK);
        assert_eq!(STEP.load(Ordering::Relaxed), step);
    }
    say!("PASS switches");
}

static MARKED: AtomicUsize = AtomicUsize::new(0);
static GUEST_RAM: AtomicUsize = AtomicUsize::new(0);

fn started(index: usize) -> ! {
    assert!(index == cpu::index() && irq::masked() && cpu::this().current().is_none());
    // Each writes through a window of its own.
    let pa = PhysAddr::from_usize(GUEST_RAM.load(Ordering::Relaxed) + index * PAGE);
    // SAFETY: RAM that only this CPU uses now.
    paging::with_window(pa, 1, |p| unsafe { p.write_volatile(index as u8 + 1) });
    arch::init_cpu();
    MARKED.fetch_add(1, Ordering::Release);
    while KICKED.load(Ordering::Acquire) & 1 << index == 0 {
        irq::wait_for_interrupt();
    }
    // Where it answers from now on.
    irq::preemptible(|| axhal::power::park())
}

/// The CPUs that have been kicked.
static KICKED: AtomicUsize = AtomicUsize::new(0);

/// This CPU has been kicked.
pub fn kicked() {
    KICKED.fetch_or(1 << cpu::index(), Ordering::Release);
}

fn cpus(guest_ram: usize) {
    GUEST_RAM.store(guest_ram, Ordering::Relaxed);
    let (count, this) = (cpu::count(), cpu::index());
    cpu::start_all(started, |index, error| panic!("CPU {index}: {error:?}"));
    while MARKED.load(Ordering::Acquire) < count - 1 {
        core::hint::spin_loop();
    }
    assert_eq!(cpu::online(), (1 << count) - 1);
    for index in (0..count).filter(|&index| index != this) {
        let pa = PhysAddr::from_usize(guest_ram + index * PAGE);
        // SAFETY: RAM that nobody writes any more.
        let mark = paging::with_window(pa, 1, |p| unsafe { p.read_volatile() });
        assert_eq!(mark, index as u8 + 1);
    }
    for index in (0..count).filter(|&index| index != this) {
        assert!(KICKED.load(Ordering::Acquire) & 1 << index == 0);
        arch::kick(index);
        while KICKED.load(Ordering::Acquire) & 1 << index == 0 {
            core::hint::spin_loop();
        }
    }
    // With them all there: what is unmapped is so for all.
    let stack = paging::alloc_stack(31).expect("stack");
    let bottom = stack.bottom();
    // SAFETY: nothing runs on it.
    unsafe { stack.free() }.expect("free");
    assert!(paging::translate(bottom).is_none());
    say!("PASS cpus {count}");
}
