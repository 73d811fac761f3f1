//! Numbers as a hostile guest would choose them.

use crate::arch::address;
use crate::state;
use core::sync::atomic::Ordering;
use guest_support::map::RAM;
use guest_support::timer;

/// Memory that an action may overwrite: 16 MiB.
pub const SCRATCH: u64 = RAM as u64 + (32 << 20);
/// The end of 64 MiB of RAM.
pub const RAM_END: u64 = RAM as u64 + (64 << 20);

/// The next number of this CPU (xorshift64*).
pub fn next() -> u64 {
    let seed = &state().random;
    let mut x = seed.load(Ordering::Relaxed);
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    seed.store(x, Ordering::Relaxed);
    x.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

/// A number below `end`.
pub fn below(end: u64) -> u64 {
    (next() >> 16) % end
}

/// One of `items`.
pub fn of<T: Copy>(items: &[T]) -> T {
    items[below(items.len() as u64) as usize]
}

/// True once in `n` times.
pub fn once_in(n: u64) -> bool {
    below(n) == 0
}

/// Any value: limits, single bits, addresses, times, noise.
pub fn value() -> u64 {
    match below(9) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << below(64),
        3 => address(),
        4 => below(64),
        5 => timer::now().wrapping_add(below(1 << 16)),
        6 => i64::MAX as u64,
        7 => next() & 0xffff_ffff,
        _ => next(),
    }
}
