//! For a machine that runs no hypervisor: the pure parts only.

#[allow(dead_code)]
#[path = "aarch64/layout.rs"]
pub mod layout;
#[cfg(test)]
#[path = "aarch64/pte.rs"]
pub mod pte;
/// The other architecture's, to be looked at.
#[cfg(test)]
#[path = "riscv64/pte.rs"]
pub mod riscv_pte;
