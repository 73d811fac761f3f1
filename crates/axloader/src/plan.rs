//! Where everything goes, decided and checked before anything is written.

use alloc::vec::Vec;
use core::ops::Range;

use crate::elf::{self, ElfImage};
use crate::gzip::GzipFile;
use crate::image::{HEADER_LEN, ImageHeader, Kind, zboot_payload};
use crate::{BootProtocol, ImageError, PlanError, What, sort_by_key};

mod space;

use space::{Space, align_up, span};

/// Device tree and ramdisk, where the plan chooses their places, begin and end at multiples of
/// this: a kernel with 64 KiB pages frees its ramdisk by whole pages.
const CHUNK: u64 = 64 << 10;

/// The largest device tree the boot protocol allows (booting.rst, "Setup the device tree"). One
/// that starts at a multiple of this crosses none, which kernels before v4.2 ask for too.
const DTB_MAX: u64 = 2 << 20;

/// How much memory a kernel that doesn't say its size gets behind its last byte, for its BSS and
/// first page tables.
const UNKNOWN_BSS: u64 = 16 << 20;

/// A raw program gets its device tree this far from the start of its RAM at most, where that is not
/// beyond the middle: it says nothing of the BSS, heap and stack behind it, and may clear them before
/// it reads the tree. QEMU's rule for Arm boards is the same.
const FAR: u64 = 128 << 20;

/// What the configuration says, and the files it names. Addresses left out are chosen.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The architecture's boot protocol.
    pub protocol: &'a BootProtocol,
    /// The guest's RAM, by guest physical address. The first region's start is what the guest
    /// takes for the start of its RAM.
    pub ram: &'a [Range<u64>],
    /// The kernel file: `Image`, gzip of an `Image`, EFI zboot image with one, ELF, or a raw program.
    pub kernel: &'a [u8],
    /// Where the kernel's first byte goes. A raw program needs it.
    pub kernel_addr: Option<u64>,
    /// A BIOS, a raw program, and where its first byte goes.
    pub bios: Option<(&'a [u8], u64)>,
    /// The guest physical address of the first instruction, in kernel or BIOS, if it isn't the
    /// BIOS's first or, without one, that which the kernel's format defines. A raw program needs it.
    pub entry: Option<u64>,
    /// The ramdisk, as it is.
    pub ramdisk: Option<&'a [u8]>,
    /// Where the ramdisk goes.
    pub ramdisk_addr: Option<u64>,
    /// Where the device tree goes.
    pub dtb_addr: Option<u64>,
    /// How many bytes to keep free for the device tree: an upper bound of its size, as it is made
    /// after the plan ([`fdt::ROOM`](crate::fdt::ROOM)).
    pub dtb_room: u64,
}

/// Where the bytes of a segment come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// A part of a file.
    Bytes(&'a [u8]),
    /// The device tree, made for this guest.
    Owned(Vec<u8>),
    /// A gzip file, unpacked on the way.
    Gzip(Unpacked<'a>),
    /// This many zero bytes.
    Zero(u64),
}

/// A gzip file whose header and trailer were found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked<'a>(pub(crate) GzipFile<'a>);

/// A range of RAM and what is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The guest physical address of its first byte.
    pub gpa: u64,
    /// What is written.
    pub source: Source<'a>,
}

impl Segment<'_> {
    /// How many bytes it writes.
    pub fn size(&self) -> u64 {
        match &self.source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Owned(bytes) => bytes.len() as u64,
            Source::Gzip(Unpacked(file)) => file.len,
            Source::Zero(size) => *size,
        }
    }
}

/// What is written where, and where the guest starts.
#[derive(Clone, Debug)]
pub struct LoadPlan<'a> {
    segments: Vec<Segment<'a>>,
    space: Space,
    entry: u64,
    dtb: u64,
    /// A device tree whose place is chosen lies here or above, if there is room.
    dtb_from: u64,
    /// But here, if there is room.
    dtb_at: Option<u64>,
    ramdisk: Option<Range<u64>>,
}

impl<'a> LoadPlan<'a> {
    /// Decides where BIOS, kernel and ramdisk go and where the device tree will.
    ///
    /// Places that are not given:
    /// - the kernel as low in RAM as its boot protocol allows, because kernels before v4.6 can't
    ///   use the memory below them;
    /// - the device tree at the next multiple of 2 MiB behind the kernel, because kernels before
    ///   v4.2 find it within 512 MiB of themselves only; in a small RAM at its end; for a raw program
    ///   in the middle of its RAM, or 128 MiB from its start; for an ELF file on Arm at the start of
    ///   RAM, if the file leaves that free;
    /// - the ramdisk as high as the kernel reaches, so that it doesn't split the free memory.
    pub fn new(inputs: &Inputs<'a>) -> Result<Self, PlanError> {
        let mut plan = Self {
            segments: Vec::new(),
            space: Space::new(inputs.ram)?,
            entry: 0,
            dtb: 0,
            dtb_from: 0,
            dtb_at: None,
            ramdisk: None,
        };
        plan.place_bios(inputs)?;
        plan.place_kernel(inputs)?;
        if !plan.entry.is_multiple_of(inputs.protocol.instruction_align) {
            return Err(PlanError::Misaligned {
                what: What::Entry,
                gpa: plan.entry,
                offset: 0,
                align: inputs.protocol.instruction_align,
            });
        }
        // Explicit places first, so that chosen ones avoid them; and the ramdisk before a tree whose
        // place would split the memory it needs.
        let ramdisk_first =
            inputs.ramdisk_addr.is_some() || (inputs.dtb_addr.is_none() && plan.dtb_from != 0);
        if ramdisk_first {
            plan.place_ramdisk(inputs)?;
        }
        plan.dtb = match inputs.dtb_addr {
            Some(addr) => plan.explicit_dtb(addr, inputs.dtb_room)?,
            None => plan.choose_dtb(inputs.dtb_room)?,
        };
        if !ramdisk_first {
            plan.place_ramdisk(inputs)?;
        }
        Ok(plan)
    }

    /// The guest physical address of the first instruction.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Where the device tree is, or will be.
    pub fn dtb(&self) -> u64 {
        self.dtb
    }

    /// Where the ramdisk is: exactly its bytes.
    pub fn ramdisk(&self) -> Option<Range<u64>> {
        self.ramdisk.clone()
    }

    /// What is written, in the order in which it is.
    pub fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// Adds the device tree, at most once.
    pub fn set_dtb(&mut self, dtb: Vec<u8>) -> Result<(), PlanError> {
        let size = dtb.len() as u64;
        if size > DTB_MAX {
            return Err(PlanError::DtbTooLarge {
                size,
                limit: DTB_MAX,
            });
        }
        let range = span(What::Dtb, self.dtb, size)?;
        self.space.replace_room(range)?;
        self.segments.push(Segment {
            gpa: self.dtb,
            source: Source::Owned(dtb),
        });
        Ok(())
    }

    /// The ranges of RAM that loading overwrites completely, ascending, apart from each other.
    /// The guest may expect nothing of the rest, so the rest is what must be scrubbed.
    pub fn overwritten(&self) -> Vec<Range<u64>> {
        // Planning has checked that no segment's end wraps.
        let mut all: Vec<Range<u64>> = self
            .segments
            .iter()
            .map(|s| s.gpa..s.gpa.saturating_add(s.size()))
            .collect();
        sort_by_key(&mut all, |range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::with_capacity(all.len());
        for range in all.into_iter().filter(|range| !range.is_empty()) {
            match merged.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => merged.push(range),
            }
        }
        merged
    }

    /// First, so that a kernel whose place is chosen avoids it.
    fn place_bios(&mut self, inputs: &Inputs<'a>) -> Result<(), PlanError> {
        let Some((data, gpa)) = inputs.bios else {
            return Ok(());
        };
        if data.is_empty() {
            return Err(ImageError::Empty.into());
        }
        let range = span(What::Bios, gpa, data.len() as u64)?;
        self.space.take(What::Bios, range)?;
        self.segments.push(Segment {
            gpa,
            source: Source::Bytes(data),
        });
        Ok(())
    }

    fn place_kernel(&mut self, inputs: &Inputs<'a>) -> Result<(), PlanError> {
        if inputs.kernel.is_empty() {
            return Err(ImageError::Empty.into());
        }
        let bytes = Source::Bytes(inputs.kernel);
        match Kind::of(inputs.protocol, inputs.kernel) {
            Kind::Image(header) => self.place_image(inputs, header, bytes),
            Kind::Gzip => self.place_gzip(inputs, inputs.kernel),
            Kind::Zboot => self.place_gzip(inputs, zboot_payload(inputs.kernel)?),
            Kind::Elf => {
                let image = elf::parse(inputs.kernel, inputs.protocol.elf_machine)?;
                let start = inputs.ram.first().map(|region| region.start);
                self.dtb_at = start.filter(|_| inputs.protocol.elf_tree_first);
                self.place_elf(inputs, &image)
            }
            Kind::Foreign => Err(ImageError::OtherArchitecture.into()),
            Kind::Raw => {
                // At the start of RAM, from its first byte on, unless the description says more.
                const PAGE: u64 = 4096;
                let size = inputs.kernel.len() as u64;
                let gpa = match inputs.kernel_addr {
                    Some(gpa) => gpa,
                    None => self.space.lowest(0, size, PAGE).ok_or(PlanError::NoRoom {
                        what: What::Kernel,
                        size,
                    })?,
                };
                self.add_kernel_part(gpa, bytes, 0)?;
                self.dtb_from = self.space.middle(gpa, FAR);
                self.set_entry(inputs, gpa)
            }
        }
    }

    fn place_gzip(&mut self, inputs: &Inputs<'a>, packed: &'a [u8]) -> Result<(), PlanError> {
        let file = GzipFile::parse(packed)?;
        let header = ImageHeader::parse(inputs.protocol, &file.head(HEADER_LEN)?)
            .ok_or(ImageError::CompressedNotImage)?;
        self.place_image(inputs, header, Source::Gzip(Unpacked(file)))
    }

    /// A Linux `Image`: at an aligned address plus its text_offset (booting.rst, "Call the kernel
    /// image").
    fn place_image(
        &mut self,
        inputs: &Inputs<'a>,
        header: ImageHeader,
        source: Source<'a>,
    ) -> Result<(), PlanError> {
        let (align, offset) = (inputs.protocol.image_align, header.text_offset);
        let file_size = Segment {
            gpa: 0,
            source: source.clone(),
        }
        .size();
        let size = match header.image_size {
            Some(size) => size.max(file_size),
            None => file_size.saturating_add(UNKNOWN_BSS),
        };
        let gpa = match inputs.kernel_addr {
            Some(gpa) => gpa,
            None => self
                .space
                .lowest_with_offset(What::Kernel, size, align, offset)?,
        };
        if !gpa.wrapping_sub(offset).is_multiple_of(align) {
            return Err(PlanError::Misaligned {
                what: What::Kernel,
                gpa,
                offset,
                align,
            });
        }
        self.add_kernel_part(gpa, source, size)?;
        self.set_entry(inputs, gpa)
    }

    /// An ELF file where it is linked; a position-independent one (which relocates itself) where
    /// it is told, or low in RAM if it isn't linked for RAM.
    fn place_elf(&mut self, inputs: &Inputs<'a>, image: &ElfImage<'a>) -> Result<(), PlanError> {
        let linked = image.segments.first().map_or(0, |first| first.paddr);
        let end = image
            .segments
            .iter()
            .map(|s| s.paddr + s.mem_size)
            .max()
            .unwrap_or(linked);
        let base = match inputs.kernel_addr {
            Some(configured) if configured != linked && !image.relocatable => {
                return Err(ImageError::LinkedElsewhere { linked, configured }.into());
            }
            Some(configured) => configured,
            None if image.relocatable && !self.space.is_ram(linked) => {
                let align = inputs.protocol.image_align;
                self.space
                    .lowest_with_offset(What::Kernel, end - linked, align, linked % align)?
            }
            None => linked,
        };
        // Page-relative addressing (Arm's ADRP) must still hold.
        const PAGE: u64 = 4096;
        if !base.wrapping_sub(linked).is_multiple_of(PAGE) {
            return Err(PlanError::Misaligned {
                what: What::Kernel,
                gpa: base,
                offset: linked % PAGE,
                align: PAGE,
            });
        }
        // Checks that nothing below wraps.
        span(What::Kernel, base, end - linked)?;
        for segment in &image.segments {
            let gpa = base + (segment.paddr - linked);
            self.add_kernel_part(gpa, Source::Bytes(segment.data), segment.mem_size)?;
            let loaded = segment.data.len() as u64;
            if segment.mem_size > loaded {
                self.segments.push(Segment {
                    gpa: gpa + loaded,
                    source: Source::Zero(segment.mem_size - loaded),
                });
            }
        }
        self.set_entry(inputs, base.wrapping_add(image.entry.wrapping_sub(linked)))
    }

    /// A part of the kernel that takes `size` bytes, or its own if they are more.
    fn add_kernel_part(
        &mut self,
        gpa: u64,
        source: Source<'a>,
        size: u64,
    ) -> Result<(), PlanError> {
        let segment = Segment { gpa, source };
        let range = span(What::Kernel, gpa, size.max(segment.size()))?;
        self.space.take(What::Kernel, range)?;
        self.segments.push(segment);
        Ok(())
    }

    /// `kernel`: where the kernel starts.
    fn set_entry(&mut self, inputs: &Inputs<'a>, kernel: u64) -> Result<(), PlanError> {
        let bios = inputs.bios.map(|(_, gpa)| gpa);
        let entry = inputs.entry.or(bios).unwrap_or(kernel);
        let loaded = |what| self.space.is_taken_by(what, entry);
        if !loaded(What::Kernel) && !loaded(What::Bios) {
            return Err(PlanError::EntryOutsideImage { entry });
        }
        self.entry = entry;
        Ok(())
    }

    fn explicit_dtb(&mut self, addr: u64, room: u64) -> Result<u64, PlanError> {
        const ALIGN: u64 = 8;
        if !addr.is_multiple_of(ALIGN) {
            return Err(PlanError::Misaligned {
                what: What::Dtb,
                gpa: addr,
                offset: 0,
                align: ALIGN,
            });
        }
        self.space.keep_room(addr, room);
        Ok(addr)
    }

    fn choose_dtb(&mut self, room: u64) -> Result<u64, PlanError> {
        let room = align_up(room, CHUNK)
            .filter(|&room| room <= DTB_MAX)
            .ok_or(PlanError::DtbTooLarge {
                size: room,
                limit: DTB_MAX,
            })?;
        let kernel = self.space.extent_of(What::Kernel);
        let addr = self
            .dtb_at
            .filter(|&at| self.space.lowest(at, room, CHUNK) == Some(at))
            .or_else(|| {
                self.space
                    .lowest(kernel.end.max(self.dtb_from), room, DTB_MAX)
            })
            .or_else(|| self.space.highest(0..u64::MAX, room, CHUNK))
            .ok_or(PlanError::NoRoom {
                what: What::Dtb,
                size: room,
            })?;
        self.space.keep_room(addr, room);
        Ok(addr)
    }

    /// The ramdisk lies in an aligned window that covers the kernel (booting.rst, "Setup the
    /// device tree" ff.: "within a 1 GB aligned physical memory window of up to 32 GB").
    fn place_ramdisk(&mut self, inputs: &Inputs<'a>) -> Result<(), PlanError> {
        let what = What::Ramdisk;
        let data = match (inputs.ramdisk, inputs.ramdisk_addr) {
            (None, None) => return Ok(()),
            (None, Some(gpa)) => return Err(PlanError::AddressWithoutFile { what, gpa }),
            (Some([]), _) => return Err(ImageError::Empty.into()),
            (Some(data), _) => data,
        };
        let (size, window, align) = (
            data.len() as u64,
            inputs.protocol.ramdisk_window,
            inputs.protocol.ramdisk_window_align,
        );
        let kernel = self.space.extent_of(What::Kernel);
        let first = kernel.start / align * align;
        let reach = first..first.saturating_add(window);
        let gpa = match inputs.ramdisk_addr {
            Some(gpa) => gpa,
            None => align_up(size, CHUNK)
                .and_then(|room| self.space.highest(reach.clone(), room, CHUNK))
                .ok_or(PlanError::NoRoom {
                    what: What::Ramdisk,
                    size,
                })?,
        };
        let range = span(What::Ramdisk, gpa, size)?;
        // A ramdisk below the kernel shifts the window down.
        let lowest = range.start.min(kernel.start) / align * align;
        if range.end.max(kernel.end) > lowest.saturating_add(window) {
            return Err(PlanError::RamdiskOutOfReach {
                range,
                window: reach,
            });
        }
        self.space.take(What::Ramdisk, range.clone())?;
        self.segments.push(Segment {
            gpa,
            source: Source::Bytes(data),
        });
        self.ramdisk = Some(range);
        Ok(())
    }
}
