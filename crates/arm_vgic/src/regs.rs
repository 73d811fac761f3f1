//! Bits of the list registers and of the registers that control the virtual CPU interface
//! (IHI 0069, "ICH_LR\<n\>_EL2", "ICH_HCR_EL2", "ICH_VMCR_EL2", "ICH_MISR_EL2").

/// `ICH_LR<n>_EL2`.
pub mod lr {
    /// State: pending.
    pub const PENDING: u64 = 1 << 62;
    /// State: active.
    pub const ACTIVE: u64 = 1 << 63;
    /// Both bits of the state; 0 is an invalid (empty) register.
    pub const STATE: u64 = PENDING | ACTIVE;
    /// Deactivation by the guest deactivates the physical interrupt in bits \[44:32\] too.
    pub const HW: u64 = 1 << 61;
    /// Group 1.
    pub const GROUP1: u64 = 1 << 60;
    /// With HW=0: a maintenance interrupt when the guest has deactivated it.
    pub const EOI: u64 = 1 << 41;
    /// Where the priority starts.
    pub const PRIORITY_SHIFT: u32 = 48;
    /// Where the physical INTID starts.
    pub const PINTID_SHIFT: u32 = 32;

    /// The virtual INTID.
    pub const fn vintid(lr: u64) -> u32 {
        lr as u32
    }

    /// The priority.
    pub const fn priority(lr: u64) -> u8 {
        (lr >> PRIORITY_SHIFT) as u8
    }
}

/// `ICH_HCR_EL2`.
pub mod hcr {
    /// The virtual CPU interface works.
    pub const EN: u64 = 1 << 0;
    /// Maintenance interrupt while EOIcount is not 0.
    pub const LRENPIE: u64 = 1 << 2;
    /// Maintenance interrupt while no list register is pending.
    pub const NPIE: u64 = 1 << 3;
    /// Maintenance interrupt while the guest has Group 0 enabled.
    pub const VGRP0EIE: u64 = 1 << 4;
    /// Maintenance interrupt while the guest has Group 0 disabled.
    pub const VGRP0DIE: u64 = 1 << 5;
    /// Maintenance interrupt while the guest has Group 1 enabled.
    pub const VGRP1EIE: u64 = 1 << 6;
    /// Maintenance interrupt while the guest has Group 1 disabled.
    pub const VGRP1DIE: u64 = 1 << 7;
    /// Writes of ICC_DIR_EL1 trap.
    pub const TDIR: u64 = 1 << 14;
    /// Where EOIcount starts.
    pub const EOICOUNT_SHIFT: u32 = 27;
    /// How many deactivations found no list register.
    pub const EOICOUNT: u64 = 0x1f << EOICOUNT_SHIFT;
}

/// `ICH_VMCR_EL2`: what the guest sees as ICC_PMR, ICC_IGRPENn, ICC_BPRn and ICC_CTLR.
pub mod vmcr {
    /// Group 0 enabled.
    pub const VENG0: u64 = 1 << 0;
    /// Group 1 enabled.
    pub const VENG1: u64 = 1 << 1;
    /// One binary point for both groups.
    pub const VCBPR: u64 = 1 << 4;
    /// EOImode: EOI drops the priority only, ICC_DIR_EL1 deactivates.
    pub const VEOIM: u64 = 1 << 9;
    /// Where Group 1's binary point starts (3 bits).
    pub const VBPR1_SHIFT: u32 = 18;
    /// Where Group 0's binary point starts (3 bits).
    pub const VBPR0_SHIFT: u32 = 21;
    /// Where the priority mask starts (8 bits).
    pub const VPMR_SHIFT: u32 = 24;
}

/// `ICH_MISR_EL2`.
pub mod misr {
    /// A list register wants its EOI looked at.
    pub const EOI: u32 = 1 << 0;
}
