//! The identity map: 512 blocks of 1 GiB. The first GiB is device memory, the rest is normal
//! memory, whether something is there or not. [`USER_ALIAS`] shows the first GiB of RAM to EL0.

/// Where RAM begins.
pub const RAM: usize = 0x4000_0000;
/// An address whose translation needs a table that lies where no memory is.
pub const BAD_TABLE: usize = 510 << 30;
/// An address of normal memory where nothing is, with less than 7 GiB of RAM.
pub const NO_MEMORY: usize = 8 << 30;
/// Where EL0 sees [`NO_MEMORY`].
pub const USER_NO_MEMORY: usize = 4 << 30;
/// An address among the devices where nothing is.
pub const NO_DEVICE: usize = 0x0900_8000;
/// Where EL0 sees what EL1 has at [`RAM`]; below 4 GiB, so that AArch32 reaches it.
pub const USER_ALIAS: usize = 0xc000_0000;

#[repr(C, align(4096))]
struct Table([u64; 512]);

/// Block descriptors (Arm ARM, D8.3): AF, inner shareable.
const NORMAL: u64 = 1 | 1 << 10 | 3 << 8;
/// Attribute 1 of MAIR, execute-never.
const DEVICE: u64 = NORMAL | 1 << 2 | 3 << 53;
/// AP[1] and PXN: EL0 may do everything.
const USER: u64 = NORMAL | 1 << 6 | 1 << 53;

/// The address by which EL0 reaches what EL1 has at `address`.
pub fn user(address: *const ()) -> u64 {
    (address as usize - RAM + USER_ALIAS) as u64
}

const fn identity() -> Table {
    let mut table = Table([0; 512]);
    let mut n = 0;
    while n < 512 {
        table.0[n] = (n as u64) << 30 | if n == 0 { DEVICE } else { NORMAL };
        n += 1;
    }
    table.0[BAD_TABLE >> 30] = NO_MEMORY as u64 | 3;
    table.0[USER_NO_MEMORY >> 30] = NO_MEMORY as u64 | USER;
    table.0[USER_ALIAS >> 30] = RAM as u64 | USER;
    table
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static guest_map: Table = identity();
