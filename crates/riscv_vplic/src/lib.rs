//! A model of the platform-level interrupt controller that a RISC-V guest sees (RISC-V PLIC
//! specification 1.0). It touches no hardware.
//!
//! Context 2n + 1 is the supervisor mode of vCPU `n`. Context 2n would be its machine mode, which it
//! hasn't: its registers are among those that don't exist. The specification leaves the order open;
//! this is that of QEMU's `virt` and of KVM's users, which kernels that read no device tree have
//! compiled in. Priorities and thresholds have three bits.
//!
//! # Sources
//!
//! A source's *gateway* ("Interrupt Gateways") lets one request through and then none before the
//! guest has completed that one. A line that is level-triggered is looked at again at completion;
//! an edge that comes meanwhile is remembered, once. A request that has been let through stays
//! pending although the line falls, as the specification says: its handler finds nothing to do.
//!
//! *Passthrough* sources stand for the physical ones of the same number. A physical source that has
//! been claimed ([`Vplic::fired`]) is completed when the guest has completed it
//! ([`Notify::completed`]), so it can't fire twice: its gateway is closed as long as the guest's is.
//!
//! A passthrough source *targets* the first vCPU it is enabled for, which may be others' too. The
//! physical source is routed to that one ([`Notify::routed`]), also when it moves
//! ([`Vplic::moved`]).
//!
//! # Registers
//!
//! All are 32 bits wide and accessed as aligned words; anything else is refused, which the guest
//! sees as an access fault. Registers that don't exist, and those of sources and contexts that
//! don't, read as zero and ignore writes.
//!
//! # Locks
//!
//! One lock protects everything but what [`Vplic::external_pending`] reads. It is a leaf: nothing is
//! called under it. [`Notify::external`] and [`Notify::completed`] are called with no lock held.
//! Changes of what passthrough sources target have another lock around them, taken before, so that
//! [`Notify::routed`] is called in the order of the changes; what it calls must not write the
//! guest's enable registers or reset the controller.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod regs;
mod state;

use alloc::boxed::Box;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use axdevice::{Access, AccessWidth, BusFault, IrqSink, MmioDevice, WriteFault};
use spin::Mutex;

use regs::Register;
use state::{State, WORDS, Words, bits};

pub use regs::SIZE;
pub use state::MAX_PRIORITY;

/// Most contexts, and so vCPUs, of a VM.
pub const MAX_CONTEXTS: usize = 64;
/// Most sources; their numbers begin with 1.
pub const MAX_SOURCES: u32 = 1023;

/// What a VM's controller is made from.
pub struct Config<'a> {
    /// Number of contexts, one for each vCPU: 1..=[`MAX_CONTEXTS`].
    pub contexts: usize,
    /// Number of sources, the highest source's number: 1..=[`MAX_SOURCES`].
    pub sources: u32,
    /// Sources that stand for the physical ones of the same number.
    pub passthrough: &'a [u32],
}

/// A controller that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Not 1..=[`MAX_CONTEXTS`] contexts.
    Contexts(usize),
    /// Not 1..=[`MAX_SOURCES`] sources.
    Sources(u32),
    /// A passthrough interrupt that is none of the sources.
    Passthrough(u32),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contexts(n) => write!(f, "{n} contexts; 1 to {MAX_CONTEXTS} are possible"),
            Self::Sources(n) => write!(f, "{n} sources; 1 to {MAX_SOURCES} are possible"),
            Self::Passthrough(n) => write!(f, "passthrough interrupt {n} is not a source here"),
        }
    }
}

impl core::error::Error for ConfigError {}

/// What the controller tells the hypervisor, on the CPU where the cause is. Short work that does
/// not block.
pub trait Notify: Send + Sync {
    /// vCPU `vcpu`'s external-interrupt line has changed; its level is
    /// [`Vplic::external_pending`]. Called without locks held.
    fn external(&self, vcpu: usize);

    /// The guest has completed passthrough source `source`: the physical one is to be completed.
    /// Called without locks held.
    fn completed(&self, source: u32);

    /// Passthrough source `source` targets vCPU `vcpu` from now on, or that one has moved. `None`: it
    /// targets none, and the physical one is not to interrupt; it may have been claimed before, and
    /// stays so. Calls come in the order of the changes.
    fn routed(&self, source: u32, vcpu: Option<usize>);
}

/// A VM's interrupt controller.
pub struct Vplic<N: Notify> {
    state: Mutex<State>,
    /// For each context the level of its external-interrupt line. Changed under the lock, read
    /// without.
    external: Box<[AtomicBool]>,
    /// Immutable: a bit for each passthrough source, and for each word that has any.
    passthrough: Words,
    passthrough_words: u32,
    /// Held while targets of passthrough sources change and are told of.
    routing: Mutex<()>,
    notify: N,
}

impl<N: Notify> Vplic<N> {
    /// A controller in its state after power-on.
    pub fn new(config: &Config<'_>, notify: N) -> Result<Self, ConfigError> {
        if !(1..=MAX_CONTEXTS).contains(&config.contexts) {
            return Err(ConfigError::Contexts(config.contexts));
        }
        if !(1..=MAX_SOURCES).contains(&config.sources) {
            return Err(ConfigError::Sources(config.sources));
        }
        let state = State::new(config.contexts, config.sources);
        let mut passthrough = [0; WORDS];
        let mut passthrough_words = 0u32;
        for &source in config.passthrough {
            let (word, bit) = state
                .place(source)
                .ok_or(ConfigError::Passthrough(source))?;
            passthrough[word] |= bit;
            passthrough_words |= 1 << word;
        }
        Ok(Self {
            state: Mutex::new(state),
            external: (0..config.contexts)
                .map(|_| AtomicBool::new(false))
                .collect(),
            passthrough,
            passthrough_words,
            routing: Mutex::new(()),
            notify,
        })
    }

    /// The notifier given to [`new`](Self::new).
    pub fn notifier(&self) -> &N {
        &self.notify
    }

    /// The level of vCPU `vcpu`'s external-interrupt line: something is pending and enabled for it
    /// whose priority exceeds its threshold. Takes no lock: for every entry to the guest.
    #[inline]
    pub fn external_pending(&self, vcpu: usize) -> bool {
        self.external
            .get(vcpu)
            .is_some_and(|level| level.load(Ordering::Acquire))
    }

    /// The physical interrupt of passthrough source `source` has fired, and is claimed until
    /// [`Notify::completed`]. `false`: it is no source of this VM, and nothing was done.
    pub fn fired(&self, source: u32) -> bool {
        let ours = self.is_passthrough(source);
        if ours {
            self.with(|state| state.edge(source));
        }
        ours
    }

    /// vCPU `vcpu` is on another physical CPU now: what targets it is routed anew.
    #[cold]
    pub fn moved(&self, vcpu: usize) {
        let _order = self.routing.lock();
        for (word, passthrough) in self.passthrough_words() {
            for source in sources(word, passthrough) {
                if self.state.lock().target(source) == Some(vcpu) {
                    self.notify.routed(source, Some(vcpu));
                }
            }
        }
    }

    /// Back to the state after power-on: nothing enabled, pending or in service, and all lines low
    /// (the devices are reset too). Physical sources that are claimed are the caller's business.
    pub fn reset(&self) {
        let _order = self.routing.lock();
        let mut enabled = [0; WORDS];
        self.with(|state| {
            for (word, passthrough) in self.passthrough_words() {
                enabled[word] = state.enabled_anywhere(word) & passthrough;
            }
            state.reset();
        });
        for (word, _) in self.passthrough_words() {
            self.tell_routed(word, enabled[word]);
        }
    }

    /// The words that have passthrough sources, and their bits.
    fn passthrough_words(&self) -> impl Iterator<Item = (usize, u32)> {
        bits(self.passthrough_words.into()).map(|word| {
            let word = word as usize;
            (word, self.passthrough[word])
        })
    }

    #[inline]
    fn is_passthrough(&self, source: u32) -> bool {
        let word = self.passthrough.get(source as usize / 32);
        word.is_some_and(|word| word >> (source % 32) & 1 != 0)
    }

    /// Runs `f` under the lock, publishes the lines it has changed, and tells of them afterwards.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = f(&mut state);
        let changed = core::mem::take(&mut state.changed);
        for context in bits(changed) {
            if let Some(level) = self.external.get(context as usize) {
                level.store(state.external(context as usize), Ordering::Release);
            }
        }
        drop(state);
        for context in bits(changed) {
            self.notify.external(context as usize);
        }
        result
    }

    fn write_enables(&self, context: usize, word: usize, value: u32) {
        let passthrough = self.passthrough.get(word).copied().unwrap_or(0);
        // Words without passthrough sources tell nobody.
        let _order = (passthrough != 0).then(|| self.routing.lock());
        let changed = self.with(|state| state.write_enables(context, word, value));
        self.tell_routed(word, changed & passthrough);
    }

    /// Under the routing lock: what these sources target.
    fn tell_routed(&self, word: usize, changed: u32) {
        for source in sources(word, changed) {
            let target = self.state.lock().target(source);
            self.notify.routed(source, target);
        }
    }

    #[inline]
    fn complete(&self, context: usize, source: u32) {
        let idle = self.with(|state| state.complete(context, source));
        if idle && self.is_passthrough(source) {
            self.notify.completed(source);
        }
    }
}

/// The sources of a word's bits.
fn sources(word: usize, mask: u32) -> impl Iterator<Item = u32> {
    bits(mask.into()).map(move |bit| word as u32 * 32 + bit)
}

/// The register of an access; all are words.
#[inline]
fn register(access: Access) -> Result<Option<Register>, BusFault> {
    if access.width != AccessWidth::Word || access.offset & 3 != 0 {
        return Err(BusFault);
    }
    Ok(Register::at(access.offset))
}

impl<N: Notify> MmioDevice for Vplic<N> {
    #[inline]
    fn read(&self, access: Access) -> Result<u64, BusFault> {
        let Some(register) = register(access)? else {
            return Ok(0);
        };
        let value = match register {
            Register::Claim(context) => self.with(|state| state.claim(context)),
            other => self.state.lock().read(other),
        };
        Ok(value.into())
    }

    #[inline]
    fn write(&self, access: Access, value: u64) -> Result<(), WriteFault> {
        let value = value as u32;
        match register(access)? {
            Some(Register::Claim(context)) => self.complete(context, value),
            Some(Register::Enables(context, word)) => self.write_enables(context, word, value),
            Some(Register::Priority(source)) => {
                self.with(|state| state.write_priority(source, value));
            }
            Some(Register::Threshold(context)) => {
                self.with(|state| state.write_threshold(context, value));
            }
            // Pending bits are set by gateways and cleared by claims only.
            Some(Register::Pending(_)) | None => {}
        }
        Ok(())
    }

    fn reset(&self) {
        Self::reset(self);
    }
}

/// Lines are sources of the same number; those that don't exist lead nowhere.
impl<N: Notify> IrqSink for Vplic<N> {
    fn set_level(&self, line: u32, asserted: bool) {
        self.with(|state| state.set_level(line, asserted));
    }

    fn pulse(&self, line: u32) {
        self.with(|state| state.edge(line));
    }
}

#[cfg(test)]
mod tests;
