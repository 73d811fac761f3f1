//! The identity map: 256 gigapages, as many as Sv39 has below its hole. [`USER_ALIAS`] shows the
//! first GiB of RAM to U-mode.

/// Where RAM begins.
pub const RAM: usize = 0x8000_0000;
/// An address whose translation needs a table that lies where no memory is.
pub const BAD_TABLE: usize = 254 << 30;
/// An address where nothing is, with less than 6 GiB of RAM.
pub const NO_MEMORY: usize = 8 << 30;
/// Where U-mode sees [`NO_MEMORY`].
pub const USER_NO_MEMORY: usize = 65 << 30;
/// An address among the devices where nothing is.
pub const NO_DEVICE: usize = 0x1000_a000;
/// Where U-mode sees what S-mode has at [`RAM`].
pub const USER_ALIAS: usize = 64 << 30;
/// An address that isn't mapped, with room for tables of a case's own: see [`set`].
pub const FREE: usize = 253 << 30;

#[repr(C, align(4096))]
struct Table([core::sync::atomic::AtomicU64; 512]);

/// A page table entry that is valid and not a leaf: V.
pub const POINTER: u64 = 1;
/// A leaf that S-mode may use for all: V, R, W, X, G, A, D (privileged ISA, 11.3.1).
pub const LEAF: u64 = 0xef;
/// U.
pub const USER: u64 = 1 << 4;
/// X.
pub const EXECUTE: u64 = 1 << 3;

/// The address by which U-mode reaches what S-mode has at `address`.
pub fn user(address: *const ()) -> u64 {
    (address as usize - RAM + USER_ALIAS) as u64
}

/// The entry for the physical address.
pub const fn entry(address: u64, flags: u64) -> u64 {
    address >> 2 | flags
}

/// Puts an entry for the gigapage of `address` into the map. The caller sees to fences.
pub fn set(address: usize, entry: u64) {
    guest_map.0[address >> 30 & 511].store(entry, core::sync::atomic::Ordering::SeqCst);
}

const fn identity() -> Table {
    use core::sync::atomic::AtomicU64;
    let mut table = Table([const { AtomicU64::new(0) }; 512]);
    let mut n = 0;
    while n < 253 {
        let kind = if n == 0 { LEAF & !EXECUTE } else { LEAF };
        table.0[n] = AtomicU64::new(entry((n as u64) << 30, kind));
        n += 1;
    }
    table.0[BAD_TABLE >> 30] = AtomicU64::new(entry(NO_MEMORY as u64, POINTER));
    table.0[USER_NO_MEMORY >> 30] = AtomicU64::new(entry(NO_MEMORY as u64, LEAF | USER));
    table.0[USER_ALIAS >> 30] = AtomicU64::new(entry(RAM as u64, LEAF | USER));
    table
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static guest_map: Table = identity();
