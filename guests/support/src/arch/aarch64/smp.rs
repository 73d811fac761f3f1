//! CPUs by PSCI.

use super::psci;

unsafe extern "C" {
    /// Where a CPU started by CPU_ON begins; the context is its number.
    fn guest_secondary_entry();
}

/// The address to give to CPU_ON.
pub fn entry() -> u64 {
    guest_secondary_entry as *const () as u64
}

/// The affinity of CPU number `cpu`: they count at level 0, as on QEMU's `virt`.
pub fn id(cpu: usize) -> u64 {
    cpu as u64
}

/// How many CPUs there are: those AFFINITY_INFO knows.
pub fn count() -> usize {
    (0..crate::smp::MAX)
        .take_while(|&cpu| psci::call(psci::AFFINITY_INFO, [id(cpu), 0, 0]) >= 0)
        .count()
}

/// Starts CPU number `cpu`: what CPU_ON answers, 0 if it does.
pub(crate) fn start(cpu: usize) -> i64 {
    psci::call(psci::CPU_ON, [id(cpu), entry(), cpu as u64])
}

/// Switches this CPU off: CPU_OFF's answer if that fails.
pub(crate) fn off() -> i64 {
    psci::call(psci::CPU_OFF, [0; 3])
}

/// Wakes CPU number `cpu` out of [`sleep`].
pub(crate) fn wake(_: usize) {
    // SAFETY: a barrier and an event.
    unsafe { core::arch::asm!("dsb ishst", "sev", options(nostack)) };
}

/// Waits until this CPU was given work, which `given` tells.
pub(crate) fn sleep(given: impl Fn() -> bool) {
    while !given() {
        // SAFETY: waits for the event of `wake`, or for nothing at all.
        unsafe { core::arch::asm!("wfe", options(nostack)) };
    }
}
