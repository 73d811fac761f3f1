//! The registers that belong to a vCPU and lie in the hart while it is bound.

use axaddrspace::HostPhysAddr;

use super::regs::{clear, read, vs, write};
use crate::features::{Features, HCOUNTEREN};
use crate::inject::status;

/// Defines a block of registers that is saved and restored as one.
macro_rules! register_block {
    ($(#[$doc:meta])* $name:ident { $($field:ident = $csr:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default)]
        struct $name { $($field: u64),* }

        impl $name {
            #[inline]
            fn save(&mut self) { $(self.$field = read!($csr);)* }
            #[inline]
            fn restore(&self) { $(write!($csr, self.$field);)* }
        }
    };
}

register_block! {
    /// What a guest sees as its supervisor registers, but for satp; and the two that VS-mode shares
    /// with HS-mode, because they concern user mode only.
    Supervisor {
        status = VSSTATUS, ie = VSIE, tvec = VSTVEC, scratch = VSSCRATCH,
        epc = VSEPC, cause = VSCAUSE, tval = VSTVAL,
        counteren = SCOUNTEREN, envcfg = SENVCFG,
    }
}

/// All of it.
#[derive(Clone, Copy, Default)]
pub struct Context {
    supervisor: Supervisor,
    satp: u64,
    /// vstimecmp, with Sstc.
    timecmp: u64,
    /// hvip: VSSIP, which the guest clears itself, and without Sstc VSTIP.
    vip: u64,
}

impl Context {
    /// The state that a hart is started in (SBI, "HSM", hart start): satp and sstatus.SIE are 0. All
    /// else is 0, too; no timer. User mode has the counters, as OpenSBI leaves it: a Linux without a
    /// PMU never says so itself, and its processes read the time. Floating point and vectors are on,
    /// as OpenSBI leaves them, too: small kernels use them as they find them.
    pub fn reset(features: &Features) -> Self {
        Self {
            supervisor: Supervisor {
                status: status::UXL_64 | features.units(),
                counteren: HCOUNTEREN,
                ..Supervisor::default()
            },
            timecmp: u64::MAX,
            ..Self::default()
        }
    }

    /// Registers -> memory; then no guest's interrupts and no guest's translation are in force.
    ///
    /// vsatp goes first and comes last: with it at 0 (and so no VS-stage table) no walk,
    /// speculative ones included, mixes two VMs' tables. ("vsatp" and "hgatp" are active for
    /// address translation in HS-mode, too.)
    pub fn save(&mut self, features: &Features) {
        self.satp = read!(VSATP);
        write!(VSATP, 0);
        write!(HGATP, 0);
        self.vip = read!(HVIP) & (vs::SOFTWARE | vs::TIMER);
        self.supervisor.save();
        if features.sstc {
            self.timecmp = read!(VSTIMECMP);
        }
        quiet(features);
    }

    /// Memory -> registers. `external` is the level of the guest's external interrupt.
    pub fn restore(&self, features: &Features, hgatp: u64, clock: u64, external: bool) {
        write!(HTIMEDELTA, clock);
        if features.sstc {
            write!(VSTIMECMP, self.timecmp);
        }
        let external = if external { vs::EXTERNAL } else { 0 };
        write!(HVIP, self.vip | external);
        self.supervisor.restore();
        write!(HGATP, hgatp);
    }

    /// The guest's own translation, after the fences that hgatp's VMID may need.
    #[inline]
    pub fn restore_translation(&self) {
        write!(VSATP, self.satp);
    }
}

/// No interrupt of VS-level is pending or enabled: none wakes this hart from the hypervisor's WFI.
pub fn quiet(features: &Features) {
    write!(HVIP, 0);
    clear!(HIE, vs::ALL);
    if features.sstc {
        write!(VSTIMECMP, u64::MAX);
    }
}

/// The guest loses its state, as in a non-retentive suspension: its translation and interrupts are
/// off. While bound.
pub fn suspended() {
    write!(VSATP, 0);
    clear!(VSSTATUS, status::SIE);
}

/// hgatp for tables at `root`.
pub fn hgatp(features: &Features, root: HostPhysAddr, vmid: u16) -> u64 {
    // No tables: nobody got here, see `Features::check`.
    features.stage2().map_or(0, |sv| sv.hgatp(root, vmid))
}
