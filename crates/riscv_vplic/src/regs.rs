//! The register map (PLIC specification 1.0, "Memory Map").

/// Bytes of the register region.
pub const SIZE: u64 = 0x400_0000;

const PENDING: u64 = 0x1000;
const ENABLES: u64 = 0x2000;
/// Bytes of enable bits for each context.
const ENABLES_STRIDE: u64 = 0x80;
/// Threshold and claim/complete, the first two words of a page for each context.
const CONTEXTS: u64 = 0x20_0000;
const CONTEXT_STRIDE: u64 = 0x1000;

/// The context of a number, by its vCPU. They come in pairs: what would be the machine mode's of vCPU
/// n, which has none, then the supervisor mode's.
#[inline]
const fn context(number: u64) -> Option<usize> {
    if number.is_multiple_of(2) {
        None
    } else {
        Some((number / 2) as usize)
    }
}

/// A register. Source, context and word may be too large: whoever uses them looks. A context is that
/// of the vCPU with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// The priority of a source.
    Priority(u32),
    /// A word of pending bits.
    Pending(usize),
    /// For a context a word of enable bits.
    Enables(usize, usize),
    /// A context's threshold.
    Threshold(usize),
    /// A context's claim/complete register.
    Claim(usize),
}

impl Register {
    /// The one at an aligned offset.
    #[inline]
    pub fn at(offset: u64) -> Option<Self> {
        if let Some(offset) = offset.checked_sub(CONTEXTS) {
            let context = context(offset / CONTEXT_STRIDE)?;
            return match offset % CONTEXT_STRIDE {
                0 => Some(Self::Threshold(context)),
                4 => Some(Self::Claim(context)),
                _ => None,
            };
        }
        let word = |offset: u64| (offset / 4) as usize;
        match offset {
            0..PENDING => Some(Self::Priority(offset as u32 / 4)),
            PENDING..ENABLES => Some(Self::Pending(word(offset - PENDING))),
            _ => {
                let offset = offset - ENABLES;
                let context = context(offset / ENABLES_STRIDE)?;
                Some(Self::Enables(context, word(offset % ENABLES_STRIDE)))
            }
        }
    }
}
