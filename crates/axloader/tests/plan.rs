//! Where kernels, ramdisks and device trees go, and what is refused.
#![allow(clippy::single_range_in_vec_init)] // RAM is a list of ranges, often of one.

mod common;

use axloader::{
    ElfError, GzipError, ImageError, Inputs, LoadError, LoadPlan, Loader, PlanError, What,
};
use common::*;

const RAM: [std::ops::Range<u64>; 1] = [0x4000_0000..0x6000_0000];

fn error(inputs: &axloader::Inputs<'_>) -> PlanError {
    LoadPlan::new(inputs).map(drop).unwrap_err()
}

#[test]
fn linux_gets_base_dtb_behind_it_and_ramdisk_on_top() {
    let kernel = image(0, 33 * MIB, 32 * MIB as usize);
    let ramdisk = vec![0xaa; 3 * MIB as usize + 5];
    let mut inputs = inputs(&kernel, &RAM);
    inputs.ramdisk = Some(&ramdisk);
    let mut plan = LoadPlan::new(&inputs).unwrap();
    assert_eq!(plan.entry(), 0x4000_0000);
    assert_eq!(plan.dtb(), 0x4000_0000 + 34 * MIB);
    let start = 0x6000_0000 - 3 * MIB - 0x1_0000;
    assert_eq!(plan.ramdisk(), Some(start..start + 3 * MIB + 5));
    plan.set_dtb(vec![0xdd; 5000]).unwrap();

    let mut memory = Memory::new(&RAM);
    let mut loader = Loader::new(&plan);
    let mut steps = 0;
    while loader.step(&mut memory).unwrap() {
        steps += 1;
    }
    assert!(steps >= 17, "{steps} steps are too few for 35 MiB");
    assert_eq!(memory.read(0x4000_0000, kernel.len()), kernel);
    assert_eq!(memory.read(start, ramdisk.len()), ramdisk);
    assert_eq!(memory.read(plan.dtb(), 5000), vec![0xdd; 5000]);
    assert_eq!(plan.overwritten(), memory.ranges());
    assert!(!loader.step(&mut memory).unwrap());
}

#[test]
fn text_offset_is_added_and_checked() {
    let kernel = image(0x8_0000, MIB, 0x1000);
    assert_eq!(
        LoadPlan::new(&inputs(&kernel, &RAM)).unwrap().entry(),
        0x4008_0000
    );
    let odd_ram = [0x4010_0000..0x6000_0000];
    assert_eq!(
        LoadPlan::new(&inputs(&kernel, &odd_ram)).unwrap().entry(),
        0x4028_0000
    );
    let mut given = inputs(&kernel, &RAM);
    given.kernel_addr = Some(0x4808_0000);
    assert_eq!(LoadPlan::new(&given).unwrap().entry(), 0x4808_0000);
    given.kernel_addr = Some(0x4800_0000);
    assert_eq!(
        error(&given),
        PlanError::Misaligned {
            what: What::Kernel,
            gpa: 0x4800_0000,
            offset: 0x8_0000,
            align: 2 * MIB
        }
    );
}

/// Kernels before v3.17: text_offset is 0x80000 whatever the field says, the size unknown.
#[test]
fn old_images_get_room_for_bss() {
    let kernel = image(0x1234, 0, 0x1000);
    let plan = LoadPlan::new(&inputs(&kernel, &RAM)).unwrap();
    assert_eq!(plan.entry(), 0x4008_0000);
    assert!(plan.dtb() >= 0x4008_0000 + 16 * MIB);
}

#[test]
fn image_size_must_fit_not_only_the_file() {
    let kernel = image(0, 600 * MIB, 0x1000);
    assert_eq!(
        error(&inputs(&kernel, &RAM)),
        PlanError::NoRoom {
            what: What::Kernel,
            size: 600 * MIB
        }
    );
    let mut given = inputs(&kernel, &RAM);
    given.kernel_addr = Some(0x4000_0000);
    assert_eq!(
        error(&given),
        PlanError::OutsideRam {
            what: What::Kernel,
            range: 0x4000_0000..0x4000_0000 + 600 * MIB
        }
    );
    let huge = image(0, u64::MAX, 0x1000);
    given.kernel = &huge;
    assert_eq!(
        error(&given),
        PlanError::Wraps {
            what: What::Kernel,
            gpa: 0x4000_0000,
            size: u64::MAX
        }
    );
}

#[test]
fn gzip_is_unpacked_once_and_checked() {
    let kernel = image(0, 9 * MIB, 8 * MIB as usize + 77);
    let packed = gzip(&kernel);
    let plan = LoadPlan::new(&inputs(&packed, &RAM)).unwrap();
    assert_eq!(
        plan.overwritten(),
        [0x4000_0000..0x4000_0000 + 8 * MIB + 77]
    );
    let mut memory = Memory::new(&RAM);
    Loader::new(&plan).run(&mut memory).unwrap();
    assert_eq!(memory.read(0x4000_0000, kernel.len()), kernel);

    let run = |packed: &[u8]| {
        let plan = LoadPlan::new(&inputs(packed, &RAM)).unwrap();
        Loader::new(&plan).run(&mut Memory::new(&RAM)).unwrap_err()
    };
    let len = packed.len();
    let mut wrong = packed.clone();
    wrong[len - 6] ^= 1;
    assert!(matches!(
        run(&wrong),
        LoadError::Gzip(GzipError::Checksum { .. })
    ));
    let mut short = packed.clone();
    short.splice(len - 100..len - 8, []);
    assert_eq!(run(&short), LoadError::Gzip(GzipError::Truncated));
    let mut longer = packed.clone();
    longer.splice(len - 8..len - 8, [0, 0]);
    assert_eq!(run(&longer), LoadError::Gzip(GzipError::Corrupt));
}

/// What unpacks to more than its trailer says must not write more.
#[test]
fn gzip_bomb_stops_at_its_promise() {
    let mut packed = gzip(&image(0, MIB, 4 * MIB as usize));
    let len = packed.len();
    packed[len - 4..].copy_from_slice(&(100_000u32).to_le_bytes());
    let plan = LoadPlan::new(&inputs(&packed, &RAM)).unwrap();
    let mut memory = Memory::new(&RAM);
    assert_eq!(
        Loader::new(&plan).run(&mut memory),
        Err(LoadError::Gzip(GzipError::Length { expected: 100_000 }))
    );
    assert!(
        memory
            .ranges()
            .iter()
            .all(|range| range.end <= 0x4000_0000 + 100_000)
    );
    // And one that promises more than RAM is not even begun.
    packed[len - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        error(&inputs(&packed, &RAM)),
        PlanError::NoRoom { .. }
    ));
}

#[test]
fn gzip_of_something_else_is_refused() {
    let packed = gzip(&[0u8; 1000]);
    assert_eq!(
        error(&inputs(&packed, &RAM)),
        PlanError::Image(ImageError::CompressedNotImage)
    );
    assert_eq!(
        error(&inputs(&[0x1f, 0x8b, 8, 0], &RAM)),
        PlanError::Image(ImageError::Gzip(GzipError::Truncated))
    );
}

/// An EFI zboot image with `payload` in it.
fn zboot(compression: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x400];
    file[..8].copy_from_slice(b"MZ\0\0zimg");
    file[8..12].copy_from_slice(&0x400u32.to_le_bytes());
    file[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file[24..24 + compression.len()].copy_from_slice(compression);
    // LINUX_PE_MAGIC, where an Image has its own.
    file[56..60].copy_from_slice(&0x8182_23cd_u32.to_le_bytes());
    file.extend_from_slice(payload);
    file.resize(file.len() + 0x200, 0xee);
    file
}

#[test]
fn the_image_in_a_zboot_image_is_unpacked() {
    let kernel = image(0, 2 * MIB, MIB as usize);
    let file = zboot(b"gzip\0", &gzip(&kernel));
    let plan = LoadPlan::new(&inputs(&file, &RAM)).unwrap();
    let mut memory = Memory::new(&RAM);
    Loader::new(&plan).run(&mut memory).unwrap();
    assert_eq!(memory.read(0x4000_0000, kernel.len()), kernel);

    let refused = |file: &[u8]| error(&inputs(file, &RAM));
    for name in [&b"zstd22\0"[..], b"gzip2\0", b""] {
        assert_eq!(
            refused(&zboot(name, &gzip(&kernel))),
            PlanError::Image(ImageError::CompressedOtherwise)
        );
    }
    let truncated = PlanError::Image(ImageError::Gzip(GzipError::Truncated));
    assert_eq!(
        refused(&file[..20]),
        PlanError::Image(ImageError::CompressedOtherwise)
    );
    assert_eq!(refused(&file[..file.len() / 2]), truncated);
    for at in [8, 12] {
        let mut wild = file.clone();
        wild[at..at + 4].fill(0xff);
        assert_eq!(refused(&wild), truncated);
    }
    assert!(matches!(
        refused(&zboot(b"gzip\0", &gzip(&[0; 1000]))),
        PlanError::Image(ImageError::CompressedNotImage)
    ));
}

fn two_segments(kind: u16, base: u64) -> Vec<u8> {
    let text = Load {
        vaddr: 0xffff_0000_0000_0000,
        paddr: base,
        data: vec![0x11; 0x3000],
        mem_size: 0x3000,
    };
    let data = Load {
        vaddr: 0xffff_0000_0001_0000,
        paddr: base + 0x1_0000,
        data: vec![0x22; 0x100],
        mem_size: 0x30_0000,
    };
    // The order in the file says nothing.
    elf(kind, 183, 0xffff_0000_0000_0040, &[data, text])
}

#[test]
fn elf_goes_where_it_is_linked_with_bss_cleared() {
    let kernel = two_segments(2, 0x4120_0000);
    let plan = LoadPlan::new(&inputs(&kernel, &RAM)).unwrap();
    assert_eq!(plan.entry(), 0x4120_0040);
    let mut memory = Memory::new(&RAM);
    Loader::new(&plan).run(&mut memory).unwrap();
    assert_eq!(memory.read(0x4120_0000, 0x3000), vec![0x11; 0x3000]);
    assert_eq!(memory.read(0x4121_0000, 0x100), vec![0x22; 0x100]);
    assert_eq!(memory.read(0x4121_0100, 0x2f_ff00), vec![0; 0x2f_ff00]);
    assert_eq!(memory.zeroed, 0x2f_ff00);
    assert_eq!(plan.overwritten(), memory.ranges());

    let mut elsewhere = inputs(&kernel, &RAM);
    elsewhere.kernel_addr = Some(0x4000_0000);
    assert_eq!(
        error(&elsewhere),
        PlanError::Image(ImageError::LinkedElsewhere {
            linked: 0x4120_0000,
            configured: 0x4000_0000
        })
    );
}

/// As QEMU has it on Arm, where such a program isn't told where it is.
#[test]
fn the_tree_of_an_elf_file_is_where_ram_starts() {
    let start = RAM[0].start;
    let dtb = |linked| {
        let kernel = two_segments(2, linked);
        LoadPlan::new(&inputs(&kernel, &RAM)).unwrap().dtb()
    };
    assert_eq!(dtb(start + 0x8_0000), start);
    // Unless there is something.
    assert!(dtb(start) >= start + 2 * MIB);
    assert!(dtb(start + 0x1000) >= start + 2 * MIB);
}

#[test]
fn position_independent_elf_moves() {
    let kernel = two_segments(3, 0);
    let mut given = inputs(&kernel, &RAM);
    assert_eq!(LoadPlan::new(&given).unwrap().entry(), 0x4000_0040);
    given.kernel_addr = Some(0x4444_5000);
    assert_eq!(LoadPlan::new(&given).unwrap().entry(), 0x4444_5040);
    given.kernel_addr = Some(0x4444_5800);
    assert!(matches!(
        error(&given),
        PlanError::Misaligned { align: 4096, .. }
    ));
    given.kernel_addr = Some(u64::MAX - 4095);
    assert!(matches!(error(&given), PlanError::Wraps { .. }));
}

#[test]
fn broken_elf_is_refused() {
    let elf_error = |file: &[u8]| match error(&inputs(file, &RAM)) {
        PlanError::Image(ImageError::Elf(error)) => error,
        other => panic!("{other:?}"),
    };
    let good = two_segments(2, 0x4120_0000);
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    assert_eq!(elf_error(&good[..60]), ElfError::Truncated);
    assert_eq!(
        elf_error(&with(4, &[1])),
        ElfError::Format {
            class: 1,
            data: 1,
            version: 1
        }
    );
    assert_eq!(elf_error(&with(16, &[1])), ElfError::Type(1));
    assert_eq!(elf_error(&with(18, &[62])), ElfError::Machine(62));
    assert_eq!(elf_error(&with(24, &[0; 8])), ElfError::Entry(0));
    assert_eq!(elf_error(&with(54, &[55])), ElfError::HeaderSize(55));
    assert_eq!(
        elf_error(&with(56, &[0xff, 0xff])),
        ElfError::TooManySegments {
            count: 0xffff,
            limit: 128
        }
    );
    assert_eq!(elf_error(&with(56, &[0, 0])), ElfError::NothingToLoad);
    // The first header: file offset, physical address, file size.
    assert_eq!(elf_error(&with(64 + 8, &[0xff; 8])), ElfError::Segment(0));
    assert_eq!(elf_error(&with(64 + 24, &[0xff; 8])), ElfError::Segment(0));
    assert_eq!(elf_error(&with(64 + 32, &[0xff; 4])), ElfError::Segment(0));
    assert_eq!(
        elf_error(&with(64 + 56 + 40, &[1, 0])),
        ElfError::Segment(1)
    );
}

#[test]
fn elf_segments_must_not_overlap() {
    let part = |paddr| Load {
        vaddr: paddr,
        paddr,
        data: vec![1; 0x2000],
        mem_size: 0x2000,
    };
    let kernel = elf(2, 183, 0x4000_0000, &[part(0x4000_0000), part(0x4000_1000)]);
    let error = error(&inputs(&kernel, &RAM));
    assert_eq!(
        error,
        PlanError::Overlap {
            first: What::Kernel,
            first_range: 0x4000_0000..0x4000_2000,
            second: What::Kernel,
            second_range: 0x4000_1000..0x4000_3000,
        }
    );
    assert_eq!(
        error.to_string(),
        "the kernel at 0x40000000..0x40002000 and the kernel at 0x40001000..0x40003000 overlap"
    );
}

#[test]
fn raw_goes_to_the_start_of_ram_or_where_it_is_told() {
    let kernel = vec![0x5a; 0x1234];
    let mut raw = inputs(&kernel, &RAM);
    let plan = LoadPlan::new(&raw).unwrap();
    assert_eq!(plan.entry(), RAM[0].start);
    assert_eq!(plan.segments()[0].gpa, RAM[0].start);
    raw.kernel_addr = Some(0x4000_1004);
    assert_eq!(LoadPlan::new(&raw).unwrap().entry(), 0x4000_1004);
    raw.entry = Some(0x4000_1100);
    assert_eq!(LoadPlan::new(&raw).unwrap().entry(), 0x4000_1100);
    raw.entry = Some(0x4000_1102);
    assert!(matches!(
        error(&raw),
        PlanError::Misaligned {
            what: What::Entry,
            ..
        }
    ));
    assert_eq!(
        error(&raw).to_string(),
        "the entry point at 0x40001102 must be at a multiple of 0x4"
    );
    raw.entry = Some(0x4000_1000);
    assert_eq!(
        error(&raw),
        PlanError::EntryOutsideImage { entry: 0x4000_1000 }
    );
    raw.kernel = &[];
    assert_eq!(error(&raw), PlanError::Image(ImageError::Empty));
}

/// Behind a raw program may be anything that is cleared at its start.
#[test]
fn the_tree_of_a_raw_program_is_far_from_it() {
    let kernel = vec![0x5a; 0x1234];
    let start = RAM[0].start;
    let dtb = |size: u64| LoadPlan::new(&inputs(&kernel, &[start..start + size])).map(|p| p.dtb());
    assert_eq!(dtb(1024 * MIB).unwrap(), start + 128 * MIB);
    assert_eq!(dtb(64 * MIB).unwrap(), start + 32 * MIB);
    assert_eq!(dtb(6 * MIB).unwrap(), start + 4 * MIB);
    // The end of a small one.
    assert_eq!(dtb(MIB).unwrap(), start + MIB - 0x1_0000);
    // A large program may reach beyond the middle.
    let kernel = vec![0x5a; 5 * MIB as usize];
    let ram = [start..start + 8 * MIB];
    let plan = LoadPlan::new(&inputs(&kernel, &ram)).unwrap();
    assert_eq!(plan.dtb(), start + 6 * MIB);
}

/// The tree in the middle doesn't take the room for a ramdisk.
#[test]
fn a_raw_program_may_have_a_large_ramdisk() {
    let (kernel, ramdisk) = (vec![0x5a; MIB as usize], vec![0xd; 80 * MIB as usize]);
    let start = RAM[0].start;
    let ram = [start..start + 128 * MIB];
    let given = Inputs {
        ramdisk: Some(&ramdisk),
        ..inputs(&kernel, &ram)
    };
    let plan = LoadPlan::new(&given).unwrap();
    let placed = plan.ramdisk().unwrap();
    assert_eq!(placed, start + 48 * MIB..start + 128 * MIB);
    assert!((start + MIB..placed.start).contains(&plan.dtb()));
}

#[test]
fn ram_is_checked() {
    let kernel = image(0, MIB, 4096);
    assert_eq!(error(&inputs(&kernel, &[])), PlanError::NoRam);
    assert_eq!(error(&inputs(&kernel, &[4096..4096])), PlanError::NoRam);
    assert_eq!(
        error(&inputs(&kernel, &[0x8000..0xa000, 0x1000..0x9000])),
        PlanError::RamOverlaps(0x1000..0x9000, 0x8000..0xa000)
    );
}

#[test]
fn given_places_are_kept_and_checked() {
    let kernel = image(0, MIB, 4096);
    let ramdisk = vec![1; 0x2_0000];
    let mut given = inputs(&kernel, &RAM);
    given.ramdisk = Some(&ramdisk);
    given.ramdisk_addr = Some(0x4800_0000);
    given.dtb_addr = Some(0x47ff_0008);
    let mut plan = LoadPlan::new(&given).unwrap();
    assert_eq!(plan.ramdisk(), Some(0x4800_0000..0x4802_0000));
    assert_eq!(plan.dtb(), 0x47ff_0008);
    // The room in front of the ramdisk was known to be too small; what counts is the real size.
    plan.clone().set_dtb(vec![0; 0x8000]).unwrap();
    assert_eq!(
        plan.set_dtb(vec![0; 0x1_0000]),
        Err(PlanError::Overlap {
            first: What::Ramdisk,
            first_range: 0x4800_0000..0x4802_0000,
            second: What::Dtb,
            second_range: 0x47ff_0008..0x4800_0008,
        })
    );
    given.dtb_addr = Some(0x47ff_0004);
    assert!(matches!(
        error(&given),
        PlanError::Misaligned {
            what: What::Dtb,
            align: 8,
            ..
        }
    ));
    given.dtb_addr = None;
    given.ramdisk_addr = Some(0x4008_0000);
    assert!(matches!(
        error(&given),
        PlanError::Overlap {
            first: What::Kernel,
            second: What::Ramdisk,
            ..
        }
    ));
    given.ramdisk_addr = Some(0x5fff_0000);
    assert_eq!(
        error(&given),
        PlanError::OutsideRam {
            what: What::Ramdisk,
            range: 0x5fff_0000..0x6001_0000
        }
    );
}

#[test]
fn dtb_is_at_most_2_mib() {
    let kernel = image(0, MIB, 4096);
    let mut plan = LoadPlan::new(&inputs(&kernel, &RAM)).unwrap();
    assert_eq!(
        plan.set_dtb(vec![0; 2 * MIB as usize + 1]),
        Err(PlanError::DtbTooLarge {
            size: 2 * MIB + 1,
            limit: 2 * MIB
        })
    );
    plan.set_dtb(vec![0; 2 * MIB as usize]).unwrap();
    let mut large = inputs(&kernel, &RAM);
    large.dtb_room = 3 * MIB;
    assert!(matches!(error(&large), PlanError::DtbTooLarge { .. }));
    large.dtb_room = u64::MAX;
    assert!(matches!(error(&large), PlanError::DtbTooLarge { .. }));
}

/// 1 MiB of RAM has no second multiple of 2 MiB.
#[test]
fn small_ram_has_its_dtb_at_the_end() {
    let ram = [0x4000_0000..0x4010_0000];
    let kernel = vec![0; 0x1000];
    let mut raw = inputs(&kernel, &ram);
    (raw.kernel_addr, raw.entry) = (Some(0x4000_0000), Some(0x4000_0000));
    assert_eq!(LoadPlan::new(&raw).unwrap().dtb(), 0x400f_0000);
}

/// booting.rst: kernel and ramdisk within one window of 32 GiB, aligned to 1 GiB.
#[test]
fn ramdisk_stays_in_reach() {
    let ram = [GIB..65 * GIB];
    let kernel = image(0, MIB, 4096);
    let ramdisk = vec![1; 0x1_0000];
    let mut given = inputs(&kernel, &ram);
    given.ramdisk = Some(&ramdisk);
    assert_eq!(
        LoadPlan::new(&given).unwrap().ramdisk().unwrap().end,
        33 * GIB
    );
    given.ramdisk_addr = Some(33 * GIB - 0x8000);
    assert_eq!(
        error(&given),
        PlanError::RamdiskOutOfReach {
            range: 33 * GIB - 0x8000..33 * GIB + 0x8000,
            window: GIB..33 * GIB
        }
    );
    // A kernel high up reaches down, too.
    given.kernel_addr = Some(40 * GIB);
    given.ramdisk_addr = Some(9 * GIB);
    LoadPlan::new(&given).unwrap();
    given.ramdisk_addr = Some(9 * GIB - 0x1_0000);
    assert!(matches!(error(&given), PlanError::RamdiskOutOfReach { .. }));
}

#[test]
fn a_refused_write_names_its_place() {
    let kernel = image(0, 4 * MIB, 3 * MIB as usize);
    let plan = LoadPlan::new(&inputs(&kernel, &RAM)).unwrap();
    let mut memory = Memory::new(&[0x4000_0000..0x4020_0000]);
    assert_eq!(
        Loader::new(&plan).run(&mut memory),
        Err(LoadError::Memory {
            gpa: 0x4020_0000,
            error: "outside RAM"
        })
    );
}

#[test]
fn a_bios_runs_first_and_the_kernel_avoids_it() {
    let (kernel, bios) = (image(0, MIB, 4096), [0x5a; 100]);
    let ram = [GIB..GIB + 64 * MIB];
    let mut inputs = inputs(&kernel, &ram);
    inputs.bios = Some((&bios, GIB));
    let plan = LoadPlan::new(&inputs).unwrap();
    assert_eq!(plan.entry(), GIB);
    let [first, second] = plan.segments() else {
        panic!("{:?}", plan.segments());
    };
    assert_eq!((first.gpa, first.size()), (GIB, 100));
    assert_eq!((second.gpa, second.size()), (GIB + 2 * MIB, 4096));

    // The entry may be named: in the BIOS, or in the kernel.
    for entry in [GIB + 96, GIB + 2 * MIB + 64] {
        inputs.entry = Some(entry);
        assert_eq!(LoadPlan::new(&inputs).unwrap().entry(), entry);
    }
    inputs.entry = Some(GIB + 100);
    assert_eq!(
        error(&inputs),
        PlanError::EntryOutsideImage { entry: GIB + 100 }
    );

    // A raw kernel needs no entry then.
    let raw = [1, 2, 3, 4];
    inputs.kernel = &raw;
    inputs.kernel_addr = Some(GIB + MIB);
    inputs.entry = None;
    assert_eq!(LoadPlan::new(&inputs).unwrap().entry(), GIB);
}

#[test]
fn a_bios_is_checked_as_others_are() {
    let (kernel, bios) = (image(0, MIB, 4096), [0x5a; 100]);
    let ram = [GIB..GIB + 64 * MIB];
    let mut inputs = inputs(&kernel, &ram);
    let what = What::Bios;
    inputs.bios = Some((&[], GIB));
    assert_eq!(error(&inputs), ImageError::Empty.into());
    inputs.bios = Some((&bios, u64::MAX - 10));
    let gpa = u64::MAX - 10;
    assert_eq!(
        error(&inputs),
        PlanError::Wraps {
            what,
            gpa,
            size: 100
        }
    );
    inputs.bios = Some((&bios, GIB - 1));
    let range = GIB - 1..GIB + 99;
    assert_eq!(error(&inputs), PlanError::OutsideRam { what, range });
    inputs.bios = Some((&bios, GIB + 2));
    assert!(matches!(error(&inputs), PlanError::Misaligned { .. }));
    inputs.bios = Some((&bios, GIB + 4096));
    inputs.kernel_addr = Some(GIB);
    assert!(matches!(
        error(&inputs),
        PlanError::Overlap {
            first: What::Bios,
            second: What::Kernel,
            ..
        }
    ));
}

#[test]
fn a_ramdisk_is_not_ignored() {
    let kernel = image(0, MIB, 4096);
    let ram = [GIB..GIB + 64 * MIB];
    let mut inputs = inputs(&kernel, &ram);
    inputs.ramdisk = None;
    inputs.ramdisk_addr = Some(GIB + 8 * MIB);
    let (what, gpa) = (What::Ramdisk, GIB + 8 * MIB);
    assert_eq!(error(&inputs), PlanError::AddressWithoutFile { what, gpa });
    inputs.ramdisk = Some(&[]);
    assert_eq!(error(&inputs), ImageError::Empty.into());
}

const RISCV_RAM: [std::ops::Range<u64>; 1] = [0x8000_0000..0xa000_0000];

/// boot-image-header.rst: 2 MiB behind the start of RAM, which is kept for firmware.
#[test]
fn a_riscv_kernel_goes_behind_firmwares_place() {
    let kernel = riscv_image(2 * MIB, 33 * MIB, 9 * MIB as usize);
    for file in [kernel.clone(), gzip(&kernel)] {
        let ramdisk = vec![0xaa; MIB as usize];
        let mut given = riscv_inputs(&file, &RISCV_RAM);
        given.ramdisk = Some(&ramdisk);
        let plan = LoadPlan::new(&given).unwrap();
        assert_eq!(plan.entry(), 0x8020_0000);
        assert_eq!(plan.dtb(), 0x8020_0000 + 34 * MIB);
        assert_eq!(plan.ramdisk(), Some(0xa000_0000 - MIB..0xa000_0000));
        let mut memory = Memory::new(&RISCV_RAM);
        Loader::new(&plan).run(&mut memory).unwrap();
        assert_eq!(memory.read(0x8020_0000, kernel.len()), kernel);
        given.kernel_addr = Some(0x8030_0000);
        assert!(matches!(error(&given), PlanError::Misaligned { .. }));
    }
    // One that says nothing of its size gets room, and the usual place.
    let silent = riscv_image(0, 0, 0x1000);
    let plan = LoadPlan::new(&riscv_inputs(&silent, &RISCV_RAM)).unwrap();
    assert_eq!(plan.entry(), 0x8020_0000);
    assert!(plan.dtb() >= 0x8020_0000 + 16 * MIB);
}

#[test]
fn images_of_other_architectures_are_refused() {
    let foreign = PlanError::Image(ImageError::OtherArchitecture);
    let arm = image(0x8_0000, MIB, 0x1000);
    assert_eq!(error(&riscv_inputs(&arm, &RISCV_RAM)), foreign);
    let riscv = riscv_image(2 * MIB, MIB, 0x1000);
    assert_eq!(error(&inputs(&riscv, &RAM)), foreign);
    let packed = gzip(&arm);
    assert_eq!(
        error(&riscv_inputs(&packed, &RISCV_RAM)),
        PlanError::Image(ImageError::CompressedNotImage)
    );
}

#[test]
fn riscv_elf_and_raw() {
    let load = |paddr| Load {
        vaddr: paddr,
        paddr,
        data: vec![0x13; 0x40],
        mem_size: 0x1000,
    };
    let kernel = elf(2, 243, 0x8010_0002, &[load(0x8010_0000)]);
    let plan = LoadPlan::new(&riscv_inputs(&kernel, &RISCV_RAM)).unwrap();
    assert_eq!(plan.entry(), 0x8010_0002, "compressed instructions");
    let arm = elf(2, 183, 0x8010_0000, &[load(0x8010_0000)]);
    assert!(matches!(
        error(&riscv_inputs(&arm, &RISCV_RAM)),
        PlanError::Image(ImageError::Elf(_))
    ));
    let raw = [0x13; 0x100];
    let mut given = riscv_inputs(&raw, &RISCV_RAM);
    assert_eq!(LoadPlan::new(&given).unwrap().entry(), 0x8000_0000);
    given.entry = Some(0x8000_0002);
    assert_eq!(LoadPlan::new(&given).unwrap().entry(), 0x8000_0002);
    given.entry = Some(0x8000_0001);
    assert!(matches!(error(&given), PlanError::Misaligned { .. }));
}
