use super::*;

/// Sizes from the manual: "Sv39x4" and "Sv48x4" widen the page-based systems of 39 and 48 bits by
/// two, with a root of 16 KiB.
#[test]
fn geometry_of_both() {
    for (format, levels, bits, mode) in [
        (Sv::sv39x4(false), 3, 41, 8),
        (Sv::sv39x4(true), 3, 41, 8),
        (Sv::sv48x4(false), 4, 50, 9),
    ] {
        assert_eq!(format.levels(), levels);
        assert_eq!(format.ipa_bits(), bits);
        assert_eq!(format.pa_bits(), 56);
        assert_eq!(format.root_height(), levels - 1);
        assert_eq!(format.root_frames(), 4);
        assert_eq!(format.mode(), mode);
    }
}

#[test]
fn hgatp_fields() {
    let root = HostPhysAddr::from(0x8020_4000);
    assert_eq!(Sv::sv39x4(false).hgatp(root, 5), 0x8000_5000_0008_0204);
    assert_eq!(Sv::sv48x4(false).hgatp(root, 0x3fff), 0x93ff_f000_0008_0204);
    // VMIDs have 14 bits; what is above must not reach the reserved bits or MODE.
    assert_eq!(Sv::sv39x4(false).hgatp(root, 0xffff) >> 58, 0x20);
}

#[test]
fn entries_bit_by_bit() {
    use MappingFlags as M;
    let hpa = HostPhysAddr::from(0x1_4000_0000);
    let rwx = M::READ | M::WRITE | M::EXECUTE;
    let plain = Sv::sv39x4(false);
    let typed = Sv::sv39x4(true);
    for (format, flags, height, expected) in [
        (plain, rwx, 0, 0x0000_0000_5000_00df),
        (typed, rwx, 2, 0x0000_0000_5000_00df),
        (plain, M::READ, 1, 0x0000_0000_5000_00d3),
        (plain, M::READ | M::EXECUTE, 0, 0x0000_0000_5000_00db),
        (plain, M::READ | M::WRITE, 0, 0x0000_0000_5000_00d7),
        (
            plain,
            M::READ | M::WRITE | M::DEVICE,
            0,
            0x0000_0000_5000_01d7,
        ),
        (
            typed,
            M::READ | M::WRITE | M::DEVICE,
            0,
            0x4000_0000_5000_01d7,
        ),
        (plain, M::READ | M::UNCACHED, 0, 0x0000_0000_5000_02d3),
        (typed, M::READ | M::UNCACHED, 0, 0x2000_0000_5000_02d3),
    ] {
        let entry = format.leaf(hpa, flags, height);
        assert_eq!(entry, expected, "{flags:?} at height {height}: {entry:#x}");
        assert_eq!(format.decode(entry, height), Entry::Leaf(hpa, flags));
        assert_eq!(format.decode(entry & !1, height), Entry::Empty);
    }
    assert_eq!(plain.table(hpa), 0x5000_0001);
    assert_eq!(plain.decode(0x5000_0001, 1), Entry::Table(hpa));
    let top = HostPhysAddr::from(0x00ff_ffff_ffff_f000);
    assert_eq!(plain.table(top), 0x003f_ffff_ffff_fc01);
    let leaf = plain.leaf(top, M::READ, 0);
    assert_eq!(plain.decode(leaf, 0), Entry::Leaf(top, M::READ));
}
