//! Tries axhal on the machine. The command line says what: nothing for all checks that must
//! succeed (each prints `PASS name`), or the name of a fault that axhal must report.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod bare;
#[cfg(target_os = "none")]
mod checks;
#[cfg(target_os = "none")]
mod faults;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("axhal-selftest runs on the bare machine");
}
