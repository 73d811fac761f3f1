//! What the tests boot, built once for all of them by the scripts that build it for people.

use crate::Failure;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// What is built for the architecture under test.
pub fn build_dir() -> PathBuf {
    root().join("build/aarch64")
}

/// The hypervisor without a bundle, as it boots.
pub fn image() -> PathBuf {
    build_dir().join("bare/axhv.bin")
}

/// The same with symbols.
pub fn image_elf() -> PathBuf {
    build_dir().join("bare/axhv.elf")
}

/// Where the guests are.
pub fn guests() -> PathBuf {
    root().join("build/guests/aarch64")
}

/// The host's command for VM descriptions, built by the first test that needs it.
pub fn axvmconfig() -> Result<PathBuf, Failure> {
    static BUILT: OnceLock<Result<(), Failure>> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            let package = ["--package", "axvmconfig", "--features", "cli"];
            run(
                &cargo,
                &[&["build", "--locked", "--quiet"][..], &package].concat(),
            )
        })
        .clone()?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(root().join(target).join("debug/axvmconfig"))
}

/// Builds the hypervisor and the guests, and fetches Linux.
pub fn prepare() -> Result<(), Failure> {
    run("scripts/image.sh", &["build/aarch64/bare"])?;
    run("scripts/guests.sh", &[])?;
    run("scripts/linux.sh", &[])
}

fn run(program: &str, args: &[&str]) -> Result<(), Failure> {
    let path = if program.starts_with("scripts/") {
        root().join(program)
    } else {
        program.into()
    };
    let status = Command::new(path)
        .args(args)
        .current_dir(root())
        .env("ARCH", "aarch64")
        .env("VMS", "")
        .status()
        .map_err(|e| format!("{program}: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{program} ended with {status}"))
    }
}
