//! The other CPUs: started by the firmware, they run what they are given.

use crate::arch::smp as arch;
use crate::sync::wait_for;
use crate::{exception, lines};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

pub use arch::{count, entry, id};

/// As many CPUs as there are stacks.
pub const MAX: usize = 8;

const STACK_SIZE: usize = 1 << 15;

#[repr(C, align(4096))]
struct Stacks([[u8; STACK_SIZE]; MAX]);

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static mut guest_stacks: Stacks = Stacks([[0; STACK_SIZE]; MAX]);

/// What each CPU shall run: a `fn()`, or 0.
static WORK: [AtomicUsize; MAX] = [const { AtomicUsize::new(0) }; MAX];
/// Which CPUs were started and not switched off since.
static STARTED: [AtomicBool; MAX] = [const { AtomicBool::new(false) }; MAX];
/// Which of them wait for work, or have it.
static UP: [AtomicBool; MAX] = [const { AtomicBool::new(false) }; MAX];

/// Three registers of each CPU as it was started; which, the architecture's `entry.s` tells.
static STATE: [[AtomicU64; 3]; MAX] = [const { [const { AtomicU64::new(0) }; 3] }; MAX];

/// Three registers of CPU number `cpu` as it was started: SCTLR_EL1, DAIF and CurrentEL; or
/// `sstatus`, `satp` and the hart id.
pub fn initial_state(cpu: usize) -> [u64; 3] {
    [0, 1, 2].map(|n: usize| STATE[cpu][n].load(Ordering::SeqCst))
}

/// Starts CPU number `cpu`, or finds it started. What the firmware answered: 0 if it did.
pub fn start(cpu: usize) -> i64 {
    start_by(cpu, || arch::start(cpu))
}

/// The same, by a call of the caller's own to the firmware.
pub fn start_by(cpu: usize, call: impl FnOnce() -> i64) -> i64 {
    if STARTED[cpu].swap(true, Ordering::SeqCst) {
        return 0;
    }
    UP[cpu].store(false, Ordering::SeqCst);
    call()
}

/// Gives `work` to CPU number `cpu`, which is started if it isn't.
pub fn give(cpu: usize, work: fn()) {
    assert!(start(cpu) == 0, "CPU {cpu} doesn't start");
    let up = wait_for(2000, || UP[cpu].load(Ordering::Acquire));
    assert!(up, "CPU {cpu} doesn't come");
    WORK[cpu].store(work as usize, Ordering::Release);
    arch::wake(cpu);
}

/// Waits until CPU number `cpu` has done its work. Whether it did within two seconds.
pub fn wait(cpu: usize) -> bool {
    wait_within(cpu, 2000)
}

/// Waits until CPU number `cpu` has done its work. Whether it did within `milliseconds`.
pub fn wait_within(cpu: usize, milliseconds: u64) -> bool {
    wait_for(milliseconds, || WORK[cpu].load(Ordering::Acquire) == 0)
}

/// Gives `work` to CPU number `cpu` and waits for it.
pub fn run(cpu: usize, work: fn()) -> bool {
    give(cpu, work);
    wait(cpu)
}

/// Leaves this CPU's work for good by `call`, which comes back only if it fails: then [`stay`].
pub fn leave(call: impl FnOnce() -> i64) -> i64 {
    UP[crate::cpu()].store(false, Ordering::SeqCst);
    WORK[crate::cpu()].store(0, Ordering::Release);
    call()
}

/// This CPU is there after all.
pub fn stay() {
    UP[crate::cpu()].store(true, Ordering::SeqCst);
}

/// Switches this CPU off; returns the firmware's answer only if that fails.
pub fn off() -> i64 {
    STARTED[crate::cpu()].store(false, Ordering::SeqCst);
    leave(arch::off)
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
extern "C" fn guest_other_cpu(cpu: usize, first: u64, second: u64, third: u64) -> ! {
    for (slot, value) in STATE[cpu].iter().zip([first, second, third]) {
        slot.store(value, Ordering::SeqCst);
    }
    lines::init_cpu();
    exception::unmask();
    UP[cpu].store(true, Ordering::Release);
    loop {
        arch::sleep(|| WORK[cpu].load(Ordering::Acquire) != 0);
        let work = WORK[cpu].load(Ordering::Acquire);
        if work == 0 {
            continue;
        }
        // SAFETY: `give` put a `fn()` there.
        let work = unsafe { core::mem::transmute::<usize, fn()>(work) };
        work();
        WORK[cpu].store(0, Ordering::Release);
    }
}
