//! The registers that belong to a vCPU and lie in the CPU while it is bound.

use super::regs::{isb, read, write};
use crate::features::Features;
use crate::timer::{CTL_ENABLE, CTL_IMASK};

/// Defines a block of registers that is saved and restored as one.
macro_rules! register_block {
    ($(#[$doc:meta])* $name:ident { $($field:ident = $reg:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default)]
        pub struct $name { $(pub $field: u64),* }

        impl $name {
            #[inline]
            pub fn save(&mut self) { $(self.$field = read!($reg);)* }
            #[inline]
            pub fn restore(&self) { $(write!($reg, self.$field);)* }
        }
    };
}

register_block! {
    /// EL1 and EL0 state every CPU has, but for SCTLR_EL1 and TCR_EL1.
    El1 {
        sp_el0 = "SP_EL0", sp_el1 = "SP_EL1", elr = "ELR_EL1", spsr = "SPSR_EL1",
        cpacr = "CPACR_EL1", ttbr0 = "TTBR0_EL1", ttbr1 = "TTBR1_EL1",
        mair = "MAIR_EL1", amair = "AMAIR_EL1", vbar = "VBAR_EL1",
        esr = "ESR_EL1", far = "FAR_EL1", afsr0 = "AFSR0_EL1", afsr1 = "AFSR1_EL1",
        contextidr = "CONTEXTIDR_EL1", tpidr_el1 = "TPIDR_EL1", tpidr_el0 = "TPIDR_EL0",
        tpidrro = "TPIDRRO_EL0", par = "PAR_EL1", cntkctl = "CNTKCTL_EL1", csselr = "CSSELR_EL1",
    }
}

register_block! {
    /// FEAT_PAuth keys.
    PauthKeys {
        ia_lo = "S3_0_C2_C1_0", ia_hi = "S3_0_C2_C1_1", ib_lo = "S3_0_C2_C1_2", ib_hi = "S3_0_C2_C1_3",
        da_lo = "S3_0_C2_C2_0", da_hi = "S3_0_C2_C2_1", db_lo = "S3_0_C2_C2_2", db_hi = "S3_0_C2_C2_3",
        ga_lo = "S3_0_C2_C3_0", ga_hi = "S3_0_C2_C3_1",
    }
}

register_block! {
    /// Both guest timers' compare values; the controls are handled apart.
    TimerValues { cntv_cval = "CNTV_CVAL_EL0", cntp_cval = "CNTP_CVAL_EL0" }
}

/// All of it.
#[derive(Clone, Copy, Default)]
pub struct Context {
    pub el1: El1,
    pauth: PauthKeys,
    sctlr: u64,
    tcr: u64,
    pub timer: TimerValues,
    pub cntv_ctl: u64,
    pub cntp_ctl: u64,
}

/// SCTLR_EL1 with the MMU and caches off: the RES1 bits of Armv8.0.
const SCTLR_RES1: u64 = 0x30d0_0800;
const SCTLR_M: u64 = 1 << 0;

/// Stage 1 of EL1&0 walks no tables and is not off either: what a CPU translates speculatively
/// meanwhile (an AT instruction of EL2 code: Cortex-A72 erratum 1319367, A57 1319537, A55 1530923,
/// A76 1165522) leaves nothing in a TLB, whatever mixture of two VMs' registers it finds. The idle
/// VTTBR_EL2 is in force; this is after the next context synchronization.
#[inline]
pub fn no_walks() {
    const EPD0: u64 = 1 << 7;
    const EPD1: u64 = 1 << 23;
    write!("TCR_EL1", EPD0 | EPD1);
    write!("SCTLR_EL1", SCTLR_RES1 | SCTLR_M);
}

impl Context {
    /// The state after a warm reset to AArch64 EL1 (D1.11.2): what the architecture fixes is
    /// fixed, all else is 0. SCTLR_EL1: MMU and caches off.
    pub fn reset() -> Self {
        // 0 is the timers' state after reset, too: disabled.
        Self {
            sctlr: SCTLR_RES1,
            ..Self::default()
        }
    }

    /// Registers -> memory; then the timers stop, so that they don't fire for somebody else.
    /// Stage 1 goes on: see [`no_walks`].
    pub fn save(&mut self, features: &Features) {
        self.sctlr = read!("SCTLR_EL1");
        self.tcr = read!("TCR_EL1");
        self.el1.save();
        if features.pauth {
            self.pauth.save();
        }
        self.cntv_ctl = read!("CNTV_CTL_EL0") & (CTL_ENABLE | CTL_IMASK);
        self.cntp_ctl = read!("CNTP_CTL_EL0") & (CTL_ENABLE | CTL_IMASK);
        write!("CNTV_CTL_EL0", 0);
        write!("CNTP_CTL_EL0", 0);
        self.timer.save();
    }

    /// Memory -> registers, but for stage 1.
    pub fn restore(&self, features: &Features) {
        self.el1.restore();
        if features.pauth {
            self.pauth.restore();
        }
        self.timer.restore();
        write!("CNTV_CTL_EL0", self.cntv_ctl);
        write!("CNTP_CTL_EL0", self.cntp_ctl);
    }

    /// Stage 1 goes on, with all other registers and VTTBR_EL2 in force: the inverse of
    /// [`no_walks`]. TCR_EL1 is last, so that no walk sees an MMU that the guest has off.
    #[inline]
    pub fn restore_stage1(&self) {
        write!("SCTLR_EL1", self.sctlr);
        if self.sctlr & SCTLR_M == 0 {
            isb();
        }
        write!("TCR_EL1", self.tcr);
    }
}
