//! ELF64 little-endian files: where their loadable segments go. (System V ABI, chapters 4 and 5.)

use alloc::vec::Vec;
use core::fmt;

use crate::image::bytes_at;
use crate::sort_by_key;

/// More loadable segments than any kernel has; bounds the work a file can cause.
const MAX_SEGMENTS: u16 = 128;

/// What is wrong with an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// It ends before its headers do.
    Truncated,
    /// It isn't 64-bit, little-endian, version 1.
    Format {
        /// EI_CLASS.
        class: u8,
        /// EI_DATA.
        data: u8,
        /// EI_VERSION.
        version: u8,
    },
    /// It is for another machine: its `e_machine`.
    Machine(u16),
    /// It is neither an executable nor position-independent: its `e_type`.
    Type(u16),
    /// Its program headers have an unknown size (`e_phentsize`).
    HeaderSize(u16),
    /// It has more program headers than [`limit`](Self::TooManySegments::limit).
    TooManySegments {
        /// How many it has.
        count: u16,
        /// How many it may have.
        limit: u16,
    },
    /// It has nothing to load.
    NothingToLoad,
    /// A segment's bytes are not in the file, or it has more of them than memory, or its
    /// addresses wrap. Its index among the program headers.
    Segment(u16),
    /// The entry point is in no segment.
    Entry(u64),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "it ends before its headers do"),
            Self::Format {
                class,
                data,
                version,
            } => write!(
                f,
                "class {class}, data {data}, version {version}; it must be 2, 1, 1"
            ),
            Self::Machine(machine) => write!(f, "it is for another machine, e_machine {machine}"),
            Self::Type(kind) => write!(f, "it is no executable: e_type {kind}"),
            Self::HeaderSize(size) => write!(f, "its program headers have {size} bytes each"),
            Self::TooManySegments { count, limit } => {
                write!(f, "{count} program headers; {limit} are possible")
            }
            Self::NothingToLoad => write!(f, "it has nothing to load"),
            Self::Segment(index) => write!(
                f,
                "program header {index}: its bytes are not in the file, or its memory has no room for them"
            ),
            Self::Entry(entry) => write!(f, "the entry point {entry:#x} is in no segment"),
        }
    }
}

/// One PT_LOAD segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ElfSegment<'a> {
    pub paddr: u64,
    pub data: &'a [u8],
    /// At least `data.len()`; `paddr + mem_size` doesn't wrap.
    pub mem_size: u64,
}

/// What is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ElfImage<'a> {
    /// At least one, none empty, sorted by address.
    pub segments: Vec<ElfSegment<'a>>,
    /// The physical address of the entry point.
    pub entry: u64,
    /// It may be moved (ET_DYN).
    pub relocatable: bool,
}

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PHENTSIZE: u16 = 56;

/// Reads the headers of `file`, which must be for `machine`.
pub(crate) fn parse(file: &[u8], machine: u16) -> Result<ElfImage<'_>, ElfError> {
    let u16_at = |at| {
        bytes_at(file, at)
            .map(u16::from_le_bytes)
            .ok_or(ElfError::Truncated)
    };
    let u64_at = |at| {
        bytes_at(file, at)
            .map(u64::from_le_bytes)
            .ok_or(ElfError::Truncated)
    };
    let [class, data, version] = bytes_at(file, 4).ok_or(ElfError::Truncated)?;
    if (class, data, version) != (2, 1, 1) {
        return Err(ElfError::Format {
            class,
            data,
            version,
        });
    }
    let kind = u16_at(16)?;
    if kind != ET_EXEC && kind != ET_DYN {
        return Err(ElfError::Type(kind));
    }
    match u16_at(18)? {
        other if other != machine => return Err(ElfError::Machine(other)),
        _ => {}
    }
    let (entry, table) = (u64_at(24)?, u64_at(32)?);
    let (entry_size, count) = (u16_at(54)?, u16_at(56)?);
    if entry_size != PHENTSIZE {
        return Err(ElfError::HeaderSize(entry_size));
    }
    if count > MAX_SEGMENTS {
        return Err(ElfError::TooManySegments {
            count,
            limit: MAX_SEGMENTS,
        });
    }

    let mut segments = Vec::new();
    let mut entry_paddr = None;
    for index in 0..count {
        let header = usize::try_from(table)
            .ok()
            .and_then(|table| table.checked_add(usize::from(index) * usize::from(PHENTSIZE)))
            .and_then(|at| bytes_at::<{ PHENTSIZE as usize }>(file, at))
            .ok_or(ElfError::Truncated)?;
        let Some((segment, vaddr)) =
            parse_segment(file, &header).ok_or(ElfError::Segment(index))?
        else {
            continue;
        };
        // e_entry is a virtual address; the guest starts with its MMU off.
        let into = entry.wrapping_sub(vaddr);
        if into < segment.mem_size {
            entry_paddr.get_or_insert(segment.paddr + into);
        }
        segments.push(segment);
    }
    if segments.is_empty() {
        return Err(ElfError::NothingToLoad);
    }
    sort_by_key(&mut segments, |segment| segment.paddr);
    Ok(ElfImage {
        segments,
        entry: entry_paddr.ok_or(ElfError::Entry(entry))?,
        relocatable: kind == ET_DYN,
    })
}

/// A program header as a segment with its virtual address; `Some(None)` if there is nothing to
/// load, `None` if it makes no sense.
fn parse_segment<'a>(file: &'a [u8], header: &[u8]) -> Option<Option<(ElfSegment<'a>, u64)>> {
    let u64_at = |at| bytes_at(header, at).map(u64::from_le_bytes);
    let kind = u32::from_le_bytes(bytes_at(header, 0)?);
    let (offset, vaddr, paddr) = (u64_at(8)?, u64_at(16)?, u64_at(24)?);
    let (file_size, mem_size) = (u64_at(32)?, u64_at(40)?);
    if kind != PT_LOAD || mem_size == 0 {
        return Some(None);
    }
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(file_size)?).ok()?;
    let data = file.get(start..end)?;
    if file_size > mem_size {
        return None;
    }
    paddr.checked_add(mem_size)?;
    let segment = ElfSegment {
        paddr,
        data,
        mem_size,
    };
    Some(Some((segment, vaddr)))
}
