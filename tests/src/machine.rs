//! A QEMU machine of a test's own, and the dialogue on its console.

use crate::artifacts::{self, Image};
use crate::vm::{self, Vm};
use crate::{Failure, Test, log, symbols};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one step of a dialogue may take; emulation on a busy machine is slow.
const STEP: Duration = Duration::from_secs(90);
/// How long a machine may live.
const LIFE: Duration = Duration::from_secs(400);

/// The machine a test wants.
#[derive(Clone, Debug)]
pub struct Machine {
    test: Test,
    cpu: String,
    cpus: usize,
    memory: String,
    append: String,
    board: String,
    args: Vec<String>,
    vms: Vec<Vm>,
    boots: Boots,
}

/// What a machine boots.
#[derive(Clone, Debug)]
enum Boots {
    /// A build of the hypervisor.
    Image(Image),
    /// One that was changed: what boots, and the file with symbols.
    Changed(PathBuf, PathBuf),
    /// A guest, by the name of its file.
    Guest(String),
}

impl Machine {
    /// The default machine of `make run`, for `test`.
    pub fn new(test: &Test) -> Self {
        Self {
            test: test.clone(),
            cpu: test.arch.cpu.into(),
            cpus: 2,
            memory: "2G".into(),
            append: String::new(),
            board: test.arch.board.into(),
            args: Vec::new(),
            vms: Vec::new(),
            boots: Boots::Image(Image::Bare),
        }
    }

    /// A machine without the hypervisor: the guest `kernel` runs on the board itself, with as much
    /// RAM as guests map.
    pub fn without_hypervisor(test: &Test, kernel: &str) -> Self {
        Self {
            board: test.arch.bare_board.into(),
            memory: "1G".into(),
            boots: Boots::Guest(kernel.into()),
            ..Self::new(test)
        }
    }

    /// Another build of the hypervisor.
    pub fn image(mut self, image: Image) -> Self {
        self.boots = Boots::Image(image);
        self
    }

    /// A build of the hypervisor that the test has changed: what boots, and the file with symbols.
    pub fn changed_image(mut self, bin: PathBuf, elf: PathBuf) -> Self {
        self.boots = Boots::Changed(bin, elf);
        self
    }

    /// The board, as QEMU's `-M` takes it.
    pub fn board(mut self, board: &str) -> Self {
        self.board = board.into();
        self
    }

    /// The CPU model.
    pub fn cpu(mut self, model: &str) -> Self {
        self.cpu = model.into();
        self
    }

    /// How many CPUs.
    pub fn cpus(mut self, cpus: usize) -> Self {
        self.cpus = cpus;
        self
    }

    /// The size of RAM, as QEMU takes it.
    pub fn memory(mut self, memory: &str) -> Self {
        self.memory = memory.into();
        self
    }

    /// The hypervisor's command line.
    pub fn append(mut self, append: &str) -> Self {
        self.append = append.into();
        self
    }

    /// More arguments for QEMU.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|a| (*a).to_string()));
        self
    }

    /// Lets the test look into the machine, by a [`Monitor`].
    pub fn transparent(self) -> Self {
        let path = monitor_of(&self.test);
        // Of a machine that was killed.
        let _ = std::fs::remove_file(&path);
        let listen = format!("unix:{},server=on,wait=off", path.display());
        self.args(&["-qmp", &listen])
    }

    /// Adds a VM to the bundle.
    pub fn vm(mut self, vm: Vm) -> Self {
        self.vms.push(vm);
        self
    }

    /// Starts QEMU, which loads hypervisor and bundle as a boot loader does.
    pub fn boot(self) -> Result<Running, Failure> {
        let dir = self.test.dir()?;
        let (kernel, symbols) = self.kernel()?;
        let mut command = self.command();
        command.arg("-kernel").arg(kernel);
        if !self.vms.is_empty() {
            let bundle = vm::bundle(&self.test, &self.vms)?;
            command.arg("-initrd").arg(bundle);
        }
        if !self.append.is_empty() {
            command.args(["-append", &self.append]);
        }
        Running::start(command, dir.join("console.log"), symbols)
    }

    /// Starts QEMU with Debian's U-Boot, and lets its `booti` start the hypervisor.
    pub fn boot_by_uboot(self) -> Result<Running, Failure> {
        let arch = self.test.arch;
        let [image, archive] = [0x1000_0000, 0x1800_0000].map(|offset| arch.ram + offset);
        let dir = self.test.dir()?;
        let (kernel, symbols) = self.kernel()?;
        let bundle = vm::bundle(&self.test, &self.vms)?;
        let size = std::fs::metadata(&bundle).map_err(|e| e.to_string())?.len();
        let mut command = self.command();
        command.args([arch.uboot.0, arch.uboot.1]);
        for (file, address) in [(&kernel, image), (&bundle, archive)] {
            let file = file.display();
            let loader = format!("loader,file={file},addr={address:#x},force-raw=on");
            command.arg("-device").arg(loader);
        }
        let mut running = Running::start(command, dir.join("console.log"), symbols)?;
        running.expect("Hit any key")?;
        running.send("\n")?;
        running.expect("=> ")?;
        if !self.append.is_empty() {
            running.send(&format!("setenv bootargs {}\n", self.append))?;
            running.expect("=> ")?;
        }
        running.send(&format!(
            "booti {image:#x} {archive:#x}:{size:#x} ${{fdtcontroladdr}}\n"
        ))?;
        running.expect("Starting kernel")?;
        Ok(running)
    }

    /// What boots, and its symbols.
    fn kernel(&self) -> Result<(PathBuf, Option<PathBuf>), Failure> {
        match &self.boots {
            Boots::Image(image) => image
                .build(self.test.arch)
                .map(|(bin, elf)| (bin, Some(elf))),
            Boots::Changed(bin, elf) => Ok((bin.clone(), Some(elf.clone()))),
            Boots::Guest(name) => Ok((artifacts::guests(self.test.arch)?.join(name), None)),
        }
    }

    /// QEMU with the machine's hardware.
    fn command(&self) -> Command {
        let mut command = Command::new(self.test.arch.qemu());
        command
            .args([
                "-M",
                &self.board,
                "-cpu",
                &self.cpu,
                "-smp",
                &self.cpus.to_string(),
            ])
            .args([
                "-m",
                &self.memory,
                "-nodefaults",
                "-display",
                "none",
                "-no-reboot",
            ])
            .args([
                "-chardev",
                "stdio,id=console,signal=off",
                "-serial",
                "chardev:console",
            ])
            .args(&self.args);
        command
    }
}

/// Where QEMU's monitor is.
fn monitor_of(test: &Test) -> PathBuf {
    let name = format!("axhv-{}-{}", std::process::id(), test.name);
    std::env::temp_dir().join(name.replace("::", "-"))
}

/// A machine whose memory and registers can be read while it runs.
pub struct Monitor(BufReader<UnixStream>);

impl Monitor {
    /// Of the machine that `test` has started, which is [`transparent`](Machine::transparent).
    pub fn of(test: &Test) -> Result<Self, Failure> {
        let path = monitor_of(test);
        let open = || {
            let stream = UnixStream::connect(&path)?;
            stream.set_read_timeout(Some(STEP))?;
            // Nobody else needs the name.
            std::fs::remove_file(&path)?;
            Ok(Self(BufReader::new(stream)))
        };
        let mut this = open().map_err(|e: std::io::Error| format!("{}: {e}", path.display()))?;
        this.ask(r#"{"execute":"qmp_capabilities"}"#)?;
        Ok(this)
    }

    /// QEMU's answer to a command of its machine protocol.
    fn ask(&mut self, command: &str) -> Result<String, Failure> {
        let said = |e: std::io::Error| format!("{command}: {e}");
        writeln!(self.0.get_mut(), "{command}").map_err(said)?;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).map_err(said)? == 0 {
                return Err(format!("{command}: the machine is gone"));
            }
            // There are greetings and events besides.
            if line.starts_with(r#"{"return""#) {
                return Ok(line);
            }
            if line.starts_with(r#"{"error""#) {
                return Err(format!("{command}: {line}"));
            }
        }
    }

    /// A word of its physical memory.
    pub fn word(&mut self, address: u64) -> Result<u32, Failure> {
        let answer = self.ask(&format!(
            r#"{{"execute":"human-monitor-command","arguments":{{"command-line":"xp /1wx {address:#x}"}}}}"#
        ))?;
        let digits = answer.split(": 0x").nth(1).and_then(|rest| rest.get(..8));
        let word = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        word.ok_or_else(|| format!("{address:#x}: {answer}"))
    }
}

/// What the console said so far, and whether it can say more.
#[derive(Default)]
struct Output {
    text: Vec<u8>,
    ended: bool,
}

/// A machine that runs. Dropped, it is switched off.
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<(Mutex<Output>, Condvar)>,
    /// How much of the output was looked at.
    seen: usize,
    log: PathBuf,
    end: Instant,
    /// The hypervisor with symbols; without one the guest runs on the board itself.
    symbols: Option<PathBuf>,
}

impl Running {
    fn start(
        mut command: Command,
        log: PathBuf,
        symbols: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let mut file = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = file.try_clone().map_err(|e| e.to_string())?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("{command:?}: {e}"))?;
        let input = child.stdin.take();
        let mut console = child.stdout.take().ok_or("QEMU has no output")?;
        let output = Arc::new((Mutex::new(Output::default()), Condvar::new()));
        let shared = output.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let count = console.read(&mut bytes).unwrap_or(0);
                // The log is for people; the test goes on without it.
                let _ = file.write_all(&bytes[..count]);
                let mut output = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                output.text.extend_from_slice(&bytes[..count]);
                output.ended = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        let end = Instant::now() + LIFE;
        Ok(Self {
            child,
            input,
            output,
            seen: 0,
            log,
            end,
            symbols,
        })
    }

    /// All the console said so far.
    pub fn text(&self) -> String {
        let output = self.output.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output.text).into_owned()
    }

    /// Waits until the console says `needle`; gives what it said before, since the last call.
    pub fn expect(&mut self, needle: &str) -> Result<String, Failure> {
        self.expect_within(needle, STEP)
    }

    /// The same with a time limit of its own.
    pub fn expect_within(&mut self, needle: &str, limit: Duration) -> Result<String, Failure> {
        let end = self.end.min(Instant::now() + limit);
        let mut output = self.output.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let new = &output.text[self.seen..];
            if let Some(at) = new
                .windows(needle.len())
                .position(|w| w == needle.as_bytes())
            {
                let before = String::from_utf8_lossy(&new[..at]).into_owned();
                self.seen += at + needle.len();
                return Ok(before);
            }
            let ended = output.ended;
            let left = end.saturating_duration_since(Instant::now());
            if ended || left.is_zero() {
                drop(output);
                let why = if ended {
                    "the machine ended before"
                } else {
                    "in vain waited for"
                };
                return Err(self.failure(&format!("{why} {needle:?}")));
            }
            output = self
                .output
                .1
                .wait_timeout(output, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Whether the machine is off.
    pub fn ended(&self) -> bool {
        self.output
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ended
    }

    /// Types `text`.
    pub fn send(&mut self, text: &str) -> Result<(), Failure> {
        let input = self.input.as_mut().ok_or("the input was closed")?;
        input
            .write_all(text.as_bytes())
            .and_then(|()| input.flush())
            .map_err(|e| e.to_string())
    }

    /// Ends the input, as a pipe that has no more.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for Linux's shell.
    pub fn shell(&mut self) -> Result<(), Failure> {
        self.expect("linux:/# ").map(drop)
    }

    /// Runs `command` in Linux's shell; gives what it printed.
    pub fn run(&mut self, command: &str) -> Result<String, Failure> {
        self.send(&format!("{command}\n"))?;
        // The shell echoes the line first.
        self.expect("\n")?;
        let text = self.expect("linux:/# ")?;
        Ok(text.replace('\r', "").replace("\u{1b}[6n", ""))
    }

    /// Waits until the machine is off, and checks its last words and its whole log.
    pub fn finish(self, status: u32) -> Result<String, Failure> {
        self.finish_within(status, STEP)
    }

    /// The same with a time limit of its own.
    pub fn finish_within(self, status: u32, limit: Duration) -> Result<String, Failure> {
        let text = self.off(limit)?;
        if let Some(line) = log::alarm(&text) {
            return Err(self.failure(&format!("the console says {line:?}")));
        }
        if self.symbols.is_some() && log::final_status(&text) != Some(status) {
            return Err(self.failure(&format!("the last line isn't \"axhv: status {status}\"")));
        }
        Ok(text)
    }

    /// Waits until the machine is off; gives what it said, whatever that is.
    fn off(&self, limit: Duration) -> Result<String, Failure> {
        let end = self.end.min(Instant::now() + limit);
        let mut output = self.output.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !output.ended {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(output);
                return Err(self.failure("the machine doesn't end"));
            }
            output = self
                .output
                .1
                .wait_timeout(output, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(String::from_utf8_lossy(&output.text).into_owned())
    }

    /// What [`symbols::symbolize`] makes of the log.
    pub fn names(&self) -> Result<String, Failure> {
        match &self.symbols {
            Some(elf) => symbols::symbolize(elf, &self.text()),
            None => Ok(String::new()),
        }
    }

    /// Waits until the machine is off after a fault of the hypervisor, which `status` tells; gives
    /// the names in its backtrace.
    pub fn finish_broken(self, status: u32) -> Result<String, Failure> {
        let text = self.off(STEP)?;
        if log::final_status(&text) != Some(status) {
            return Err(self.failure(&format!("the last line isn't \"axhv: status {status}\"")));
        }
        self.names()
    }

    /// `why`, the end of the log, and names for the addresses in it.
    pub fn failure(&self, why: &str) -> Failure {
        let text = self.text();
        let names = match self.names() {
            Ok(names) | Err(names) => names,
        };
        format!(
            "{why}\n{}\n{names}(all of it: {})",
            log::tail(&text, 40),
            self.log.display()
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
