//! Where things are in the hypervisor's address space: 48 bits of EL2's one range. Pure.

/// Where the image is linked. linker/aarch64.ld says the same.
pub const IMAGE_BASE: usize = 0x0000_0100_0000_0000;
/// Where physical addresses below [`READONLY_LIMIT`] are mapped read-only.
pub const READONLY_BASE: usize = 0x0000_2000_0000_0000;
/// See [`READONLY_BASE`].
pub const READONLY_LIMIT: usize = 1 << 45;
/// Where device registers at physical addresses below [`DEVICE_LIMIT`] are mapped.
pub const DEVICE_BASE: usize = 0x0000_4000_0000_0000;
/// See [`DEVICE_BASE`].
pub const DEVICE_LIMIT: usize = 1 << 46;
/// Where frames at physical addresses below [`DIRECT_LIMIT`] are mapped.
pub const DIRECT_BASE: usize = 0x0000_8000_0000_0000;
/// See [`DIRECT_BASE`].
pub const DIRECT_LIMIT: usize = 1 << 47;

/// The level of the root table; the last level is 3.
pub const ROOT_LEVEL: usize = 0;

/// Whether `va` is an address that the tables can translate.
pub const fn is_address(va: usize) -> bool {
    va < 1 << 48
}
