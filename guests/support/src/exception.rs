//! Exceptions: interrupts go to a hook, and a case may expect a fault and look at what came.

use crate::smp::MAX;
use crate::{cpu, lines, uart};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

pub use crate::arch::trap::*;

/// Where a CPU goes on after an expected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Resume {
    /// Nothing is expected.
    Never = 0,
    /// Behind the instruction.
    Next = 1,
    /// At the return address: for calls of what isn't there.
    Link = 2,
    /// Behind [`run_user`].
    User = 3,
}

#[derive(Default)]
struct Expected {
    resume: AtomicUsize,
    count: AtomicU64,
    fault: [AtomicU64; 5],
}

static EXPECTED: [Expected; MAX] = [const {
    Expected {
        resume: AtomicUsize::new(0),
        count: AtomicU64::new(0),
        fault: [const { AtomicU64::new(0) }; 5],
    }
}; MAX];

/// Called with the interrupt's number, on the CPU that took it, before it is ended; or 0.
static HOOK: AtomicUsize = AtomicUsize::new(0);
/// Whether interrupts are ended after the hook.
static AUTO_END: AtomicBool = AtomicBool::new(true);
/// How often each CPU took each interrupt.
static TAKEN: [[AtomicU64; lines::COUNT]; MAX] =
    [const { [const { AtomicU64::new(0) }; lines::COUNT] }; MAX];

/// Switches the UART and the first CPU's part of the interrupt controller on, and lets interrupts
/// in.
pub fn init() {
    uart::init();
    lines::init();
    unmask();
}

/// What to call on interrupts, and whether they are ended behind it.
pub fn on_interrupt(hook: Option<fn(u32)>, auto_end: bool) {
    HOOK.store(hook.map_or(0, |hook| hook as usize), Ordering::SeqCst);
    AUTO_END.store(auto_end, Ordering::SeqCst);
}

/// How often CPU number `cpu` took interrupt `line`.
pub fn taken(cpu: usize, line: u32) -> u64 {
    TAKEN[cpu][line as usize % lines::COUNT].load(Ordering::SeqCst)
}

/// Forgets how often interrupts were taken.
pub fn forget_taken() {
    for count in TAKEN.iter().flatten() {
        count.store(0, Ordering::SeqCst);
    }
}

/// This CPU took interrupt `line`: counts it and calls the hook. Whether it is to be ended.
pub(crate) fn took(line: u32) -> bool {
    TAKEN[cpu()][line as usize % lines::COUNT].fetch_add(1, Ordering::SeqCst);
    if line == lines::SPURIOUS {
        return false;
    }
    let hook = HOOK.load(Ordering::SeqCst);
    if hook != 0 {
        // SAFETY: `on_interrupt` put a `fn(u32)` there.
        unsafe { core::mem::transmute::<usize, fn(u32)>(hook)(line) };
    }
    AUTO_END.load(Ordering::SeqCst)
}

/// Runs `code` and gives the first fault that came, if one did. Each fault is resumed as told.
pub fn catch(resume: Resume, code: impl FnOnce()) -> Option<Fault> {
    let expected = &EXPECTED[cpu()];
    expected.count.store(0, Ordering::SeqCst);
    expected.resume.store(resume as usize, Ordering::SeqCst);
    code();
    expected
        .resume
        .store(Resume::Never as usize, Ordering::SeqCst);
    if expected.count.load(Ordering::SeqCst) == 0 {
        return None;
    }
    let fault = [0, 1, 2, 3, 4].map(|n: usize| expected.fault[n].load(Ordering::SeqCst));
    Some(Fault::from(fault))
}

/// This CPU took a fault: keeps it if it is the first one, and says where to go on.
pub(crate) fn faulted(fault: [u64; 5]) -> Resume {
    let expected = &EXPECTED[cpu()];
    let resume = match expected.resume.load(Ordering::SeqCst) {
        1 => Resume::Next,
        2 => Resume::Link,
        3 => Resume::User,
        _ => return Resume::Never,
    };
    if expected.count.fetch_add(1, Ordering::SeqCst) == 0 {
        for (slot, value) in expected.fault.iter().zip(fault) {
            slot.store(value, Ordering::SeqCst);
        }
    }
    resume
}
