//! Exceptions as the hardware reports them, and as a guest takes them. Pure: RISC-V privileged ISA,
//! "Supervisor Cause Register" and "Trap Entry" of the hypervisor extension.

/// Exception codes of scause.
pub mod cause {
    /// A fetch that no memory answers.
    pub const INSTRUCTION_ACCESS_FAULT: u64 = 1;
    /// No such instruction.
    pub const ILLEGAL_INSTRUCTION: u64 = 2;
    /// A load that no memory answers.
    pub const LOAD_ACCESS_FAULT: u64 = 5;
    /// A store or AMO that no memory answers.
    pub const STORE_ACCESS_FAULT: u64 = 7;
    /// ECALL from VS-mode.
    pub const ECALL_FROM_VS: u64 = 10;
    /// An error of the hardware.
    pub const HARDWARE_ERROR: u64 = 19;
    /// A fetch that the G-stage does not translate.
    pub const INSTRUCTION_GUEST_PAGE_FAULT: u64 = 20;
    /// A load.
    pub const LOAD_GUEST_PAGE_FAULT: u64 = 21;
    /// An instruction that HS-mode may execute and VS-mode may not.
    pub const VIRTUAL_INSTRUCTION: u64 = 22;
    /// A store or AMO.
    pub const STORE_GUEST_PAGE_FAULT: u64 = 23;

    /// Set in scause for interrupts.
    pub const INTERRUPT: u64 = 1 << 63;
    /// Supervisor software interrupt.
    pub const SOFTWARE: u64 = 1;
    /// Supervisor timer interrupt.
    pub const TIMER: u64 = 5;
}

/// The access fault that answers a guest page fault of cause `guest_page_fault`: what the same
/// access would have met on a machine that has nothing there. A page-table walk's fault is one "of
/// the original access type" ("Virtual Address Translation Process").
#[inline]
pub const fn access_fault(guest_page_fault: u64) -> u64 {
    match guest_page_fault {
        cause::INSTRUCTION_GUEST_PAGE_FAULT => cause::INSTRUCTION_ACCESS_FAULT,
        cause::LOAD_GUEST_PAGE_FAULT => cause::LOAD_ACCESS_FAULT,
        _ => cause::STORE_ACCESS_FAULT,
    }
}

/// Bits of sstatus and vsstatus ("Supervisor Status Register").
pub mod status {
    /// Interrupts are enabled.
    pub const SIE: u64 = 1 << 1;
    /// They were before the trap.
    pub const SPIE: u64 = 1 << 5;
    /// The trap came from supervisor mode.
    pub const SPP: u64 = 1 << 8;
    /// Vector unit: off, initial, clean, dirty.
    pub const VS: u64 = 3 << 9;
    /// It is clean.
    pub const VS_CLEAN: u64 = 2 << 9;
    /// Floating-point unit, likewise.
    pub const FS: u64 = 3 << 13;
    /// It is clean.
    pub const FS_CLEAN: u64 = 2 << 13;
    /// UXL: U-mode has 64 bits.
    pub const UXL_64: u64 = 2 << 32;
}

/// vsstatus after a trap into VS-mode, taken from there (`supervisor`) or from VU-mode.
#[inline]
pub const fn taken(vsstatus: u64, supervisor: bool) -> u64 {
    let mut new = vsstatus & !(status::SIE | status::SPIE | status::SPP);
    if vsstatus & status::SIE != 0 {
        new |= status::SPIE;
    }
    if supervisor {
        new |= status::SPP;
    }
    new
}

/// Where the handler of an exception is: the base of vstvec, in vectored mode too, which is for
/// interrupts ("Supervisor Trap Vector Base Address Register").
#[inline]
pub const fn vector(vstvec: u64) -> u64 {
    vstvec & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_stacks_one_level() {
        use status::*;
        assert_eq!(taken(SIE, true), SPIE | SPP);
        assert_eq!(taken(SIE | SPP, false), SPIE);
        assert_eq!(taken(SPIE, true), SPP);
        assert_eq!(taken(SPIE | SPP, false), 0);
        let others = FS | VS | UXL_64 | 1 << 18 | 1 << 19;
        assert_eq!(taken(others, false), others);
    }

    #[test]
    fn each_access_has_its_fault() {
        assert_eq!([20, 21, 23].map(access_fault), [1, 5, 7]);
    }

    #[test]
    fn exceptions_go_to_the_base() {
        assert_eq!([vector(0x8000_0100), vector(0x8000_0101)], [0x8000_0100; 2]);
    }
}
