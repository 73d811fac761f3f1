//! The one place where the hypervisor's image chooses its architecture.

use axhal::drivers::mmio::Mmio;
use axhal::machine::Region;
use axhal::paging::{self, PagingError};
use memory_addr::PhysAddr;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "riscv64")]
pub use riscv64::*;

/// What a physical interrupt is to the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing is pending any more.
    None,
    /// Another CPU kicked, or on riscv64 a guest's timer is due.
    Kick,
    /// This CPU's hypervisor timer.
    Timer,
    /// A device's: the number as a shared line, for [`complete`].
    Line(u32),
}

/// The registers of an interrupt controller.
fn map(region: &Region) -> Result<Mmio, PagingError> {
    let (base, size) = (region.base as usize, region.size as usize);
    let va = paging::map_device(PhysAddr::from_usize(base), size)?;
    // SAFETY: mapped as device registers for ever; those of an interrupt controller reach no memory.
    Ok(unsafe { Mmio::new(va.as_usize(), size) })
}
