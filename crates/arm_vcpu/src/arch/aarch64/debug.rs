//! The debug shadow and the CPU's registers.

use super::regs::{isb, write};
use crate::debug::{COUNT, DebugState, linked, place};
use crate::features::Features;

/// Writes value and control number `n` of a kind, if they exist.
macro_rules! write_pair {
    ($n:expr, $value:expr, $control:expr, $v:literal, $c:literal; $($i:literal)*) => {
        match $n {
            $($i => {
                write!(concat!("DBG", $v, $i, "_EL1"), $value);
                write!(concat!("DBG", $c, $i, "_EL1"), $control);
            })*
            _ => {}
        }
    };
}

fn write_breakpoint(n: usize, value: u64, control: u64) {
    write_pair!(n, value, control, "BVR", "BCR"; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

fn write_watchpoint(n: usize, value: u64, control: u64) {
    write_pair!(n, value, control, "WVR", "WCR"; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

/// Puts a shadow that is in use into the CPU.
pub fn restore(state: &DebugState, features: &Features) {
    let count = features.breakpoints;
    let breakpoints = state.break_value.iter().zip(state.break_control);
    for (n, (&value, control)) in breakpoints.enumerate() {
        write_breakpoint(place(n, count), value, linked(control, count));
    }
    let watchpoints = state.watch_value.iter().zip(state.watch_control);
    for (n, (&value, control)) in watchpoints.enumerate() {
        write_watchpoint(n, value, linked(control, count));
    }
    write!("MDSCR_EL1", state.effective_mdscr());
}

/// Nothing is enabled: for the next vCPU, and at EL2 (where debug exceptions are not taken anyway,
/// MDCR_EL2.TDE being 0 and EL2 using AArch64).
pub fn clear(features: &Features) {
    write!("MDSCR_EL1", 0);
    for n in 0..COUNT {
        write_breakpoint(place(n, features.breakpoints), 0, 0);
        write_watchpoint(n, 0, 0);
    }
    isb();
}

/// The same for a CPU out of reset, where all of them are UNKNOWN (D24.3, each register's own
/// section): guests have fewer than there are, and could not see who stops them.
pub fn init(features: &Features) {
    write!("MDSCR_EL1", 0);
    (0..features.breakpoints).for_each(|n| write_breakpoint(n, 0, 0));
    (0..features.watchpoints).for_each(|n| write_watchpoint(n, 0, 0));
    isb();
}
