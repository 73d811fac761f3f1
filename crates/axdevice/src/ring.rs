//! A byte queue of fixed size.

use alloc::boxed::Box;
use alloc::vec;

/// A byte queue. Its capacity is a power of two.
pub(crate) struct Ring {
    bytes: Box<[u8]>,
    /// Both count up for ever; the difference is the length.
    head: usize,
    tail: usize,
}

impl Ring {
    /// An empty queue for `1 << bits` bytes.
    pub fn new(bits: u32) -> Self {
        Self {
            bytes: vec![0; 1 << bits].into_boxed_slice(),
            head: 0,
            tail: 0,
        }
    }

    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub fn len(&self) -> usize {
        self.tail.wrapping_sub(self.head)
    }

    /// Adds a byte; `false` if there is no room.
    #[inline]
    pub fn push(&mut self, byte: u8) -> bool {
        let mask = self.bytes.len() - 1;
        let room = self.len() <= mask;
        if room && let Some(slot) = self.bytes.get_mut(self.tail & mask) {
            *slot = byte;
            self.tail = self.tail.wrapping_add(1);
        }
        room
    }

    #[inline]
    pub fn pop(&mut self) -> Option<u8> {
        if self.len() == 0 {
            return None;
        }
        let byte = self
            .bytes
            .get(self.head & (self.bytes.len() - 1))
            .copied()?;
        self.head = self.head.wrapping_add(1);
        Some(byte)
    }

    /// Takes out as much as fits in `buf`.
    pub fn drain(&mut self, buf: &mut [u8]) -> usize {
        let mut count = 0;
        for (slot, byte) in buf.iter_mut().zip(core::iter::from_fn(|| self.pop())) {
            *slot = byte;
            count += 1;
        }
        count
    }

    pub fn clear(&mut self) {
        self.head = self.tail;
    }
}
