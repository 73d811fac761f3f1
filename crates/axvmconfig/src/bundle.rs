//! The boot bundle: a cpio archive (newc) of VM descriptions and the images they name.
//!
//! The archive comes from whoever boots the machine and is read where it lies: nothing is copied,
//! nothing is allocated, every offset is checked.

use core::fmt;

/// The most files in a bundle.
pub const MAX_ENTRIES: usize = 256;

/// The longest name of a file in bytes.
pub const MAX_NAME: usize = 1024;

/// A newc header: "070701" and 13 numbers of 8 hexadecimal digits.
const HEADER: usize = 110;
const MAGIC: &[u8] = b"070701";
const TRAILER: &str = "TRAILER!!!";

/// The field numbers of a header that are used here.
const MODE: usize = 1;
const FILE_SIZE: usize = 6;
const NAME_SIZE: usize = 11;

/// File type bits of the mode field.
const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

/// Why an archive is refused; `offset` is that of the header concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// The archive ends too early.
    Truncated {
        /// Bytes from the start of the archive.
        offset: usize,
    },
    /// No header here: not "070701", or a number that isn't one.
    BadHeader {
        /// Bytes from the start of the archive.
        offset: usize,
    },
    /// The name is empty, too long, absolute, no UTF-8, or has an empty part, `.` or `..`.
    BadName {
        /// Bytes from the start of the archive.
        offset: usize,
    },
    /// Neither a regular file nor a directory.
    BadType {
        /// Bytes from the start of the archive.
        offset: usize,
        /// The mode field.
        mode: u32,
    },
    /// A second file of the same name.
    Duplicate {
        /// Bytes from the start of the archive.
        offset: usize,
    },
    /// More than [`MAX_ENTRIES`] files and directories.
    TooMany,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { offset } => write!(f, "the bundle ends early, at {offset:#x}"),
            Self::BadHeader { offset } => write!(f, "no cpio (newc) header at {offset:#x}"),
            Self::BadName { offset } => write!(f, "a bad file name at {offset:#x}"),
            Self::BadType { offset, mode } => {
                write!(f, "not a regular file (mode {mode:#o}) at {offset:#x}")
            }
            Self::Duplicate { offset } => write!(f, "a second file of that name at {offset:#x}"),
            Self::TooMany => write!(f, "more than {MAX_ENTRIES} files"),
        }
    }
}

impl core::error::Error for BundleError {}

/// A file of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name: relative, parts separated by single `/`, no `.` or `..`.
    pub name: &'a str,
    /// Its content. Aligned to 4 bytes in an archive that is.
    pub data: &'a [u8],
}

/// An archive that has been checked as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Bundle<'a> {
    archive: &'a [u8],
}

impl<'a> Bundle<'a> {
    /// Checks `archive`. Bytes after its end mark are ignored: boot loaders round sizes up.
    pub fn new(archive: &'a [u8]) -> Result<Self, BundleError> {
        let mut raw = Raw { archive, offset: 0 };
        let mut count = 0;
        loop {
            let offset = raw.offset;
            let Some(entry) = raw.next()? else {
                return Ok(Self { archive });
            };
            count += 1;
            if count > MAX_ENTRIES {
                return Err(BundleError::TooMany);
            }
            if let Some(entry) = entry {
                // Names up to here are good and unique; at most MAX_ENTRIES are compared.
                let earlier = Files(Raw { archive, offset: 0 });
                let mut earlier = earlier.take_while(|e| !core::ptr::eq(e.name, entry.name));
                if earlier.any(|e| e.name == entry.name) {
                    return Err(BundleError::Duplicate { offset });
                }
            }
        }
    }

    /// The files in the archive's order, without directories.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        Files(Raw {
            archive: self.archive,
            offset: 0,
        })
    }

    /// The VM descriptions: files whose name ends in `.toml`, in the archive's order.
    pub fn descriptions(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.iter().filter(|entry| entry.name.ends_with(".toml"))
    }

    /// The file that `path`, as written in the description called `toml`, names: relative to that
    /// description, `.` and `..` allowed as long as they stay inside the archive.
    pub fn resolve(&self, toml: &str, path: &str) -> Option<Entry<'a>> {
        self.iter().find(|entry| names(entry.name, toml, path))
    }
}

/// Whether `path` relative to the file `toml` is the file `name`; `name` and `toml` are normal.
fn names(name: &str, toml: &str, path: &str) -> bool {
    if path.starts_with('/') {
        return false;
    }
    // How many of the folders that `toml` is in are left, and the parts that follow them. A `..`
    // after a name would take that name back: both are counted from the end.
    let folders = toml.split('/').count().saturating_sub(1);
    let mut kept = folders;
    let mut skip = 0usize;
    let mut rest = name.rsplit('/');
    for part in path.rsplit('/') {
        match part {
            "" | "." => {}
            ".." => skip = skip.saturating_add(1),
            _ if skip > 0 => skip = skip.saturating_sub(1),
            _ => {
                if rest.next() != Some(part) {
                    return false;
                }
            }
        }
    }
    match kept.checked_sub(skip) {
        Some(left) => kept = left,
        None => return false,
    }
    let left = rest.clone().count();
    // `rest` runs backwards: compare its forward form with the first `kept` folders.
    left == kept && name.split('/').take(kept).eq(toml.split('/').take(kept))
}

/// The files of a checked archive.
struct Files<'a>(Raw<'a>);

impl<'a> Iterator for Files<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            match self.0.next() {
                Ok(Some(Some(entry))) => return Some(entry),
                Ok(Some(None)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

/// A walk over an archive's headers.
#[derive(Clone, Copy)]
struct Raw<'a> {
    archive: &'a [u8],
    offset: usize,
}

impl<'a> Raw<'a> {
    /// The next file, `Some(None)` for a directory, `None` at the end mark. Each call moves on by
    /// a header at least, or ends the walk.
    fn next(&mut self) -> Result<Option<Option<Entry<'a>>>, BundleError> {
        let offset = self.offset;
        let truncated = BundleError::Truncated { offset };
        let header = self.take(HEADER).ok_or(truncated)?;
        let bad_header = BundleError::BadHeader { offset };
        if !header.starts_with(MAGIC) {
            return Err(bad_header);
        }
        let field = |number| field(header, number).ok_or(bad_header);
        let (mode, name_size, size) = (field(MODE)?, field(NAME_SIZE)?, field(FILE_SIZE)?);
        let bad_name = BundleError::BadName { offset };
        let name_size = name_size as usize;
        if name_size > MAX_NAME + 1 {
            return Err(bad_name);
        }
        let name = self.take(name_size).ok_or(truncated)?;
        let name = name.strip_suffix(b"\0").ok_or(bad_name)?;
        let name = core::str::from_utf8(name).map_err(|_| bad_name)?;
        if name == TRAILER {
            return Ok(None);
        }
        self.align().ok_or(truncated)?;
        let data = self.take(size as usize).ok_or(truncated)?;
        self.align().ok_or(truncated)?;
        match mode & TYPE_MASK {
            DIRECTORY => return Ok(Some(None)),
            REGULAR => {}
            _ => return Err(BundleError::BadType { offset, mode }),
        }
        let name = name.strip_prefix("./").unwrap_or(name);
        if name.contains(char::is_control) || name.split('/').any(|p| ["", ".", ".."].contains(&p))
        {
            return Err(bad_name);
        }
        Ok(Some(Some(Entry { name, data })))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.offset.checked_add(len)?;
        let bytes = self.archive.get(self.offset..end)?;
        self.offset = end;
        Some(bytes)
    }

    /// Names and contents are padded to a multiple of four bytes.
    fn align(&mut self) -> Option<()> {
        self.offset = self.offset.checked_next_multiple_of(4)?;
        Some(())
    }
}

/// Number `number` of a header.
fn field(header: &[u8], number: usize) -> Option<u32> {
    let start = MAGIC.len() + 8 * number;
    let digits = header.get(start..start + 8)?;
    digits.iter().try_fold(0u32, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests;
