//! A good neighbour: it takes a timer interrupt every few milliseconds and notices what came late.

use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::{exception, gic, println, timer};

/// From one tick to the next.
const PERIOD: u64 = 5;

static DEADLINE: AtomicU64 = AtomicU64::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);
static WORST: AtomicU64 = AtomicU64::new(0);

/// Watches for `milliseconds`, and says how late the latest tick was.
pub fn run(milliseconds: u64) {
    exception::init();
    exception::on_interrupt(Some(tick), true);
    gic::enable(timer::VIRTUAL_PPI);
    println!("watch: begins");
    let end = timer::now() + timer::ticks(milliseconds);
    arm(timer::now() + timer::ticks(PERIOD));
    while timer::now() < end {
        // SAFETY: waits for an interrupt.
        unsafe { core::arch::asm!("wfi", options(nostack)) };
    }
    timer::stop_virtual();
    let worst = WORST.load(Ordering::SeqCst) / timer::ticks(1);
    println!(
        "watch: {} ticks, the worst {worst} ms late",
        TICKS.load(Ordering::SeqCst)
    );
}

fn arm(deadline: u64) {
    DEADLINE.store(deadline, Ordering::SeqCst);
    guest_support::write_sysreg!("cntv_cval_el0", deadline);
    guest_support::write_sysreg!("cntv_ctl_el0", timer::ENABLE);
}

fn tick(_: u32) {
    let now = timer::now();
    let deadline = DEADLINE.load(Ordering::SeqCst);
    WORST.fetch_max(now.saturating_sub(deadline), Ordering::SeqCst);
    TICKS.fetch_add(1, Ordering::SeqCst);
    arm((deadline + timer::ticks(PERIOD)).max(now));
}
