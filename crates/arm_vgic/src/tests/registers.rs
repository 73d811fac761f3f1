//! Registers, one by one: reset values, writable bits, access sizes.

use super::fake::*;
use crate::{Config, DIST_SIZE, MAX_SPIS, REDIST_STRIDE, Vgic};

const SGI: u64 = 0x1_0000;
const ONES: u64 = u32::MAX as u64;

fn g() -> std::sync::Arc<FakeVgic> {
    started(2, 4)
}

#[test]
fn distributor_identification() {
    let g = g();
    // DS and ARE read as one and ignore writes; so do the reserved bits.
    g.dist_write(0, 0, 4, 0);
    assert_eq!(g.dist_read(0, 0, 4), 0x50);
    g.dist_write(0, 0, 4, ONES);
    assert_eq!(g.dist_read(0, 0, 4), 0x53);
    // 96 INTIDs, 10 bits, A3V, No1N; no security, LPIs or message-based SPIs.
    assert_eq!(g.dist_read(0, 4, 4), 2 | 9 << 19 | 3 << 24);
    assert_eq!(g.dist_read(0, 8, 4) & 0xfff, 0x43b);
    assert_eq!(g.dist_read(0, 0xc, 4), 0);
    assert_eq!(g.dist_read(0, 0xffe8, 4), 0x3b);
    let cid = [0xfff0, 0xfff4, 0xfff8, 0xfffc].map(|o| g.dist_read(0, o, 4));
    assert_eq!(cid, [0x0d, 0xf0, 0x05, 0xb1]);
    assert_eq!(g.dist_read(0, 0xffe8, 1), 0, "words only");
}

#[test]
fn private_interrupts_are_not_in_the_distributor() {
    let g = g();
    for offset in [
        0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x41c, 0xc00, 0xc04,
    ] {
        g.dist_write(0, offset, 4, ONES);
        assert_eq!(g.dist_read(0, offset, 4), 0, "{offset:#x}");
    }
}

#[test]
fn legacy_and_reserved_registers_read_as_zero() {
    let g = g();
    for offset in (0..DIST_SIZE + 8).step_by(4) {
        let known = matches!(offset, 0..0xc | 0x84..0x90 | 0x104..0x110 | 0x184..0x190
            | 0x204..0x400 | 0x420..0x460 | 0xc08..0xc18 | 0x6100..0x6300 | 0xffd0..0x1_0000);
        if !known {
            for width in [1, 2, 4, 8] {
                g.dist_write(0, offset, width, u64::MAX);
                assert_eq!(g.dist_read(0, offset, width), 0, "{offset:#x} {width}");
            }
        }
    }
}

#[test]
fn no_offset_or_width_is_too_much() {
    let g = g();
    for width in [0, 1, 2, 3, 4, 8, 16] {
        for offset in (0..4 * REDIST_STRIDE)
            .step_by(2)
            .chain([u64::MAX, u64::MAX - 7, 1 << 40])
        {
            g.redist_write(1, offset, width, u64::MAX);
            g.redist_read(1, offset, width);
            if !(2 * DIST_SIZE..1 << 50).contains(&offset) {
                g.dist_write(1, offset, width, u64::MAX);
                g.dist_read(1, offset, width);
            }
        }
    }
}

#[test]
fn enable_and_group_bits() {
    let g = g();
    let pairs = [(0x104, 0x184), (0x108, 0x188)];
    for (set, clear) in pairs {
        assert_eq!(g.dist_read(0, set, 4), 0);
        g.dist_write(0, set, 4, 0xff00_0011);
        g.dist_write(0, set, 4, 0x100);
        assert_eq!(g.dist_read(0, set, 4), 0xff00_0111);
        g.dist_write(0, clear, 4, 0xf000_0010);
        assert_eq!(g.dist_read(0, clear, 4), 0x0f00_0101);
    }
    g.dist_write(0, 0x84, 4, 0xa5a5_5a5a);
    assert_eq!(g.dist_read(0, 0x84, 4), 0xa5a5_5a5a);
    // Beyond the implemented SPIs.
    g.dist_write(0, 0x10c, 4, ONES);
    assert_eq!(g.dist_read(0, 0x10c, 4), 0);
    // Halfwords and bytes are not supported.
    g.dist_write(0, 0x104, 2, 0xffff);
    g.dist_write(0, 0x104, 1, 0xff);
    assert_eq!(g.dist_read(0, 0x104, 4), 0xff00_0111 & !0xf000_0010);
    assert_eq!(g.dist_read(0, 0x104, 1), 0);
}

#[test]
fn the_last_four_intids_do_not_exist() {
    power_on(1, 4);
    let config = Config {
        affinities: &[0],
        spis: MAX_SPIS,
        linked_ppis: &[],
        passthrough_spis: &[],
    };
    let g = Vgic::<Fake, _>::new(&config, Bell::default()).expect("valid");
    for offset in [0xfc, 0x17c, 0x27c, 0x37c] {
        g.dist_write(0, offset, 4, ONES);
        assert_eq!(g.dist_read(0, offset, 4), 0x0fff_ffff, "{offset:#x}");
    }
    g.dist_write(0, 0x7fc, 4, ONES);
    assert_eq!(g.dist_read(0, 0x7fc, 4), 0);
    g.dist_write(0, 0x7fd8, 8, 5);
    assert_eq!(g.dist_read(0, 0x7fd8, 8), 5);
    g.dist_write(0, 0x7fe0, 8, 5);
    assert_eq!(g.dist_read(0, 0x7fe0, 8), 0);
}

#[test]
fn pending_and_active_bits() {
    let g = g();
    g.dist_write(0, 0x204, 4, 0b1110);
    assert_eq!(g.dist_read(0, 0x284, 4), 0b1110);
    g.dist_write(0, 0x284, 4, 0b0110);
    assert_eq!(g.dist_read(0, 0x204, 4), 0b1000);
    g.dist_write(0, 0x304, 4, 0b0111);
    g.dist_write(0, 0x384, 4, 0b0010);
    assert_eq!(g.dist_read(0, 0x304, 4), 0b0101);
    // A level keeps it pending.
    g.set_level(33, true);
    g.dist_write(0, 0x284, 4, 0b0010);
    assert_eq!(g.dist_read(0, 0x204, 4), 0b1010);
    g.set_level(33, false);
    assert_eq!(g.dist_read(0, 0x204, 4), 0b1000);
    // Private ones, another vCPU's too.
    let base = REDIST_STRIDE + SGI;
    g.redist_write(0, base + 0x200, 4, 0x10_0001);
    g.redist_write(0, base + 0x300, 4, 2);
    assert_eq!(g.redist_read(0, base + 0x280, 4), 0x10_0001);
    assert_eq!(g.redist_read(1, base + 0x380, 4), 2);
    assert_eq!(g.redist_read(0, SGI + 0x200, 4), 0);
    g.redist_write(0, base + 0x280, 4, 1);
    assert_eq!(g.redist_read(0, base + 0x200, 4), 0x10_0000);
}

#[test]
fn priorities_are_bytes_of_five_bits() {
    let g = g();
    g.dist_write(0, 0x424, 4, 0xffff_ffff);
    assert_eq!(g.dist_read(0, 0x424, 4), 0xf8f8_f8f8);
    g.dist_write(0, 0x425, 1, 0x17);
    assert_eq!(g.dist_read(0, 0x424, 4), 0xf8f8_10f8);
    assert_eq!(g.dist_read(0, 0x425, 1), 0x10);
    assert_eq!(g.dist_read(0, 0x424, 2), 0, "no halfwords");
    g.redist_write(0, SGI + 0x400, 4, 0x0102_0304 << 3);
    g.redist_write(0, SGI + 0x41f, 1, 0xff);
    assert_eq!(g.redist_read(1, SGI + 0x400, 4), 0x0810_1820);
    assert_eq!(g.redist_read(1, SGI + 0x41c, 4), 0xf800_0000);
    assert_eq!(g.redist_read(1, SGI + 0x403, 1), 0x08);
    assert_eq!(g.redist_read(1, SGI + 0x420, 4), 0, "no SPIs here");
}

#[test]
fn triggers() {
    let g = g();
    g.dist_write(0, 0xc08, 4, 0xffff_ffff);
    assert_eq!(
        g.dist_read(0, 0xc08, 4),
        0xaaaa_aaaa & !(2 << (2 * (PASSTHROUGH - 32))) | 2 << (2 * (PASSTHROUGH - 32))
    );
    g.dist_write(0, 0xc0c, 4, 0x8);
    assert_eq!((g.dist_read(0, 0xc0c, 4), g.dist_read(0, 0xc10, 4)), (8, 0));
    assert_eq!(g.redist_read(0, SGI + 0xc00, 4), 0xaaaa_aaaa);
    g.redist_write(0, SGI + 0xc00, 4, 0);
    assert_eq!(
        g.redist_read(0, SGI + 0xc00, 4),
        0xaaaa_aaaa,
        "SGIs are edges"
    );
    g.redist_write(0, SGI + 0xc04, 4, 0x200);
    assert_eq!(g.redist_read(0, SGI + 0xc04, 4), 0x200);
}

#[test]
fn routes() {
    let g = g();
    let at = 0x6000 + 8 * 33;
    g.dist_write(0, at, 8, u64::MAX);
    // No1N: IRM is reserved.
    assert_eq!(g.dist_read(0, at, 8), 0xff_00ff_ffff);
    g.dist_write(0, at, 4, 0x8001_0203);
    g.dist_write(0, at + 4, 4, 0x45);
    assert_eq!(g.dist_read(0, at, 8), 0x45_0001_0203);
    assert_eq!(g.dist_read(0, at + 4, 4), 0x45);
    assert_eq!(g.dist_read(0, at, 2), 0);
    g.dist_write(0, 0x6000, 8, 1);
    assert_eq!(g.dist_read(0, 0x6000, 8), 0, "not for private interrupts");
}

#[test]
fn redistributor_identification() {
    let g = cluster_of(&[0x7f_0000_0102, 3]);
    assert_eq!(g.redist_read(0, 8, 8), 0x7f00_0102 << 32);
    assert_eq!(
        g.redist_read(0, REDIST_STRIDE + 8, 8),
        3 << 32 | 1 << 8 | 1 << 4
    );
    assert_eq!(g.redist_read(0, 8, 4), 0);
    assert_eq!(g.redist_read(0, 12, 4), 0x7f00_0102);
    assert_eq!(g.redist_read(0, 4, 4) & 0xfff, 0x43b);
    assert_eq!(g.redist_read(0, 0xffe8, 4), 0x3b);
    assert_eq!(g.redist_read(0, 0, 4), 0);
    assert_eq!(
        g.redist_read(0, 2 * REDIST_STRIDE + 8, 8),
        0,
        "after the last"
    );
    assert_eq!(g.redist_read(0, SGI + 0xffe8, 4), 0);
}

fn cluster_of(affinities: &[u64]) -> FakeVgic {
    power_on(1, 4);
    let config = Config {
        affinities,
        spis: 32,
        linked_ppis: &[],
        passthrough_spis: &[],
    };
    Vgic::new(&config, Bell::default()).expect("valid")
}

#[test]
fn waker() {
    let g = g();
    assert_eq!(g.redist_read(0, 0x14, 4), 6);
    g.redist_write(0, 0x14, 4, 0);
    assert_eq!(g.redist_read(0, 0x14, 4), 0);
    assert_eq!(g.redist_read(0, REDIST_STRIDE + 0x14, 4), 6);
    g.redist_write(0, 0x14, 4, 2);
    assert_eq!(g.redist_read(0, 0x14, 4), 6);
}

#[test]
fn reset_is_power_on() {
    let g = g();
    let snapshot = |g: &FakeVgic| {
        let mut all = Vec::new();
        for offset in (0..0x1_0000).step_by(4) {
            all.push(g.dist_read(0, offset, 4));
        }
        for offset in (0..2 * REDIST_STRIDE).step_by(4) {
            all.push(g.redist_read(0, offset, 4));
        }
        all
    };
    g.dist_write(0, 0, 4, 0);
    let fresh = snapshot(&g);
    for offset in (0x80..0x800).step_by(4).chain([0xc08, 0x6108]) {
        g.dist_write(0, offset, 4, 0x5555_5555);
    }
    for offset in (SGI + 0x80..SGI + 0x420)
        .step_by(4)
        .chain([0x14, SGI + 0xc04])
    {
        g.redist_write(0, offset, 4, 0xffff_5555);
    }
    g.dist_write(0, 0, 4, 3);
    g.set_level(35, true);
    enter(&g, 0);
    for v in 0..2 {
        on(v, || g.put(v));
    }
    g.reset();
    on(0, || g.load(0));
    assert_eq!(hw(|h| h.vmcr >> 24), 0, "everything masked");
    assert!(snapshot(&g) == fresh);
}
