//! The controller without its lock: gateways, priorities, contexts.

use alloc::boxed::Box;
use alloc::vec;

use crate::regs::Register;

/// The highest priority and threshold. 0 is the lowest of both: a source with it never interrupts.
pub const MAX_PRIORITY: u32 = 7;
/// Words of a bit for each source.
pub const WORDS: usize = 32;

/// A bit for each source; source 0 does not exist.
pub type Words = [u32; WORDS];

/// The numbers of the bits that are set.
#[inline]
pub fn bits(mut mask: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(bit)
    })
}

#[derive(Clone, Copy, Default)]
struct Source {
    priority: u8,
    /// The contexts that it is enabled for.
    enabled_by: u64,
}

impl Source {
    /// The first context that it is enabled for.
    fn target(self) -> Option<usize> {
        (self.enabled_by != 0).then(|| self.enabled_by.trailing_zeros() as usize)
    }
}

struct Context {
    enables: Words,
    threshold: u8,
    /// The level of its line.
    external: bool,
}

impl Context {
    const RESET: Self = Self {
        enables: [0; WORDS],
        threshold: 0,
        external: false,
    };
}

/// Everything the lock protects.
pub struct State {
    /// The sources that there are.
    exists: Words,
    pending: Words,
    /// Words of `pending` that are not 0.
    pending_words: u32,
    /// Claimed and not completed: the gateway is closed.
    in_service: Words,
    /// Lines that are high.
    level: Words,
    /// Edges that came while in service.
    latch: Words,
    /// Sources whose priority is above the index.
    above: [Words; MAX_PRIORITY as usize],
    sources: Box<[Source]>,
    contexts: Box<[Context]>,
    /// Contexts whose line has changed and that are to be told.
    pub changed: u64,
}

impl State {
    /// Both numbers are checked.
    pub fn new(contexts: usize, sources: u32) -> Self {
        let mut exists = [0; WORDS];
        for source in 1..=sources {
            if let Some(word) = exists.get_mut(source as usize / 32) {
                *word |= 1 << (source % 32);
            }
        }
        Self {
            exists,
            pending: [0; WORDS],
            pending_words: 0,
            in_service: [0; WORDS],
            level: [0; WORDS],
            latch: [0; WORDS],
            above: [[0; WORDS]; MAX_PRIORITY as usize],
            sources: vec![Source::default(); sources as usize + 1].into(),
            contexts: (0..contexts).map(|_| Context::RESET).collect(),
            changed: 0,
        }
    }

    /// Power-on: all lines low.
    pub fn reset(&mut self) {
        self.pending = [0; WORDS];
        self.pending_words = 0;
        self.in_service = [0; WORDS];
        self.level = [0; WORDS];
        self.latch = [0; WORDS];
        self.above = [[0; WORDS]; MAX_PRIORITY as usize];
        self.sources.fill(Source::default());
        for context in 0..self.contexts.len() {
            self.set_external(context, false);
        }
        self.contexts.fill_with(|| Context::RESET);
    }

    /// Word and bit of a source, if there is such a source.
    #[inline]
    pub fn place(&self, source: u32) -> Option<(usize, u32)> {
        let (word, bit) = (source as usize / 32, 1 << (source % 32));
        (self.exists.get(word)? & bit != 0).then_some((word, bit))
    }

    /// The level of a context's line.
    #[inline]
    pub fn external(&self, context: usize) -> bool {
        self.contexts.get(context).is_some_and(|c| c.external)
    }

    /// The first context that a source is enabled for.
    pub fn target(&self, source: u32) -> Option<usize> {
        self.sources.get(source as usize)?.target()
    }

    /// The sources of a word that are enabled for any context.
    pub fn enabled_anywhere(&self, word: usize) -> u32 {
        let enables = self.contexts.iter().map(|context| context.enables[word]);
        enables.fold(0, |all, enabled| all | enabled)
    }

    /// Registers that change by being written only.
    pub fn read(&self, register: Register) -> u32 {
        match register {
            Register::Priority(source) => self
                .sources
                .get(source as usize)
                .map_or(0, |source| source.priority.into()),
            Register::Pending(word) => self.pending.get(word).copied().unwrap_or(0),
            Register::Enables(context, word) => self
                .contexts
                .get(context)
                .and_then(|context| context.enables.get(word))
                .copied()
                .unwrap_or(0),
            Register::Threshold(context) => self
                .contexts
                .get(context)
                .map_or(0, |context| context.threshold.into()),
            Register::Claim(_) => 0,
        }
    }

    #[inline]
    fn set_external(&mut self, index: usize, level: bool) {
        if let Some(context) = self.contexts.get_mut(index)
            && context.external != level
        {
            context.external = level;
            self.changed ^= 1 << index;
        }
    }

    /// Works a context's line out anew ("Interrupt Notifications", "Priority Thresholds").
    fn evaluate(&mut self, index: usize) {
        let Some(context) = self.contexts.get(index) else {
            return;
        };
        let level = self
            .above
            .get(usize::from(context.threshold))
            .is_some_and(|above| {
                bits(self.pending_words.into()).any(|word| {
                    let word = word as usize;
                    self.pending[word] & context.enables[word] & above[word] != 0
                })
            });
        self.set_external(index, level);
    }

    /// The same for all contexts that a source is enabled for.
    fn evaluate_all_of(&mut self, source: u32) {
        let enabled_by = self
            .sources
            .get(source as usize)
            .map_or(0, |source| source.enabled_by);
        for context in bits(enabled_by) {
            self.evaluate(context as usize);
        }
    }

    /// The gateway lets a request through, if it is open.
    #[inline]
    fn request(&mut self, source: u32, word: usize, bit: u32) {
        if (self.pending[word] | self.in_service[word]) & bit != 0 {
            return;
        }
        self.pending[word] |= bit;
        self.pending_words |= 1 << word;
        let Some(&Source {
            priority,
            enabled_by,
        }) = self.sources.get(source as usize)
        else {
            return;
        };
        for index in bits(enabled_by) {
            let index = index as usize;
            let threshold = self.contexts.get(index).map(|context| context.threshold);
            if threshold.is_some_and(|threshold| priority > threshold) {
                self.set_external(index, true);
            }
        }
    }

    /// Drives a line.
    pub fn set_level(&mut self, source: u32, asserted: bool) {
        let Some((word, bit)) = self.place(source) else {
            return;
        };
        if asserted {
            self.level[word] |= bit;
            self.request(source, word, bit);
        } else {
            self.level[word] &= !bit;
        }
    }

    /// One edge. One that comes before the last one was claimed is the same to the guest.
    pub fn edge(&mut self, source: u32) {
        let Some((word, bit)) = self.place(source) else {
            return;
        };
        if self.in_service[word] & bit != 0 {
            self.latch[word] |= bit;
        } else {
            self.request(source, word, bit);
        }
    }

    /// The highest priority that is pending and enabled for a context, of equal ones the lowest
    /// number; 0 if there is none. It is in service then. The threshold has no say ("Interrupt
    /// Claim Process").
    pub fn claim(&mut self, context: usize) -> u32 {
        let Some((word, bit)) = self.best(context) else {
            return 0;
        };
        self.pending[word] &= !(1 << bit);
        if self.pending[word] == 0 {
            self.pending_words &= !(1 << word);
        }
        self.in_service[word] |= 1 << bit;
        let source = word as u32 * 32 + bit;
        self.evaluate_all_of(source);
        source
    }

    /// Word and number of the bit.
    #[inline]
    fn best(&self, context: usize) -> Option<(usize, u32)> {
        let enables = &self.contexts.get(context)?.enables;
        self.above.iter().rev().find_map(|above| {
            bits(self.pending_words.into()).find_map(|word| {
                let word = word as usize;
                let found = self.pending[word] & enables[word] & above[word];
                (found != 0).then(|| (word, found.trailing_zeros()))
            })
        })
    }

    /// The guest has served a source; ignored unless it is enabled for the context it says so in
    /// ("Interrupt Completion"). `true`: it was in service, and is not pending anew.
    pub fn complete(&mut self, context: usize, source: u32) -> bool {
        let Some((word, bit)) = self.place(source) else {
            return false;
        };
        let enables = self.contexts.get(context).map_or(0, |c| c.enables[word]);
        if enables & self.in_service[word] & bit == 0 {
            return false;
        }
        self.in_service[word] &= !bit;
        let again = (self.level[word] | self.latch[word]) & bit != 0;
        self.latch[word] &= !bit;
        if again {
            self.request(source, word, bit);
        }
        !again
    }

    /// WARL: three bits.
    pub fn write_priority(&mut self, source: u32, value: u32) {
        let priority = value & MAX_PRIORITY;
        let Some((word, bit)) = self.place(source) else {
            return;
        };
        if let Some(source) = self.sources.get_mut(source as usize) {
            source.priority = priority as u8;
        }
        for (limit, above) in (0..).zip(&mut self.above) {
            if priority > limit {
                above[word] |= bit;
            } else {
                above[word] &= !bit;
            }
        }
        if self.pending[word] & bit != 0 {
            self.evaluate_all_of(source);
        }
    }

    /// WARL: three bits.
    pub fn write_threshold(&mut self, index: usize, value: u32) {
        if let Some(context) = self.contexts.get_mut(index) {
            context.threshold = (value & MAX_PRIORITY) as u8;
        }
        self.evaluate(index);
    }

    /// Of the word's sources, those that [target](Self::target) another context afterwards.
    pub fn write_enables(&mut self, index: usize, word: usize, value: u32) -> u32 {
        let Some(exists) = self.exists.get(word) else {
            return 0;
        };
        let Some(context) = self.contexts.get_mut(index) else {
            return 0;
        };
        let value = value & exists;
        let changed = core::mem::replace(&mut context.enables[word], value) ^ value;
        let mut moved = 0;
        for bit in bits(changed.into()) {
            let Some(source) = self.sources.get_mut(word * 32 + bit as usize) else {
                continue;
            };
            let before = source.target();
            source.enabled_by ^= 1 << index;
            if source.target() != before {
                moved |= 1 << bit;
            }
        }
        self.evaluate(index);
        moved
    }
}
