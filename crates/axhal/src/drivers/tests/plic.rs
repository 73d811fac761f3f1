use std::boxed::Box;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::vec::Vec;
use std::{array, thread, vec};

use proptest::prelude::*;

use super::Memory;
use crate::drivers::{
    arch::{OPS, Op, SIP},
    intc::{self, Pending},
    mmio::Mmio,
    plic::{Context, Lines, Plic, PlicError, Registers},
};

const LEN: usize = 0x20_0000 + 3 * 0x1000;

fn lines() -> &'static Lines {
    Box::leak(Box::default())
}

fn plic(memory: &mut Memory) -> (Plic, Mmio) {
    let regs = memory.regs();
    (Plic::init(regs, 40, lines()).unwrap(), regs)
}

#[test]
fn what_was_left_on_is_off() {
    let mut memory = Memory::new(LEN);
    let regs = memory.regs();
    for source in 0..64 {
        regs.write32(source * 4, 7);
    }
    for word in 0..4 {
        regs.write32(0x2080 + word * 4, !0);
    }
    regs.write32(0x20_1000, 3);
    let plic = Plic::init(regs, 40, lines()).unwrap();
    assert_eq!(regs.read32(0), 7, "there is no source 0");
    assert!((1..=40).all(|source| regs.read32(source * 4) == 0));
    assert_eq!(regs.read32(41 * 4), 7, "not a source");
    let _ = plic.context(1).unwrap();
    assert_eq!((regs.read32(0x2080), regs.read32(0x2084)), (0, 0));
    assert_eq!(regs.read32(0x2088), !0, "no source of this one's");
    assert_eq!(regs.read32(0x20_1000), 0);
    assert_eq!(regs.read32(0x20_1004), 40, "all completed, to the last");
}

#[test]
fn sources_and_contexts() {
    let mut memory = Memory::new(LEN);
    let (plic, regs) = plic(&mut memory);
    let [other, context] = [0, 2].map(|context| plic.context(context).unwrap());
    for source in [1, 31, 32, 40] {
        plic.route(source, context).unwrap();
        plic.set_masked(source, false);
        assert_eq!(regs.read32(source as usize * 4), 1);
    }
    assert_eq!(
        (regs.read32(0x2100), regs.read32(0x2104)),
        (1 << 31 | 2, 1 << 8 | 1)
    );
    plic.route(31, other).unwrap();
    plic.set_masked(40, true);
    assert_eq!((regs.read32(0x2100), regs.read32(160)), (2, 0));
    assert_eq!(regs.read32(0x2000), 1 << 31);
    for source in [0, 41, u32::MAX] {
        let error = Err(PlicError::NoSource { source });
        assert_eq!(plic.route(source, context), error);
        plic.set_masked(source, false);
        plic.complete(source);
        assert!(!plic.has(source));
    }
    for context in [3, 15872, u32::MAX] {
        assert_eq!(
            plic.context(context).unwrap_err(),
            PlicError::NoContext { context }
        );
    }
}

#[test]
fn claim_and_complete() {
    let mut memory = Memory::new(LEN);
    let (plic, regs) = plic(&mut memory);
    let context = plic.context(0).unwrap();
    plic.route(10, context).unwrap();
    for nothing in [0, 41, !0] {
        regs.write32(0x20_0004, nothing);
        assert_eq!(plic.claim(context), None);
    }
    regs.write32(0x20_0004, 10);
    assert_eq!(plic.claim(context), Some(10));
    regs.write32(0x20_0004, 0);
    OPS.take();
    plic.complete(11);
    assert_eq!(regs.read32(0x20_0004), 0, "it is not claimed");
    plic.complete(10);
    assert_eq!(
        OPS.take(),
        [Op::FullBarrier; 2],
        "the device's registers come first, and behind it what another hart does"
    );
    assert_eq!(regs.read32(0x20_0004), 10);
    regs.write32(0x20_0004, 0);
    plic.complete(10);
    assert_eq!(regs.read32(0x20_0004), 0, "once");
    plic.route(11, context).unwrap();
    assert_eq!(OPS.take(), [Op::FullBarrier], "before the lock is free");
}

const SOURCES: usize = 5;
const CONTEXTS: usize = 3;

/// What another hart does right behind a claim.
type Meanwhile = Option<Box<dyn FnOnce() + Send>>;

/// A PLIC as its specification has it, that minds who completes what.
#[derive(Clone, Default)]
struct Fake {
    state: Arc<Mutex<State>>,
    meanwhile: Arc<Mutex<Meanwhile>>,
}

#[derive(Default)]
struct State {
    level: [bool; SOURCES + 1],
    pending: [bool; SOURCES + 1],
    /// The context that claimed: the gateway is closed.
    claimed_by: [Option<usize>; SOURCES + 1],
    priority: [u32; SOURCES + 1],
    enables: [u32; CONTEXTS],
}

impl State {
    fn set_level(&mut self, source: u32, high: bool) {
        let source = source as usize;
        self.level[source] = high;
        self.pending[source] |= high && self.claimed_by[source].is_none();
    }

    /// What a context would claim.
    fn best(&self, context: usize) -> Option<usize> {
        (1..=SOURCES).find(|&source| {
            let enabled = self.enables[context] >> source & 1 != 0;
            self.pending[source] && self.priority[source] > 0 && enabled
        })
    }

    fn claim(&mut self, context: usize) -> u32 {
        let Some(source) = self.best(context) else {
            return 0;
        };
        self.pending[source] = false;
        self.claimed_by[source] = Some(context);
        source as u32
    }

    fn complete(&mut self, context: usize, source: u32) {
        let enabled = self.enables[context] >> source & 1 != 0;
        let source = source as usize;
        if let Some(claimer) = self.claimed_by[source].filter(|_| enabled) {
            assert_eq!(claimer, context, "{source} was claimed by another context");
            self.claimed_by[source] = None;
            self.pending[source] = self.level[source];
        }
    }
}

impl Registers for Fake {
    fn size(&self) -> usize {
        LEN
    }

    fn read(&self, offset: usize) -> u32 {
        if let 0..0x20_0000 = offset {
            return self.state.lock().unwrap().enables[(offset - 0x2000) / 0x80];
        }
        let source = self.state.lock().unwrap().claim(offset >> 12 & 0xff);
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        source
    }

    fn write(&self, offset: usize, value: u32) {
        let mut state = self.state.lock().unwrap();
        match offset {
            0..0x1000 => state.priority[offset / 4] = value,
            0x2000..0x20_0000 => state.enables[(offset - 0x2000) / 0x80] = value,
            0x20_0000.. if offset % 0x1000 == 4 => state.complete(offset >> 12 & 0xff, value),
            _ => {}
        }
    }
}

fn fake() -> (Plic<Fake>, Fake, [Context; CONTEXTS]) {
    let fake = Fake::default();
    let plic = Plic::init(fake.clone(), SOURCES as u32, lines()).unwrap();
    let contexts = array::from_fn(|context| plic.context(context as u32).unwrap());
    (plic, fake, contexts)
}

fn high(fake: &Fake, source: u32, high: bool) {
    fake.state.lock().unwrap().set_level(source, high);
}

#[test]
fn a_claimed_source_is_silent_until_it_is_completed() {
    let (plic, fake, [a, b, _]) = fake();
    plic.route(3, a).unwrap();
    high(&fake, 3, true);
    assert_eq!(plic.claim(a), None, "masked");
    plic.set_masked(3, false);
    assert_eq!((plic.claim(b), plic.claim(a)), (None, Some(3)));
    // High still, masked and not: the gateway is closed.
    plic.set_masked(3, true);
    plic.set_masked(3, false);
    assert_eq!(plic.claim(a), None);
    plic.complete(3);
    assert_eq!(plic.claim(a), Some(3), "a level is looked at again");
    high(&fake, 3, false);
    plic.complete(3);
    plic.complete(3);
    assert_eq!(plic.claim(a), None);
}

#[test]
fn a_source_that_is_routed_elsewhere_while_claimed_fires_again() {
    let (plic, fake, [a, b, c]) = fake();
    plic.set_masked(3, false);
    plic.route(3, a).unwrap();
    for [from, via, to] in [[a, b, b], [b, c, a], [a, c, a]] {
        high(&fake, 3, true);
        assert_eq!(plic.claim(from), Some(3));
        plic.route(3, via).unwrap();
        plic.route(3, to).unwrap();
        assert_eq!([a, b, c].map(|context| plic.claim(context)), [None; 3]);
        plic.complete(3);
        let others = [a, b, c].into_iter().filter(|&context| context != to);
        assert!(
            others
                .map(|context| plic.claim(context))
                .all(|c| c.is_none())
        );
        assert_eq!(plic.claim(to), Some(3), "where it is routed to by now");
        high(&fake, 3, false);
        plic.complete(3);
    }
}

/// A hart that has read its claim register has not told the others yet.
#[test]
fn a_source_that_is_routed_elsewhere_in_the_moment_of_its_claim_fires_again() {
    let (plic, fake, [a, b, _]) = fake();
    let plic: &'static Plic<Fake> = Box::leak(Box::new(plic));
    plic.route(3, a).unwrap();
    plic.set_masked(3, false);
    high(&fake, 3, true);
    let elsewhere = Box::new(move || plic.route(3, b).unwrap());
    *fake.meanwhile.lock().unwrap() = Some(elsewhere);
    assert_eq!(plic.claim(a), Some(3));
    assert_eq!((plic.claim(a), plic.claim(b)), (None, None));
    plic.complete(3);
    assert_eq!((plic.claim(a), plic.claim(b)), (None, Some(3)));
}

/// What the boot loader left claimed is given back; what another hart has claimed by the time a
/// hart comes is not touched.
#[test]
fn a_context_that_is_taken_over_owes_nothing() {
    let fake = Fake::default();
    {
        let mut state = fake.state.lock().unwrap();
        state.priority = [1; SOURCES + 1];
        state.enables = [!0; CONTEXTS];
        state.set_level(4, true);
        assert_eq!(state.claim(1), 4);
    }
    let plic = Plic::init(fake.clone(), SOURCES as u32, lines()).unwrap();
    let [b, a] = [1, 0].map(|context| plic.context(context).unwrap());
    plic.route(4, b).unwrap();
    plic.set_masked(4, false);
    assert_eq!(plic.claim(b), Some(4));
    plic.context(2).unwrap();
    assert_eq!((plic.claim(a), plic.claim(b)), (None, None));
    assert_eq!(fake.state.lock().unwrap().claimed_by[4], Some(1));
    assert_eq!(fake.state.lock().unwrap().enables, [0, 1 << 4, 0]);
}

#[derive(Clone, Debug)]
enum Act {
    Level(u32, bool),
    Route(u32, usize),
    Mask(u32, bool),
    Claim(usize),
    Complete(u32),
}

fn act() -> impl Strategy<Value = Act> {
    let source = || 1..=SOURCES as u32;
    let context = || 0..CONTEXTS;
    prop_oneof![
        3 => (source(), any::<bool>()).prop_map(|(s, level)| Act::Level(s, level)),
        2 => (source(), context()).prop_map(|(s, c)| Act::Route(s, c)),
        1 => (source(), any::<bool>()).prop_map(|(s, masked)| Act::Mask(s, masked)),
        4 => context().prop_map(Act::Claim),
        3 => source().prop_map(Act::Complete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Whatever is done, a source is claimed where it is routed to, by one, and not lost.
    #[test]
    fn no_source_is_lost_or_claimed_twice(acts in prop::collection::vec(act(), 1..100)) {
        let (plic, fake, contexts) = fake();
        let mut routes = [None; SOURCES + 1];
        let mut masked = [true; SOURCES + 1];
        let mut claimed = [false; SOURCES + 1];
        for act in acts {
            match act {
                Act::Level(source, level) => high(&fake, source, level),
                Act::Route(source, context) => {
                    plic.route(source, contexts[context]).unwrap();
                    routes[source as usize] = Some(context);
                }
                Act::Mask(source, on) => {
                    plic.set_masked(source, on);
                    masked[source as usize] = on;
                }
                Act::Claim(context) => if let Some(source) = plic.claim(contexts[context]) {
                    let source = source as usize;
                    prop_assert!(routes[source] == Some(context) && !masked[source]);
                    prop_assert!(!std::mem::replace(&mut claimed[source], true));
                }
                Act::Complete(source) => {
                    plic.complete(source);
                    claimed[source as usize] = false;
                }
            }
            let enables = fake.state.lock().unwrap().enables;
            for (source, &route) in routes.iter().enumerate() {
                let enabled = (0..CONTEXTS).filter(|&c| enables[c] >> source & 1 != 0);
                prop_assert_eq!(enabled.collect::<Vec<_>>(), Vec::from_iter(route));
            }
        }
        let mut expected = vec![];
        for source in 1..=SOURCES as u32 {
            plic.complete(source);
            plic.route(source, contexts[0]).unwrap();
            plic.set_masked(source, false);
            if fake.state.lock().unwrap().pending[source as usize] {
                expected.push(source);
            }
            let lost = fake.state.lock().unwrap().level[source as usize];
            prop_assert!(!lost || expected.last() == Some(&source));
        }
        let found: Vec<u32> = std::iter::from_fn(|| plic.claim(contexts[0])).collect();
        prop_assert_eq!(found, expected);
    }
}

/// Threads as harts, which route sources to one another while these fire. Who claims a source
/// leaves its completion to whoever comes first.
#[test]
fn harts_lose_no_source_to_one_another() {
    const ROUNDS: usize = 20_000;
    let (plic, fake, contexts) = fake();
    for source in 1..=SOURCES as u32 {
        plic.route(source, contexts[0]).unwrap();
        plic.set_masked(source, false);
    }
    let on_its_way: [AtomicBool; SOURCES + 1] = Default::default();
    // Served, and not completed yet: a bit each.
    let served = AtomicU32::new(0);
    let count = AtomicUsize::new(0);
    let deadline = Instant::now() + Duration::from_secs(120);
    let goes_on = || {
        assert!(Instant::now() < deadline, "something was lost");
        thread::yield_now();
        count.load(Ordering::SeqCst) < ROUNDS
    };
    thread::scope(|scope| {
        for me in 0..CONTEXTS {
            let (plic, fake, on_its_way) = (&plic, &fake, &on_its_way);
            let (served, count, goes_on) = (&served, &count, &goes_on);
            scope.spawn(move || {
                let mut turn = me;
                while goes_on() {
                    turn += 1;
                    let source = 1 + turn % SOURCES;
                    if !on_its_way[source].swap(true, Ordering::SeqCst) {
                        high(fake, source as u32, true);
                    }
                    if turn.is_multiple_of(3) {
                        plic.route(source as u32, contexts[turn / 3 % CONTEXTS])
                            .unwrap();
                    }
                    if let Some(source) = plic.claim(contexts[me]) {
                        high(fake, source, false);
                        let sent = on_its_way[source as usize].swap(false, Ordering::SeqCst);
                        assert!(sent, "{source} came twice");
                        count.fetch_add(1, Ordering::SeqCst);
                        served.fetch_or(1 << source, Ordering::SeqCst);
                    }
                    let all = served.swap(0, Ordering::SeqCst);
                    for source in (0..32).filter(|source| all >> source & 1 != 0) {
                        plic.complete(source);
                    }
                }
            });
        }
    });
    // At rest again: what was sent is there.
    for source in 1..=SOURCES as u32 {
        plic.complete(source);
        plic.route(source, contexts[0]).unwrap();
    }
    while let Some(source) = plic.claim(contexts[0]) {
        assert!(on_its_way[source as usize].swap(false, Ordering::SeqCst));
    }
    assert!(on_its_way.iter().all(|sent| !sent.load(Ordering::SeqCst)));
}

#[test]
fn too_few_registers() {
    let mut memory = Memory::new(LEN);
    for sources in [0, 1024] {
        let error = PlicError::Sources(sources);
        let plic = Plic::init(memory.regs(), sources, lines());
        assert_eq!(plic.unwrap_err(), error);
    }
    let mut memory = Memory::new(0x1ff8);
    assert!(Plic::init(memory.regs(), 1, lines()).is_err());
}

#[test]
fn inputs_of_a_hart() {
    for (sip, pending) in [
        (0, None),
        (0x222, Some(Pending::External)),
        (0x022, Some(Pending::Software)),
        (0x020, Some(Pending::Timer)),
        // A guest's, and a guest's external interrupts.
        (0x1444, None),
    ] {
        SIP.set(sip);
        assert_eq!(intc::pending(), pending);
    }
    OPS.take();
    intc::init_cpu();
    intc::clear_software();
    let expected = [
        Op::ClearSip(2),
        Op::Sie(0x222),
        Op::ClearSip(2),
        Op::FullBarrier,
    ];
    assert_eq!(OPS.take(), expected);
}
