//! What a vCPU needs of the machine it runs on.

/// The machine under the vCPUs: the physical interrupt controller above all. Implemented by the
/// hypervisor; statically dispatched, because some of it is on the shortest paths there are. All
/// of it is called with interrupts masked.
pub trait ArmHost: Send + Sync + Sized + 'static {
    /// The most physical CPUs there can be.
    const MAX_CPUS: usize;

    /// Index of this CPU, below `MAX_CPUS`.
    fn cpu() -> usize;

    /// Acknowledges the highest-priority pending interrupt: its INTID, 1020 to 1023 for none.
    fn ack() -> u32;

    /// Priority drop for an acknowledged interrupt. (EOImode is 1: it stays active.)
    fn end(intid: u32);

    /// Deactivates an interrupt.
    fn deactivate(intid: u32);

    /// The SGI that makes a CPU look at its vCPU's requests.
    const KICK_SGI: u32;

    /// Sends [`KICK_SGI`](Self::KICK_SGI) to a CPU.
    fn kick(cpu: usize);

    /// [`KICK_SGI`](Self::KICK_SGI) arrived: the scheduler may have sent it.
    fn kicked();

    /// Whether this CPU is to run something else than this vCPU. Asked before each entry.
    fn need_resched() -> bool;

    /// The PPI of the virtual CPU interface's maintenance interrupt.
    fn maintenance_intid() -> u32;

    /// The PPI of the EL1 virtual timer.
    fn virtual_timer_intid() -> u32;

    /// The PPI of the EL1 physical timer.
    fn physical_timer_intid() -> u32;

    /// Sets or clears the active state of a PPI of this CPU, or of an SPI.
    fn set_active(intid: u32, active: bool);

    /// Sets or clears the pending state of a PPI of this CPU, or of an SPI.
    fn set_pending(intid: u32, pending: bool);

    /// Whether a PPI of this CPU, or an SPI, is pending.
    fn is_pending(intid: u32) -> bool;

    /// Takes an SError that is pending at this CPU as an event and not as a fault of the
    /// hypervisor: its syndrome (ESR_EL2). For CPUs without FEAT_RAS.
    fn take_serror() -> Option<u64>;

    /// VTTBR_EL2 while no vCPU is bound: VMID 0, and tables that map nothing.
    fn idle_vttbr() -> u64;

    /// Enables or disables an SPI, or a PPI of this CPU.
    fn set_enabled(intid: u32, enabled: bool);

    /// Makes an SPI edge- or level-triggered, enabled or not.
    fn set_edge(intid: u32, edge: bool);

    /// Routes an SPI to a CPU.
    fn route(intid: u32, cpu: usize);
}
