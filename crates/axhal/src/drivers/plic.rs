//! The PLIC: RISC-V Platform-Level Interrupt Controller Specification 1.0.
//!
//! It has sources 1 to 1023 and contexts, which are a hart's privilege modes. A source that fires
//! is pending until a context *claims* it; its gateway lets it fire again once that context has
//! said *complete*. Sources whose priority is 0 never interrupt.
//!
//! A claim holds up nothing but its own source, and any hart may write a context's completion. So a
//! source may stay claimed until its device has been served, by whomever, and needs no masking
//! meanwhile. Who completes at once and masks instead finds it pending again when the mask goes: the
//! gateway forwards a line that is still high at its completion, and what is pending stays so until
//! it is claimed, whatever the line does. (QEMU 10 forwards rising lines only, and those also while
//! the source is claimed. So a line has to fall before its completion to be heard again, and one that
//! fell and rose meanwhile interrupts once for nothing.)

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

/// The PLIC. Its methods may be called from any hart.
#[derive(Debug)]
pub struct Plic {
    regs: Mmio,
    sources: u32,
    /// Enable bits have no registers to set and clear single ones.
    enables: Mutex<()>,
}

/// A hart's context for supervisor interrupts.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Its enable bits.
    enable: usize,
    /// Its threshold and claim register.
    base: usize,
}

impl Plic {
    /// Takes the PLIC with these registers over, sources 1 to `sources`: none may interrupt. To be
    /// called once, on one hart.
    pub fn init(regs: Mmio, sources: u32) -> Result<Self, PlicError> {
        // A page holds all priorities and pending bits there can be.
        if !(1..=MAX_SOURCES).contains(&sources) || regs.len() < ENABLE {
            return Err(PlicError::Sources(sources));
        }
        for source in 1..=sources {
            regs.write32(PRIORITY + source as usize * 4, 0);
        }
        Ok(Self {
            regs,
            sources,
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

    /// Takes a context over: all its enable bits are clear, it lets all priorities but 0 through,
    /// and it owes no completion.
    pub fn context(&self, context: u32) -> Result<Context, PlicError> {
        let error = PlicError::NoContext { context };
        let base = CONTEXT + context as usize * CONTEXT_STRIDE;
        if context >= MAX_CONTEXTS || self.regs.len() < base + CONTEXT_STRIDE {
            return Err(error);
        }
        let this = Context {
            enable: ENABLE + context as usize * ENABLE_STRIDE,
            base,
        };
        let words = self.sources as usize / 32 + 1;
        // What a boot loader claimed and never completed could not fire again. Completions count
        // only where the source is enabled, and are ignored where nothing is owed ("Interrupt
        // Completion").
        for word in 0..words {
            self.regs.write32(this.enable + word * 4, !0);
        }
        for source in 1..=self.sources {
            self.regs.write32(base + CLAIM, source);
        }
        for word in 0..words {
            self.regs.write32(this.enable + word * 4, 0);
        }
        self.regs.write32(base, 0);
        Ok(this)
    }

    /// Lets a source interrupt a context, as far as its priority does, or not.
    pub fn set_enabled(
        &self,
        context: &Context,
        source: u32,
        enabled: bool,
    ) -> Result<(), PlicError> {
        if !self.has(source) {
            return Err(PlicError::NoSource { source });
        }
        let register = context.enable + source as usize / 32 * 4;
        let bit = 1 << (source % 32);
        let _enables = self.enables.lock();
        let old = self.regs.read32(register);
        let new = if enabled { old | bit } else { old & !bit };
        self.regs.write32(register, new);
        // Unlocking orders memory only: the next hart must not read what was before.
        arch::full_barrier();
        Ok(())
    }

    /// Masks a source for all contexts, or no more: by its priority, with a single write. A source
    /// that doesn't exist stays as it is.
    #[inline]
    pub fn set_masked(&self, source: u32, masked: bool) {
        if self.has(source) {
            let priority = if masked { 0 } else { PRIORITY_ON };
            self.regs.write32(PRIORITY + source as usize * 4, priority);
        }
    }

    /// Claims the most urgent source that is pending for a context. `None` if there is none.
    #[inline]
    pub fn claim(&self, context: &Context) -> Option<u32> {
        let source = self.regs.read32(context.base + CLAIM);
        // What the handler reads of the device must not be read earlier.
        arch::full_barrier();
        (source != 0).then_some(source)
    }

    /// Says that a source claimed for this context is served: it may fire again. The device must
    /// have let go of the line by now. The source must be enabled for the context still: otherwise
    /// this is ignored, and it never fires again. May be called from any hart. Done when it returns: a
    /// lock that is given back then keeps others from switching the source off before.
    #[inline]
    pub fn complete(&self, context: &Context, source: u32) {
        // Writes to the device and to the source's priority come first.
        arch::full_barrier();
        self.regs.write32(context.base + CLAIM, source);
        arch::full_barrier();
    }
}
