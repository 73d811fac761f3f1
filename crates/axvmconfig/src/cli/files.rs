//! The images a description names.

use std::path::{Component, Path, PathBuf};

use crate::{AxVMCrateConfig, Code, Diagnostic, Diagnostics, ImageSizes};

/// The content of a VM's images, and their absolute paths.
#[derive(Debug, Default)]
pub struct Images {
    /// The kernel.
    pub kernel: Option<(PathBuf, Vec<u8>)>,
    /// The BIOS.
    pub bios: Option<(PathBuf, Vec<u8>)>,
    /// The device tree.
    pub dtb: Option<(PathBuf, Vec<u8>)>,
    /// The ramdisk.
    pub ramdisk: Option<(PathBuf, Vec<u8>)>,
}

impl Images {
    /// All of them.
    pub fn into_all(self) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
        let all = [self.kernel, self.bios, self.dtb, self.ramdisk];
        all.into_iter().flatten()
    }
}

/// Reads the images that `config`, the description in the file `toml`, names.
pub fn load_images(toml: &Path, config: &AxVMCrateConfig) -> Result<Images, Diagnostics> {
    let mut out = Diagnostics::default();
    let folder = absolute(toml);
    let folder = folder.parent().unwrap_or(Path::new("/"));
    let mut load = |path: Option<&crate::At<String>>| {
        let path = path?;
        let file = absolute(&folder.join(&path.value));
        match std::fs::read(&file) {
            Ok(content) => Some((file, content)),
            Err(_) => {
                out.push(Diagnostic::new(Code::FileMissing, path.span));
                None
            }
        }
    };
    let kernel = &config.kernel;
    let images = Images {
        kernel: load(Some(&kernel.kernel_path)),
        bios: load(kernel.bios_path.as_ref()),
        dtb: load(kernel.dtb_path.as_ref()),
        ramdisk: load(kernel.ramdisk_path.as_ref()),
    };
    if out.0.is_empty() {
        Ok(images)
    } else {
        Err(out)
    }
}

/// `path` from the root on, without `.` and `..`. Links are not followed, for the hypervisor
/// doesn't know them either.
pub(super) fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut out = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

/// How much memory the images take, as far as a look at their heads tells.
pub fn sizes(images: &Images) -> ImageSizes {
    let length = |image: &Option<(PathBuf, Vec<u8>)>| image.as_ref().map(|(_, data)| data.len());
    ImageSizes {
        kernel: images
            .kernel
            .as_ref()
            .and_then(|(_, data)| kernel_size(data)),
        bios: length(&images.bios),
        dtb: length(&images.dtb),
        ramdisk: length(&images.ramdisk),
    }
}

fn kernel_size(data: &[u8]) -> Option<usize> {
    let le = |at: usize| {
        let bytes = data.get(at..at + 8)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    if data.starts_with(b"\x7fELF") {
        // Its segments say: the loader reads them.
        return None;
    }
    // Linux, drivers/firmware/efi/libstub/zboot-header.S: offset and length of the gzip file.
    let packed = if data.starts_with(b"MZ\0\0zimg") {
        if data.get(24..29)? != b"gzip\0" {
            return None;
        }
        let (start, length) = (le(8)? & 0xffff_ffff, le(8)? >> 32);
        Some(data.get(start..)?.get(..length)?)
    } else {
        data.starts_with(b"\x1f\x8b").then_some(data)
    };
    if let Some(packed) = packed {
        // RFC 1952, 2.3.1: the last four bytes are the size of the content, modulo 2^32.
        let last = packed.last_chunk::<4>()?;
        return usize::try_from(u32::from_le_bytes(*last)).ok();
    }
    // Linux, Documentation/arch/arm64/booting.rst and riscv/boot-image-header.rst: a mark at 56,
    // image_size at 16.
    if let Some(b"ARM\x64" | b"RSC\x05") = data.get(56..60) {
        return le(16).filter(|size| *size > 0).or(Some(data.len()));
    }
    Some(data.len())
}

#[cfg(test)]
mod tests {
    use super::kernel_size;

    fn file(head: &[u8], size_at_16: u64, mark: &[u8; 4]) -> Vec<u8> {
        let mut file = vec![0; 0x1000];
        file[..head.len()].copy_from_slice(head);
        file[16..24].copy_from_slice(&size_at_16.to_le_bytes());
        file[56..60].copy_from_slice(mark);
        file
    }

    #[test]
    fn kernels_tell_their_size() {
        assert_eq!(
            kernel_size(&file(b"MZ", 0x20_0000, b"ARM\x64")),
            Some(0x20_0000)
        );
        assert_eq!(
            kernel_size(&file(b"MZ", 0x30_0000, b"RSC\x05")),
            Some(0x30_0000)
        );
        assert_eq!(kernel_size(&file(b"", 0x30_0000, b"none")), Some(0x1000));
        assert_eq!(kernel_size(&file(b"\x7fELF", 0, b"none")), None);
        let mut packed = file(b"\x1f\x8b", 0, b"none");
        packed[0xffc..].copy_from_slice(&[0, 0, 0x40, 0]);
        assert_eq!(kernel_size(&packed), Some(0x40_0000));
        // At 0x100, 0x80 bytes.
        let head = b"MZ\0\0zimg\x00\x01\0\0\x80\0\0\0";
        let mut zboot = file(head, 0, &[0xcd, 0x23, 0x82, 0x81]);
        assert_eq!(kernel_size(&zboot), None);
        zboot[24..29].copy_from_slice(b"gzip\0");
        zboot[0x17c..0x180].copy_from_slice(&[0, 0, 0x50, 0]);
        assert_eq!(kernel_size(&zboot), Some(0x50_0000));
        zboot[12..16].fill(0xff);
        assert_eq!(kernel_size(&zboot), None);
    }
}
