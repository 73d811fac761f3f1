//! Ten seconds in which nothing happens: what interrupts a CPU then is the hypervisor's doing.

use crate::arch::hardware::{self, arm_at, call_nobody, frequency, now};
use crate::measure::{Report, cpu};

const SECONDS: u64 = 10;
/// Calls that nobody answers: in the emulator's log they are the begin and the end.
const BEGIN: u64 = 0x8300_00b0;
const END: u64 = 0x8300_00e0;

/// Lets the hypervisor pass on what was printed: a tenth of a second.
fn settle() {
    let end = now() + frequency() / 10;
    while now() < end {}
}

/// A vCPU that is busy.
pub fn spin(report: &mut Report) {
    settle();
    let end = now() + SECONDS * frequency();
    call_nobody(BEGIN);
    while now() < end {}
    call_nobody(END);
    report.say(format_args!("BENCH-QUIET spin {}", cpu(0).irqs()));
}

/// A vCPU that waits for one interrupt.
pub fn sleep(report: &mut Report) {
    settle();
    let end = now() + SECONDS * frequency();
    arm_at(end);
    call_nobody(BEGIN);
    hardware::mask();
    while cpu(0).irqs() == 0 {
        hardware::wfi();
        hardware::unmask();
        hardware::mask();
    }
    hardware::unmask();
    call_nobody(END);
    report.say(format_args!("BENCH-QUIET sleep {}", cpu(0).irqs()));
}

/// A vCPU that waits for nothing.
pub fn idle() -> ! {
    loop {
        hardware::wfi();
    }
}
