//! A hart's own interrupt inputs: `sie` and `sip` (privileged ISA, 12.1.3).

use super::arch;

/// Supervisor software, timer and external interrupts: their numbers in `scause`, and their bits.
pub const SOFTWARE: u64 = 1;
/// See [`SOFTWARE`].
pub const TIMER: u64 = 5;
/// See [`SOFTWARE`].
pub const EXTERNAL: u64 = 9;

const ALL: u64 = 1 << SOFTWARE | 1 << TIMER | 1 << EXTERNAL;

/// An interrupt that is pending at this hart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Another hart sent one. Taken back by [`clear_software`].
    Software,
    /// The timer's deadline has come. Taken back by a new one.
    Timer,
    /// The PLIC's output. Taken back by claiming what is behind it.
    External,
}

/// Lets all three interrupt this hart, wherever interrupts are not masked. The timer must have a
/// deadline, or none: what it has after reset may have passed already.
pub fn init_cpu() {
    arch::clear_sip(1 << SOFTWARE);
    arch::write_sie(ALL);
}

/// The most urgent one that is pending at this hart, in the order in which the hart takes them.
#[inline]
pub fn pending() -> Option<Pending> {
    let pending = arch::read_sip() & ALL;
    let is = |number: u64| pending >> number & 1 != 0;
    if is(EXTERNAL) {
        Some(Pending::External)
    } else if is(SOFTWARE) {
        Some(Pending::Software)
    } else if is(TIMER) {
        Some(Pending::Timer)
    } else {
        None
    }
}

/// Takes back a software interrupt. What its sender wrote to memory before is visible afterwards;
/// one that is sent from now on comes again.
#[inline]
pub fn clear_software() {
    arch::clear_sip(1 << SOFTWARE);
    arch::full_barrier();
}
