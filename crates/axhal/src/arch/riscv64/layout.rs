//! Where things are in the hypervisor's address space: Sv39, which every hart has (privileged ISA,
//! 12.4). Pure.
//!
//! The upper half begins with what Linux leaves free of it under Sv39, so that the hypervisor's
//! code has addresses that no guest's kernel uses. The lower half, which no user process needs here,
//! holds the frames.

/// The first address of the upper half.
const UPPER: usize = 0xffff_ffc0_0000_0000;

/// Where the image is linked. linker/riscv64.ld says the same.
pub const IMAGE_BASE: usize = UPPER;
/// Where device registers at physical addresses below [`DEVICE_LIMIT`] are mapped.
pub const DEVICE_BASE: usize = UPPER + (64 << 30);
/// See [`DEVICE_BASE`].
pub const DEVICE_LIMIT: usize = 64 << 30;
/// Where physical addresses below [`READONLY_LIMIT`] are mapped read-only: device tree and bundle,
/// which boot loaders put at the end of RAM.
pub const READONLY_BASE: usize = UPPER + (128 << 30);
/// See [`READONLY_BASE`].
pub const READONLY_LIMIT: usize = 128 << 30;
/// Where frames at physical addresses below [`DIRECT_LIMIT`] are mapped.
pub const DIRECT_BASE: usize = 64 << 30;
/// See [`DIRECT_BASE`].
pub const DIRECT_LIMIT: usize = 192 << 30;

/// The level of the root table; the last level is 3.
pub const ROOT_LEVEL: usize = 1;

/// Whether `va` is an address that the tables can translate: bits 63 to 39 are copies of bit 38.
pub const fn is_address(va: usize) -> bool {
    va < 1 << 38 || va >= UPPER
}
