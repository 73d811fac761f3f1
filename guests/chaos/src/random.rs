//! Numbers as a hostile guest would choose them.

use crate::state;
use core::sync::atomic::Ordering;
use guest_support::gic::{GICD, GICR, GICR_STRIDE};
use guest_support::map::RAM;
use guest_support::{timer, uart};

/// Memory that an action may overwrite: 16 MiB.
pub const SCRATCH: u64 = RAM as u64 + (32 << 20);
/// The end of 64 MiB of RAM.
const RAM_END: u64 = RAM as u64 + (64 << 20);

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

/// An address among devices, at the borders of memory, in nothing, or in scratch memory; aligned
/// mostly.
pub fn address() -> u64 {
    let offset = match below(4) {
        0 => next(),
        1 => next() & !3,
        _ => next() & !7,
    };
    let (base, size) = match below(14) {
        0..3 => (GICD as u64, 1 << 16),
        3..6 => (
            GICR as u64 + below(9) * GICR_STRIDE as u64,
            GICR_STRIDE as u64,
        ),
        // Not the data register: its noise would fill the log. There is a mode for that.
        6 => return uart::BASE as u64 + (offset & 0xfff).max(4),
        7 => (0x0a00_0000, 1 << 20),
        8 => (RAM_END - 64, 128),
        9 => (RAM as u64 - 64, 64),
        10 => (of(&[0, 8 << 30, 1 << 36, (1 << 39) - 64, 1 << 39]), 64),
        11 => (
            of(&[
                (1 << 40) - 64,
                1 << 40,
                1 << 44,
                (1 << 48) - 64,
                0_u64.wrapping_sub(64),
            ]),
            64,
        ),
        _ => (SCRATCH, 16 << 20),
    };
    base.wrapping_add(offset % size)
}
