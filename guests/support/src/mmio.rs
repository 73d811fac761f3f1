//! Device registers: each access is one load or store of its width, that any hypervisor can decode.

macro_rules! access {
    ($read:ident, $write:ident, $type:ty, $bits:tt, $doc:literal) => {
        #[doc = concat!("Reads ", $doc, " at a device's address.")]
        #[inline]
        pub fn $read(address: usize) -> $type {
            let value: u64;
            // SAFETY: device registers are no memory that Rust knows; a bad address faults.
            unsafe {
                core::arch::asm!(load!($bits), a = in(reg) address, v = out(reg) value,
                    options(nostack));
            }
            value as $type
        }

        #[doc = concat!("Writes ", $doc, " at a device's address.")]
        #[inline]
        pub fn $write(address: usize, value: $type) {
            // SAFETY: as above.
            unsafe {
                core::arch::asm!(store!($bits), a = in(reg) address, v = in(reg) u64::from(value),
                    options(nostack));
            }
        }
    };
}

access!(read8, write8, u8, 8, "a byte");
access!(read16, write16, u16, 16, "two bytes");
access!(read32, write32, u32, 32, "four bytes");
access!(read64, write64, u64, 64, "eight bytes");
