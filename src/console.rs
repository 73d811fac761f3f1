//! The console: what guests and the hypervisor print goes to one UART, what is typed goes to one
//! guest.
//!
//! Guests' output is taken from their UART models by one task, so that a slow line holds up nobody
//! else; the log is written at once, by whoever logs.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axdevice::{ConsoleHook, ConsolePort};
use axhal::drivers::pl011::Pl011;
use axhal::irq;
use axtask::WaitQueue;
use spin::Mutex;

use crate::arch;
use crate::task::{self, Machine, SCHEDULER};

/// Output is moved in pieces of this many bytes.
const PIECE: usize = 64;
/// Typed characters that wait for a guest. What is typed beyond waits in the UART.
const INPUT: usize = 1024;
/// No interrupt line.
const NO_LINE: u32 = u32::MAX;

/// A guest's console.
struct Port {
    vm: usize,
    name: String,
    port: Arc<dyn ConsolePort>,
}

/// Who prints and who listens. Locked with interrupts masked, for a piece of output at a time.
struct Switch {
    ports: Vec<Port>,
    /// The VM whose output alone is shown, and that gets the input; `None`: all are shown, each
    /// line with its name.
    only: Option<String>,
    /// All VMs' output is shown even if there is one VM only.
    all: bool,
    /// The port whose line stands unfinished on the console.
    open_line: Option<usize>,
    /// What was typed and not taken yet.
    input: Vec<u8>,
}

static SWITCH: Mutex<Switch> = Mutex::new(Switch {
    ports: Vec::new(),
    only: None,
    all: false,
    open_line: None,
    input: Vec::new(),
});

/// There is something for the console's task.
static WORK: AtomicBool = AtomicBool::new(false);
static WAKE: WaitQueue<Machine> = WaitQueue::new();
/// The UART's interrupt line, and whether it waits for the task.
static LINE: AtomicU32 = AtomicU32::new(NO_LINE);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Which guests are shown.
pub enum Show {
    /// The only VM alone, or all.
    Auto,
    /// All, each line with its VM's name.
    All,
    /// This VM alone.
    Only(String),
}

fn uart() -> Option<&'static Pl011> {
    axhal::console::uart()
}

/// Starts the console's task and the UART's interrupts.
pub fn start(show: Show, line: Option<u32>) {
    {
        let mut switch = SWITCH.lock();
        match show {
            Show::Auto => {}
            Show::All => switch.all = true,
            Show::Only(name) => switch.only = Some(name),
        }
        switch.input.reserve_exact(INPUT);
    }
    if let Err(error) = task::spawn("console", run) {
        log::error!("console: {error:?}");
    }
    let (Some(uart), Some(line)) = (uart(), line) else {
        return;
    };
    LINE.store(line, Ordering::Relaxed);
    match arch::enable_line(line, axhal::cpu::index()) {
        Ok(()) => uart.enable_rx_interrupts(),
        Err(error) => log::error!("console: no input: {error}"),
    }
}

/// Shows a VM's console from now on.
pub fn attach(vm: usize, name: &str, port: &Arc<dyn ConsolePort>) {
    port.attach(Arc::new(Hook));
    let mut switch = SWITCH.lock();
    switch.ports.push(Port {
        vm,
        name: name.into(),
        port: port.clone(),
    });
}

/// The VM is gone: what it has printed is shown, then its console is forgotten.
pub fn detach(vm: usize) {
    while move_output(Some(vm)) {}
    let mut switch = SWITCH.lock();
    if let Some(index) = switch.ports.iter().position(|port| port.vm == vm) {
        end_line(&mut switch);
        switch.ports.remove(index);
        switch.open_line = None;
    }
}

/// Whether interrupt line `line` is the console's. Its task does the rest.
pub fn interrupt(line: u32) -> bool {
    if line != LINE.load(Ordering::Relaxed) {
        return false;
    }
    INTERRUPTED.store(true, Ordering::Release);
    wake();
    true
}

fn wake() {
    WORK.store(true, Ordering::Release);
    WAKE.notify_one();
}

/// How guests' UARTs reach the console's task.
struct Hook;

impl ConsoleHook for Hook {
    fn output_ready(&self) {
        wake();
    }

    fn input_wanted(&self) {
        wake();
    }
}

/// The console's task.
fn run() {
    loop {
        WAKE.wait_until(&SCHEDULER, || WORK.swap(false, Ordering::Acquire));
        while move_output(None) {
            // Between pieces others may run.
            irq::preemptible(|| {});
        }
        take_input();
        feed_input();
    }
}

/// Moves a piece of output of each shown VM (or of `only`) to the UART. `false`: there was none.
fn move_output(only: Option<usize>) -> bool {
    let mut any = false;
    let count = SWITCH.lock().ports.len();
    for index in 0..count {
        let mut switch = SWITCH.lock();
        let Some(port) = switch.ports.get(index) else {
            break;
        };
        if only.is_some_and(|vm| vm != port.vm) {
            continue;
        }
        let mut piece = [0; PIECE];
        let len = port.port.drain_output(&mut piece);
        let shown = switch.only.as_ref().is_none_or(|name| *name == port.name);
        if let Some(piece) = piece.get(..len).filter(|piece| !piece.is_empty()) {
            any = true;
            if shown {
                print(&mut switch, index, piece);
            }
        }
    }
    any
}

/// Prints what a guest sent; with several guests, each line with its name.
fn print(switch: &mut Switch, index: usize, piece: &[u8]) {
    let Some(uart) = uart() else { return };
    let named = switch.only.is_none() && (switch.all || switch.ports.len() > 1);
    if !named {
        for &byte in piece {
            put(uart, byte);
        }
        switch.open_line = (piece.last() != Some(&b'\n')).then_some(index);
        return;
    }
    for &byte in piece {
        if switch.open_line != Some(index) {
            if byte == b'\r' {
                continue;
            }
            end_line(switch);
            let name = switch
                .ports
                .get(index)
                .map_or("", |port| port.name.as_str());
            for &byte in [b"[", name.as_bytes(), b"] "].into_iter().flatten() {
                put(uart, byte);
            }
            switch.open_line = Some(index);
        }
        put(uart, byte);
        if byte == b'\n' {
            switch.open_line = None;
        }
    }
}

/// The next thing printed begins a line.
fn end_line(switch: &mut Switch) {
    if switch.open_line.take().is_some()
        && let Some(uart) = uart()
    {
        put(uart, b'\r');
        put(uart, b'\n');
    }
}

/// Writes a byte, waiting for room.
fn put(uart: &Pl011, byte: u8) {
    while !uart.try_putc(byte) {
        core::hint::spin_loop();
    }
}

/// Takes what was typed from the UART, as long as there is room for it.
fn take_input() {
    let Some(uart) = uart() else { return };
    if !INTERRUPTED.load(Ordering::Acquire) {
        return;
    }
    let mut switch = SWITCH.lock();
    while switch.input.len() < INPUT {
        match uart.try_getc() {
            Some(byte) => switch.input.push(byte),
            None if uart.rx_empty() => {
                // All is taken: the line falls, and may interrupt again.
                uart.clear_interrupts();
                INTERRUPTED.store(false, Ordering::Relaxed);
                arch::complete(LINE.load(Ordering::Relaxed));
                return;
            }
            // Not a character: a break, or a damaged one.
            None => {}
        }
    }
    // Full: the line stays active, so it does not interrupt, until a guest has taken some.
}

/// Offers what was typed to the guest that is shown, or to the first that is there.
fn feed_input() {
    let mut switch = SWITCH.lock();
    let switch = &mut *switch;
    let chosen = |port: &&Port| switch.only.as_ref().is_none_or(|name| *name == port.name);
    let Some(target) = switch.ports.iter().find(chosen) else {
        return;
    };
    // Not before it listens: what is piped in would be lost.
    if switch.input.is_empty() || !target.port.guest_listens() {
        return;
    }
    let was_full = switch.input.len() >= INPUT;
    let taken = target.port.write_input(&switch.input);
    switch.input.drain(..taken);
    if was_full && taken > 0 {
        WORK.store(true, Ordering::Release);
    }
}

/// Prints what guests have sent last.
pub fn flush() {
    while move_output(None) {}
    end_line(&mut SWITCH.lock());
}

/// Writes the log.
struct Log;

/// Lines of the log, without an allocation; a longer one is cut.
struct LineWriter<'a>(&'a Pl011);

impl Write for LineWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.emergency_write(text.as_bytes());
        Ok(())
    }
}

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        let Some(uart) = uart() else { return };
        if !self.enabled(record.metadata()) {
            return;
        }
        let _masked = irq::MaskGuard::new();
        let mut switch = SWITCH.lock();
        end_line(&mut switch);
        let level = match record.level() {
            log::Level::Error => "error: ",
            log::Level::Warn => "warning: ",
            _ => "",
        };
        let _ = writeln!(LineWriter(uart), "axhv: {level}{}", record.args());
    }

    fn flush(&self) {}
}

/// From now on the log is printed, down to `level`.
pub fn init_log(level: log::LevelFilter) {
    let _ = log::set_logger(&Log);
    log::set_max_level(level);
}
