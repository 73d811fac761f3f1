//! The console: what guests and the hypervisor print goes to one UART, what is typed goes to one
//! guest.
//!
//! All output is staged in one ring that a task moves to the UART as fast as that takes it, so
//! that a slow line holds up nobody. Guests' output waits in their UART models until there is
//! room; a guest that prints more than the line carries sees its own UART full. Lines stay whole:
//! while one guest's stands unfinished, other guests and the log wait for a moment.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axdevice::{ConsoleHook, ConsolePort};
use axhal::drivers::uart::{Received, Uart};
use axhal::irq;
use axtask::{Timer, WaitQueue};
use spin::{Mutex, Once};

use crate::task::{self, Machine, SCHEDULER};
use crate::{arch, manager};

/// Guests' output is taken, and moved to the UART, in pieces of this many bytes.
const PIECE: usize = 64;
/// Room for lines of the log.
const LOG: usize = 4096;
/// Room for staged output: all of the log behind the end of a line, or a piece with its lines'
/// names.
const STAGED: usize = LOG + 2;
/// Lines get no name where less room is left: what the guest said itself is not lost.
const RESERVED: usize = 512;
/// Typed characters that wait for a guest. What is typed beyond waits in the UART.
const INPUT: usize = 1024;
/// How long a guest's line may stand unfinished before another guest's, or the log's, breaks it.
const LINE_NS: u64 = 500_000_000;
/// No interrupt line.
const NO_LINE: u32 = u32::MAX;
/// How long to wait for a UART that is full.
const RETRY_NS: u64 = 1_000_000;

/// Output on its way to the UART.
struct Ring<const SIZE: usize> {
    bytes: [u8; SIZE],
    first: usize,
    len: usize,
}

impl<const SIZE: usize> Ring<SIZE> {
    const EMPTY: Self = Self {
        bytes: [0; SIZE],
        first: 0,
        len: 0,
    };

    fn room(&self) -> usize {
        SIZE - self.len
    }

    /// A byte that finds no room is lost.
    fn push(&mut self, byte: u8) {
        let at = (self.first + self.len) % SIZE;
        if let Some(place) = self.bytes.get_mut(at).filter(|_| self.len < SIZE) {
            *place = byte;
            self.len += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.first).copied().filter(|_| self.len > 0)
    }

    fn pop(&mut self) {
        self.first = (self.first + 1) % SIZE;
        self.len = self.len.saturating_sub(1);
    }
}

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
    /// Lines get the name of their VM.
    all: bool,
    /// The VM whose line stands unfinished on the console.
    open_line: Option<usize>,
    /// Until when other guests wait for its end, in ticks.
    open_until: u64,
    /// The port whose turn it is.
    turn: usize,
    out: Ring<STAGED>,
    /// Lines of the log that are not staged yet.
    log: Ring<LOG>,
    /// What was typed and not taken yet.
    input: Vec<u8>,
}

impl Switch {
    /// Who gets what is typed: the guest that is shown, or the first that is there.
    fn listener(&self) -> Option<&Port> {
        let chosen = |port: &&Port| self.only.as_ref().is_none_or(|name| *name == port.name);
        self.ports.iter().find(chosen)
    }

    /// The VM whose unfinished line the others and the log wait for, and until when, in ticks.
    fn line_holder(&self) -> Option<(usize, u64)> {
        self.open_line
            .filter(|_| arch::timer().now() < self.open_until)
            .map(|vm| (vm, self.open_until))
    }
}

static SWITCH: Mutex<Switch> = Mutex::new(Switch {
    ports: Vec::new(),
    only: None,
    all: false,
    open_line: None,
    open_until: 0,
    turn: 0,
    out: Ring::EMPTY,
    log: Ring::EMPTY,
    input: Vec::new(),
});

/// There is something for the console's task.
static WORK: AtomicBool = AtomicBool::new(false);
static WAKE: WaitQueue<Machine> = WaitQueue::new();
/// The task runs; before, the log is written at once.
static RUNS: AtomicBool = AtomicBool::new(false);
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

fn uart() -> Option<&'static Uart> {
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
    match task::spawn("console", task::priority::SERVICE, run) {
        Ok(_) => RUNS.store(true, Ordering::Release),
        Err(error) => log::error!("console: {error}"),
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

/// There are several VMs: their lines get names, also while only one of them prints.
pub fn name_lines() {
    SWITCH.lock().all = true;
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

/// The VM is gone, and prints no more: what it has printed is shown, then its console is forgotten.
pub fn detach(vm: usize) {
    drain();
    let mut switch = SWITCH.lock();
    if switch.open_line == Some(vm) {
        end_line(&mut switch);
    }
    switch.ports.retain(|port| port.vm != vm);
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

/// How long the first character of some output waits for others, and the next piece of input.
const DELAY_NS: u64 = 1_000_000;
static DELAY: Once<Timer<Machine>> = Once::new();
/// The timer is armed.
static DELAYED: AtomicBool = AtomicBool::new(false);

fn delayed(_: usize) {
    DELAYED.store(false, Ordering::Release);
    wake();
}

/// Wakes the console's task in a moment.
fn wake_soon() {
    let timer = DELAY.call_once(|| Timer::new(&SCHEDULER, delayed, 0));
    if !DELAYED.swap(true, Ordering::AcqRel) {
        let clock = arch::timer();
        let deadline = clock.now() + clock.scale().to_ticks(DELAY_NS);
        Pin::static_ref(timer).arm(deadline);
    }
}

/// How guests' UARTs reach the console's task.
struct Hook;

impl ConsoleHook for Hook {
    fn output_ready(&self) {
        // One switch to the console's task for what is printed in the next moment, not one for
        // each character.
        wake_soon();
    }

    fn output_pressing(&self) {
        wake();
    }

    fn input_wanted(&self) {
        wake();
    }
}

/// The console's task.
fn run() {
    let mut full = false;
    loop {
        // What waits for the end of another's line is shown when that has taken too long.
        let held = SWITCH.lock().line_holder();
        let mut until = held.map_or(u64::MAX, |(_, until)| until);
        if full {
            // A UART whose interrupt can't be used says nothing when it has room.
            let timer = arch::timer();
            until = until.min(timer.now() + timer.scale().to_ticks(RETRY_NS));
        }
        WAKE.wait_until_deadline(&SCHEDULER, until, || WORK.swap(false, Ordering::Acquire));
        take_input();
        feed_input();
        full = loop {
            match step(false) {
                Step::More => manager::pause(),
                Step::Full => break true,
                Step::Nothing => break false,
            }
        };
        if let Some(uart) = uart() {
            // A UART that is full says when it has room.
            uart.set_tx_interrupt(full);
        }
    }
}

/// What a step of output has left.
enum Step {
    /// More to do.
    More,
    /// The UART is full.
    Full,
    /// Nothing.
    Nothing,
}

/// Moves a piece of staged output to the UART; when all is moved, stages a piece of the next VM
/// that has some. While a guest's line stands unfinished the others wait, unless all is to be shown
/// `at_once`. Guests' UARTs are used without the switch's lock: they take their VM's locks.
fn step(at_once: bool) -> Step {
    let Some(uart) = uart() else {
        return step_without_uart();
    };
    let (first, ports, holder) = {
        let mut switch = SWITCH.lock();
        for _ in 0..PIECE {
            let Some(byte) = switch.out.peek() else { break };
            if !uart.try_putc(byte) {
                return Step::Full;
            }
            switch.out.pop();
        }
        if switch.out.len > 0 {
            return Step::More;
        }
        switch.turn = switch.turn.wrapping_add(1);
        let holder = switch.line_holder().filter(|_| !at_once);
        if holder.is_none() && switch.log.peek().is_some() {
            end_line(&mut switch);
            let Switch { out, log, .. } = &mut *switch;
            while let Some(byte) = log.peek() {
                out.push(byte);
                log.pop();
            }
            return Step::More;
        }
        (switch.turn, switch.ports.len(), holder)
    };
    for index in 0..ports {
        let Some((vm, port)) = port_at(first.wrapping_add(index) % ports) else {
            break;
        };
        if holder.is_some_and(|(holder, _)| holder != vm) {
            continue;
        }
        let mut piece = [0; PIECE];
        let len = port.drain_output(&mut piece);
        if let Some(piece) = piece.get(..len).filter(|piece| !piece.is_empty()) {
            stage(&mut SWITCH.lock(), vm, piece);
            return Step::More;
        }
    }
    Step::Nothing
}

/// Where there is no UART, guests' output goes nowhere; but it goes, or they would wait for room.
fn step_without_uart() -> Step {
    let ports = SWITCH.lock().ports.len();
    let mut piece = [0; PIECE];
    let any = (0..ports)
        .filter_map(port_at)
        .fold(false, |any, (_, port)| {
            port.drain_output(&mut piece) > 0 || any
        });
    if any { Step::More } else { Step::Nothing }
}

fn port_at(index: usize) -> Option<(usize, Arc<dyn ConsolePort>)> {
    SWITCH
        .lock()
        .ports
        .get(index)
        .map(|port| (port.vm, port.port.clone()))
}

/// Stages what a guest sent; with several guests, each line with its name.
fn stage(switch: &mut Switch, vm: usize, piece: &[u8]) {
    let named = switch.only.is_none() && switch.all;
    let Switch {
        ports,
        out,
        open_line,
        open_until,
        only,
        ..
    } = switch;
    let Some(Port { name, .. }) = ports.iter().find(|port| port.vm == vm) else {
        return;
    };
    if only.as_ref().is_some_and(|only| only != name) {
        return;
    }
    for &byte in piece {
        if *open_line != Some(vm) {
            if named && byte == b'\r' {
                continue;
            }
            if open_line.is_some() {
                out.push(b'\r');
                out.push(b'\n');
            }
            if named && out.room() > RESERVED {
                for &byte in [b"[", name.as_bytes(), b"] "].into_iter().flatten() {
                    out.push(byte);
                }
            }
        }
        out.push(byte);
        if byte == b'\n' {
            *open_line = None;
        } else if *open_line != Some(vm) {
            *open_line = Some(vm);
            let timer = arch::timer();
            *open_until = timer.now() + timer.scale().to_ticks(LINE_NS);
        }
    }
}

/// The next thing staged begins a line.
fn end_line(switch: &mut Switch) {
    if switch.open_line.take().is_some() {
        switch.out.push(b'\r');
        switch.out.push(b'\n');
    }
}

/// Waits until all that was printed has gone to the UART, or as much as was there at first.
pub fn drain() {
    // What is staged, and 4 KiB in each UART model, which are staged first.
    let mut left = {
        let switch = SWITCH.lock();
        (switch.log.len + switch.out.len) / PIECE + 2 * switch.ports.len() * (4096 / PIECE) + 2
    };
    while left > 0 {
        match step(true) {
            Step::More => {
                left -= 1;
                manager::pause();
            }
            Step::Full => {
                let timer = arch::timer();
                SCHEDULER.sleep_until(timer.now() + timer.scale().to_ticks(RETRY_NS));
            }
            Step::Nothing => return,
        }
    }
}

/// Takes what was typed from the UART, as long as there is room for it.
fn take_input() {
    let Some(uart) = uart() else { return };
    if !INTERRUPTED.load(Ordering::Acquire) {
        return;
    }
    let mut switch = SWITCH.lock();
    // Bounded also where nothing is a character: a line that is torn off, a UART that is stuck.
    for _ in 0..INPUT {
        if switch.input.len() >= INPUT {
            // Full: the line stays active, so it does not interrupt, until a guest has taken some.
            return;
        }
        match uart.receive() {
            Received::Byte(byte) => switch.input.push(byte),
            Received::Damaged => {}
            Received::Nothing => {
                // All is taken and the line has fallen: it may interrupt again.
                INTERRUPTED.store(false, Ordering::Relaxed);
                drop(switch);
                arch::complete(LINE.load(Ordering::Relaxed));
                return;
            }
        }
    }
    // The rest in the next turn; others may run in between.
    WORK.store(true, Ordering::Release);
}

/// Offers what was typed to the guest that listens.
fn feed_input() {
    let mut piece = [0; PIECE];
    let (port, typed) = {
        let switch = SWITCH.lock();
        let Some(target) = switch.listener() else {
            return;
        };
        let typed = switch.input.len().min(PIECE);
        for (place, byte) in piece.iter_mut().zip(&switch.input) {
            *place = *byte;
        }
        (target.port.clone(), typed)
    };
    // Not before it listens: what is piped in would be lost.
    let Some(piece) = piece.get(..typed).filter(|piece| !piece.is_empty()) else {
        return;
    };
    if !port.guest_listens() {
        return;
    }
    let taken = port.write_input(piece);
    {
        // Only this task adds to the input or takes from its front; but all of it may have been
        // dropped meanwhile.
        let mut switch = SWITCH.lock();
        let taken = taken.min(switch.input.len());
        switch.input.drain(..taken);
    }
    if taken > 0 {
        // There may be more, or room again for what waits in the UART. A piece in a moment, which is
        // several times what a serial line carries: a guest whose receiver is full again whenever
        // it has read a character never leaves its interrupt handler.
        wake_soon();
    }
}

/// What was typed for a VM that starts again was meant for its earlier life. What is another's
/// stays.
pub fn drop_input(vm: usize) {
    let mut switch = SWITCH.lock();
    if switch.listener().is_some_and(|port| port.vm == vm) {
        switch.input.clear();
    }
}

/// Writes the log.
struct Log;

/// A line of the log; what finds no room is lost.
struct Staged<'a>(&'a mut Ring<LOG>);

impl Write for Staged<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.0.push(b'\r');
            }
            self.0.push(byte);
        }
        Ok(())
    }
}

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            log::Level::Error => "error: ",
            log::Level::Warn => "warning: ",
            _ => "",
        };
        if !RUNS.load(Ordering::Acquire) {
            return axhal::console::write(format_args!("axhv: {level}{}\n", record.args()));
        }
        let _masked = irq::MaskGuard::new();
        {
            let mut switch = SWITCH.lock();
            let _ = writeln!(Staged(&mut switch.log), "axhv: {level}{}", record.args());
        }
        wake();
    }

    fn flush(&self) {}
}

/// From now on the log is printed, down to `level`.
pub fn init_log(level: log::LevelFilter) {
    let _ = log::set_logger(&Log);
    log::set_max_level(level);
}
