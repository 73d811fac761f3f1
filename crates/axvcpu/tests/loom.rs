//! Every interleaving of entering, blocking and kicking, on the real `VCpuSync`.
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p axvcpu --test loom --release`.
#![cfg(loom)]

use axvcpu::{Kick, Request, VCpuSync};
use loom::sync::Arc;
use loom::thread;

/// If the vCPU got into the guest, the kicker must have been told to interrupt it: otherwise the
/// request would wait until the guest leaves by itself.
#[test]
fn no_request_is_lost_at_entry() {
    loom::model(|| {
        let sync = Arc::new(VCpuSync::new());
        let kicker = {
            let sync = sync.clone();
            thread::spawn(move || sync.request(Request::Interrupt))
        };
        let entered = sync.enter(3);
        let kick = kicker.join().unwrap();
        assert!(!entered || kick == Kick::Interrupt(3));
        assert!(sync.take_request(Request::Interrupt));
    });
}

/// The same for a vCPU that goes to sleep.
#[test]
fn no_wake_up_is_lost_at_block() {
    loom::model(|| {
        let sync = Arc::new(VCpuSync::new());
        let kicker = {
            let sync = sync.clone();
            thread::spawn(move || sync.request(Request::Interrupt))
        };
        let slept = sync.block();
        let kick = kicker.join().unwrap();
        assert!(!slept || kick == Kick::Wake);
    });
}

/// A vCPU that ran on CPU 1 enters on CPU 2: the kick goes there, or the vCPU sees the request.
#[test]
fn a_kick_goes_to_the_cpu_it_entered_on() {
    loom::model(|| {
        let sync = Arc::new(VCpuSync::new());
        assert!(sync.enter(1));
        sync.leave();
        let kicker = {
            let sync = sync.clone();
            thread::spawn(move || sync.request(Request::Stop))
        };
        let entered = sync.enter(2);
        let kick = kicker.join().unwrap();
        assert!(!entered || kick == Kick::Interrupt(2), "{kick:?}");
    });
}

/// Two CPUs switch a vCPU on at once: one of them wins.
#[test]
fn one_caller_powers_on() {
    loom::model(|| {
        let sync = Arc::new(VCpuSync::new());
        let other = {
            let sync = sync.clone();
            thread::spawn(move || sync.claim_power_on().is_ok())
        };
        let mine = sync.claim_power_on().is_ok();
        assert!(mine ^ other.join().unwrap());
    });
}
