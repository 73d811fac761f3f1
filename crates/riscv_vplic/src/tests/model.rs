//! Any sequence of accesses and interrupts, against a reference that is written from the
//! specification without a thought about speed.

use super::*;
use axdevice::IrqSink;
use proptest::prelude::*;

const CONTEXTS: usize = 3;
const SOURCES: u32 = 70;
const PASSTHROUGH: [u32; 4] = [1, 31, 32, 70];

#[derive(Clone, Default)]
struct Source {
    priority: u32,
    enabled: [bool; CONTEXTS],
    level: bool,
    latch: bool,
    pending: bool,
    in_service: bool,
}

impl Source {
    fn target(&self) -> Option<usize> {
        self.enabled.iter().position(|&enabled| enabled)
    }
}

#[derive(Default)]
struct Reference {
    /// Source 0 is never touched.
    sources: Vec<Source>,
    threshold: [u32; CONTEXTS],
    told: Vec<Told>,
}

impl Reference {
    fn new() -> Self {
        Self {
            sources: vec![Source::default(); SOURCES as usize + 1],
            ..Self::default()
        }
    }

    fn source(&mut self, source: u32) -> Option<&mut Source> {
        let known = (1..=SOURCES).contains(&source);
        known.then(|| &mut self.sources[source as usize])
    }

    fn line(&self, context: usize) -> bool {
        let above = |s: &Source| s.priority > self.threshold[context];
        let mut sources = self.sources.iter();
        sources.any(|s| s.pending && s.enabled[context] && above(s))
    }

    fn edge(&mut self, source: u32) {
        if let Some(s) = self.source(source) {
            s.latch |= s.in_service;
            s.pending |= !s.in_service;
        }
    }

    fn claim(&mut self, context: usize) -> u32 {
        let candidates = (1..=SOURCES).filter(|&n| {
            let s = &self.sources[n as usize];
            s.pending && s.enabled[context] && s.priority > 0
        });
        let key = |&n: &u32| (self.sources[n as usize].priority, SOURCES - n);
        let Some(best) = candidates.max_by_key(key) else {
            return 0;
        };
        let s = &mut self.sources[best as usize];
        s.pending = false;
        s.in_service = true;
        best
    }

    fn complete(&mut self, context: usize, source: u32) {
        let Some(s) = self.source(source) else { return };
        if !s.enabled[context] || !s.in_service {
            return;
        }
        s.in_service = false;
        s.pending = s.level || s.latch;
        s.latch = false;
        if !s.pending && PASSTHROUGH.contains(&source) {
            self.told.push(Told::Completed(source));
        }
    }

    fn enable(&mut self, context: usize, word: u32, value: u32) {
        for bit in 0..32 {
            let source = word * 32 + bit;
            let Some(s) = self.source(source) else {
                continue;
            };
            let before = s.target();
            s.enabled[context] = value >> bit & 1 != 0;
            let after = s.target();
            if before != after && PASSTHROUGH.contains(&source) {
                self.told.push(Told::Routed(source, after));
            }
        }
    }

    fn moved(&mut self, vcpu: usize) {
        for source in PASSTHROUGH {
            if self.sources[source as usize].target() == Some(vcpu) {
                self.told.push(Told::Routed(source, Some(vcpu)));
            }
        }
    }

    fn reset(&mut self) {
        for source in PASSTHROUGH {
            if self.sources[source as usize].target().is_some() {
                self.told.push(Told::Routed(source, None));
            }
        }
        self.sources.fill(Source::default());
        self.threshold = [0; CONTEXTS];
    }
}

#[derive(Clone, Debug)]
enum Op {
    Level(u32, bool),
    Pulse(u32),
    Fired(u32),
    Priority(u32, u32),
    Enable(usize, u32, u32),
    Threshold(usize, u32),
    Claim(usize),
    Complete(usize, u32),
    /// What was claimed last.
    CompleteLast(usize),
    /// A vCPU comes to another CPU.
    Moved(usize),
    Reset,
}

fn op() -> impl Strategy<Value = Op> {
    let some = || prop_oneof![0u32..4, 30u32..34, 62u32..73, Just(u32::MAX)];
    let context = || 0..CONTEXTS;
    prop_oneof![
        4 => (some(), any::<bool>()).prop_map(|(s, level)| Op::Level(s, level)),
        4 => some().prop_map(Op::Pulse),
        3 => some().prop_map(Op::Fired),
        4 => (some(), 0u32..9).prop_map(|(s, p)| Op::Priority(s, p)),
        4 => (context(), 0u32..4, any::<u32>()).prop_map(|(c, w, v)| Op::Enable(c, w, v)),
        1 => (context(), 0u32..4).prop_map(|(c, w)| Op::Enable(c, w, u32::MAX)),
        2 => (context(), 0u32..9).prop_map(|(c, t)| Op::Threshold(c, t)),
        6 => context().prop_map(Op::Claim),
        2 => (context(), some()).prop_map(|(c, s)| Op::Complete(c, s)),
        4 => context().prop_map(Op::CompleteLast),
        1 => context().prop_map(Op::Moved),
        1 => Just(Op::Reset),
    ]
}

fn compare(p: &TestPlic, r: &Reference) -> Result<(), TestCaseError> {
    let word_of = |word: u32, bit_of: &dyn Fn(&Source) -> bool| {
        (0..32).fold(0, |value, bit| {
            let source = r.sources.get((word * 32 + bit) as usize);
            value | u32::from(source.is_some_and(bit_of)) << bit
        })
    };
    for word in 0..4 {
        let expected = word_of(word, &|s| s.pending);
        prop_assert_eq!(get(p, pending(word.into())), expected, "pending {}", word);
        for context in 0..CONTEXTS {
            let expected = word_of(word, &|s| s.enabled[context]);
            prop_assert_eq!(get(p, enables(context, word.into())), expected);
        }
    }
    for (source, s) in r.sources.iter().enumerate() {
        prop_assert_eq!(get(p, priority(source as u32)), s.priority);
    }
    for context in 0..CONTEXTS {
        prop_assert_eq!(get(p, threshold(context)), r.threshold[context]);
        prop_assert_eq!(p.external_pending(context), r.line(context));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn behaves_as_the_reference(ops in prop::collection::vec(op(), 1..120)) {
        let p = plic(CONTEXTS, SOURCES, &PASSTHROUGH);
        let mut r = Reference::new();
        let mut last = [0; CONTEXTS];
        for op in ops {
            let before = [0, 1, 2].map(|context| r.line(context));
            match op {
                Op::Level(source, level) => {
                    p.set_level(source, level);
                    if let Some(s) = r.source(source) {
                        s.level = level;
                        s.pending |= level && !s.in_service;
                    }
                }
                Op::Pulse(source) => {
                    p.pulse(source);
                    r.edge(source);
                }
                Op::Fired(source) => {
                    let ours = PASSTHROUGH.contains(&source);
                    prop_assert_eq!(p.fired(source), ours);
                    if ours {
                        r.edge(source);
                    }
                }
                Op::Priority(source, value) => {
                    if source < 1024 {
                        set(&p, priority(source), value);
                        if let Some(s) = r.source(source) {
                            s.priority = value & 7;
                        }
                    }
                }
                Op::Enable(context, word, value) => {
                    set(&p, enables(context, word.into()), value);
                    r.enable(context, word, value);
                }
                Op::Threshold(context, value) => {
                    set(&p, threshold(context), value);
                    r.threshold[context] = value & 7;
                }
                Op::Claim(context) => {
                    last[context] = r.claim(context);
                    prop_assert_eq!(get(&p, claim(context)), last[context]);
                }
                Op::Complete(context, source) => {
                    set(&p, claim(context), source);
                    r.complete(context, source);
                }
                Op::CompleteLast(context) => {
                    set(&p, claim(context), last[context]);
                    r.complete(context, last[context]);
                }
                Op::Moved(vcpu) => {
                    p.moved(vcpu);
                    r.moved(vcpu);
                }
                Op::Reset => {
                    p.reset();
                    r.reset();
                }
            }
            // A line that has changed is told of, another one is not.
            for (context, before) in before.into_iter().enumerate() {
                if r.line(context) != before {
                    r.told.push(Told::External(context));
                }
            }
            let mut expected = std::mem::take(&mut r.told);
            let mut told = told(&p);
            expected.sort();
            told.sort();
            prop_assert_eq!(told, expected);
            compare(&p, &r)?;
        }
    }
}
