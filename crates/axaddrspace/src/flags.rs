//! What a guest may do with a mapping, and how its memory behaves.

bitflags::bitflags! {
    /// Permissions and memory type of a mapping. The bits are those of the `flags` numbers in VM
    /// descriptions. Without `DEVICE` and `UNCACHED` the memory is ordinary, write-back cached.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MappingFlags: u32 {
        /// The guest may read. Every mapping has it: neither Arm nor RISC-V knows memory that can
        /// be written or executed and not read in a way that guests could rely on.
        const READ = 1 << 0;
        /// The guest may write.
        const WRITE = 1 << 1;
        /// The guest may execute.
        const EXECUTE = 1 << 2;
        /// Device registers: no gathering, no reordering, never executable.
        const DEVICE = 1 << 4;
        /// Memory without caches.
        const UNCACHED = 1 << 5;
    }
}

impl MappingFlags {
    /// The bits that say what the memory is, as opposed to what may be done with it.
    pub const MEMORY_TYPE: Self = Self::DEVICE.union(Self::UNCACHED);

    /// Whether these flags make sense together: `READ` is there, and `DEVICE` comes without
    /// `EXECUTE` and `UNCACHED`.
    pub const fn is_valid(self) -> bool {
        let exclusive = Self::EXECUTE.union(Self::UNCACHED);
        self.contains(Self::READ)
            && !(self.contains(Self::DEVICE) && self.intersects(exclusive))
            && self.bits() & !Self::all().bits() == 0
    }

    /// Whether the two describe the same type of memory.
    pub const fn same_memory_type(self, other: Self) -> bool {
        (self.bits() ^ other.bits()) & Self::MEMORY_TYPE.bits() == 0
    }
}
