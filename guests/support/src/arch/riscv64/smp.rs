//! CPUs by SBI's hart state management.

use super::sbi;
use crate::exception::{mask, unmask, wait};
use crate::smp::MAX;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The hart ids of the CPUs. Firmware may start a guest on any hart: that one is CPU 0.
static IDS: [AtomicU64; MAX] = [const { AtomicU64::new(0) }; MAX];
/// How many of them there are.
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// Who was interrupted only to be told that it has work, and hasn't noticed yet.
static CALLED: [AtomicBool; MAX] = [const { AtomicBool::new(false) }; MAX];
/// Who has noticed.
static WOKEN: [AtomicBool; MAX] = [const { AtomicBool::new(false) }; MAX];

unsafe extern "C" {
    /// Where a hart started by HSM begins; a1 is its number as a CPU.
    fn guest_secondary_entry();
}

/// Looks for the other harts: those whose state HSM knows.
pub(crate) fn begin(first: usize) {
    IDS[0].store(first as u64, Ordering::Relaxed);
    let others = (0..64).filter(|&id| {
        id != first as u64 && sbi::call(sbi::HSM, sbi::HART_STATUS, [id]).error == sbi::SUCCESS
    });
    let mut count = 1;
    for (slot, id) in IDS[1..].iter().zip(others) {
        slot.store(id, Ordering::Relaxed);
        count += 1;
    }
    COUNT.store(count, Ordering::Relaxed);
}

/// The address to give to HSM.
pub fn entry() -> u64 {
    guest_secondary_entry as *const () as u64
}

/// The hart id of CPU number `cpu`.
#[inline]
pub fn id(cpu: usize) -> u64 {
    IDS[cpu].load(Ordering::Relaxed)
}

/// How many CPUs there are.
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Starts CPU number `cpu`: what HSM answers, 0 if it does.
pub(crate) fn start(cpu: usize) -> i64 {
    CALLED[cpu].store(false, Ordering::Relaxed);
    WOKEN[cpu].store(false, Ordering::Relaxed);
    sbi::call(sbi::HSM, sbi::HART_START, [id(cpu), entry(), cpu as u64]).error
}

/// Stops this hart: HSM's answer if that fails.
pub(crate) fn off() -> i64 {
    mask();
    sbi::call(sbi::HSM, sbi::HART_STOP, []).error
}

/// Wakes CPU number `cpu` out of [`sleep`].
pub(crate) fn wake(cpu: usize) {
    CALLED[cpu].store(true, Ordering::SeqCst);
    super::lines::send(cpu);
}

/// Whether the software interrupt of this CPU was [`wake`]'s, and not a case's.
pub(crate) fn was_call() -> bool {
    let was = CALLED[super::cpu()].swap(false, Ordering::SeqCst);
    if was {
        WOKEN[super::cpu()].store(true, Ordering::SeqCst);
    }
    was
}

/// Waits until this CPU was given work. The interrupt that says so has been taken then.
pub(crate) fn sleep(_: impl Fn() -> bool) {
    while !WOKEN[super::cpu()].swap(false, Ordering::SeqCst) {
        mask();
        if !WOKEN[super::cpu()].load(Ordering::SeqCst) {
            wait();
        }
        unmask();
    }
}
