//! Device registers: each access is one load or store of its width, that any hypervisor can decode.

macro_rules! access {
    ($read:ident, $write:ident, $type:ty, $load:literal, $store:literal, $doc:literal) => {
        #[doc = concat!("Reads ", $doc, " at a device's address.")]
        pub fn $read(address: usize) -> $type {
            let value: u64;
            // SAFETY: device registers are no memory that Rust knows; a bad address faults.
            unsafe {
                core::arch::asm!($load, a = in(reg) address, v = out(reg) value, options(nostack));
            }
            value as $type
        }

        #[doc = concat!("Writes ", $doc, " at a device's address.")]
        pub fn $write(address: usize, value: $type) {
            // SAFETY: as above.
            unsafe {
                core::arch::asm!($store, a = in(reg) address, v = in(reg) u64::from(value), options(nostack));
            }
        }
    };
}

access!(
    read8,
    write8,
    u8,
    "ldrb {v:w}, [{a}]",
    "strb {v:w}, [{a}]",
    "a byte"
);
access!(
    read16,
    write16,
    u16,
    "ldrh {v:w}, [{a}]",
    "strh {v:w}, [{a}]",
    "two bytes"
);
access!(
    read32,
    write32,
    u32,
    "ldr {v:w}, [{a}]",
    "str {v:w}, [{a}]",
    "four bytes"
);
access!(
    read64,
    write64,
    u64,
    "ldr {v}, [{a}]",
    "str {v}, [{a}]",
    "eight bytes"
);
