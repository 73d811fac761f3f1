//! gzip files (RFC 1952) as a stream: 32 KiB of history are all the memory it takes.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use crate::image::bytes_at;

/// What is wrong with a gzip file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GzipError {
    /// Its header or trailer is cut off, or the compressed data ends early.
    Truncated,
    /// A compression method or flag that RFC 1952 doesn't define.
    Header {
        /// CM.
        method: u8,
        /// FLG.
        flags: u8,
    },
    /// Its compressed data is corrupt.
    Corrupt,
    /// It unpacks to another length than its trailer says.
    Length {
        /// What the trailer says, in bytes.
        expected: u64,
    },
    /// The unpacked bytes have another checksum than the trailer says.
    Checksum {
        /// What the trailer says.
        expected: u32,
        /// What it is.
        found: u32,
    },
}

impl fmt::Display for GzipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "it is cut off"),
            Self::Header { method, flags } => {
                write!(f, "method {method} or flags {flags:#x} are unknown")
            }
            Self::Corrupt => write!(f, "the compressed data is corrupt"),
            Self::Length { expected } => write!(
                f,
                "its trailer says {expected} bytes, and it has another number"
            ),
            Self::Checksum { expected, found } => write!(
                f,
                "its checksum is {found:#x}, and its trailer says {expected:#x}"
            ),
        }
    }
}

/// Bytes of history a deflate stream may refer to (RFC 1951, section 3.2.5).
const WINDOW: usize = 32 << 10;

/// How much compressed input one step looks at. Input can be long without giving any output.
const INPUT_STEP: usize = 64 << 10;

/// A gzip file with one member, its header and trailer taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GzipFile<'a> {
    deflated: &'a [u8],
    crc: u32,
    /// How long the unpacked data is, modulo 4 GiB: no kernel is larger.
    pub len: u64,
}

impl<'a> GzipFile<'a> {
    /// Reads header and trailer (RFC 1952, section 2.3).
    pub fn parse(file: &'a [u8]) -> Result<Self, GzipError> {
        const FHCRC: u8 = 1 << 1;
        const FEXTRA: u8 = 1 << 2;
        const FNAME: u8 = 1 << 3;
        const FCOMMENT: u8 = 1 << 4;
        const RESERVED: u8 = 0xe0;

        let [_, _, method, flags, ..] = bytes_at::<10>(file, 0).ok_or(GzipError::Truncated)?;
        if method != 8 || flags & RESERVED != 0 {
            return Err(GzipError::Header { method, flags });
        }
        let mut rest = file.get(10..).ok_or(GzipError::Truncated)?;
        if flags & FEXTRA != 0 {
            let len = bytes_at(rest, 0)
                .map(u16::from_le_bytes)
                .ok_or(GzipError::Truncated)?;
            rest = rest
                .get(2 + usize::from(len)..)
                .ok_or(GzipError::Truncated)?;
        }
        for field in [FNAME, FCOMMENT] {
            if flags & field != 0 {
                let end = rest
                    .iter()
                    .position(|&byte| byte == 0)
                    .ok_or(GzipError::Truncated)?;
                rest = rest.get(end + 1..).ok_or(GzipError::Truncated)?;
            }
        }
        if flags & FHCRC != 0 {
            rest = rest.get(2..).ok_or(GzipError::Truncated)?;
        }
        let (deflated, trailer) = rest.split_last_chunk::<8>().ok_or(GzipError::Truncated)?;
        let [c0, c1, c2, c3, l0, l1, l2, l3] = *trailer;
        Ok(Self {
            deflated,
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
            len: u64::from(u32::from_le_bytes([l0, l1, l2, l3])),
        })
    }

    /// Its first unpacked bytes, at most `max` of them and at most what one step unpacks.
    pub fn head(&self, max: usize) -> Result<Vec<u8>, GzipError> {
        let mut inflater = Inflater::new(*self);
        let piece = inflater.step()?;
        Ok(piece.get(..max).unwrap_or(piece).to_vec())
    }
}

/// Unpacks a gzip file piece by piece.
pub(crate) struct Inflater<'a> {
    file: GzipFile<'a>,
    input: &'a [u8],
    // On the heap: it is about 10 KiB.
    state: Box<DecompressorOxide>,
    window: Vec<u8>,
    pos: usize,
    crc: u32,
    produced: u64,
    done: bool,
}

impl<'a> Inflater<'a> {
    pub fn new(file: GzipFile<'a>) -> Self {
        Self {
            file,
            input: file.deflated,
            state: Box::default(),
            window: vec![0; WINDOW],
            pos: 0,
            crc: !0,
            produced: 0,
            done: false,
        }
    }

    /// Whether everything was unpacked, and found right.
    pub fn done(&self) -> bool {
        self.done
    }

    /// The next unpacked bytes: at most 32 KiB, possibly none. In total never more than the
    /// file's trailer says: what would go on is an error.
    pub fn step(&mut self) -> Result<&[u8], GzipError> {
        if self.done {
            return Ok(&[]);
        }
        if self.pos == WINDOW {
            self.pos = 0;
        }
        let start = self.pos;
        let chunk = self.input.get(..INPUT_STEP).unwrap_or(self.input);
        let flags = if chunk.len() < self.input.len() {
            inflate_flags::TINFL_FLAG_HAS_MORE_INPUT
        } else {
            0
        };
        let (status, used, written) =
            decompress(&mut self.state, chunk, &mut self.window, start, flags);
        self.input = self.input.get(used..).unwrap_or(&[]);
        self.pos = start + written;
        self.produced += written as u64;
        if self.produced > self.file.len {
            return Err(self.wrong_length());
        }
        let piece = self.window.get(start..self.pos).ok_or(GzipError::Corrupt)?;
        self.crc = crc32(self.crc, piece);
        match status {
            TINFLStatus::Done => self.check_end()?,
            TINFLStatus::HasMoreOutput => {}
            TINFLStatus::NeedsMoreInput if used > 0 => {}
            TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
                return Err(GzipError::Truncated);
            }
            _ => return Err(GzipError::Corrupt),
        }
        self.window.get(start..self.pos).ok_or(GzipError::Corrupt)
    }

    /// At the end of the deflate stream: nothing is left over, length and checksum are right.
    fn check_end(&mut self) -> Result<(), GzipError> {
        if !self.input.is_empty() {
            return Err(GzipError::Corrupt);
        }
        if self.produced != self.file.len {
            return Err(self.wrong_length());
        }
        if !self.crc != self.file.crc {
            return Err(GzipError::Checksum {
                expected: self.file.crc,
                found: !self.crc,
            });
        }
        self.done = true;
        Ok(())
    }

    fn wrong_length(&self) -> GzipError {
        GzipError::Length {
            expected: self.file.len,
        }
    }
}

/// One step of the CRC of RFC 1952, section 8; starts with all ones, is inverted at the end.
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut c = n as u32;
            let mut bit = 0;
            while bit < 8 {
                c = if c & 1 != 0 {
                    0xedb8_8320 ^ (c >> 1)
                } else {
                    c >> 1
                };
                bit += 1;
            }
            table[n] = c;
            n += 1;
        }
        table
    };
    bytes.iter().fold(crc, |crc, &byte| {
        // The index is a u8: always inside the table.
        TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}
