//! Guest physical address spaces: stage-2 translation tables, and checked access to guest memory.
//!
//! Nothing here touches hardware. The host side (frames, windows onto guest RAM, TLB and cache
//! maintenance) is reached through [`PagingHandler`], which the hypervisor implements and host
//! tests fake.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod addr;
mod host;

pub use addr::{GuestPhysAddr, GuestPhysRange, GuestVirtAddr, HostPhysAddr, HostVirtAddr};
pub use host::PagingHandler;
