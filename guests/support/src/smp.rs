//! The other CPUs: started by PSCI, they run what they are given.

use crate::sync::wait_for;
use crate::{exception, gic, psci};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

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

/// SCTLR_EL1, DAIF and CurrentEL of each CPU as CPU_ON left them.
static STATE: [[AtomicU64; 3]; MAX] = [const { [const { AtomicU64::new(0) }; 3] }; MAX];

unsafe extern "C" {
    /// Where a CPU started by CPU_ON begins; the context is its number.
    fn guest_secondary_entry();
}

/// The address to give to CPU_ON.
pub fn entry() -> u64 {
    guest_secondary_entry as *const () as u64
}

/// The affinity of CPU number `cpu`: they count at level 0, as on QEMU's `virt`.
pub fn mpidr(cpu: usize) -> u64 {
    cpu as u64
}

/// SCTLR_EL1, DAIF and CurrentEL of CPU number `cpu` as CPU_ON left them.
pub fn initial_state(cpu: usize) -> [u64; 3] {
    [0, 1, 2].map(|n: usize| STATE[cpu][n].load(Ordering::SeqCst))
}

/// How many CPUs there are: those AFFINITY_INFO knows.
pub fn count() -> usize {
    (0..MAX)
        .take_while(|&cpu| psci::call(psci::AFFINITY_INFO, [mpidr(cpu), 0, 0]) >= 0)
        .count()
}

/// Starts CPU number `cpu`, or finds it started. What CPU_ON answered.
pub fn start(cpu: usize) -> i64 {
    start_with(cpu, psci::CPU_ON)
}

/// The same by `function`, one of the two CPU_ON.
pub fn start_with(cpu: usize, function: u64) -> i64 {
    if STARTED[cpu].swap(true, Ordering::SeqCst) {
        return psci::SUCCESS;
    }
    psci::call(function, [mpidr(cpu), entry(), cpu as u64])
}

/// Gives `work` to CPU number `cpu`, which is started if it isn't.
pub fn give(cpu: usize, work: fn()) {
    assert!(start(cpu) == psci::SUCCESS, "CPU {cpu} doesn't start");
    WORK[cpu].store(work as usize, Ordering::Release);
    // SAFETY: a barrier and an event.
    unsafe { core::arch::asm!("dsb ishst", "sev", options(nostack)) };
}

/// Waits until CPU number `cpu` has done its work. Whether it did within two seconds.
pub fn wait(cpu: usize) -> bool {
    wait_for(2000, || WORK[cpu].load(Ordering::Acquire) == 0)
}

/// Gives `work` to CPU number `cpu` and waits for it.
pub fn run(cpu: usize, work: fn()) -> bool {
    give(cpu, work);
    wait(cpu)
}

/// Switches this CPU off; returns CPU_OFF's answer only if that fails.
pub fn off() -> i64 {
    STARTED[crate::cpu()].store(false, Ordering::SeqCst);
    WORK[crate::cpu()].store(0, Ordering::Release);
    psci::call(psci::CPU_OFF, [0; 3])
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
extern "C" fn guest_other_cpu(cpu: usize, sctlr: u64, daif: u64, el: u64) -> ! {
    for (slot, value) in STATE[cpu].iter().zip([sctlr, daif, el]) {
        slot.store(value, Ordering::SeqCst);
    }
    gic::init_cpu();
    exception::unmask();
    loop {
        let work = WORK[cpu].load(Ordering::Acquire);
        if work == 0 {
            // SAFETY: waits for the event of `give`, or for nothing at all.
            unsafe { core::arch::asm!("wfe", options(nostack)) };
            continue;
        }
        // SAFETY: `give` put a `fn()` there.
        let work = unsafe { core::mem::transmute::<usize, fn()>(work) };
        work();
        WORK[cpu].store(0, Ordering::Release);
    }
}
