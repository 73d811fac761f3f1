//! The generic timer (Arm ARM, D12).

/// The physical timer's interrupt.
pub const PHYSICAL_PPI: u32 = 30;
/// The virtual timer's interrupt.
pub const VIRTUAL_PPI: u32 = 27;
/// The interrupt of [`arm`].
pub const LINE: u32 = VIRTUAL_PPI;
/// ENABLE of CNTx_CTL_EL0.
pub const ENABLE: u64 = 1;
/// IMASK of CNTx_CTL_EL0.
pub const IMASK: u64 = 2;
/// ISTATUS of CNTx_CTL_EL0.
pub const ISTATUS: u64 = 4;

/// The virtual count.
pub fn now() -> u64 {
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb", options(nostack)) };
    read_sysreg!("cntvct_el0")
}

/// `milliseconds` in ticks.
pub fn ticks(milliseconds: u64) -> u64 {
    frequency() * milliseconds / 1000
}

/// How many ticks a second has.
pub fn frequency() -> u64 {
    read_sysreg!("cntfrq_el0")
}

/// Lets the timer fire in `milliseconds`.
pub fn arm(milliseconds: u64) {
    arm_virtual(milliseconds);
}

/// Lets the timer fire when the count is `deadline`.
pub fn arm_at(deadline: u64) {
    write_sysreg!("cntv_cval_el0", deadline);
    write_sysreg!("cntv_ctl_el0", ENABLE);
}

/// Stops the timer.
pub fn stop() {
    stop_virtual();
}

/// Lets the virtual timer fire in `milliseconds`.
pub fn arm_virtual(milliseconds: u64) {
    write_sysreg!("cntv_cval_el0", now() + ticks(milliseconds));
    write_sysreg!("cntv_ctl_el0", ENABLE);
}

/// Stops the virtual timer.
pub fn stop_virtual() {
    write_sysreg!("cntv_ctl_el0", 0);
}

/// Lets the physical timer fire in `milliseconds`.
pub fn arm_physical(milliseconds: u64) {
    write_sysreg!(
        "cntp_cval_el0",
        read_sysreg!("cntpct_el0") + ticks(milliseconds)
    );
    write_sysreg!("cntp_ctl_el0", ENABLE);
}

/// Stops the physical timer.
pub fn stop_physical() {
    write_sysreg!("cntp_ctl_el0", 0);
}
