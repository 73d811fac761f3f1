//! Entry point, load addresses, and (once sizes are known) whether images fit.

use super::{Sink, in_memory};
use crate::{
    At, AxVMCrateConfig, Code, Data, Diagnostic, Diagnostics, MemFlags, VMKernelConfig,
    layout::{Layout, meet},
};

/// How much memory each image takes once it is loaded, in bytes; `None`: not known, or there is
/// none.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageSizes {
    /// The kernel, with what it needs behind its file (`image_size`, .bss).
    pub kernel: Option<usize>,
    /// The BIOS.
    pub bios: Option<usize>,
    /// The device tree.
    pub dtb: Option<usize>,
    /// The ramdisk.
    pub ramdisk: Option<usize>,
}

/// The load addresses with their sizes, and the alignment each needs.
fn loads(kernel: &VMKernelConfig, sizes: ImageSizes) -> [Option<(At<usize>, usize, usize)>; 4] {
    let load = |at: Option<At<usize>>, size: Option<usize>, align| {
        Some((at?, size.unwrap_or(1).max(1), align))
    };
    [
        load(kernel.kernel_load_addr, sizes.kernel, 4),
        load(kernel.bios_load_addr, sizes.bios, 4),
        // Devicetree specification 0.4, 5.1: the blob is 8-byte aligned.
        load(kernel.dtb_load_addr, sizes.dtb, 8),
        load(kernel.ramdisk_load_addr, sizes.ramdisk, 1),
    ]
}

/// What the addresses alone tell. `memory`: all memory regions are known.
pub(super) fn addresses(config: &AxVMCrateConfig, memory: bool, say: &mut Sink<'_>) {
    let kernel = &config.kernel;
    if let Some(entry) = kernel.entry_point {
        let align = Layout::of(config.arch).code_align;
        if !entry.value.is_multiple_of(align) {
            say(Diagnostic::new(Code::LoadMisaligned, entry.span).with(Data::Number(align)));
        }
        let rights = MemFlags::READ | MemFlags::EXECUTE;
        if memory && !in_memory(kernel, (entry.value, 4), rights) {
            say(outside(kernel, Code::EntryOutside, entry));
        }
    }
    for (at, size, align) in loads(kernel, ImageSizes::default()).into_iter().flatten() {
        if !at.value.is_multiple_of(align) {
            say(Diagnostic::new(Code::LoadMisaligned, at.span).with(Data::Number(align)));
        }
        if memory && !in_memory(kernel, (at.value, size), MemFlags::READ) {
            say(outside(kernel, Code::LoadOutside, at));
        }
    }
    overlaps(kernel, ImageSizes::default(), say);
    pairs(kernel, say);
}

/// `address` is not in memory as it should be: with the region that is next to it.
fn outside(kernel: &VMKernelConfig, code: Code, address: At<usize>) -> Diagnostic {
    let diagnostic = Diagnostic::new(code, address.span);
    let regions = kernel.memory_regions.iter();
    let below = regions.filter(|region| region.value.gpa <= address.value);
    let next = below.max_by_key(|region| region.value.gpa);
    match next.or(kernel.memory_regions.first()) {
        Some(region) => diagnostic
            .with(Data::Range(region.value.gpa, region.value.size))
            .and(region.span),
        None => diagnostic,
    }
}

/// An address needs its file, a BIOS needs its address. (A device tree is generated if there is no
/// file, so its address stands alone.)
fn pairs(kernel: &VMKernelConfig, say: &mut Sink<'_>) {
    let files = [
        (&kernel.bios_path, kernel.bios_load_addr),
        (&kernel.ramdisk_path, kernel.ramdisk_load_addr),
    ];
    for (path, address) in files {
        if let (None, Some(address)) = (path, address) {
            say(Diagnostic::new(Code::AddressWithoutFile, address.span));
        }
    }
    if let (Some(path), None) = (&kernel.bios_path, kernel.bios_load_addr) {
        let missing = Diagnostic::new(Code::FileWithoutAddress, path.span);
        say(missing.with(Data::Want("bios_load_addr")));
    }
}

fn overlaps(kernel: &VMKernelConfig, sizes: ImageSizes, say: &mut Sink<'_>) {
    let loads = loads(kernel, sizes);
    for (n, load) in loads.iter().enumerate() {
        let Some((at, size, _)) = *load else {
            continue;
        };
        for (first, first_size, _) in loads.iter().take(n).flatten() {
            let (range, other) = ((at.value, size), (first.value, *first_size));
            if meet(range, other) {
                let data = match (range.1, other.1) {
                    // Sizes that aren't known say nothing.
                    (1, 1) => Data::None,
                    _ => Data::Ranges(range, other),
                };
                let overlap = Diagnostic::new(Code::ImagesOverlap, at.span);
                say(overlap.with(data).and(first.span));
            }
        }
    }
}

/// Whether the images fit where the description puts them, now that their sizes are known. Images
/// whose place is left to the loader must fit into the largest region.
pub fn check_images(config: &AxVMCrateConfig, sizes: ImageSizes) -> Diagnostics {
    let mut out = Diagnostics::default();
    let kernel = &config.kernel;
    for (at, size, _) in loads(kernel, sizes).into_iter().flatten() {
        if !in_memory(kernel, (at.value, size), MemFlags::READ) {
            let range = Data::Range(at.value, size);
            out.push(Diagnostic::new(Code::ImageTooBig, at.span).with(range));
        }
    }
    overlaps(kernel, sizes, &mut |d| out.push(d));
    let largest = kernel.memory_regions.iter().map(|r| r.value.size).max();
    let free = [
        (
            Some(&kernel.kernel_path),
            kernel.kernel_load_addr,
            sizes.kernel,
        ),
        (kernel.dtb_path.as_ref(), kernel.dtb_load_addr, sizes.dtb),
        (
            kernel.ramdisk_path.as_ref(),
            kernel.ramdisk_load_addr,
            sizes.ramdisk,
        ),
    ];
    for (path, address, size) in free {
        if let (Some(path), None, Some(size)) = (path, address, size)
            && size > largest.unwrap_or(0)
        {
            out.push(Diagnostic::new(Code::ImageTooBig, path.span).with(Data::Number(size)));
        }
    }
    out
}
