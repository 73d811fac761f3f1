//! What differs between the architectures' Linux boot protocols, in one place.

/// The constants of one architecture's boot protocol. All have the same 64-byte image header with
/// text_offset, image_size and flags at the same places; only the magic number differs.
#[derive(Clone, Copy, Debug)]
pub struct BootProtocol {
    /// Where in the header the magic number is.
    pub magic_offset: usize,
    /// The magic number.
    pub magic: [u8; 4],
    /// A kernel image lies at a multiple of this plus its text_offset. Bytes, a power of two.
    pub image_align: u64,
    /// The text_offset of kernels so old that their header has no image_size.
    pub legacy_text_offset: u64,
    /// `e_machine` of its ELF files.
    pub elf_machine: u16,
    /// Instructions lie at multiples of this many bytes.
    pub instruction_align: u64,
    /// The ramdisk lies in a window of this many bytes...
    pub ramdisk_window: u64,
    /// ... that starts at a multiple of this many bytes and covers the kernel.
    pub ramdisk_window_align: u64,
}

/// AArch64: the kernel's Documentation/arch/arm64/booting.rst, and ELF for the Arm 64-bit
/// Architecture (EM_AARCH64).
pub const AARCH64: BootProtocol = BootProtocol {
    magic_offset: 56,
    magic: *b"ARM\x64",
    image_align: 2 << 20,
    legacy_text_offset: 0x8_0000,
    elf_machine: 183,
    instruction_align: 4,
    ramdisk_window: 32 << 30,
    ramdisk_window_align: 1 << 30,
};
