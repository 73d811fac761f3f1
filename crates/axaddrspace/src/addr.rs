//! Address types. A guest's physical address, a guest's virtual address and the host's two kinds
//! are four types, so that one can't be handed over as another.

pub use memory_addr::{PhysAddr as HostPhysAddr, VirtAddr as HostVirtAddr};

memory_addr::def_usize_addr! {
    /// A guest physical address (an intermediate physical address in Arm's words).
    pub type GuestPhysAddr;
    /// A guest virtual address.
    pub type GuestVirtAddr;
}

memory_addr::def_usize_addr_formatter! {
    GuestPhysAddr = "GPA:{}";
    GuestVirtAddr = "GVA:{}";
}

/// A range of guest physical addresses.
pub type GuestPhysRange = memory_addr::AddrRange<GuestPhysAddr>;
