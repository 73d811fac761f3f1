//! Machines of QEMU that count instructions instead of time: with `-icount shift=0,sleep=off` a
//! nanosecond of virtual time is one instruction, and a run is the same from one time to the next.

use crate::arch::bench;
use axhv_tests::Failure;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a machine may run.
const LIFE: Duration = Duration::from_secs(300);

/// A machine that counts.
#[derive(Clone, Debug)]
pub struct Machine {
    name: String,
    board: &'static str,
    cpu: String,
    cpus: usize,
    memory: &'static str,
    /// Nanoseconds of virtual time for an instruction, as a power of two.
    shift: u32,
    args: Vec<String>,
    /// What the console says when there is nothing more to wait for.
    last_words: Option<&'static str>,
}

impl Machine {
    /// The board with its virtualization, which starts a hypervisor.
    pub fn new(name: &str, cpu: &str) -> Self {
        Self {
            name: name.into(),
            board: bench().board,
            cpu: cpu.into(),
            cpus: 1,
            memory: "2G",
            shift: 0,
            args: Vec::new(),
            last_words: None,
        }
    }

    /// The board without virtualization: what a guest costs by itself.
    pub fn bare(name: &str, cpu: &str) -> Self {
        Self {
            board: bench().bare_board,
            memory: "512M",
            ..Self::new(name, cpu)
        }
    }

    /// How many CPUs.
    pub fn cpus(mut self, cpus: usize) -> Self {
        self.cpus = cpus;
        self
    }

    /// The size of RAM, as QEMU takes it.
    pub fn memory(mut self, memory: &'static str) -> Self {
        self.memory = memory;
        self
    }

    /// Lets an instruction take 2^`shift` nanoseconds.
    pub fn shift(mut self, shift: u32) -> Self {
        self.shift = shift;
        self
    }

    /// More arguments for QEMU.
    pub fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_string()));
        self
    }

    /// Ends the machine when the console has said `words`.
    pub fn until(mut self, words: &'static str) -> Self {
        self.last_words = Some(words);
        self
    }

    /// Where this machine's files go.
    pub fn dir(&self) -> Result<PathBuf, Failure> {
        let dir = axhv_tests::artifacts::root()
            .join("build/bench")
            .join(&self.name);
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(dir)
    }

    /// Writes the machine's device tree to `path`.
    pub fn dump_tree(&self, path: &Path) -> Result<(), Failure> {
        let status = Command::new(program())
            .args(["-M", &format!("{},dumpdtb={}", self.board, path.display())])
            .args([
                "-cpu",
                &self.cpu,
                "-m",
                self.memory,
                "-smp",
                &self.cpus.to_string(),
            ])
            .args(["-display", "none", "-nodefaults"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|e| format!("{}: {e}", program()))?;
        if status.success() && path.exists() {
            Ok(())
        } else {
            Err(format!("QEMU wrote no device tree: {status}"))
        }
    }

    /// Runs the machine to its end; gives what the console said.
    pub fn run(&self) -> Result<String, Failure> {
        let dir = self.dir()?;
        let log = dir.join("console.log");
        let errors = dir.join("qemu.log");
        let create = |path: &Path| File::create(path).map_err(|e| format!("{path:?}: {e}"));
        let mut child = Command::new(program())
            .args(["-M", self.board, "-cpu", &self.cpu, "-m", self.memory])
            .args(["-smp", &self.cpus.to_string(), "-seed", "1"])
            .args(["-icount", &format!("shift={},sleep=off", self.shift)])
            .args(["-rtc", "clock=vm,base=2024-01-01", "-no-reboot"])
            .args(["-nodefaults", "-display", "none", "-serial", "stdio"])
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(create(&log)?)
            .stderr(create(&errors)?)
            .spawn()
            .map_err(|e| format!("{}: {e}", program()))?;
        let end = Instant::now() + LIFE;
        let text = || {
            std::fs::read(&log)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|e| format!("{log:?}: {e}"))
        };
        let why = loop {
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                break if status.success() {
                    None
                } else {
                    Some(status.to_string())
                };
            }
            if let Some(words) = self.last_words
                && text()?.contains(words)
            {
                break None;
            }
            if Instant::now() > end {
                break Some("it doesn't end".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        match why {
            None => text(),
            Some(why) => Err(format!(
                "QEMU, {}: {why}; see {log:?} and {errors:?}",
                self.name
            )),
        }
    }
}

/// QEMU's program.
pub fn program() -> String {
    bench().arch.qemu()
}

/// QEMU's version.
pub fn version() -> Result<String, Failure> {
    let output = Command::new(program())
        .arg("--version")
        .output()
        .map_err(|e| format!("{}: {e}", program()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(3).unwrap_or("unknown");
    Ok(version.into())
}
