//! The debug shadow and the CPU's registers.

use super::regs::{isb, write};
use crate::debug::DebugState;

/// Puts a shadow that is in use into the CPU.
pub fn restore(state: &DebugState) {
    let [value0, value1] = state.break_value;
    let [control0, control1] = state.break_control;
    let [watch0, watch1] = state.watch_value;
    let [watch_control0, watch_control1] = state.watch_control;
    write!("DBGBVR0_EL1", value0);
    write!("DBGBVR1_EL1", value1);
    write!("DBGBCR0_EL1", control0);
    write!("DBGBCR1_EL1", control1);
    write!("DBGWVR0_EL1", watch0);
    write!("DBGWVR1_EL1", watch1);
    write!("DBGWCR0_EL1", watch_control0);
    write!("DBGWCR1_EL1", watch_control1);
    write!("MDSCR_EL1", state.effective_mdscr());
}

/// Nothing is enabled: for the next vCPU, and at EL2 (where debug exceptions are not taken anyway,
/// MDCR_EL2.TDE being 0 and EL2 using AArch64).
pub fn clear() {
    write!("MDSCR_EL1", 0);
    write!("DBGBCR0_EL1", 0);
    write!("DBGBCR1_EL1", 0);
    write!("DBGWCR0_EL1", 0);
    write!("DBGWCR1_EL1", 0);
    isb();
}
