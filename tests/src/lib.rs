//! The harness of the tests in QEMU: the architectures they are for ([`arch`]), what they boot
//! ([`artifacts`], [`vm`]), the machine they boot it on ([`machine`]), what a console log must not
//! hold ([`log`]), and names for the addresses of a backtrace ([`symbols`]).

pub mod arch;
pub mod artifacts;
pub mod log;
pub mod machine;
pub mod symbols;
pub mod testguest;
pub mod vm;

/// Why a test failed, for people to read.
pub type Failure = String;

/// A test: what it is called, and the architecture it is for. Other architectures may have one of
/// the same name.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub arch: &'static arch::Arch,
}

impl Test {
    /// The directory of its own that its files go to.
    pub fn dir(&self) -> Result<std::path::PathBuf, Failure> {
        let name = format!("{}-{}", self.arch.name, self.name.replace("::", "-"));
        let dir = artifacts::root().join("build/tests").join(name);
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(dir)
    }
}
