//! ESR_EL2 (DDI 0487, D24.2.40, "ESR_EL2, Exception Syndrome Register").

use axdevice::AccessWidth;

/// Exception classes, ESR_EL2.EC.
pub mod class {
    /// No other class fits; UNDEFINED instructions among them.
    pub const UNKNOWN: u8 = 0x00;
    /// WFI, WFE, WFIT, WFET.
    pub const WFX: u8 = 0x01;
    /// AArch32 MCR or MRC, coproc 15.
    pub const CP15_32: u8 = 0x03;
    /// AArch32 MCRR or MRRC, coproc 15.
    pub const CP15_64: u8 = 0x04;
    /// AArch32 MCR or MRC, coproc 14.
    pub const CP14_32: u8 = 0x05;
    /// AArch32 LDC or STC.
    pub const CP14_LDC: u8 = 0x06;
    /// SVE, Advanced SIMD or floating point, by CPTR_EL2 or CPACR_EL1.
    pub const FP: u8 = 0x07;
    /// AArch32 VMRS of an ID register.
    pub const VMRS: u8 = 0x08;
    /// Pointer authentication, by HCR_EL2.API.
    pub const PAUTH: u8 = 0x09;
    /// LD64B, ST64B and the like.
    pub const LS64: u8 = 0x0a;
    /// AArch32 MRRC, coproc 14.
    pub const CP14_64: u8 = 0x0c;
    /// Branch target exception.
    pub const BTI: u8 = 0x0d;
    /// Illegal execution state.
    pub const ILLEGAL_STATE: u8 = 0x0e;
    /// SVC from AArch64.
    pub const SVC64: u8 = 0x15;
    /// HVC from AArch64.
    pub const HVC64: u8 = 0x16;
    /// SMC from AArch64.
    pub const SMC64: u8 = 0x17;
    /// MSR, MRS or a System instruction from AArch64.
    pub const SYS64: u8 = 0x18;
    /// SVE, by CPTR_EL2.TZ.
    pub const SVE: u8 = 0x19;
    /// ERET, by HCR_EL2.NV or a fine-grained trap.
    pub const ERET: u8 = 0x1a;
    /// SME.
    pub const SME: u8 = 0x1d;
    /// Instruction abort from a lower exception level.
    pub const INSTRUCTION_ABORT_LOWER: u8 = 0x20;
    /// Instruction abort from EL2.
    pub const INSTRUCTION_ABORT_SAME: u8 = 0x21;
    /// PC alignment fault.
    pub const PC_ALIGNMENT: u8 = 0x22;
    /// Data abort from a lower exception level.
    pub const DATA_ABORT_LOWER: u8 = 0x24;
    /// Data abort from EL2.
    pub const DATA_ABORT_SAME: u8 = 0x25;
    /// SP alignment fault.
    pub const SP_ALIGNMENT: u8 = 0x26;
    /// SError.
    pub const SERROR: u8 = 0x2f;
    /// BRK from AArch64.
    pub const BRK64: u8 = 0x3c;
}

/// `len` bits from bit `at` on.
const fn bits(value: u64, at: u32, len: u32) -> u64 {
    value >> at & (u64::MAX >> (64 - len))
}

const fn bit(value: u64, at: u32) -> bool {
    bits(value, at, 1) != 0
}

/// EC: one of [`class`].
pub const fn exception_class(esr: u64) -> u8 {
    bits(esr, 26, 6) as u8
}

/// How many bytes the trapped instruction has, from IL.
pub const fn instruction_length(esr: u64) -> u64 {
    if bit(esr, 25) { 4 } else { 2 }
}

/// The immediate of an HVC, SMC or SVC.
pub const fn immediate(esr: u64) -> u16 {
    bits(esr, 0, 16) as u16
}

/// ISS of a data abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataAbort {
    /// The transfer, if the syndrome describes it (ISV).
    pub transfer: Option<super::Transfer>,
    /// FAR_EL2 is not valid (FnV; for external aborts only).
    pub far_invalid: bool,
    /// Cache maintenance or address translation (CM).
    pub cache_maintenance: bool,
    /// Stage 2 refused an access of a stage-1 table walk (S1PTW).
    pub on_walk: bool,
    /// It wrote (WnR).
    pub write: bool,
    /// What failed (DFSC).
    pub status: u8,
}

impl DataAbort {
    /// Whether this is a fault of stage 2, not on a walk, for which FAR_EL2 and HPFAR_EL2 say
    /// where and the syndrome says what: most device accesses are.
    #[inline(always)]
    pub const fn is_plain(esr: u64) -> bool {
        const ISV: u64 = 1 << 24;
        const CM: u64 = 1 << 8;
        const S1PTW: u64 = 1 << 7;
        const NOT_STAGE2: u64 = 0x30;
        const STATUS: u64 = 0x3c;
        const PERMISSION: u64 = 0x0c;
        esr & (ISV | CM | S1PTW | NOT_STAGE2) == ISV && esr & STATUS != PERMISSION
    }

    /// The transfer of a [plain](Self::is_plain) one.
    #[inline(always)]
    pub const fn plain_transfer(esr: u64) -> super::Transfer {
        super::Transfer {
            // SRT, SAS, SF, SSE, WnR.
            reg: bits(esr, 16, 5) as usize,
            width: AccessWidth::from_log2(bits(esr, 22, 2) as u8),
            load: !bit(esr, 6),
            reg_width: if bit(esr, 15) {
                AccessWidth::Double
            } else {
                AccessWidth::Word
            },
            signed: bit(esr, 21),
        }
    }

    /// Takes the syndrome apart.
    pub const fn new(esr: u64) -> Self {
        let write = bit(esr, 6);
        Self {
            transfer: if bit(esr, 24) {
                Some(Self::plain_transfer(esr))
            } else {
                None
            },
            far_invalid: bit(esr, 10),
            cache_maintenance: bit(esr, 8),
            on_walk: bit(esr, 7),
            write,
            status: bits(esr, 0, 6) as u8,
        }
    }

    /// Whether the status is one that a stage-2 table causes: address size, translation, access
    /// flag or permission fault (DFSC 0b00xxxx).
    pub const fn is_stage2_fault(&self) -> bool {
        self.status & 0x30 == 0
    }

    /// Whether what is mapped does not allow the access (DFSC 0b0011xx).
    pub const fn is_permission_fault(&self) -> bool {
        self.status & 0x3c == 0x0c
    }
}

/// Which instruction waits (TI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// WFI.
    Wfi,
    /// WFE.
    Wfe,
    /// WFIT.
    Wfit,
    /// WFET.
    Wfet,
}

/// ISS of a trapped WFI, WFE, WFIT or WFET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Which of them.
    pub kind: WaitKind,
    /// The register that holds the limit of a WFIT or WFET (RN); `None` if the syndrome doesn't
    /// say (RV).
    pub limit_reg: Option<usize>,
}

impl Wait {
    /// Takes the syndrome apart.
    pub const fn new(esr: u64) -> Self {
        let kind = match bits(esr, 0, 2) {
            0 => WaitKind::Wfi,
            1 => WaitKind::Wfe,
            2 => WaitKind::Wfit,
            _ => WaitKind::Wfet,
        };
        let valid = bit(esr, 2) && matches!(kind, WaitKind::Wfit | WaitKind::Wfet);
        let limit_reg = if valid {
            Some(bits(esr, 5, 5) as usize)
        } else {
            None
        };
        Self { kind, limit_reg }
    }
}

/// The limit's register if this A64 instruction is WFIT (C6.2.388).
pub const fn wfit_register(word: u32) -> Option<usize> {
    const WFIT: u32 = 0xd503_1020;
    if word & !0x1f == WFIT {
        Some((word & 0x1f) as usize)
    } else {
        None
    }
}

/// ISS of a trapped MSR, MRS or System instruction from AArch64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysAccess {
    /// Which register.
    pub reg: crate::sysreg::SysReg,
    /// The general register; 31 is XZR.
    pub rt: usize,
    /// MRS (or SYSL): the general register is written.
    pub read: bool,
}

impl SysAccess {
    /// Takes the syndrome apart.
    pub const fn new(esr: u64) -> Self {
        Self {
            reg: crate::sysreg::SysReg {
                op0: bits(esr, 20, 2) as u8,
                op1: bits(esr, 14, 3) as u8,
                crn: bits(esr, 10, 4) as u8,
                crm: bits(esr, 1, 4) as u8,
                op2: bits(esr, 17, 3) as u8,
            },
            rt: Self::rt(esr),
            read: bit(esr, 0),
        }
    }

    /// The general register alone.
    #[inline(always)]
    pub const fn rt(esr: u64) -> usize {
        bits(esr, 5, 5) as usize
    }

    /// Whether it is an MSR to this register.
    #[inline(always)]
    pub const fn is_write_to(esr: u64, reg: crate::sysreg::SysReg) -> bool {
        const ALL_BUT_RT: u64 = 0x3f_fc1f;
        let wanted = (reg.op0 as u64) << 20
            | (reg.op2 as u64) << 17
            | (reg.op1 as u64) << 14
            | (reg.crn as u64) << 10
            | (reg.crm as u64) << 1;
        esr & ALL_BUT_RT == wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_abort_with_syndrome() {
        // LDRSB x7: EC 0x24, IL, ISV, SAS 0, SSE, SRT 7, SF, translation fault level 3.
        let esr = 0x24 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 7 << 16 | 1 << 15 | 0x07;
        assert_eq!(exception_class(esr), class::DATA_ABORT_LOWER);
        assert_eq!(instruction_length(esr), 4);
        assert_eq!(instruction_length(esr & !(1 << 25)), 2);
        let abort = DataAbort::new(esr);
        assert_eq!(
            abort.transfer,
            Some(crate::decode::Transfer {
                reg: 7,
                width: AccessWidth::Byte,
                load: true,
                reg_width: AccessWidth::Double,
                signed: true,
            })
        );
        assert!(abort.is_stage2_fault() && !abort.write && !abort.on_walk && !abort.far_invalid);
        // STR w31, ISV.
        let store = DataAbort::new(1 << 24 | 2 << 22 | 31 << 16 | 1 << 6 | 0x0f);
        let transfer = store.transfer.unwrap();
        assert_eq!(
            (transfer.reg, transfer.width, transfer.load),
            (31, AccessWidth::Word, false)
        );
        assert!(store.write && store.is_stage2_fault());
    }

    #[test]
    fn data_abort_without_syndrome() {
        let abort = DataAbort::new(1 << 10 | 1 << 8 | 1 << 7 | 0x10);
        assert_eq!(abort.transfer, None);
        assert!(abort.far_invalid && abort.cache_maintenance && abort.on_walk);
        assert!(!abort.is_stage2_fault());
    }

    #[test]
    fn waits() {
        let wait = |iss| (Wait::new(iss).kind, Wait::new(iss).limit_reg);
        assert_eq!(wait(0), (WaitKind::Wfi, None));
        assert_eq!(wait(1), (WaitKind::Wfe, None));
        assert_eq!(wait(2 | 1 << 2 | 9 << 5), (WaitKind::Wfit, Some(9)));
        assert_eq!(wait(3 | 9 << 5), (WaitKind::Wfet, None));
        assert_eq!(wait(1 << 2 | 9 << 5), (WaitKind::Wfi, None));
    }

    #[test]
    fn system_register_access() {
        // MRS x5, S3_0_C0_C4_1 (ID_AA64PFR1_EL1).
        let access = SysAccess::new(3 << 20 | 1 << 17 | 5 << 5 | 4 << 1 | 1);
        assert_eq!(
            (access.reg, access.rt, access.read),
            (crate::sysreg::SysReg::new(3, 0, 0, 4, 1), 5, true)
        );
        // MSR S2_7_C14_C13_6, xzr.
        let access = SysAccess::new(2 << 20 | 6 << 17 | 7 << 14 | 14 << 10 | 31 << 5 | 13 << 1);
        assert_eq!(
            (access.reg, access.rt, access.read),
            (crate::sysreg::SysReg::new(2, 7, 14, 13, 6), 31, false)
        );
        assert_eq!(immediate(0x16 << 26 | 1 << 25 | 0xbeef), 0xbeef);
        let esr = 0x18 << 26 | 1 << 25 | 3 << 20 | 5 << 17 | 12 << 10 | 9 << 5 | 11 << 1;
        let reg = SysAccess::new(esr).reg;
        assert!(SysAccess::is_write_to(esr, reg) && SysAccess::rt(esr) == 9);
        assert!(!SysAccess::is_write_to(esr | 1, reg));
        for other in [1 << 1, 1 << 10, 1 << 14, 1 << 17, 1 << 20] {
            assert!(!SysAccess::is_write_to(esr ^ other, reg));
        }
    }
}
