//! Why a guest can't be loaded.

use core::ops::Range;

use crate::{ElfError, GzipError};

/// What a range of guest memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The kernel, with the memory its boot protocol wants behind it.
    Kernel,
    /// The BIOS.
    Bios,
    /// The guest's first instruction.
    Entry,
    /// The ramdisk.
    Ramdisk,
    /// The device tree.
    Dtb,
}

/// What is wrong with a kernel image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// It, the BIOS or the ramdisk has no bytes.
    Empty,
    /// What the gzip stream holds is not an `Image`. Only the first bytes were looked at.
    CompressedNotImage,
    /// An EFI zboot image that is not compressed by gzip.
    CompressedOtherwise,
    /// A Linux Image of another architecture.
    OtherArchitecture,
    /// The ELF file is linked for another address than the configuration gives.
    LinkedElsewhere {
        /// The lowest physical address of its segments.
        linked: u64,
        /// The configured load address.
        configured: u64,
    },
    /// See [`ElfError`].
    Elf(ElfError),
    /// See [`GzipError`].
    Gzip(GzipError),
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The VM has no RAM, or one of its regions is empty.
    NoRam,
    /// Two regions of RAM overlap.
    RamOverlaps(Range<u64>, Range<u64>),
    /// The kernel image is at fault.
    Image(ImageError),
    /// There is an address, and nothing to go there.
    AddressWithoutFile {
        /// What is missing.
        what: What,
        /// Its address.
        gpa: u64,
    },
    /// A length runs past the end of the address space.
    Wraps {
        /// What.
        what: What,
        /// Its address.
        gpa: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// The range is not inside one region of RAM.
    OutsideRam {
        /// What.
        what: What,
        /// Where it would lie.
        range: Range<u64>,
    },
    /// Two ranges overlap.
    Overlap {
        /// What comes first.
        first: What,
        /// Where it lies.
        first_range: Range<u64>,
        /// What it meets.
        second: What,
        /// Where that lies.
        second_range: Range<u64>,
    },
    /// `gpa - offset` is not a multiple of `align`.
    Misaligned {
        /// What.
        what: What,
        /// Its address.
        gpa: u64,
        /// What the boot protocol adds to an aligned address.
        offset: u64,
        /// The alignment.
        align: u64,
    },
    /// No free place in RAM is large enough.
    NoRoom {
        /// What.
        what: What,
        /// How many bytes it needs.
        size: u64,
    },
    /// The device tree is larger than the kernel allows, or than the room the plan gave it.
    DtbTooLarge {
        /// Its size in bytes.
        size: u64,
        /// How much it may have.
        limit: u64,
    },
    /// The ramdisk lies where the kernel can't reach it.
    RamdiskOutOfReach {
        /// Where it lies.
        range: Range<u64>,
        /// What the kernel reaches.
        window: Range<u64>,
    },
    /// The entry point is in no loaded part of kernel or BIOS.
    EntryOutsideImage {
        /// The entry point.
        entry: u64,
    },
}

/// Why loading stopped. `E` is the guest memory's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError<E> {
    /// Guest memory refused a write.
    Memory {
        /// Where.
        gpa: u64,
        /// Why.
        error: E,
    },
    /// The compressed kernel is corrupt.
    Gzip(GzipError),
}

impl From<ImageError> for PlanError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl From<ElfError> for PlanError {
    fn from(error: ElfError) -> Self {
        Self::Image(ImageError::Elf(error))
    }
}

impl From<GzipError> for PlanError {
    fn from(error: GzipError) -> Self {
        Self::Image(ImageError::Gzip(error))
    }
}
