//! Physical interrupts that are the hypervisor's own.

use crate::arch::{self, Event};
use crate::console;
use crate::task::SCHEDULER;

/// The interrupt vector's way in, while hypervisor code has interrupts open: serves all that is
/// pending, then switches tasks if it is time to.
pub fn taken() {
    loop {
        match arch::acknowledge() {
            Event::None => break,
            event => serve(event),
        }
    }
    if SCHEDULER.need_resched() {
        SCHEDULER.preempt();
    }
}

/// One that a vCPU's exit has acknowledged and not ended. Task switches are the exit loop's.
pub fn acknowledged(vector: u64) {
    serve(arch::classify(vector as u32));
}

fn serve(event: Event) {
    match event {
        Event::None => {}
        Event::Kick => {
            // Another CPU may have stopped the machine.
            axhal::park_if_stopping();
            SCHEDULER.ipi();
        }
        Event::Timer => SCHEDULER.timer_interrupt(),
        Event::Line(line) => {
            if !console::interrupt(line) {
                // Nobody's: it stays active, so that it can't storm.
                log::error!("interrupt line {line} is nobody's");
            }
        }
    }
}
