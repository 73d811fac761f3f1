//! Boards by name: the device trees under `configs/boards`.

use std::path::{Path, PathBuf};

use axmachine::Fdt;

use crate::board::Board;

/// Where boards are, below the folder one works in or one above it.
const BOARDS: &str = "configs/boards";

/// The folder of boards.
fn folder() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let mut up = here.ancestors().map(|folder| folder.join(BOARDS));
    up.find(|folder| folder.is_dir())
}

/// Device trees of whole boards: `.dtsi` files are parts of others.
fn is_board(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "dts" || e == "dtb")
}

/// The names of the boards there are, in order.
pub fn names() -> Vec<String> {
    let files = folder().and_then(|folder| std::fs::read_dir(folder).ok());
    let paths = files
        .into_iter()
        .flatten()
        .flatten()
        .map(|file| file.path());
    let boards = paths.filter(|path| is_board(path));
    let mut names: Vec<_> = boards
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// For the command's help.
pub fn help() -> String {
    let mut out = format!(
        "Check also against a board: its device tree (a .dtb file, or a .dts file where `dtc` is \
         installed), or its name, if it is one under {BOARDS}"
    );
    let names = names();
    if !names.is_empty() {
        out = format!("{out}: {}", names.join(", "));
    }
    out
}

/// The file of a board: `name` itself if there is such a file, else the one under `configs/boards`.
fn find(name: &Path) -> Result<PathBuf, String> {
    let alone = name.components().count() == 1 && !is_board(name);
    if name.exists() || !alone {
        return Ok(name.to_owned());
    }
    let folder = folder().ok_or(format!("there is no folder {BOARDS} here or above"))?;
    let file = |kind: &str| folder.join(format!("{}.{kind}", name.display()));
    let mut files = [file("dts"), file("dtb")].into_iter();
    files.find(|file| file.exists()).ok_or_else(|| {
        let names = names().join(", ");
        format!("there is no board `{}`; there are: {names}", name.display())
    })
}

/// Reads the device tree of a board: a file, or a name.
pub fn read(name: &Path) -> Result<Board, String> {
    let path = find(name)?;
    let said = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let blob = if path.extension().is_some_and(|e| e == "dts") {
        let mut dtc = std::process::Command::new("dtc");
        let dtc = dtc.args(["-q", "-I", "dts", "-O", "dtb"]).arg(&path);
        let out = dtc.output().map_err(|error| format!("dtc: {error}"))?;
        if !out.status.success() {
            return Err(said(&String::from_utf8_lossy(&out.stderr)));
        }
        out.stdout
    } else {
        std::fs::read(&path).map_err(|error| said(&error))?
    };
    let fdt = Fdt::new(&blob).map_err(|error| said(&error))?;
    Board::new(&fdt).map_err(|error| said(&error))
}
