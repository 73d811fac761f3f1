//! Guest boot protocols and guest device trees. Touches no hardware.
//!
//! Starting a guest takes three steps:
//! 1. [`LoadPlan::new`] looks at the images and at what the configuration says of them, and decides
//!    where everything goes. What doesn't fit, overlaps, or breaks the kernel's boot protocol is an
//!    error here, before anything was written.
//! 2. The device tree is generated ([`fdt::generate`]) or corrected ([`fdt::correct`]), knowing
//!    where the ramdisk will be, and joins the plan ([`LoadPlan::set_dtb`]).
//! 3. A [`Loader`] executes the plan in bounded pieces. Each byte of guest RAM is written at most
//!    once; [`LoadPlan::overwritten`] tells the caller what it need not scrub.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod elf;
mod error;
pub mod fdt;
mod gzip;
mod image;
mod load;
mod plan;
mod protocol;
mod seed;

pub use elf::ElfError;
pub use error::{ImageError, LoadError, PlanError, What};
pub use gzip::GzipError;
pub use load::{GuestMemory, Loader, STEP_BYTES};
pub use plan::{Inputs, LoadPlan, Segment, Source, Unpacked};
pub use protocol::{AARCH64, BootProtocol, RISCV64};
pub use seed::{Seed, Seeds};

/// Sorts a short list, by insertion: the standard library's sorts take 2 KiB of code for each type.
fn sort_by_key<T>(list: &mut [T], key: impl Fn(&T) -> u64) {
    for sorted in 1..list.len() {
        for at in (1..=sorted).rev() {
            if key(&list[at - 1]) <= key(&list[at]) {
                break;
            }
            list.swap(at - 1, at);
        }
    }
}
