//! A good neighbour: it takes a timer interrupt every few milliseconds and notices what came late.

use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::{exception, lines, println, timer};

/// From one tick to the next.
const PERIOD: u64 = 5;

static DEADLINE: AtomicU64 = AtomicU64::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);
static WORST: AtomicU64 = AtomicU64::new(0);

/// Watches for `milliseconds`, and says how late the latest tick was.
pub fn run(milliseconds: u64) {
    exception::init();
    exception::on_interrupt(Some(tick), true);
    lines::enable(timer::LINE);
    println!("watch: begins");
    let end = timer::now() + timer::ticks(milliseconds);
    arm(timer::now() + timer::ticks(PERIOD));
    while timer::now() < end {
        exception::wait();
    }
    timer::stop();
    let worst = WORST.load(Ordering::SeqCst) / timer::ticks(1);
    println!(
        "watch: {} ticks, the worst {worst} ms late",
        TICKS.load(Ordering::SeqCst)
    );
}

fn arm(deadline: u64) {
    DEADLINE.store(deadline, Ordering::SeqCst);
    timer::arm_at(deadline);
}

fn tick(_: u32) {
    let now = timer::now();
    let deadline = DEADLINE.load(Ordering::SeqCst);
    WORST.fetch_max(now.saturating_sub(deadline), Ordering::SeqCst);
    TICKS.fetch_add(1, Ordering::SeqCst);
    arm((deadline + timer::ticks(PERIOD)).max(now));
}
