//! Guest physical address spaces: stage-2 translation tables, and checked access to guest memory.
//!
//! Nothing here touches hardware. The host side (frames, windows onto guest RAM, TLB and cache
//! maintenance) is reached through [`PagingHandler`], which the hypervisor implements and host
//! tests fake.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod addr;
mod error;
mod flags;
mod flush;
mod format;
mod host;
mod memory;
mod space;
mod sv;
mod table;
mod vmid;
mod vmsa;

pub use addr::{GuestPhysAddr, GuestPhysRange, GuestVirtAddr, HostPhysAddr, HostVirtAddr};
pub use error::{AddrSpaceError, GuestMemError};
pub use flags::MappingFlags;
pub use flush::Flush;
pub use format::{Entry, TableFormat};
pub use host::PagingHandler;
pub use memory::GuestInt;
pub use space::{AddrSpace, Extent, Mapping};
pub use sv::Sv;
pub use vmid::{NoVmid, Vmid, Vmids};
pub use vmsa::Vmsa;

#[cfg(test)]
mod fake;
