//! Memory-mapped registers.

use core::ptr::NonNull;

/// The registers of one device: a mapped range of virtual addresses, read and written with single
/// accesses of the width asked for.
///
/// Accesses to one device are not reordered (it is mapped as device memory); those to different
/// devices, or to memory, are, unless a barrier is between them.
#[derive(Clone, Copy, Debug)]
pub struct Mmio {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the range stays mapped for ever at the same address on all CPUs (see `new`), and the
// only accesses are volatile ones of at most 8 bytes, which the device serialises. What several
// accesses make together (read, change, write) is for each driver to order.
unsafe impl Send for Mmio {}
// SAFETY: as above.
unsafe impl Sync for Mmio {}

impl Mmio {
    /// The device whose registers are mapped at `va`, `len` bytes of them. `va` is a multiple of
    /// 8.
    ///
    /// # Safety
    /// `va..va + len` must be mapped for ever as Device memory, readable and writable, and hold
    /// nothing that Rust knows as an object. Writing to these registers must not be able to break
    /// memory safety other than by what the driver that gets this documents.
    ///
    /// # Panics
    /// If `va` is 0 or misaligned, or the range wraps around: a mistake in the caller's mapping.
    pub unsafe fn new(va: usize, len: usize) -> Self {
        assert!(va.is_multiple_of(8) && va.checked_add(len).is_some());
        let base = NonNull::new(core::ptr::with_exposed_provenance_mut(va));
        Self {
            base: base.expect("a device mapped at address 0"),
            len,
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The `len` bytes at `offset` of it. `None` if they lie outside, or `offset` is not a
    /// multiple of 8.
    pub fn slice(&self, offset: usize, len: usize) -> Option<Self> {
        if !offset.is_multiple_of(8) || offset.checked_add(len)? > self.len {
            return None;
        }
        Some(Self {
            // SAFETY: the offset is inside the range.
            base: unsafe { self.base.add(offset) },
            len,
        })
    }

    /// The register of type `T` at `offset`.
    ///
    /// # Panics
    /// If it lies outside or is misaligned. Drivers pass constants, or numbers they checked.
    #[inline]
    fn register<T>(&self, offset: usize) -> *mut T {
        let size = size_of::<T>();
        assert!(offset.is_multiple_of(size) && offset < self.len && self.len - offset >= size);
        // SAFETY: the register is inside the range.
        unsafe { self.base.add(offset) }.cast::<T>().as_ptr()
    }

    /// Reads 32 bits.
    #[inline]
    pub fn read32(&self, offset: usize) -> u32 {
        // SAFETY: `register` checked offset and alignment; `new` promised the mapping.
        unsafe { self.register::<u32>(offset).read_volatile() }
    }

    /// Writes 32 bits.
    #[inline]
    pub fn write32(&self, offset: usize, value: u32) {
        // SAFETY: as for `read32`.
        unsafe { self.register::<u32>(offset).write_volatile(value) }
    }

    /// Reads 64 bits.
    #[inline]
    pub fn read64(&self, offset: usize) -> u64 {
        // SAFETY: as for `read32`.
        unsafe { self.register::<u64>(offset).read_volatile() }
    }

    /// Writes 64 bits.
    #[inline]
    pub fn write64(&self, offset: usize, value: u64) {
        // SAFETY: as for `read32`.
        unsafe { self.register::<u64>(offset).write_volatile(value) }
    }

    /// Reads 8 bits.
    #[inline]
    pub fn read8(&self, offset: usize) -> u8 {
        // SAFETY: as for `read32`.
        unsafe { self.register::<u8>(offset).read_volatile() }
    }

    /// Writes 8 bits.
    #[inline]
    pub fn write8(&self, offset: usize, value: u8) {
        // SAFETY: as for `read32`.
        unsafe { self.register::<u8>(offset).write_volatile(value) }
    }

    /// Reads the 32 bits at `offset` until `done` says so, at most [`POLL_LIMIT`] times.
    pub fn poll32(&self, offset: usize, done: impl Fn(u32) -> bool) -> bool {
        (0..POLL_LIMIT).any(|_| {
            let ready = done(self.read32(offset));
            if !ready {
                core::hint::spin_loop();
            }
            ready
        })
    }
}

/// How often a register is polled before the device is taken for dead: a tenth of a second or
/// more on any machine, while devices answer within microseconds.
pub const POLL_LIMIT: usize = 1_000_000;
