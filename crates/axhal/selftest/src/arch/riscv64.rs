//! The hart's own interrupts, and the PLIC.

use axhal::boot::{self, BootInfo};
use axhal::cpu;
use axhal::drivers::intc::{self, Pending};
use axhal::drivers::plic::{Lines, Plic};
use axhal::drivers::timer::{Deadlines, Timer};
use axhal::{console, irq, remote};

use super::Event;
use crate::bare::registers;
use crate::say;

/// Sets the boot CPU up.
pub fn init(info: &BootInfo) -> Timer {
    let timer = Timer::new(&info.machine).expect("a frequency");
    timer.clear_deadline();
    init_cpu();
    timer
}

/// Sets this CPU up.
pub fn init_cpu() {
    intc::init_cpu();
}

/// Interrupts another CPU.
pub fn kick(cpu: usize) {
    remote::kick(cpu);
}

/// Serves one interrupt.
pub fn serve() -> Event {
    match intc::pending() {
        None => Event::None,
        Some(Pending::Software) => {
            intc::clear_software();
            Event::Kick
        }
        Some(Pending::Timer) => {
            if let Ok(timer) = Timer::new(&boot::info().machine) {
                timer.clear_deadline();
            }
            Event::Timer
        }
        Some(Pending::External) => Event::Other,
    }
}

/// What only this architecture has.
pub fn extra(info: &BootInfo) {
    moved_deadlines(&Timer::new(&info.machine).expect("a frequency"));
    plic(info);
}

/// Deadlines that are moved in the moment they come: an interrupt that stays behind is taken back.
fn moved_deadlines(timer: &Timer) {
    const TRIES: u64 = 20_000;
    let deadlines = Deadlines::new();
    let mut stayed = 0;
    for n in 0..TRIES {
        let deadline = timer.now() + 300 + n % 7;
        deadlines.set_own(timer, deadline);
        while timer.now() < deadline - 3 + n % 64 {}
        deadlines.set_own(timer, u64::MAX);
        if intc::pending() == Some(Pending::Timer) {
            stayed += 1;
            assert!(!deadlines.fired(timer, timer.now()));
            // It falls "eventually".
            let end = timer.now() + timer.scale().to_ticks(1_000_000);
            while intc::pending() == Some(Pending::Timer) {
                assert!(timer.now() < end, "an interrupt that doesn't go away");
            }
        }
    }
    say!("PASS deadlines ({stayed} interrupts stayed behind)");
}

/// The PLIC, with the UART's transmitter as a source that fires.
fn plic(info: &BootInfo) {
    let riscv = info.machine.riscv().expect("a RISC-V machine");
    static LINES: Lines = Lines::new();
    let plic = Plic::init(registers(&riscv.plic.regs), riscv.plic.sources, &LINES).expect("plic");
    let context = riscv.plic.contexts[cpu::index()].expect("a context");
    let context = plic.context(context).expect("context");
    let (Some(uart), Some(line)) = (
        console::uart(),
        info.machine
            .console
            .and_then(|console| console.interrupt)
            .and_then(|interrupt| interrupt.line()),
    ) else {
        return;
    };
    assert!(irq::masked() && plic.has(line) && plic.claim(context).is_none());
    plic.route(line, context).expect("a source");
    uart.set_tx_interrupt(true);
    assert!(plic.claim(context).is_none(), "it is masked");
    plic.set_masked(line, false);
    assert_eq!(intc::pending(), Some(Pending::External));
    assert_eq!(plic.claim(context), Some(line));
    assert_ne!(intc::pending(), Some(Pending::External));
    // Not completed, it can't fire again; completed it does, for its line is high still.
    assert!(plic.claim(context).is_none());
    plic.complete(line);
    uart.set_tx_interrupt(false);
    uart.set_tx_interrupt(true);
    assert_eq!(plic.claim(context), Some(line));
    uart.set_tx_interrupt(false);
    uart.clear_interrupts();
    plic.complete(line);
    assert!(plic.claim(context).is_none());
    assert_ne!(intc::pending(), Some(Pending::External));
    say!("PASS plic");
}
