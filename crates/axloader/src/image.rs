//! What kind of kernel a file is, found by its content.

use crate::{AARCH64, BootProtocol, GzipError, ImageError, RISCV64};

/// The little-endian value of `N` bytes at `offset`; `None` past the end.
pub(crate) fn bytes_at<const N: usize>(data: &[u8], offset: usize) -> Option<[u8; N]> {
    data.get(offset..)?.first_chunk::<N>().copied()
}

/// Length of the header of a Linux `Image`.
pub(crate) const HEADER_LEN: usize = 64;

/// What is known of a Linux `Image` from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageHeader {
    /// The image starts this many bytes after an aligned address.
    pub text_offset: u64,
    /// How much memory it needs from its first byte on, if the header says so.
    pub image_size: Option<u64>,
}

impl ImageHeader {
    /// Reads the header at the start of `data`; `None` if there is none.
    ///
    /// Before v3.17 image_size was zero and the byte order of text_offset unspecified, so it is
    /// not looked at then (booting.rst, "Call the kernel image").
    pub fn parse(protocol: &BootProtocol, data: &[u8]) -> Option<Self> {
        let header = data.first_chunk::<HEADER_LEN>()?;
        if bytes_at::<4>(header, protocol.magic_offset)? != protocol.magic {
            return None;
        }
        let text_offset = u64::from_le_bytes(bytes_at(header, 8)?);
        Some(match u64::from_le_bytes(bytes_at(header, 16)?) {
            0 => Self {
                text_offset: protocol.legacy_text_offset,
                image_size: None,
            },
            size => Self {
                text_offset,
                image_size: Some(size),
            },
        })
    }
}

/// A kernel file's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Image(ImageHeader),
    Elf,
    Gzip,
    /// A program for UEFI that unpacks the `Image` it holds: [`zboot_payload`].
    Zboot,
    /// A Linux Image, but not one of this architecture.
    Foreign,
    Raw,
}

impl Kind {
    /// A Linux Image may begin with "MZ" (its EFI stub), so its magic number decides, not the
    /// file's first bytes.
    pub fn of(protocol: &BootProtocol, data: &[u8]) -> Self {
        if let Some(header) = ImageHeader::parse(protocol, data) {
            Self::Image(header)
        } else if data.starts_with(b"\x7fELF") {
            Self::Elf
        } else if data.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if data.starts_with(b"MZ\0\0zimg") {
            Self::Zboot
        } else if [AARCH64, RISCV64]
            .iter()
            .any(|other| ImageHeader::parse(other, data).is_some())
        {
            Self::Foreign
        } else {
            Self::Raw
        }
    }
}

/// The gzip file in an EFI zboot image (Linux, drivers/firmware/efi/libstub/zboot-header.S): its
/// offset is at 8, its length at 12, and at 24 the name of the way it is compressed.
pub(crate) fn zboot_payload(data: &[u8]) -> Result<&[u8], ImageError> {
    let word = |offset| bytes_at(data, offset).map(|bytes| u32::from_le_bytes(bytes) as usize);
    if bytes_at(data, 24) != Some(*b"gzip\0") {
        return Err(ImageError::CompressedOtherwise);
    }
    let payload = || data.get(word(8)?..)?.get(..word(12)?);
    payload().ok_or(ImageError::Gzip(GzipError::Truncated))
}
