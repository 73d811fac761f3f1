//! Cases that are the same on all architectures.

use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::smp;

/// All CPUs count together.
pub fn atomics() -> Outcome {
    static SUM: AtomicU64 = AtomicU64::new(0);
    fn work() {
        for _ in 0..20_000 {
            SUM.fetch_add(1, Ordering::Relaxed);
        }
    }
    SUM.store(0, Ordering::SeqCst);
    let cpus = smp::count();
    for n in 1..cpus {
        smp::give(n, work);
    }
    work();
    for n in 1..cpus {
        check!(smp::wait(n), n = n);
    }
    let sum = SUM.load(Ordering::SeqCst);
    check!(sum == 20_000 * cpus as u64, sum = sum);
    Ok(())
}
