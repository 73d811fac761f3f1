//! Why a guest can't be loaded.

use core::fmt;
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

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => write!(f, "the kernel"),
            Self::Bios => write!(f, "the BIOS"),
            Self::Entry => write!(f, "the entry point"),
            Self::Ramdisk => write!(f, "the ramdisk"),
            Self::Dtb => write!(f, "the device tree"),
        }
    }
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

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the kernel, the BIOS or the ramdisk is an empty file"),
            Self::CompressedNotImage => write!(f, "the kernel's gzip stream holds no Linux Image"),
            Self::CompressedOtherwise => write!(
                f,
                "the kernel is an EFI zboot image that is not compressed by gzip"
            ),
            Self::OtherArchitecture => {
                write!(f, "the kernel is a Linux Image of another architecture")
            }
            Self::LinkedElsewhere { linked, configured } => write!(
                f,
                "the kernel is an ELF file linked for {linked:#x}, and kernel_load_addr is \
                 {configured:#x}"
            ),
            Self::Elf(error) => write!(f, "the kernel's ELF file: {error}"),
            Self::Gzip(error) => write!(f, "the kernel's gzip stream: {error}"),
        }
    }
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

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRam => write!(f, "there is no RAM, or a region of it is empty"),
            Self::RamOverlaps(a, b) => write!(f, "RAM at {} and at {} overlaps", Span(a), Span(b)),
            Self::Image(error) => write!(f, "{error}"),
            Self::AddressWithoutFile { what, gpa } => {
                write!(f, "{what} has an address, {gpa:#x}, and no file")
            }
            Self::Wraps { what, gpa, size } => write!(
                f,
                "{what} at {gpa:#x}, {size} bytes, ends behind the last address"
            ),
            Self::OutsideRam { what, range } => write!(
                f,
                "{what} at {} is not inside one region of RAM",
                Span(range)
            ),
            Self::Overlap {
                first,
                first_range,
                second,
                second_range,
            } => write!(
                f,
                "{first} at {} and {second} at {} overlap",
                Span(first_range),
                Span(second_range)
            ),
            Self::Misaligned {
                what,
                gpa,
                offset: 0,
                align,
            } => write!(f, "{what} at {gpa:#x} must be at a multiple of {align:#x}"),
            Self::Misaligned {
                what,
                gpa,
                offset,
                align,
            } => write!(
                f,
                "{what} at {gpa:#x} must be {offset:#x} bytes behind a multiple of {align:#x}"
            ),
            Self::NoRoom { what, size } => write!(
                f,
                "no free piece of RAM is large enough for {what}, {size} bytes"
            ),
            Self::DtbTooLarge { size, limit } => {
                write!(
                    f,
                    "the device tree needs room for {size} bytes; {limit} are possible"
                )
            }
            Self::RamdiskOutOfReach { range, window } => write!(
                f,
                "the ramdisk at {} is out of the kernel's reach, {}",
                Span(range),
                Span(window)
            ),
            Self::EntryOutsideImage { entry } => write!(
                f,
                "the entry point {entry:#x} is in no loaded part of kernel or BIOS"
            ),
        }
    }
}

/// A range of addresses.
struct Span<'a>(&'a Range<u64>);

impl fmt::Display for Span<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.0.start, self.0.end)
    }
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

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { gpa, error } => write!(f, "writing at {gpa:#x}: {error}"),
            Self::Gzip(error) => write!(f, "the kernel's gzip stream: {error}"),
        }
    }
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
