//! Writing boot bundles: the same files give the same bytes.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::files::{Images, absolute};
use crate::bundle::{Bundle, BundleError, MAX_ENTRIES};

/// Why no bundle was written.
#[derive(Debug, PartialEq, Eq)]
pub enum PackError {
    /// A file's name isn't UTF-8.
    Name(PathBuf),
    /// A file has 4 GiB or more: the archive can't say so.
    Size(PathBuf),
    /// More than [`MAX_ENTRIES`] files.
    TooMany,
    /// What was written would not be read back.
    Unreadable(BundleError),
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(path) => write!(f, "{}: the name is not UTF-8", path.display()),
            Self::Size(path) => write!(f, "{}: 4 GiB or more", path.display()),
            Self::TooMany => write!(f, "more than {MAX_ENTRIES} files"),
            Self::Unreadable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PackError {}

/// A bundle of VMs: for each its description's path and text, and its images. Files keep their
/// places relative to each other, so that paths in descriptions stay right; a file that several
/// VMs name is stored once. Descriptions stay in the order given.
pub fn pack(vms: Vec<(PathBuf, String, Images)>) -> Result<Vec<u8>, PackError> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for (path, text, images) in vms {
        let description = (absolute(&path), text.into_bytes());
        for (path, data) in std::iter::once(description).chain(images.into_all()) {
            if !files.iter().any(|(earlier, _)| *earlier == path) {
                files.push((path, data));
            }
        }
    }
    let root = common_folder(files.iter().map(|(path, _)| path.as_path()));
    let mut named = Vec::new();
    for (path, data) in files {
        let name = path.strip_prefix(&root).unwrap_or(&path).to_str();
        match name {
            Some(name) => named.push((name.to_owned(), data)),
            None => return Err(PackError::Name(path)),
        }
    }
    let archive = write_archive(&named)?;
    Bundle::new(&archive).map_err(PackError::Unreadable)?;
    Ok(archive)
}

/// The deepest folder that holds all of `paths`.
fn common_folder<'a>(mut paths: impl Iterator<Item = &'a Path>) -> PathBuf {
    let first = paths.next().and_then(Path::parent);
    let mut common = first.unwrap_or(Path::new("/")).to_path_buf();
    for path in paths {
        while !path.starts_with(&common) && common.pop() {}
    }
    common
}

/// A cpio archive (newc) of files: name, content. Times, owners and inode numbers don't depend on
/// the machine.
pub fn write_archive(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, PackError> {
    if files.len() > MAX_ENTRIES {
        return Err(PackError::TooMany);
    }
    let mut out = Vec::new();
    for (n, (name, data)) in files.iter().enumerate() {
        let size = u32::try_from(data.len()).map_err(|_| PackError::Size(name.into()))?;
        entry(&mut out, n + 1, name, 0o100_644, size);
        out.extend_from_slice(data);
        pad(&mut out);
    }
    entry(&mut out, 0, "TRAILER!!!", 0, 0);
    Ok(out)
}

fn entry(out: &mut Vec<u8>, inode: usize, name: &str, mode: u32, size: u32) {
    // inode, mode, uid, gid, links, mtime, size, four device numbers, size of the name, checksum.
    let header = format!(
        "070701{inode:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}\
         {:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        name.len() + 1,
        0
    );
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
