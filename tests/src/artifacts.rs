//! What the tests boot, built by the scripts that build it for people. Each thing is built once, by
//! the first test that needs it, while the others wait.

use crate::Failure;
use crate::arch::Arch;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// A build of the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// Without a bundle.
    Bare,
    /// With `hello` embedded, in a build directory of its own.
    Embedded,
    /// No hypervisor yet: it tries axhal on the machine.
    Selftest,
}

impl Image {
    /// Builds it for `arch`. The file that boots, and the one with symbols.
    pub fn build(self, arch: &Arch) -> Result<(PathBuf, PathBuf), Failure> {
        let name = match self {
            Self::Bare => "bare",
            Self::Embedded => "embedded",
            Self::Selftest => "selftest",
        };
        let dir = format!("build/{}/{name}", arch.name);
        match self {
            Self::Bare => script(arch, &[], &["scripts/image.sh", &dir])?,
            Self::Embedded => {
                let target = "CARGO_TARGET_DIR=target/embedded";
                let vms = format!("VMS=configs/vms/{}/hello.toml", arch.name);
                script(arch, &[target, &vms], &["scripts/image.sh", &dir])?;
            }
            Self::Selftest => script(arch, &[], &["scripts/selftest.sh"])?,
        }
        let dir = root().join(dir);
        Ok((dir.join("axhv.bin"), dir.join("axhv.elf")))
    }
}

/// Builds the guests of `guests/` for `arch`; where they are, as `NAME.bin`.
pub fn guests(arch: &Arch) -> Result<PathBuf, Failure> {
    script(arch, &[], &["scripts/guests.sh"])?;
    Ok(root().join("build/guests").join(arch.name))
}

/// Fetches Linux for `arch` into the directory `linux` where the guests are.
pub fn linux(arch: &Arch) -> Result<(), Failure> {
    script(arch, &[], &["scripts/linux.sh"])
}

/// The host's command for VM descriptions.
pub fn axvmconfig() -> Result<PathBuf, Failure> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let package = ["--package", "axvmconfig", "--features", "cli"];
    once(
        &cargo,
        &[&["build", "--locked", "--quiet"][..], &package].concat(),
    )?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(root().join(target).join("debug/axvmconfig"))
}

/// Runs a script of ours for `arch`, with `variables` and arguments, once.
fn script(arch: &Arch, variables: &[&str], call: &[&str]) -> Result<(), Failure> {
    let own = arch.variables();
    let mut args: Vec<&str> = own.iter().map(String::as_str).collect();
    args.extend(variables);
    args.extend(call);
    once("env", &args)
}

/// Runs a command at the top of the repository, once; gives how that went.
fn once(program: &str, args: &[&str]) -> Result<(), Failure> {
    static DONE: Mutex<BTreeMap<String, Result<(), Failure>>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = format!("{program} {}", args.join(" "));
    done.entry(key)
        .or_insert_with(|| run(program, args))
        .clone()
}

fn run(program: &str, args: &[&str]) -> Result<(), Failure> {
    let output = Command::new(program)
        .args(args)
        .current_dir(root())
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!(
        "{program} {args:?} ended with {}:\n{said}",
        output.status
    ))
}
