//! Device trees, read back by another crate and judged by dtc.

use std::io::Write;
use std::process::{Command, Stdio};

use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};

/// Runs dtc; fails on any warning. Output in the format asked for.
pub fn dtc(input: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut child = Command::new("dtc")
        .args(["-I", from, "-O", to, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dtc (package device-tree-compiler) is needed");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    output.stdout
}

/// Compiles a tree that dtc has something against.
pub fn dtc_quiet(tree: &[u8]) -> Vec<u8> {
    let mut child = Command::new("dtc")
        .args(["-q", "-f", "-I", "dts", "-O", "dtb", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("dtc (package device-tree-compiler) is needed");
    child.stdin.take().unwrap().write_all(tree).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

pub fn dts(dtb: &[u8]) -> String {
    String::from_utf8(dtc(dtb, "dtb", "dts")).unwrap()
}

pub fn value(node: &FdtNode<'_>, name: &str) -> Vec<u8> {
    node.property(name)
        .unwrap_or_else(|| panic!("{name} in {}", node.name()))
        .value()
        .to_vec()
}

pub fn cells(node: &FdtNode<'_>, name: &str) -> Vec<u32> {
    let bytes = value(node, name);
    bytes
        .chunks_exact(4)
        .map(|c| u32::from_be_bytes(c.try_into().unwrap()))
        .collect()
}

pub fn text(node: &FdtNode<'_>, name: &str) -> String {
    String::from_utf8(value(node, name)).unwrap()
}
