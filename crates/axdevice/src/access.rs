//! One access of a guest to a device, and the interface of a device.

/// The width of one bus access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum AccessWidth {
    /// 8 bits.
    Byte = 0,
    /// 16 bits.
    Half = 1,
    /// 32 bits.
    Word = 2,
    /// 64 bits.
    Double = 3,
}

impl AccessWidth {
    /// Width in bytes: 1, 2, 4 or 8.
    #[inline]
    pub const fn bytes(self) -> usize {
        1 << self as usize
    }

    /// The width of 2 to the `log2` bytes; bits 1:0 of it count.
    #[inline]
    pub const fn from_log2(log2: u8) -> Self {
        match log2 & 3 {
            0 => Self::Byte,
            1 => Self::Half,
            2 => Self::Word,
            _ => Self::Double,
        }
    }

    /// The width of `bytes` bytes; `None` unless it is 1, 2, 4 or 8.
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Half),
            4 => Some(Self::Word),
            8 => Some(Self::Double),
            _ => None,
        }
    }

    /// All ones in the bits an access of this width carries.
    #[inline]
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// Where an access goes, and who makes it.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The vCPU that makes it.
    pub vcpu: usize,
    /// Bytes from the start of the device's region. `offset + width` lies inside the region.
    pub offset: u64,
    /// How wide it is. Not necessarily aligned: a device decides what it makes of that.
    pub width: AccessWidth,
}

/// The device refuses the access: the guest gets the architecture's external abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusFault;

/// A write that was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// As a read may be: [`BusFault`].
    Refused,
    /// The device can't take it yet: the guest makes it again, and takes interrupts in between. As a
    /// bus that stalls, but nothing waits for it.
    Busy,
}

impl From<BusFault> for WriteFault {
    fn from(BusFault: BusFault) -> Self {
        Self::Refused
    }
}

/// A device on a memory-mapped bus. Called with interrupts masked, from any vCPU of its VM at the
/// same time: it locks what it shares. It must not block, allocate or format.
pub trait MmioDevice: Send + Sync {
    /// Reads; bits above the access's width are ignored.
    fn read(&self, access: Access) -> Result<u64, BusFault>;

    /// Writes; bits of `value` above the access's width are zero.
    fn write(&self, access: Access, value: u64) -> Result<(), WriteFault>;

    /// Back to the state after power-on.
    fn reset(&self);
}
