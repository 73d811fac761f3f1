//! VMs of the hypervisor, and machines that run them.

use crate::arch::bench;
use crate::qemu::Machine;
use crate::systems::built;
use axhv_tests::{Failure, artifacts, log};
use std::path::PathBuf;
use std::process::Command;

/// A VM of a measurement: parts of its description.
#[derive(Clone, Debug)]
pub struct Vm {
    /// The kernel, where the guests are.
    pub kernel: &'static str,
    /// Lines of `[base]`.
    pub base: String,
    /// The size of its RAM.
    pub memory: &'static str,
    /// The kernel's command line.
    pub cmdline: String,
    /// Lines behind `[kernel]`.
    pub extra: String,
}

impl Vm {
    /// The bench guest, which measures what the command line says.
    pub fn bench(cmdline: &str, base: &str) -> Self {
        Self {
            kernel: "bench.bin",
            base: base.into(),
            memory: "64MiB",
            cmdline: cmdline.into(),
            extra: String::new(),
        }
    }

    /// Its description, for a directory below `build/bench`.
    fn toml(&self, id: usize) -> String {
        format!(
            "[base]\nid = {id}\nname = \"vm{id}\"\n{}\n[kernel]\nkernel_path = \"../../guests/{}/{}\"\n\
             cmdline = \"{}\"\nmemory_regions = [{{ size = \"{}\" }}]\n{}",
            self.base,
            bench().arch.name,
            self.kernel,
            self.cmdline,
            self.memory,
            self.extra
        )
    }
}

/// Writes the bundle of `vms` into the machine's directory.
fn bundle(machine: &Machine, vms: &[Vm]) -> Result<PathBuf, Failure> {
    let dir = machine.dir()?;
    let out = dir.join("bundle.cpio");
    let mut command = Command::new(artifacts::axvmconfig()?);
    command.args(["--arch", bench().arch.name, "bundle", "--out"]);
    command.arg(&out);
    for (n, vm) in vms.iter().enumerate() {
        let toml = dir.join(format!("vm{}.toml", n + 1));
        std::fs::write(&toml, vm.toml(n + 1)).map_err(|e| format!("{}: {e}", toml.display()))?;
        command.arg(toml);
    }
    let output = command.output().map_err(|e| format!("axvmconfig: {e}"))?;
    if output.status.success() {
        Ok(out)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Runs the hypervisor with `vms`, until the machine ends or has said its last words; gives the
/// console's log.
pub fn start(machine: Machine, vms: &[Vm]) -> Result<String, Failure> {
    let bundle = bundle(&machine, vms)?.display().to_string();
    let image = built("bare/axhv.bin");
    machine.args(["-kernel", &image, "-initrd", &bundle]).run()
}

/// Runs the hypervisor with one VM until both have ended well; gives the console's log.
pub fn run(machine: Machine, vm: Vm) -> Result<String, Failure> {
    let text = start(machine, &[vm])?;
    match log::final_status(&text) {
        Some(0) => Ok(text),
        _ => Err(format!(
            "the hypervisor did not end well:\n{}",
            log::tail(&text, 20)
        )),
    }
}
