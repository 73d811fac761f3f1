//! What the model needs of the physical CPU it runs on, and of whoever runs its vCPUs.

/// *This* physical CPU's virtual CPU interface, and its reach into the physical interrupt
/// controller. Implemented with the ICH_* registers by `arm_vcpu`, and by a fake in tests.
///
/// All functions are called with interrupts masked, and act on the CPU that calls. The ones of
/// the first part are called only while a vCPU is loaded there.
pub trait CpuInterface: 'static {
    /// Number of list registers: 1..=16 (ICH_VTR_EL2.ListRegs + 1).
    fn lr_count() -> usize;
    /// Bits of priority: 5..=8 (ICH_VTR_EL2.PRIbits + 1). The same on all CPUs.
    fn pri_bits() -> u32;
    /// Bits of preemption: 5..=7 (ICH_VTR_EL2.PREbits + 1); there are
    /// `1 << (pre_bits - 5)` active priority registers a group.
    fn pre_bits() -> u32;
    /// Whether ICH_HCR_EL2.TDIR works (ICH_VTR_EL2.TDS).
    fn has_tdir() -> bool;

    /// ICH_LR\<i\>_EL2, `i < lr_count()`.
    fn read_lr(i: usize) -> u64;
    /// ICH_LR\<i\>_EL2, `i < lr_count()`.
    fn write_lr(i: usize, value: u64);
    /// ICH_ELRSR_EL2: a bit for each list register that may be overwritten.
    fn elrsr() -> u32;
    /// ICH_EISR_EL2: a bit for each list register with an EOI to be looked at.
    fn eisr() -> u32;
    /// ICH_MISR_EL2: why the maintenance interrupt is asserted.
    fn misr() -> u32;
    /// ICH_HCR_EL2.
    fn read_hcr() -> u64;
    /// ICH_HCR_EL2.
    fn write_hcr(value: u64);
    /// ICH_VMCR_EL2.
    fn read_vmcr() -> u64;
    /// ICH_VMCR_EL2.
    fn write_vmcr(value: u64);
    /// ICH_AP0R\<n\>_EL2.
    fn read_ap0r(n: usize) -> u32;
    /// ICH_AP0R\<n\>_EL2.
    fn write_ap0r(n: usize, value: u32);
    /// ICH_AP1R\<n\>_EL2.
    fn read_ap1r(n: usize) -> u32;
    /// ICH_AP1R\<n\>_EL2.
    fn write_ap1r(n: usize, value: u32);

    /// Makes a physical interrupt active or inactive (GICR/GICD_I\[SC\]ACTIVER). PPIs: of this
    /// CPU.
    fn phys_set_active(intid: u32, active: bool);
    /// Sets or clears the pending latch of a physical interrupt (I\[SC\]PENDR). PPIs: of this CPU.
    fn phys_set_pending(intid: u32, pending: bool);
    /// Whether a physical interrupt is pending (ISPENDR), which for a level interrupt is whether
    /// its line is asserted. PPIs: of this CPU; a timer's may be answered from its control
    /// register.
    fn phys_is_pending(intid: u32) -> bool;
    /// Enables or disables a physical SPI.
    fn phys_enable(spi: u32, enabled: bool);
    /// Makes a physical SPI edge- or level-triggered.
    fn phys_set_edge(spi: u32, edge: bool);
    /// Routes a physical SPI to physical CPU `cpu`, a number that [`cpu`](Self::cpu) has returned,
    /// or 0.
    fn phys_route(spi: u32, cpu: usize);
    /// The number of this physical CPU.
    fn cpu() -> usize;
}

/// What is asked of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// [`sync_in`](crate::Vgic::sync_in) before it enters the guest next; soon, so kick it if it
    /// is in the guest and wake it if it is blocked.
    Sync,
    /// [`fold`](crate::Vgic::fold), at once: kick it if it is in the guest. Somebody waits for it.
    Fold,
}

/// How the model reaches the VM's vCPUs.
pub trait Notify: Send + Sync {
    /// Records `wanted` for `vcpu` (which may be the caller's own) and makes it look. Called
    /// without locks held, by any CPU.
    fn notify(&self, vcpu: usize, wanted: Wanted);
}
