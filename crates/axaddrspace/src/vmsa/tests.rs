use super::*;

/// VTCR_EL2 for each size, worked out by hand from the tables of the manual: T0SZ, SL0, root
/// frames (DDI 0487, D8 "Stage 2 translation, 4KB granule": level 1 resolves 39 bits in one
/// table and up to 43 in sixteen, level 0 48).
#[test]
fn geometry_of_every_size() {
    for ipa_bits in 32..=48u32 {
        let format = Vmsa::new(ipa_bits, 48, false).unwrap();
        let (sl0, height, frames) = match ipa_bits {
            32..=39 => (1, 2, 1),
            40 => (1, 2, 2),
            41 => (1, 2, 4),
            42 => (1, 2, 8),
            43 => (1, 2, 16),
            _ => (2, 3, 1),
        };
        assert_eq!(format.root_height(), height);
        assert_eq!(format.root_frames(), frames, "{ipa_bits} bits");
        let vtcr = format.vtcr(false);
        assert_eq!(vtcr & 0x3f, u64::from(64 - ipa_bits));
        assert_eq!(vtcr >> 6 & 3, sl0);
        assert_eq!(vtcr >> 8 & 0xff, 0b00_11_01_01, "TG0 4K, SH0, ORGN0, IRGN0");
        assert_eq!(vtcr >> 16, 0x8005, "PS 48 bits, RES1");
        assert_eq!(format.vtcr(true) ^ vtcr, 1 << 19);
    }
    let a53 = Vmsa::new(40, 40, false).unwrap();
    assert_eq!(a53.vtcr(false), 0x8002_3558);
}

#[test]
fn sizes_that_do_not_work() {
    for (ipa_bits, pa_bits) in [(31, 48), (49, 52), (41, 40), (36, 32), (40, 41), (0, 0)] {
        let error = AddrSpaceError::AddressSize { ipa_bits, pa_bits };
        assert_eq!(Vmsa::new(ipa_bits, pa_bits, false), Err(error));
    }
    assert_eq!(Vmsa::new(48, 52, false).unwrap().pa_bits(), 48);
}

#[test]
fn entries_bit_by_bit() {
    use MappingFlags as M;
    let hpa = HostPhysAddr::from(0x1_4000_0000);
    let rwx = M::READ | M::WRITE | M::EXECUTE;
    let plain = Vmsa::new(40, 40, false).unwrap();
    let fwb = Vmsa::new(40, 40, true).unwrap();
    for (format, flags, height, expected) in [
        (plain, rwx, 0, 0x0000_0001_4000_07ff),
        (plain, rwx, 1, 0x0000_0001_4000_07fd),
        (plain, rwx, 2, 0x0000_0001_4000_07fd),
        (fwb, rwx, 1, 0x0000_0001_4000_07d9),
        (plain, M::READ, 0, 0x0040_0001_4000_077f),
        (plain, M::READ | M::EXECUTE, 0, 0x0000_0001_4000_077f),
        (
            plain,
            M::READ | M::WRITE | M::DEVICE,
            0,
            0x0040_0001_4000_07c7,
        ),
        (
            fwb,
            M::READ | M::WRITE | M::DEVICE,
            0,
            0x0040_0001_4000_07c7,
        ),
        (fwb, M::READ | M::UNCACHED, 0, 0x0040_0001_4000_0757),
    ] {
        let entry = format.leaf(hpa, flags, height);
        assert_eq!(entry, expected, "{flags:?} at height {height}: {entry:#x}");
        assert_eq!(format.decode(entry, height), Entry::Leaf(hpa, flags));
        assert_eq!(format.decode(entry & !1, height), Entry::Empty);
    }
    assert_eq!(plain.table(hpa), 0x1_4000_0003);
    assert_eq!(plain.decode(0x1_4000_0003, 1), Entry::Table(hpa));
}
