//! The PLIC: RISC-V Platform-Level Interrupt Controller Specification 1.0.
//!
//! It has sources 1 to 1023 and contexts, which are a hart's privilege modes. A source that fires
//! is pending until a context *claims* it; its gateway lets it fire again once a context has said
//! *complete*. Sources whose priority is 0 never interrupt.
//!
//! # A source stays claimed until its device has been served
//!
//! A claim holds up nothing but its own source: no mask is needed meanwhile. Any hart may write a
//! context's completion, so whoever has served the device says so. The gateway looks at a level then,
//! and forwards one that is still high: completed sooner, the same interrupt would be pending once
//! more, and stay so until it is claimed, whatever the line does.
//!
//! A completion is ignored unless the source is enabled for the context ("Interrupt Completion"), and
//! then the source never fires again. So it is made for the context that claimed, with the source
//! switched on for it if it was routed elsewhere meanwhile. That is looked up when the completion is
//! made and not when the source is routed: a hart that has just read its claim register may have got
//! the source although it is switched off by now, and no lock tells the others before it says so.
//!
//! (QEMU 10 forwards rising lines only, and those also while the source is claimed. So a line has to
//! fall before its completion to be heard again, and one that fell and rose meanwhile interrupts once
//! for nothing.)

use core::fmt;

use spin::Mutex;

use super::{arch, mmio::Mmio};

/// "Memory map": a word for each source's priority.
const PRIORITY: usize = 0x0;
/// Enable bits of context 0; those of the next are a stride further.
const ENABLE: usize = 0x2000;
const ENABLE_STRIDE: usize = 0x80;
/// Threshold and, behind it, claim and complete of context 0.
const CONTEXT: usize = 0x20_0000;
const CONTEXT_STRIDE: usize = 0x1000;
const CLAIM: usize = 4;

/// The most sources and contexts there can be.
const MAX_SOURCES: u32 = 1023;
const MAX_CONTEXTS: u32 = 15872;
/// The priority of sources that may interrupt: all have the same.
const PRIORITY_ON: u32 = 1;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlicError {
    /// More sources than there can be, or none.
    Sources(u32),
    /// The registers of a context don't exist.
    NoContext {
        /// Its number.
        context: u32,
    },
    /// There is no such source.
    NoSource {
        /// Its number.
        source: u32,
    },
}

impl fmt::Display for PlicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sources(count) => write!(f, "{count} sources are not possible"),
            Self::NoContext { context } => write!(f, "context {context} has no registers"),
            Self::NoSource { source } => write!(f, "there is no source {source}"),
        }
    }
}

/// Its registers: the device's, or in tests what behaves as one.
pub trait Registers {
    /// How many bytes there are.
    fn size(&self) -> usize;
    /// Reads the register at an offset that is a multiple of 4, inside.
    fn read(&self, offset: usize) -> u32;
    /// Writes it.
    fn write(&self, offset: usize, value: u32);
}

impl Registers for Mmio {
    fn size(&self) -> usize {
        self.len()
    }

    #[inline]
    fn read(&self, offset: usize) -> u32 {
        self.read32(offset)
    }

    #[inline]
    fn write(&self, offset: usize, value: u32) {
        self.write32(offset, value);
    }
}

/// A hart's context for supervisor interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context(u16);

impl Context {
    /// The enable bits of a source's word.
    fn enables(self, source: u32) -> usize {
        ENABLE + usize::from(self.0) * ENABLE_STRIDE + source as usize / 32 * 4
    }

    /// Its threshold.
    fn threshold(self) -> usize {
        CONTEXT + usize::from(self.0) * CONTEXT_STRIDE
    }

    /// Its claim and completion.
    #[inline]
    fn claim(self) -> usize {
        self.threshold() + CLAIM
    }
}

/// What is known of a source.
struct Line {
    /// The only context that it is enabled for.
    route: Option<Context>,
    /// The context that claimed it, and to which its completion is owed.
    claimed_by: Option<Context>,
}

/// What is known of each source of a PLIC.
pub struct Lines([Mutex<Line>; MAX_SOURCES as usize + 1]);

impl Lines {
    /// For a PLIC that is not taken over yet.
    pub const fn new() -> Self {
        Self(
            [const {
                Mutex::new(Line {
                    route: None,
                    claimed_by: None,
                })
            }; MAX_SOURCES as usize + 1],
        )
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

/// The PLIC. Its methods may be called from any hart.
#[derive(Debug)]
pub struct Plic<R = Mmio> {
    regs: R,
    sources: u32,
    /// A source's lock is held while its enable bits change and its completion is written.
    lines: &'static Lines,
    /// Enable bits have no registers to set and clear single ones. Taken under a source's lock.
    enables: Mutex<()>,
}

impl<R: Registers> Plic<R> {
    /// Takes the PLIC with these registers over, sources 1 to `sources`: none may interrupt. To be
    /// called once, on one hart; `lines` are new.
    pub fn init(regs: R, sources: u32, lines: &'static Lines) -> Result<Self, PlicError> {
        // A page holds all priorities and pending bits there can be.
        if !(1..=MAX_SOURCES).contains(&sources) || regs.size() < ENABLE {
            return Err(PlicError::Sources(sources));
        }
        for source in 1..=sources {
            regs.write(PRIORITY + source as usize * 4, 0);
        }
        Ok(Self {
            regs,
            sources,
            lines,
            enables: Mutex::new(()),
        })
    }

    /// The last source; the first is 1.
    pub fn sources(&self) -> u32 {
        self.sources
    }

    /// Whether there is such a source.
    #[inline]
    pub fn has(&self, source: u32) -> bool {
        (1..=self.sources).contains(&source)
    }

    #[inline]
    fn line(&self, source: u32) -> Option<&'static Mutex<Line>> {
        self.lines
            .0
            .get(source as usize)
            .filter(|_| self.has(source))
    }

    /// Takes a context over: all its enable bits are clear, it lets all priorities but 0 through,
    /// and it owes no completion. Once for each, before any source is routed to it.
    pub fn context(&self, context: u32) -> Result<Context, PlicError> {
        let error = PlicError::NoContext { context };
        let end = CONTEXT + (context as usize).saturating_add(1) * CONTEXT_STRIDE;
        if context >= MAX_CONTEXTS || self.regs.size() < end {
            return Err(error);
        }
        let this = Context(u16::try_from(context).map_err(|_| error)?);
        // What a boot loader claimed and never completed could not fire again; where nothing is owed
        // a completion is ignored. What is in use by another context already owes nothing to the
        // loader.
        for source in 1..=self.sources {
            let Some(line) = self.line(source).map(Mutex::lock) else {
                continue;
            };
            if line.route.is_none() {
                self.regs.write(this.enables(source), 1 << (source % 32));
                self.regs.write(this.claim(), source);
                // Before anybody else can route it, and claim.
                arch::full_barrier();
            }
        }
        for word in 0..=self.sources / 32 {
            self.regs.write(this.enables(word * 32), 0);
        }
        self.regs.write(this.threshold(), 0);
        arch::full_barrier();
        Ok(this)
    }

    /// Lets a source interrupt `context`, as far as its priority does, and no other. One that is
    /// claimed stays so.
    pub fn route(&self, source: u32, context: Context) -> Result<(), PlicError> {
        let line = self.line(source).ok_or(PlicError::NoSource { source })?;
        let mut line = line.lock();
        if line.route != Some(context) {
            if let Some(before) = line.route.replace(context) {
                self.set_enabled(before, source, false);
            }
            self.set_enabled(context, source, true);
        }
        Ok(())
    }

    fn set_enabled(&self, context: Context, source: u32, enabled: bool) {
        let register = context.enables(source);
        let bit = 1 << (source % 32);
        let _enables = self.enables.lock();
        let old = self.regs.read(register);
        let new = if enabled { old | bit } else { old & !bit };
        self.regs.write(register, new);
        // Unlocking orders memory only: the next hart must not read what was before.
        arch::full_barrier();
    }

    /// Masks a source, or no more: by its priority, with a single write. A source that doesn't exist
    /// stays as it is. Done when it returns: whoever is told to do the opposite next is the last.
    pub fn set_masked(&self, source: u32, masked: bool) {
        if self.has(source) {
            let priority = if masked { 0 } else { PRIORITY_ON };
            self.regs.write(PRIORITY + source as usize * 4, priority);
            arch::full_barrier();
        }
    }

    /// Claims the most urgent source that is pending for a context. `None` if there is none. It does
    /// not fire again before [`complete`](Self::complete).
    #[inline]
    pub fn claim(&self, context: Context) -> Option<u32> {
        let source = self.regs.read(context.claim());
        // What the handler reads of the device must not be read earlier.
        arch::full_barrier();
        // 0 is none.
        self.line(source)?.lock().claimed_by = Some(context);
        Some(source)
    }

    /// The device of a source that was claimed has been served: it may fire again. The device must
    /// have let go of the line by now. A source that is not claimed stays as it is.
    pub fn complete(&self, source: u32) {
        let Some(mut line) = self.line(source).map(Mutex::lock) else {
            return;
        };
        let Some(context) = line.claimed_by.take() else {
            return;
        };
        // Writes to the device come first.
        arch::full_barrier();
        let moved = line.route != Some(context);
        if moved {
            // It may be told of the next request then, and claims it or finds nothing.
            self.set_enabled(context, source, true);
        }
        self.regs.write(context.claim(), source);
        if moved {
            self.set_enabled(context, source, false);
        }
        // Before the lock is free, and the source is switched off for this context.
        arch::full_barrier();
    }
}
