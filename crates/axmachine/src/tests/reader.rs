use std::{string::ToString, vec, vec::Vec};

use dtoolkit::{Node as _, Property as _};

use super::*;
use crate::{Fdt, MachineError, Node, fdt};

/// The same tree read by somebody else's reader.
fn compare(node: &Node<'_>, other: &dtoolkit::fdt::FdtNode<'_>) -> usize {
    assert_eq!(node.name(), other.name());
    let mine: Vec<_> = node.properties().map(|p| (p.name, p.value)).collect();
    let others: Vec<_> = other.properties().collect();
    let theirs: Vec<_> = others.iter().map(|p| (p.name(), p.value())).collect();
    assert_eq!(mine, theirs);
    let children: Vec<_> = node.children().collect();
    assert_eq!(children.len(), other.children().count());
    let below: usize = children
        .iter()
        .zip(other.children())
        .map(|(child, other)| compare(child, &other))
        .sum();
    1 + below
}

#[test]
fn reads_what_another_reader_reads() {
    // The other one refuses long names.
    let board = BOARD.replace("-with-a-very-long-name", "");
    for source in [VIRT, RISCV, &board] {
        let blob = dtb(source);
        let fdt = Fdt::new(&blob).unwrap();
        let other = dtoolkit::fdt::Fdt::new(&blob).unwrap();
        let count = compare(&fdt.root(), &other.root());
        assert_eq!(count, fdt.nodes().count() + 1);
        let mine: Vec<_> = fdt.reservations().collect();
        let theirs: Vec<_> = other
            .memory_reservations()
            .map(|r| (r.address(), r.size()))
            .collect();
        assert_eq!(mine, theirs);
    }
}

#[test]
fn accepts_long_names_and_bytes_behind_the_blob() {
    let mut blob = dtb(BOARD);
    blob.extend([0xff; 100]);
    let fdt = Fdt::new(&blob).unwrap();
    let bus = fdt.find("/soc/apb").unwrap();
    let name = "some-vendor,a-property-with-a-very-long-name";
    assert_eq!(bus.property(name), Some(&[][..]));
}

#[test]
fn finds_by_path_alias_and_phandle() {
    let blob = dtb(BOARD);
    let fdt = Fdt::new(&blob).unwrap();
    let path = |what: &str| fdt.find(what).map(|node| node.to_string());
    let serial = "/soc/apb@40000000/serial@1000";
    assert_eq!(path("serial0").as_deref(), Some(serial));
    assert_eq!(path(serial).as_deref(), Some(serial));
    assert_eq!(path("/soc/apb/serial").as_deref(), Some(serial));
    assert_eq!(path("/").as_deref(), Some("/"));
    for missing in [
        "serial7",
        "",
        "soc",
        "/soc/apb@4",
        "/soc/apb@40000000/serial@",
    ] {
        assert_eq!(path(missing), None, "{missing}");
    }
    let gic = fdt.find("/soc/interrupt-controller").unwrap();
    let phandle = gic.u32("phandle").unwrap().unwrap();
    assert_eq!(fdt.by_phandle(phandle).unwrap().offset(), gic.offset());
    assert_eq!(gic.parent().unwrap().name(), "soc");
}

#[test]
fn nodes_come_in_order_and_below_their_parents_only() {
    let blob = dtb(&tree("a { b { c {}; }; d {}; }; e { f {}; };"));
    let fdt = Fdt::new(&blob).unwrap();
    let names = |nodes: &mut dyn Iterator<Item = Node<'_>>| -> Vec<_> {
        nodes.map(|node| node.to_string()).collect()
    };
    assert_eq!(
        names(&mut fdt.nodes()),
        ["/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f"]
    );
    let a = fdt.find("/a").unwrap();
    assert_eq!(names(&mut a.children()), ["/a/b", "/a/d"]);
    assert_eq!(names(&mut a.descendants()), ["/a/b", "/a/b/c", "/a/d"]);
    assert_eq!(fdt.find("/e/f").unwrap().descendants().count(), 0);
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| {
        // The root counts.
        let open = "n {".repeat(depth - 1);
        let close = "};".repeat(depth - 1);
        dtb(&tree(&(open + &close)))
    };
    assert!(Fdt::new(&nested(fdt::MAX_DEPTH)).is_ok());
    assert!(matches!(
        Fdt::new(&nested(fdt::MAX_DEPTH + 1)),
        Err(MachineError::Structure { .. })
    ));
}

/// Sets the big-endian word at `at`.
fn with_word(blob: &[u8], at: usize, value: u32) -> Vec<u8> {
    let mut blob = blob.to_vec();
    blob[at..at + 4].copy_from_slice(&value.to_be_bytes());
    blob
}

#[test]
fn headers_that_cannot_be() {
    let blob = dtb(VIRT);
    let len = blob.len() as u32;
    for (at, value, field) in [
        (0, 0xd00d_feee, "magic"),
        (4, 39, "totalsize"),
        (4, len + 1, "totalsize"),
        (4, (2 << 20) + 1, "totalsize"),
        (8, 58, "off_dt_struct"),
        (36, len, "size_dt_struct"),
        (12, u32::MAX, "size_dt_strings"),
        (16, len + 1, "off_mem_rsvmap"),
        (20, 16, "version"),
        (24, 18, "last_comp_version"),
    ] {
        match Fdt::new(&with_word(&blob, at, value)).err() {
            Some(MachineError::Header { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field} = {value:#x}: {other:?}"),
        }
    }
    assert_eq!(
        Fdt::new(&blob[..39]).err(),
        Some(MachineError::Structure { offset: 39 })
    );
    assert_eq!(
        fdt::size_of_blob(blob.first_chunk().unwrap()),
        Ok(blob.len())
    );
}

#[test]
fn structures_that_cannot_be() {
    // Tokens of a structure block, and the index of the word that is wrong.
    const BEGIN: u32 = 1;
    const END: u32 = 2;
    const PROP: u32 = 3;
    const NOP: u32 = 4;
    const FINISH: u32 = 9;
    let child = u32::from_be_bytes(*b"ab\0\0");
    let cases = [
        (vec![NOP, BEGIN, 0, NOP, END, NOP, FINISH], None),
        (vec![BEGIN, 0, PROP, 0, 0, END, FINISH], None),
        (vec![BEGIN, 0, BEGIN, child, END, END, FINISH], None),
        (vec![END, FINISH], Some(0)),
        (vec![FINISH], Some(0)),
        (vec![PROP, 0, 0, FINISH], Some(0)),
        (vec![BEGIN, child, END, FINISH], Some(0)),
        (vec![BEGIN, 0, BEGIN, 0, END, END, FINISH], Some(2)),
        (vec![BEGIN, 0, FINISH], Some(2)),
        (vec![BEGIN, 0, END], Some(3)),
        (vec![BEGIN, 0, END, END], Some(4)),
        (vec![BEGIN, 0, 7, END, FINISH], Some(2)),
        (vec![BEGIN, 0, PROP, 100, 0, END, FINISH], Some(2)),
        (vec![BEGIN, 0, PROP, u32::MAX, 0, END, FINISH], Some(2)),
        (vec![BEGIN, 0, PROP, 0, 5, END, FINISH], Some(2)),
        (vec![BEGIN, 0, PROP, 0, 1, END, FINISH], Some(2)),
        (
            vec![BEGIN, 0, BEGIN, child, END, PROP, 0, 0, END, FINISH],
            Some(5),
        ),
    ];
    for (tokens, wrong) in cases {
        let structure: Vec<u8> = tokens.iter().flat_map(|word| word.to_be_bytes()).collect();
        let size = 40 + 16 + structure.len() + 2;
        let header = [
            0xd00d_feed,
            size as u32,
            56,
            (size - 2) as u32,
            40,
            17,
            16,
            0,
            2,
            structure.len() as u32,
        ];
        let mut blob: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        blob.extend([0; 16]);
        blob.extend(structure);
        blob.extend(*b"p\0");
        let error = wrong.map(|word: usize| MachineError::Structure {
            offset: 56 + 4 * word,
        });
        assert_eq!(Fdt::new(&blob).err(), error, "{tokens:?}");
    }
}

#[test]
fn reservations_must_end() {
    let blob = dtb(VIRT);
    let reservations = blob.len() - 8;
    let moved = with_word(&blob, 16, reservations as u32);
    assert_eq!(
        Fdt::new(&moved).err(),
        Some(MachineError::Structure {
            offset: reservations
        })
    );
}
