//! Threads as vCPUs and devices. Each device sends again only when its last interrupt was served,
//! so that one that is lost or comes twice is noticed; and a vCPU looks only when it is told to.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use axdevice::IrqSink;

const CPUS: usize = 3;
/// Sources 1 to 3 are edges, 4 and 5 levels, 6 to 8 passed through.
const DEVICES: u32 = 8;
const ROUNDS: usize = 4000;

#[derive(Default)]
struct Machine {
    /// Requests of vCPUs, as the hypervisor keeps them.
    kicked: [AtomicBool; CPUS],
    /// Physical lines that are claimed.
    claimed: AtomicU32,
    /// For each the vCPU it is routed to, plus 1.
    routes: [AtomicUsize; DEVICES as usize + 1],
}

impl Notify for Machine {
    fn external(&self, vcpu: usize) {
        self.kicked[vcpu].store(true, Ordering::SeqCst);
    }

    fn completed(&self, source: u32) {
        self.claimed.fetch_and(!(1 << source), Ordering::SeqCst);
    }

    fn routed(&self, source: u32, vcpu: Option<usize>) {
        let vcpu = vcpu.map_or(0, |vcpu| vcpu + 1);
        let before = self.routes[source as usize].swap(vcpu, Ordering::SeqCst);
        assert_ne!(before, vcpu, "told in order");
    }
}

#[test]
fn nothing_is_lost_or_comes_twice() {
    let config = Config {
        contexts: CPUS,
        sources: DEVICES,
        passthrough: &[6, 7, 8],
    };
    let plic = Vplic::new(&config, Machine::default()).expect("valid");
    for source in 1..=DEVICES {
        set(&plic, priority(source), 1 + source % 3);
    }
    for context in 0..CPUS {
        set(&plic, enables(context, 0), 0x1fe);
    }
    let on_its_way: Vec<_> = (0..=DEVICES).map(|_| AtomicBool::new(false)).collect();
    let served = AtomicUsize::new(0);
    let deadline = Instant::now() + Duration::from_secs(120);
    let goes_on = || {
        assert!(Instant::now() < deadline, "something was lost");
        thread::yield_now();
        served.load(Ordering::SeqCst) < ROUNDS
    };
    thread::scope(|scope| {
        for device in 1..=DEVICES {
            let (plic, on_its_way, goes_on) = (&plic, &on_its_way[device as usize], &goes_on);
            scope.spawn(move || {
                let machine = plic.notifier();
                while goes_on() {
                    let claimed = machine.claimed.load(Ordering::SeqCst) >> device & 1 != 0;
                    if claimed || on_its_way.swap(true, Ordering::SeqCst) {
                        continue;
                    }
                    match device {
                        1..=3 => plic.pulse(device),
                        4 | 5 => plic.set_level(device, true),
                        _ => {
                            machine.claimed.fetch_or(1 << device, Ordering::SeqCst);
                            assert!(plic.fired(device));
                        }
                    }
                }
            });
        }
        for me in 0..CPUS {
            let (plic, on_its_way, goes_on, served) = (&plic, &on_its_way, &goes_on, &served);
            scope.spawn(move || {
                let machine = plic.notifier();
                let mut turn = me;
                while goes_on() {
                    turn += 1;
                    if turn.is_multiple_of(7) {
                        // Another vCPU's enables are a guest's to write too, here for a source that
                        // has one of its own.
                        let bit = 1u32 << (6 + turn / 7 % 3);
                        set(plic, enables(me, 0), 0x1fe & !bit);
                        set(plic, enables(me, 0), 0x1fe);
                    }
                    if !machine.kicked[me].swap(false, Ordering::SeqCst) {
                        continue;
                    }
                    while plic.external_pending(me) {
                        let source = get(plic, claim(me));
                        if source == 0 {
                            // Another vCPU was faster.
                            continue;
                        }
                        if source == 4 || source == 5 {
                            plic.set_level(source, false);
                        }
                        let sent = on_its_way[source as usize].swap(false, Ordering::SeqCst);
                        // An edge that comes after the flag is down may be in service or latched,
                        // never served without having been sent.
                        assert!(sent, "{source} came twice");
                        set(plic, claim(me), source);
                        served.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    // At rest again: all that was sent can be served.
    while let source @ 1.. = get(&plic, claim(0)) {
        plic.set_level(source, false);
        assert!(on_its_way[source as usize].swap(false, Ordering::SeqCst));
        set(&plic, claim(0), source);
    }
    assert!((1..=DEVICES).all(|d| !on_its_way[d as usize].load(Ordering::SeqCst)));
    assert_eq!(plic.notifier().claimed.load(Ordering::SeqCst), 0);
    // All have them enabled: they are the first's.
    let routes = &plic.notifier().routes[6..];
    assert!(routes.iter().all(|route| route.load(Ordering::SeqCst) == 1));
    assert!((0..CPUS).all(|cpu| !plic.external_pending(cpu)));
}
