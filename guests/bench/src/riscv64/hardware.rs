//! The counter, interrupts, and the UART.

use core::arch::asm;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::mmio::{read8, write8};
use guest_support::{read_csr, sbi, set_csr, smp, timer, uart};

pub use guest_support::exception::{mask, unmask, wait as wfi};

/// Counts of `cycle` for a tick of the time. Where the emulator counts instructions, its virtual
/// clock has one nanosecond for each.
static PER_TICK: AtomicU64 = AtomicU64::new(1);
/// What the count is when the time is 0, modulo 2^64.
static BASE: AtomicU64 = AtomicU64::new(0);

/// Relates count and time: where both come of one clock, a tick begins at a multiple of its length.
pub fn begin() {
    let per_tick = frequency() / timer::frequency().max(1);
    let time = timer::now();
    while timer::now() == time {}
    let count = now();
    PER_TICK.store(per_tick, Ordering::Relaxed);
    let base = (count - count % per_tick).wrapping_sub((time + 1) * per_tick);
    BASE.store(base, Ordering::Relaxed);
}

/// What [`now`] is when the time is `time`.
#[inline(always)]
pub fn count_at(time: u64) -> u64 {
    let base = BASE.load(Ordering::Relaxed);
    base.wrapping_add(time * PER_TICK.load(Ordering::Relaxed))
}

/// The first time when [`now`] is `count` or more.
#[inline(always)]
pub fn time_at(count: u64) -> u64 {
    let base = BASE.load(Ordering::Relaxed);
    count
        .wrapping_sub(base)
        .div_ceil(PER_TICK.load(Ordering::Relaxed))
}

/// The count.
#[inline(always)]
pub fn now() -> u64 {
    read_csr!("cycle")
}

/// How many counts of [`now`] a second has, where the emulator counts.
#[inline(always)]
pub fn frequency() -> u64 {
    1_000_000_000
}

/// Lets the timer interrupt when [`now`] is `deadline`.
pub fn arm_at(deadline: u64) {
    timer::arm_at(time_at(deadline));
    enable_timer();
}

/// Lets the timer's interrupt come: the handler keeps it from coming again.
#[inline(always)]
pub fn enable_timer() {
    set_csr!("sie", 1 << 5);
}

/// Tells a plugin of the emulator that the next row begins, or that it ends: SLTI x0, x0, 100, which
/// does nothing and is nobody's (unprivileged ISA, "HINT Instructions").
#[inline(always)]
pub fn mark() {
    // SAFETY: a hint.
    unsafe { asm!(".word 0x06402013", options(nostack)) };
}

/// Uses an FP register: FMV.D.X f0, x0.
#[inline(always)]
pub fn touch_fp() {
    // SAFETY: nothing else uses FP registers.
    unsafe { asm!(".word 0xf2000053", options(nostack)) };
}

/// A call that nobody answers.
#[inline(never)]
pub fn call_nobody(number: u64) {
    sbi::call(number, 0, []);
}

/// Lets another CPU run, where all share one thread of the emulator: it changes over when a timer is
/// set that is the next of all. The interrupt of this one doesn't come ([`enable_timer`]).
#[inline(always)]
pub fn relax() {
    if timer::has_sstc() {
        timer::arm_sstc(timer::now() + 10);
    }
}

/// Puts off the timer of [`relax`]. KVM lets no vCPU wait whose timer's time has come, even where its
/// interrupt is off.
#[inline(always)]
pub fn calm() {
    if timer::has_sstc() {
        timer::arm_sstc(u64::MAX);
    }
}

/// Interrupts CPU number `target`. There is one kind.
#[inline(always)]
pub fn send(_: u64, target: usize) {
    sbi::call(sbi::IPI, 0, [1, smp::id(target)]);
}

/// The UART.
pub struct Uart;

impl Uart {
    /// Sends a byte when there is room for it.
    pub fn send(&self, byte: u8) {
        while read8(uart::BASE + 5) & 1 << 5 == 0 {
            relax();
        }
        write8(uart::BASE, byte);
    }
}

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.send(byte);
        }
        Ok(())
    }
}
