//! The machine: boot entry, CPUs, traps, interrupt controller, timers, UART, page tables, power.
#![cfg_attr(not(test), no_std)]

pub mod drivers;
pub mod machine;
