//! For tests on a machine that runs no hypervisor: the pure parts only.

#[path = "aarch64/pte.rs"]
pub mod pte;
