use super::*;
use proptest::prelude::*;

/// A newc entry as GNU cpio writes it.
pub(crate) fn entry(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let fields = [
        0,
        mode,
        0,
        0,
        1,
        0,
        data.len() as u32,
        0,
        0,
        0,
        0,
        name.len() as u32 + 1,
        0,
    ];
    out.extend_from_slice(MAGIC);
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out: Vec<u8> = files
        .iter()
        .flat_map(|(name, data)| entry(name, 0o100_644, data))
        .collect();
    out.extend(entry(TRAILER, 0, b""));
    out
}

fn good() -> Vec<u8> {
    let mut out = entry("configs", 0o040_755, b"");
    out.extend(archive(&[
        ("configs/vms/linux.toml", b"[base]"),
        ("./configs/vms/b.toml", b""),
        ("build/Image", &[1, 2, 3]),
    ]));
    out.extend([0; 500]);
    out
}

#[test]
fn reads_in_order() {
    let good = good();
    let bundle = Bundle::new(&good).unwrap();
    let names: Vec<_> = bundle.iter().map(|e| (e.name, e.data.len())).collect();
    let expected = [
        ("configs/vms/linux.toml", 6),
        ("configs/vms/b.toml", 0),
        ("build/Image", 3),
    ];
    assert_eq!(names, expected);
    assert_eq!(bundle.descriptions().count(), 2);
    for entry in bundle.iter() {
        assert_eq!(
            (entry.data.as_ptr() as usize - good.as_ptr() as usize) % 4,
            0
        );
    }
}

#[test]
fn resolves_relative_to_the_description() {
    let good = good();
    let bundle = Bundle::new(&good).unwrap();
    let found = |toml, path| bundle.resolve(toml, path).map(|e| e.name);
    let toml = "configs/vms/linux.toml";
    let image = Some("build/Image");
    assert_eq!(found(toml, "../../build/Image"), image);
    assert_eq!(found(toml, "./.././../build/Image"), image);
    assert_eq!(found(toml, "../x/../../build/y/../Image"), image);
    assert_eq!(found(toml, "b.toml"), Some("configs/vms/b.toml"));
    assert_eq!(found(toml, "../vms/b.toml"), Some("configs/vms/b.toml"));
    assert_eq!(found("x.toml", "build/Image"), image);
    for path in [
        "../../../build/Image",
        "/build/Image",
        "build/Image",
        "Image",
        "../build/Image",
        "",
        "..",
        "../../build",
    ] {
        assert_eq!(found(toml, path), None, "{path}");
    }
}

#[test]
fn refuses() {
    let check = |bytes: &[u8]| Bundle::new(bytes).map(|_| ()).unwrap_err();
    assert_eq!(check(b""), BundleError::Truncated { offset: 0 });
    assert_eq!(check(&[0; 200]), BundleError::BadHeader { offset: 0 });
    for name in ["", "/a", "a/../b", "..", ".", "a//b", "a/", "././a", "a\nb"] {
        let bytes = archive(&[(name, b"")]);
        assert_eq!(
            check(&bytes),
            BundleError::BadName { offset: 0 },
            "{name:?}"
        );
    }
    let long = "n".repeat(MAX_NAME + 1);
    let bytes = archive(&[(&long, b"")]);
    assert_eq!(check(&bytes), BundleError::BadName { offset: 0 });
    let bytes = archive(&[("a", b"1"), ("b", b""), ("./a", b"2")]);
    assert!(matches!(check(&bytes), BundleError::Duplicate { offset } if offset > 0));
    let link = entry("a", 0o120_777, b"target");
    assert!(matches!(
        check(&link),
        BundleError::BadType { offset: 0, .. }
    ));
    let mut open = entry("a", 0o100_644, b"1234");
    assert!(matches!(check(&open), BundleError::Truncated { offset } if offset == open.len()));
    open.truncate(open.len() - 1);
    assert_eq!(check(&open), BundleError::Truncated { offset: 0 });
    let names: Vec<String> = (0..=MAX_ENTRIES).map(|n| n.to_string()).collect();
    let many: Vec<_> = names.iter().map(|n| (n.as_str(), &b""[..])).collect();
    assert_eq!(check(&archive(&many)), BundleError::TooMany);
    assert!(Bundle::new(&archive(&many[1..])).is_ok());
}

/// What must hold of any archive that passes.
fn sane(bytes: &[u8]) {
    let Ok(bundle) = Bundle::new(bytes) else {
        return;
    };
    let mut names = std::collections::HashSet::new();
    for entry in bundle.iter() {
        assert!(names.insert(entry.name), "{} twice", entry.name);
        assert!(!entry.name.split('/').any(|p| p.is_empty() || p == ".."));
        assert!(bytes.as_ptr_range().contains(&entry.name.as_ptr()));
    }
    assert!(names.len() <= MAX_ENTRIES);
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        sane(&bytes);
    }

    #[test]
    fn mutated(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6), cut: usize) {
        let mut bytes = good();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(cut % (bytes.len() + 1));
        sane(&bytes);
    }

    #[test]
    fn mutated_digits(changes in proptest::collection::vec((0usize..13, any::<u32>()), 1..4)) {
        let mut bytes = good();
        for (field, value) in changes {
            bytes[6 + 8 * field..14 + 8 * field].copy_from_slice(format!("{value:08x}").as_bytes());
        }
        sane(&bytes);
    }
}
