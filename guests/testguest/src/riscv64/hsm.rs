//! Hart state management (SBI specification 2.0, chapter 9).

use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use guest_support::exception::{mask, taken, unmask};
use guest_support::map::{NO_DEVICE, NO_MEMORY};
use guest_support::sbi::*;
use guest_support::sync::wait_for;
use guest_support::{cpu, isa, lines, smp, timer};

pub const CASES: &[Case] = &[
    ("hsm::status", 1, status),
    ("hsm::start_invalid", 1, start_invalid),
    ("hsm::start_bad_address", 2, start_bad_address),
    ("hsm::start_state", 2, start_state),
    ("hsm::stop_and_start", 2, stop_and_start),
    ("hsm::suspend", 1, suspend),
    ("hsm::suspend_invalid", 1, suspend_invalid),
    ("hsm::suspended_status", 2, suspended_status),
    ("hsm::suspend_and_resume_elsewhere", 2, suspend_elsewhere),
];

/// Non-retentive: the hart goes on at an address, as if started.
const NON_RETENTIVE: u64 = 0x8000_0000;
/// Hart ids that nobody has. OpenSBI looks at 32 bits.
const NOBODYS: [u64; 3] = [0xffff, u64::MAX, 1 << 40];

/// Hart ids that nobody has.
pub fn nobodys() -> impl Iterator<Item = u64> {
    NOBODYS
        .into_iter()
        .take(if crate::on_board() { 2 } else { 3 })
}

fn status_of(cpu: usize) -> u64 {
    let answer = call(HSM, HART_STATUS, [smp::id(cpu)]);
    if answer.error == SUCCESS {
        answer.value
    } else {
        u64::MAX
    }
}

fn status() -> Outcome {
    check!(status_of(cpu()) == STARTED);
    for hart in nobodys() {
        let answer = call(HSM, HART_STATUS, [hart]);
        check!(answer.error == INVALID_PARAM, hart = hart, answer = answer);
    }
    Ok(())
}

fn start_invalid() -> Outcome {
    for hart in nobodys() {
        let answer = call(HSM, HART_START, [hart, smp::entry(), 0]);
        check!(answer.error == INVALID_PARAM, hart = hart, answer = answer);
    }
    let me = call(HSM, HART_START, [smp::id(cpu()), smp::entry(), 0]);
    check!(me.error == ALREADY_AVAILABLE, me = me);
    Ok(())
}

fn start_bad_address() -> Outcome {
    skip_on_board!("the board starts harts anywhere");
    skip!(status_of(1) != STOPPED, "CPU 1 runs already");
    for entry in [NO_MEMORY as u64, NO_DEVICE as u64, 1 << 60] {
        let answer = call(HSM, HART_START, [smp::id(1), entry, 0]);
        check!(
            answer.error == INVALID_ADDRESS,
            entry = entry,
            answer = answer
        );
        check!(status_of(1) == STOPPED);
    }
    Ok(())
}

fn nothing() {}

/// A hart starts with satp 0, SIE 0, its id in a0 and its context in a1.
fn start_state() -> Outcome {
    check!(smp::run(1, nothing));
    let [sstatus, satp, hart] = smp::initial_state(1);
    check!(sstatus & 2 == 0, sstatus = sstatus);
    check!(satp == 0, satp = satp);
    check!(hart == smp::id(1), hart = hart);
    // As OpenSBI leaves them, although nobody says so: kernels use floating point as they find it.
    check!(!isa::has("d") || sstatus >> 13 & 3 != 0, sstatus = sstatus);
    check!(!isa::has("v") || sstatus >> 9 & 3 != 0, sstatus = sstatus);
    let again = call(HSM, HART_START, [smp::id(1), smp::entry(), 1]);
    check!(again.error == ALREADY_AVAILABLE, again = again);
    Ok(())
}

fn off() {
    smp::off();
}

/// The status says STOPPED once the hart has left, and then it can be started again.
fn stop_and_start() -> Outcome {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    STARTS.store(0, Ordering::SeqCst);
    for round in 1..=10 {
        check!(smp::run(1, || {
            STARTS.fetch_add(1, Ordering::SeqCst);
        }));
        check!(STARTS.load(Ordering::SeqCst) == round, round = round);
        let state = status_of(1);
        check!(state == STARTED, state = state);
        smp::give(1, off);
        check!(wait_for(2000, || status_of(1) == STOPPED), round = round);
    }
    Ok(())
}

/// A retentive suspend returns when an interrupt is there, masked or not.
fn suspend() -> Outcome {
    mask();
    lines::enable(timer::LINE);
    let start = timer::now();
    timer::arm(5);
    while timer::now() - start < timer::ticks(5) {
        let answer = call(HSM, HART_SUSPEND, [0, 0, 0]);
        check!(answer.error == SUCCESS, answer = answer);
    }
    timer::stop();
    Ok(())
}

fn suspend_invalid() -> Outcome {
    for kind in [1, 0x0fff_ffff, 0x8000_0001, 0x8fff_ffff] {
        let answer = call(HSM, HART_SUSPEND, [kind, smp::entry(), 0]);
        check!(answer.error == INVALID_PARAM, kind = kind, answer = answer);
    }
    Ok(())
}

fn suspended_status() -> Outcome {
    static ANSWER: AtomicI64 = AtomicI64::new(1);
    ANSWER.store(1, Ordering::SeqCst);
    smp::give(1, || {
        mask();
        ANSWER.store(call(HSM, HART_SUSPEND, [0, 0, 0]).error, Ordering::SeqCst);
        unmask();
    });
    check!(
        wait_for(1000, || status_of(1) == SUSPENDED),
        state = status_of(1)
    );
    let again = call(HSM, HART_START, [smp::id(1), smp::entry(), 1]);
    let waits = ANSWER.load(Ordering::SeqCst) == 1;
    lines::send(1);
    check!(smp::wait(1));
    check!(waits);
    check!(again.error != SUCCESS, again = again);
    check!(ANSWER.load(Ordering::SeqCst) == SUCCESS);
    check!(wait_for(1000, || taken(1, lines::IPI) == 1));
    check!(status_of(1) == STARTED);
    Ok(())
}

fn suspend_elsewhere() -> Outcome {
    static ANSWER: AtomicI64 = AtomicI64::new(1);
    ANSWER.store(1, Ordering::SeqCst);
    check!(smp::run(1, nothing));
    smp::give(1, || {
        mask();
        let answer = smp::leave(|| call(HSM, HART_SUSPEND, [NON_RETENTIVE, smp::entry(), 1]).error);
        ANSWER.store(answer, Ordering::SeqCst);
        smp::stay();
        unmask();
    });
    let came = wait_for(1000, || {
        status_of(1) == SUSPENDED || ANSWER.load(Ordering::SeqCst) != 1
    });
    skip!(
        ANSWER.load(Ordering::SeqCst) == NOT_SUPPORTED,
        "not supported"
    );
    check!(came, state = status_of(1));
    lines::send(1);
    check!(smp::run(1, nothing));
    let [sstatus, satp, hart] = smp::initial_state(1);
    check!(
        sstatus & 2 == 0 && satp == 0,
        sstatus = sstatus,
        satp = satp
    );
    check!(hart == smp::id(1), hart = hart);
    check!(ANSWER.load(Ordering::SeqCst) == 1);
    Ok(())
}
