//! The trees are compiled by `dtc`, which `make` installs.

mod broken;
mod cmdline;
mod devices;
mod machines;
mod reader;
mod riscv;

use std::{
    io::Write as _,
    process::{Command, Stdio},
    string::String,
    vec::Vec,
};

pub const VIRT: &str = include_str!("../../tests/dts/virt.dts");
pub const RISCV: &str = include_str!("../../tests/dts/riscv.dts");
pub const BOARD: &str = include_str!("../../tests/dts/board.dts");

/// Compiles a tree.
pub fn dtb(source: &str) -> Vec<u8> {
    let mut dtc = Command::new("dtc")
        .args(["-q", "-I", "dts", "-O", "dtb"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("dtc is not installed: package device-tree-compiler");
    let mut stdin = dtc.stdin.take().unwrap();
    stdin.write_all(source.as_bytes()).unwrap();
    drop(stdin);
    let output = dtc.wait_with_output().unwrap();
    assert!(output.status.success(), "dtc refuses the tree:\n{source}");
    output.stdout
}

/// A tree with a piece of its text replaced.
pub fn patched(source: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(source.matches(from).count(), 1, "{from}");
    dtb(&source.replace(from, to))
}

/// A tree whose root has these lines, in 2 cells for addresses and sizes each.
pub fn tree(lines: &str) -> String {
    std::format!("/dts-v1/; / {{ #address-cells = <2>; #size-cells = <2>; {lines} }};")
}
