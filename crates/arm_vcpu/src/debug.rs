//! Self-hosted debug registers of a guest, as a shadow (DDI 0487, chapter D2 and H9).
//!
//! MDCR_EL2.TDA and TDOSA trap all accesses, so that a guest sees exactly the breakpoints its ID
//! register promises, and a switch moves nothing for guests that don't debug. Writes go through
//! to the CPU's registers while the vCPU is bound. Pure but for that, which the caller does.

/// Breakpoints and watchpoints a guest has: the architecture's minimum of two each (D24.3.7,
/// ID_AA64DFR0_EL1.BRPs, WRPs), of which one breakpoint is context-aware.
pub const COUNT: usize = 2;

/// A debug register (op0 = 2) that is there for guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugReg {
    /// DBGBVR<n>_EL1.
    BreakValue(usize),
    /// DBGBCR<n>_EL1.
    BreakControl(usize),
    /// DBGWVR<n>_EL1.
    WatchValue(usize),
    /// DBGWCR<n>_EL1.
    WatchControl(usize),
    /// MDSCR_EL1.
    Mdscr,
    /// OSLAR_EL1: write-only.
    OsLockAccess,
    /// OSLSR_EL1: read-only.
    OsLockStatus,
    /// OSDLR_EL1.
    OsDoubleLock,
    /// MDCCINT_EL1, OSDTRRX_EL1, OSDTRTX_EL1, OSECCR_EL1, DBGPRCR_EL1, DBGCLAIMSET/CLR_EL1,
    /// DBGDTR_EL0, DBGDTRRX/TX_EL0: an external debugger's side, of which a guest has none: read as
    /// zero, writes ignored.
    ExternalZero,
    /// DBGAUTHSTATUS_EL1, MDCCSR_EL0, MDRAR_EL1: read-only zero.
    ReadOnlyZero,
}

impl DebugReg {
    /// By encoding, op0 being 2. `None` for what does not exist.
    pub fn decode(op1: u8, crn: u8, crm: u8, op2: u8) -> Option<Self> {
        let n = usize::from(crm);
        Some(match (op1, crn, crm, op2) {
            (0, 0, 2, 2) => Self::Mdscr,
            (0, 0, _, 4) if n < COUNT => Self::BreakValue(n),
            (0, 0, _, 5) if n < COUNT => Self::BreakControl(n),
            (0, 0, _, 6) if n < COUNT => Self::WatchValue(n),
            (0, 0, _, 7) if n < COUNT => Self::WatchControl(n),
            (0, 1, 0, 4) => Self::OsLockAccess,
            (0, 1, 1, 4) => Self::OsLockStatus,
            (0, 1, 3, 4) => Self::OsDoubleLock,
            (0, 0, 0, 2) | (0, 0, 2, 0) | (0, 0, 3, 2) | (0, 0, 6, 2) => Self::ExternalZero,
            (0, 1, 4, 4) | (0, 7, 8, 6) | (0, 7, 9, 6) => Self::ExternalZero,
            (3, 0, 4, 0) | (3, 0, 5, 0) => Self::ExternalZero,
            (0, 7, 14, 6) | (3, 0, 1, 0) | (0, 1, 0, 0) => Self::ReadOnlyZero,
            _ => return None,
        })
    }
}

/// The shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugState {
    /// DBGBVR.
    pub break_value: [u64; COUNT],
    /// DBGBCR.
    pub break_control: [u64; COUNT],
    /// DBGWVR.
    pub watch_value: [u64; COUNT],
    /// DBGWCR.
    pub watch_control: [u64; COUNT],
    mdscr: u64,
    os_lock: bool,
    os_double_lock: bool,
}

/// MDSCR_EL1 (D24.3.20): SS and the enables KDE and MDE; TDCC; the rest belongs to the OS
/// save/restore of an external debugger and is kept as written while the OS lock is set.
const MDSCR_SS: u64 = 1 << 0;
const MDSCR_TDCC: u64 = 1 << 12;
const MDSCR_KDE: u64 = 1 << 13;
const MDSCR_MDE: u64 = 1 << 15;
const MDSCR_OWN: u64 = MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE;
const CONTROL_ENABLE: u64 = 1;
/// The implemented bits of DBGBCR (E, PMC, BAS, HMC, SSC, LBN, BT) and DBGWCR (E, PAC, LSC, BAS,
/// HMC, SSC, LBN, WT, MASK).
const BREAK_CONTROL_BITS: u64 = 0x00ff_e1e7;
const WATCH_CONTROL_BITS: u64 = 0x1f1f_ffff;

/// LBN of both controls: the context breakpoint that is linked to.
const LBN_SHIFT: u32 = 16;
const LBN: u64 = 0xf << LBN_SHIFT;

/// Which of the CPU's `count` breakpoints is the guest's number `n`: those that are context-aware
/// are the CPU's last (D24.3.7, ID_AA64DFR0_EL1.CTX_CMPs), so the guest's last is the CPU's last.
pub const fn place(n: usize, count: usize) -> usize {
    if n + 1 == COUNT {
        count.saturating_sub(1)
    } else {
        n
    }
}

/// A control of the guest's as it is in a CPU with `count` breakpoints: with the link to where the
/// linked breakpoint is there.
pub const fn linked(control: u64, count: usize) -> u64 {
    let link = (control & LBN) >> LBN_SHIFT;
    let link = if link < COUNT as u64 {
        place(link as usize, count) as u64
    } else {
        0
    };
    control & !LBN | link << LBN_SHIFT
}

impl DebugState {
    /// After a warm reset: the OS lock is set (H9.2.49), nothing is enabled.
    pub const fn reset() -> Self {
        Self {
            break_value: [0; COUNT],
            break_control: [0; COUNT],
            watch_value: [0; COUNT],
            watch_control: [0; COUNT],
            mdscr: 0,
            os_lock: true,
            os_double_lock: false,
        }
    }

    /// Whether the CPU's registers must hold this state while the vCPU is bound.
    pub fn in_use(&self) -> bool {
        let enabled = |c: &[u64]| c.iter().any(|c| c & CONTROL_ENABLE != 0);
        self.effective_mdscr() != 0 || enabled(&self.break_control) || enabled(&self.watch_control)
    }

    /// What the CPU's MDSCR_EL1 gets: nothing is enabled while a lock is set (D2.4, the debug
    /// exceptions are disabled when the OS lock or OS double lock is).
    pub fn effective_mdscr(&self) -> u64 {
        if self.os_lock || self.os_double_lock {
            0
        } else {
            self.mdscr & MDSCR_OWN
        }
    }

    /// Reads; `None` makes the access UNDEFINED.
    pub fn read(&self, reg: DebugReg) -> Option<u64> {
        const OSLM_IMPLEMENTED: u64 = 1 << 3;
        const OSLK: u64 = 1 << 1;
        Some(match reg {
            DebugReg::BreakValue(n) => *self.break_value.get(n)?,
            DebugReg::BreakControl(n) => *self.break_control.get(n)?,
            DebugReg::WatchValue(n) => *self.watch_value.get(n)?,
            DebugReg::WatchControl(n) => *self.watch_control.get(n)?,
            DebugReg::Mdscr => self.mdscr,
            DebugReg::OsLockAccess => return None,
            DebugReg::OsLockStatus => OSLM_IMPLEMENTED | if self.os_lock { OSLK } else { 0 },
            DebugReg::OsDoubleLock => self.os_double_lock.into(),
            DebugReg::ExternalZero | DebugReg::ReadOnlyZero => 0,
        })
    }

    /// Writes; `None` makes the access UNDEFINED.
    pub fn write(&mut self, reg: DebugReg, value: u64) -> Option<()> {
        match reg {
            // Bits 1:0 of addresses are RES0 (breakpoints), as bits 1:0 of watchpoints' are.
            DebugReg::BreakValue(n) => *self.break_value.get_mut(n)? = value & !3,
            DebugReg::BreakControl(n) => {
                *self.break_control.get_mut(n)? = value & BREAK_CONTROL_BITS;
            }
            DebugReg::WatchValue(n) => *self.watch_value.get_mut(n)? = value & !3,
            DebugReg::WatchControl(n) => {
                *self.watch_control.get_mut(n)? = value & WATCH_CONTROL_BITS;
            }
            DebugReg::Mdscr => self.mdscr = value & (MDSCR_OWN | 0x6000_0000),
            DebugReg::OsLockAccess => self.os_lock = value & 1 != 0,
            DebugReg::OsDoubleLock => self.os_double_lock = value & 1 != 0,
            DebugReg::OsLockStatus | DebugReg::ReadOnlyZero => return None,
            DebugReg::ExternalZero => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_promised_breakpoints_exist() {
        assert_eq!(
            DebugReg::decode(0, 0, 1, 5),
            Some(DebugReg::BreakControl(1))
        );
        for op2 in 4..8 {
            assert_eq!(DebugReg::decode(0, 0, 2, op2), None);
        }
    }

    #[test]
    fn the_mandatory_rest_reads_as_zero() {
        let mut state = DebugState::reset();
        // MDRAR_EL1; DBGDTR_EL0, DBGDTRRX_EL0 and DBGDTRTX_EL0.
        let rom = DebugReg::decode(0, 1, 0, 0).unwrap();
        assert_eq!((state.read(rom), state.write(rom, 1)), (Some(0), None));
        for crm in [4, 5] {
            let transfer = DebugReg::decode(3, 0, crm, 0).unwrap();
            assert_eq!(state.write(transfer, !0), Some(()));
            assert_eq!(state.read(transfer), Some(0));
        }
    }

    #[test]
    fn the_context_aware_breakpoint_is_the_last_one() {
        // Six breakpoints: the guest's 0 and 1 are the CPU's 0 and 5.
        let link_to_1 = 1 << LBN_SHIFT | 0x1e5;
        assert_eq!([place(0, 6), place(1, 6), place(1, 2)], [0, 5, 1]);
        assert_eq!(linked(link_to_1, 6), 5 << LBN_SHIFT | 0x1e5);
        assert_eq!(linked(link_to_1, 2), link_to_1);
        // A link to a breakpoint that the guest does not have is UNPREDICTABLE for it, and never
        // one to a breakpoint that is.
        assert_eq!(linked(5 << LBN_SHIFT, 6), 0);
    }

    #[test]
    fn the_os_lock_disables_what_mdscr_enables() {
        let mut state = DebugState::reset();
        assert_eq!(state.read(DebugReg::OsLockStatus), Some(0b1010));
        state.write(DebugReg::Mdscr, MDSCR_MDE | MDSCR_SS).unwrap();
        assert!(!state.in_use());
        state.write(DebugReg::OsLockAccess, 0).unwrap();
        assert_eq!(state.read(DebugReg::OsLockStatus), Some(0b1000));
        assert!(state.in_use());
        assert_eq!(state.effective_mdscr(), MDSCR_MDE | MDSCR_SS);
    }

    #[test]
    fn direction_is_part_of_the_register() {
        let mut state = DebugState::reset();
        assert_eq!(state.read(DebugReg::OsLockAccess), None);
        assert_eq!(state.write(DebugReg::OsLockStatus, 0), None);
        assert_eq!(state.write(DebugReg::ReadOnlyZero, 0), None);
    }
}
