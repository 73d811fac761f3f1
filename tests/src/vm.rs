//! VM descriptions as a test needs them, and bundles of them.

use crate::arch::Arch;
use crate::{Failure, Test, artifacts};
use std::path::PathBuf;
use std::process::Command;

/// A VM description in the making.
#[derive(Clone, Debug)]
pub struct Vm {
    name: String,
    kernel: String,
    ramdisk: Option<String>,
    cmdline: Option<String>,
    cpus: usize,
    /// The regions of its memory.
    memory: String,
    base: String,
    extra: String,
}

impl Vm {
    fn new(name: &str, kernel: &str, cpus: usize, memory: &str) -> Self {
        Self {
            name: name.into(),
            kernel: kernel.into(),
            ramdisk: None,
            cmdline: None,
            cpus,
            memory: size(memory),
            base: String::new(),
            extra: String::new(),
        }
    }

    /// Debian's stock kernel with busybox.
    pub fn linux(cpus: usize) -> Self {
        Self {
            ramdisk: Some("linux/initramfs.cpio.gz".into()),
            ..Self::new("linux", "linux/Image", cpus, "512MiB")
        }
    }

    /// One of the guests of `guests/`.
    pub fn guest(name: &str, cpus: usize) -> Self {
        Self::new(name, &format!("{name}.bin"), cpus, "64MiB")
    }

    /// U-Boot, as Debian builds it for QEMU's `virt`: code of others that knows nothing of us.
    pub fn uboot(test: &Test) -> Result<Self, Failure> {
        let (_, program) = test.arch.uboot;
        let (memory, extra) = test.arch.uboot_guest;
        // A description names files by relative paths only.
        std::fs::copy(program, test.dir()?.join("u-boot.bin"))
            .map_err(|e| format!("{program}: {e}"))?;
        Ok(Self {
            memory: memory.into(),
            extra: extra.into(),
            ..Self::new("uboot", "./u-boot.bin", 2, "")
        })
    }

    fn is_linux(&self) -> bool {
        self.kernel.starts_with("linux/")
    }

    /// Changes the name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Changes the size of RAM.
    pub fn memory(mut self, memory: &str) -> Self {
        self.memory = size(memory);
        self
    }

    /// Gives it RAM of this size at the same address as on the machine.
    pub fn identical(mut self, size: &str, address: u64) -> Self {
        self.memory =
            format!("{{ gpa = {address:#x}, size = \"{size}\", map_type = \"identical\" }}");
        self
    }

    /// Changes the kernel's command line.
    pub fn cmdline(mut self, cmdline: &str) -> Self {
        self.cmdline = Some(cmdline.into());
        self
    }

    /// Where each vCPU may run: a mask of CPUs.
    pub fn on(mut self, masks: &[u64]) -> Self {
        self.base = format!("phys_cpu_sets = {masks:?}\n");
        self
    }

    /// Appends lines to the description.
    pub fn extra(mut self, toml: &str) -> Self {
        self.extra.push_str(toml);
        self
    }

    /// The description, with paths relative to `build/tests/TEST/`. Linux's console is the VM's.
    fn toml(&self, id: usize, arch: &Arch) -> String {
        let guests = format!("../../guests/{}", arch.name);
        let kernel: String = match self.kernel.as_str() {
            beside if beside.starts_with("./") => beside.into(),
            name => format!("{guests}/{name}"),
        };
        let mut toml = format!(
            "[base]\nid = {id}\nname = \"{}\"\ncpu_num = {}\n{}\n[kernel]\nkernel_path = \"{kernel}\"\n\
             memory_regions = [{}]\n",
            self.name, self.cpus, self.base, self.memory
        );
        if let Some(ramdisk) = &self.ramdisk {
            toml += &format!("ramdisk_path = \"{guests}/{ramdisk}\"\n");
        }
        let console = || self.is_linux().then(|| format!("console={}", arch.tty));
        if let Some(cmdline) = self.cmdline.clone().or_else(console) {
            toml += &format!("cmdline = \"{cmdline}\"\n");
        }
        toml + &self.extra
    }
}

/// A region of so much memory.
fn size(size: &str) -> String {
    format!("{{ size = \"{size}\" }}")
}

/// Writes the descriptions of `vms` and their bundle into the directory of `test`; gives the bundle.
pub fn bundle(test: &Test, vms: &[Vm]) -> Result<PathBuf, Failure> {
    let dir = test.dir()?;
    let out = dir.join("bundle.cpio");
    artifacts::guests(test.arch)?;
    if vms.iter().any(Vm::is_linux) {
        artifacts::linux(test.arch)?;
    }
    let mut command = Command::new(artifacts::axvmconfig()?);
    command.args(["--arch", test.arch.name, "bundle", "--out"]);
    command.arg(&out);
    for (n, vm) in vms.iter().enumerate() {
        let file = dir.join(format!("{}.toml", vm.name));
        std::fs::write(&file, vm.toml(n + 1, test.arch))
            .map_err(|e| format!("{}: {e}", file.display()))?;
        command.arg(file);
    }
    let output = command.output().map_err(|e| format!("axvmconfig: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "axvmconfig: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(out)
}
