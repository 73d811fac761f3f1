//! Runs of frames in one state, and the errors about them.

use core::fmt;
use core::ops::Range;

use memory_addr::PhysAddr;

/// Bytes in a frame.
pub const FRAME_SIZE: usize = 4096;

pub(crate) const FRAME_SHIFT: u32 = FRAME_SIZE.trailing_zeros();

/// What is at an extent's addresses. It does not change when the owner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory that may be allocated.
    Ram,
    /// Set aside by the board: handed out at exactly its address, or never.
    Reserved,
    /// A device's registers: handed out at exactly their address, or never.
    Device,
}

/// What a frame of the hypervisor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Chunks of the heap.
    Heap,
    /// Stacks of tasks and CPUs.
    Stack,
    /// Per-CPU data.
    PerCpu,
    /// What was needed to boot, such as the machine's device tree.
    Boot,
}

/// Whose translation tables a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The hypervisor's own.
    Own,
    /// A guest's: stage 2 (aarch64), G-stage (riscv64), nested (x86_64).
    Guest,
}

/// Who owns a frame. Exactly one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody. The frame's content is that of its last owner.
    Free,
    /// The hypervisor's code and static data.
    Image,
    /// The boot bundle with the VMs' files.
    Bundle,
    /// The hypervisor.
    Hypervisor(Purpose),
    /// Translation tables.
    Table(Table),
    /// The VM of this id.
    Vm(usize),
}

/// A run of frames of one kind and one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Number of the first frame: its address divided by [`FRAME_SIZE`].
    pub(crate) first: usize,
    pub(crate) frames: usize,
    pub(crate) kind: Kind,
    pub(crate) owner: Owner,
}

impl Extent {
    /// Address of the first byte.
    pub fn base(&self) -> PhysAddr {
        address(self.first)
    }

    /// How many frames; at least one.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Bytes in it.
    pub fn bytes(&self) -> u64 {
        self.frames as u64 * FRAME_SIZE as u64
    }

    /// What is there.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Who owns it.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Number of the frame behind it. No overflow: frame numbers have 12 bits to spare.
    pub(crate) fn end(&self) -> usize {
        self.first + self.frames
    }

    /// Whether it may be given to whoever asks for RAM.
    pub(crate) fn is_free_ram(&self) -> bool {
        self.kind == Kind::Ram && self.owner == Owner::Free
    }
}

/// Why an operation on frames was refused. Nothing was changed then, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// No frames were named.
    Empty,
    /// The address is not that of a frame, or the range runs past the end of the address space.
    BadRange {
        /// First address.
        base: usize,
        /// Length in bytes; saturated if it does not fit.
        len: usize,
    },
    /// There is nothing known at this address.
    Unmanaged {
        /// The first address of which nothing is known.
        base: PhysAddr,
    },
    /// What is at this address is of the wrong kind.
    WrongKind {
        /// The first such address.
        base: PhysAddr,
        /// What is there.
        kind: Kind,
    },
    /// Somebody else owns a part of it, or, when something is freed, nobody does.
    WrongOwner {
        /// The first such address.
        base: PhysAddr,
        /// Who owns it.
        owner: Owner,
    },
    /// `Owner::Free` can't be asked for.
    FreeIsNoOwner,
    /// The table of extents is full.
    TableFull,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ram => write!(f, "RAM"),
            Self::Reserved => write!(f, "set aside by the board"),
            Self::Device => write!(f, "a device"),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => write!(f, "nobody"),
            Self::Image => write!(f, "the image"),
            Self::Bundle => write!(f, "the bundle"),
            Self::Hypervisor(_) => write!(f, "the hypervisor"),
            Self::Table(_) => write!(f, "translation tables"),
            Self::Vm(id) => write!(f, "VM {id}"),
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "no frames were named"),
            Self::BadRange { base, len } => {
                write!(f, "{base:#x}, {len:#x} bytes, is not whole frames")
            }
            Self::Unmanaged { base } => write!(f, "nothing is known of {:#x}", base.as_usize()),
            Self::WrongKind { base, kind } => {
                write!(f, "{:#x} is of another kind: {kind}", base.as_usize())
            }
            Self::WrongOwner { base, owner } => {
                write!(f, "the owner of {:#x} is {owner}", base.as_usize())
            }
            Self::FreeIsNoOwner => write!(f, "nobody was to be an owner"),
            Self::TableFull => write!(f, "too many pieces of memory"),
        }
    }
}

/// The address of a frame by its number.
pub(crate) fn address(frame: usize) -> PhysAddr {
    PhysAddr::from_usize(frame << FRAME_SHIFT)
}

/// The frames a byte range touches.
pub(crate) fn touched(base: PhysAddr, len: usize) -> Result<Range<usize>, FrameError> {
    let base = base.as_usize();
    let Some(before_last) = len.checked_sub(1) else {
        return Ok(0..0);
    };
    let last = base
        .checked_add(before_last)
        .ok_or(FrameError::BadRange { base, len })?;
    Ok(base >> FRAME_SHIFT..(last >> FRAME_SHIFT) + 1)
}

/// The frames that lie wholly inside a byte range.
pub(crate) fn inside(base: PhysAddr, len: usize) -> Result<Range<usize>, FrameError> {
    let mut frames = touched(base, len)?;
    if frames.is_empty() {
        return Ok(frames);
    }
    let offset = FRAME_SIZE - 1;
    if base.as_usize() & offset != 0 {
        frames.start += 1;
    }
    // Wrapping: a range may end at the very end of the address space.
    if base.as_usize().wrapping_add(len) & offset != 0 {
        frames.end -= 1;
    }
    Ok(frames)
}

/// `count` frames from the frame at `base`.
pub(crate) fn exactly(base: PhysAddr, count: usize) -> Result<Range<usize>, FrameError> {
    if count == 0 {
        return Err(FrameError::Empty);
    }
    let first = base.as_usize() >> FRAME_SHIFT;
    match first.checked_add(count) {
        Some(end) if end <= 1 << (usize::BITS - FRAME_SHIFT) && address(first) == base => {
            Ok(first..end)
        }
        _ => Err(FrameError::BadRange {
            base: base.as_usize(),
            len: count.saturating_mul(FRAME_SIZE),
        }),
    }
}
