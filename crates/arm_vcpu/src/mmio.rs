//! A device access on its way: what the trap said, until the bus has answered. Pure.

use axaddrspace::GuestPhysAddr;
use axdevice::AccessWidth;
use axvcpu::AxVCpuExitReason;

use crate::decode::Transfer;

/// Where an answer goes: the general registers and the program counter.
pub trait Registers {
    /// Register 0 to 30; 31 reads as zero.
    fn gpr(&self, reg: usize) -> u64;
    /// Register 0 to 30; 31 is discarded.
    fn set_gpr(&mut self, reg: usize, value: u64);
    /// Adds to the program counter.
    fn advance(&mut self, bytes: u64);
    /// Sets the stack pointer the guest uses now.
    fn set_sp(&mut self, value: u64);
}

/// One bus access of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusAccess {
    /// Reads into a register.
    Load {
        /// Register number; 31 discards.
        reg: usize,
        /// Width on the bus.
        width: AccessWidth,
        /// Width of the register written: a word clears the upper half.
        reg_width: AccessWidth,
        /// Sign-extended from `width` to `reg_width`.
        signed: bool,
        /// The guest is big-endian here: the value's bytes change places.
        swap: bool,
    },
    /// Writes this value.
    Store {
        /// Width on the bus.
        width: AccessWidth,
        /// The value on the bus, masked to the width.
        value: u64,
    },
}

impl BusAccess {
    /// The access of one register by a guest that is big-endian there, or not.
    #[inline]
    pub fn new(transfer: Transfer, big_endian: bool, registers: &impl Registers) -> Self {
        let Transfer {
            reg,
            width,
            load,
            reg_width,
            signed,
        } = transfer;
        if load {
            Self::Load {
                reg,
                width,
                reg_width,
                signed,
                swap: big_endian,
            }
        } else {
            Self::Store {
                width,
                value: on_bus(registers.gpr(reg) & width.mask(), width, big_endian),
            }
        }
    }

    fn exit(self, addr: GuestPhysAddr) -> AxVCpuExitReason {
        match self {
            Self::Load {
                reg,
                width,
                reg_width,
                signed,
                ..
            } => AxVCpuExitReason::MmioRead {
                addr,
                width,
                reg,
                reg_width,
                signed_ext: signed,
            },
            Self::Store { width, value } => AxVCpuExitReason::MmioWrite {
                addr,
                width,
                data: value,
            },
        }
    }
}

/// Whether data accesses are big-endian (DDI 0487, D24.2.175, SCTLR_EL1.EE and E0E; PSTATE.E in
/// AArch32). Devices are little-endian.
#[inline]
pub const fn big_endian(spsr: u64, sctlr: u64) -> bool {
    const AARCH32: u64 = 1 << 4;
    const E: u64 = 1 << 9;
    const EL: u64 = 0b1100;
    const E0E: u64 = 1 << 24;
    const EE: u64 = 1 << 25;
    if spsr & AARCH32 != 0 {
        spsr & E != 0
    } else if spsr & EL == 0 {
        sctlr & E0E != 0
    } else {
        sctlr & EE != 0
    }
}

/// Whether [`big_endian`] has to be asked: seldom.
#[inline]
pub const fn may_be_big_endian(spsr: u64, sctlr: u64) -> bool {
    const AARCH32: u64 = 1 << 4;
    const E0E_EE: u64 = 3 << 24;
    spsr & AARCH32 | sctlr & E0E_EE != 0
}

/// A value of `width` between a register and the bus. Nothing is above the width.
#[inline]
const fn on_bus(value: u64, width: AccessWidth, swap: bool) -> u64 {
    if swap {
        value.swap_bytes() >> (64 - 8 * width.bytes() as u32)
    } else {
        value
    }
}

/// Extends what a load of `width` read to what its register gets.
#[inline]
pub fn extend(value: u64, width: AccessWidth, reg_width: AccessWidth, signed: bool) -> u64 {
    let value = value & width.mask();
    if !signed {
        return value;
    }
    let unused = 64 - 8 * width.bytes() as u32;
    ((value << unused) as i64 >> unused) as u64 & reg_width.mask()
}

/// What an external abort needs to know of the access it refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// ESR_EL2 of the access.
    pub esr: u64,
    /// FAR_EL2 of the access.
    pub far: u64,
    /// The stage-1 level, if it was a table walk's access.
    pub walk_level: Option<u8>,
}

/// Where a base register's new value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteBack {
    /// A general register.
    Gpr(usize, u64),
    /// The stack pointer in use.
    Sp(u64),
}

/// The access the last exit reported. One instruction makes up to two (a pair); its registers
/// change only once all of it succeeded, so that a refused access can be taken as a precise abort.
#[derive(Clone, Copy, Debug, Default)]
pub struct PendingMmio {
    fault: Fault,
    current: Option<BusAccess>,
    rest: Option<(GuestPhysAddr, BusAccess)>,
    /// The first load of a pair, not in its register yet.
    loaded: Option<(usize, u64)>,
    write_back: Option<WriteBack>,
    /// Length of the instruction.
    length: u64,
    /// The second access is to be made before the guest goes on.
    unmade: bool,
}

impl PendingMmio {
    /// A fault that is no device access yet known: it can be refused only.
    #[inline]
    pub fn fault(&mut self, fault: Fault) {
        *self = Self {
            fault,
            ..Self::default()
        };
    }

    /// An instruction of `length` bytes that makes one access; returns the exit to report.
    #[inline]
    pub fn single(
        &mut self,
        fault: Fault,
        addr: GuestPhysAddr,
        access: BusAccess,
        length: u64,
    ) -> AxVCpuExitReason {
        *self = Self {
            fault,
            current: Some(access),
            length,
            ..Self::default()
        };
        access.exit(addr)
    }

    /// An instruction without a syndrome: one or two accesses, and a base register to write back.
    pub fn decoded(
        &mut self,
        fault: Fault,
        first: (GuestPhysAddr, BusAccess),
        second: Option<(GuestPhysAddr, BusAccess)>,
        write_back: Option<WriteBack>,
    ) -> AxVCpuExitReason {
        *self = Self {
            fault,
            current: Some(first.1),
            rest: second,
            write_back,
            length: 4,
            ..Self::default()
        };
        first.1.exit(first.0)
    }

    /// The second access of a pair whose first has been answered.
    #[inline]
    pub fn next_access(&mut self) -> Option<AxVCpuExitReason> {
        if !self.unmade {
            return None;
        }
        self.unmade = false;
        let (addr, access) = self.rest.take()?;
        self.current = Some(access);
        Some(access.exit(addr))
    }

    /// The bus answered `value`.
    #[inline]
    pub fn complete(&mut self, value: u64, registers: &mut impl Registers) {
        let result = match self.current.take() {
            // Retried rather than answered: the access is made again.
            None => return,
            Some(BusAccess::Store { .. }) => None,
            Some(BusAccess::Load {
                reg,
                width,
                reg_width,
                signed,
                swap,
            }) => {
                let value = on_bus(value & width.mask(), width, swap);
                Some((reg, extend(value, width, reg_width, signed)))
            }
        };
        if self.rest.is_some() {
            self.loaded = result;
            self.unmade = true;
            return;
        }
        if let Some((reg, value)) = self.loaded.take() {
            registers.set_gpr(reg, value);
        }
        if let Some((reg, value)) = result {
            registers.set_gpr(reg, value);
        }
        match self.write_back.take() {
            None => {}
            Some(WriteBack::Gpr(reg, value)) => registers.set_gpr(reg, value),
            Some(WriteBack::Sp(value)) => registers.set_sp(value),
        }
        registers.advance(self.length);
    }

    /// The bus refused: what the abort says. The instruction leaves no trace.
    pub fn take_fault(&mut self) -> Fault {
        let fault = self.fault;
        *self = Self::default();
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AccessWidth::{Byte, Double, Half, Word};

    #[derive(Default, Debug, PartialEq)]
    struct Fake {
        x: [u64; 31],
        pc: u64,
        sp: u64,
    }

    impl Registers for Fake {
        fn gpr(&self, reg: usize) -> u64 {
            self.x.get(reg).copied().unwrap_or(0)
        }
        fn set_gpr(&mut self, reg: usize, value: u64) {
            if reg < 31 {
                self.x[reg] = value;
            }
        }
        fn advance(&mut self, bytes: u64) {
            self.pc += bytes;
        }
        fn set_sp(&mut self, value: u64) {
            self.sp = value;
        }
    }

    const ADDR: GuestPhysAddr = GuestPhysAddr::from_usize(0x900_0000);

    fn load(reg: usize, width: AccessWidth) -> BusAccess {
        BusAccess::Load {
            reg,
            width,
            reg_width: Double,
            signed: false,
            swap: false,
        }
    }

    #[test]
    fn big_endian_guests_see_little_endian_devices() {
        let mut regs = Fake::default();
        regs.x[1] = 0xffff_ffff_1122_3344;
        let transfer = |width, load, signed| Transfer {
            reg: 1,
            width,
            load,
            reg_width: Double,
            signed,
        };
        for (width, value) in [
            (Byte, 0x44),
            (Half, 0x4433),
            (Word, 0x4433_2211),
            (Double, 0x4433_2211_ffff_ffff),
        ] {
            let access = BusAccess::new(transfer(width, false, false), true, &regs);
            assert_eq!(access, BusAccess::Store { width, value });
        }
        let mut mmio = PendingMmio::default();
        let access = BusAccess::new(transfer(Half, true, true), true, &regs);
        mmio.single(Fault::default(), ADDR, access, 4);
        // Bits above the width are not the device's.
        mmio.complete(0xff_1280, &mut regs);
        assert_eq!(regs.x[1], 0xffff_ffff_ffff_8012);
    }

    #[test]
    fn the_guest_chooses_its_byte_order_by_exception_level() {
        const EL1H: u64 = 5;
        const USR32: u64 = 0x10;
        let (e0e, ee) = (1 << 24, 1 << 25);
        assert!(big_endian(0, e0e) && !big_endian(0, ee));
        assert!(big_endian(EL1H, ee) && !big_endian(EL1H, e0e));
        assert!(big_endian(USR32 | 1 << 9, 0) && !big_endian(USR32, e0e | ee));
    }

    #[test]
    fn sign_extension_stops_at_the_register_width() {
        assert_eq!(extend(0x80, Byte, Word, true), 0xffff_ff80);
        assert_eq!(extend(0x80, Byte, Double, true), 0xffff_ffff_ffff_ff80);
        assert_eq!(extend(0x7fff, Half, Double, true), 0x7fff);
        assert_eq!(
            extend(0x8000_0000, Word, Double, true),
            0xffff_ffff_8000_0000
        );
        assert_eq!(extend(0xffff_ffff_ffff_ff80, Byte, Word, false), 0x80);
    }

    #[test]
    fn a_pair_commits_both_registers_at_its_end() {
        let mut regs = Fake::default();
        let mut mmio = PendingMmio::default();
        let second = (ADDR + 8, load(2, Double));
        mmio.decoded(
            Fault::default(),
            (ADDR, load(1, Double)),
            Some(second),
            Some(WriteBack::Gpr(3, 99)),
        );
        mmio.complete(11, &mut regs);
        assert_eq!(regs, Fake::default());
        let exit = mmio.next_access().unwrap();
        assert!(
            matches!(exit, AxVCpuExitReason::MmioRead { addr, reg: 2, .. } if addr == ADDR + 8)
        );
        mmio.complete(22, &mut regs);
        assert_eq!((regs.x[1], regs.x[2], regs.x[3], regs.pc), (11, 22, 99, 4));
        assert_eq!(mmio.next_access(), None);
    }

    #[test]
    fn a_pair_refused_at_its_second_access_changes_nothing() {
        let mut regs = Fake::default();
        let mut mmio = PendingMmio::default();
        let fault = Fault {
            esr: 5,
            far: 6,
            walk_level: None,
        };
        mmio.decoded(
            fault,
            (ADDR, load(1, Word)),
            Some((ADDR + 4, load(2, Word))),
            Some(WriteBack::Sp(1)),
        );
        mmio.complete(11, &mut regs);
        mmio.next_access().unwrap();
        assert_eq!(mmio.take_fault(), fault);
        assert_eq!(regs, Fake::default());
        assert_eq!(mmio.next_access(), None);
    }

    #[test]
    fn the_zero_register_swallows_loads() {
        let mut regs = Fake::default();
        let mut mmio = PendingMmio::default();
        mmio.single(Fault::default(), ADDR, load(31, Word), 4);
        mmio.complete(7, &mut regs);
        assert_eq!(
            regs,
            Fake {
                pc: 4,
                ..Fake::default()
            }
        );
    }

    #[test]
    fn a_fault_that_is_retried_leaves_no_trace() {
        let mut regs = Fake::default();
        let mut mmio = PendingMmio::default();
        mmio.fault(Fault {
            esr: 1,
            far: 2,
            walk_level: Some(3),
        });
        mmio.complete(7, &mut regs);
        assert_eq!(regs, Fake::default());
    }
}
