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
    /// The text_offset of kernels whose header has no image_size: it is that old.
    pub legacy_text_offset: u64,
    /// `e_machine` of its ELF files.
    pub elf_machine: u16,
    /// ELF programs look for the device tree where RAM starts. QEMU's Arm boards put it there, and
    /// tell them nothing in a register.
    pub elf_tree_first: bool,
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
    elf_tree_first: true,
    instruction_align: 4,
    ramdisk_window: 32 << 30,
    ramdisk_window_align: 1 << 30,
};

/// RISC-V, 64 bits: the kernel's Documentation/arch/riscv/boot-image-header.rst ("RSC\x05", magic2;
/// the older magic before it is deprecated) and boot.rst, and the RISC-V ELF psABI (EM_RISCV).
///
/// The kernel's own text_offset is 2 MiB, the room that firmware has at the start of RAM. A header
/// has image_size since there is a header. The kernel reaches what its direct mapping covers
/// (vm-layout.rst): with Sv39 something above 64 GiB from the start of RAM.
pub const RISCV64: BootProtocol = BootProtocol {
    magic_offset: 56,
    magic: *b"RSC\x05",
    image_align: 2 << 20,
    legacy_text_offset: 2 << 20,
    elf_machine: 243,
    elf_tree_first: false,
    instruction_align: 2,
    ramdisk_window: 64 << 30,
    ramdisk_window_align: 1 << 30,
};
