//! What a vCPU needs of the machine it runs on.

/// The machine under the vCPUs: its interrupts, its other harts. Implemented by the hypervisor;
/// statically dispatched, because some of it is on the shortest paths there are. All of it is called
/// with interrupts masked.
///
/// CPUs are meant by their index, not by hart id. A set of CPUs is a bit for each.
pub trait RiscvHost: Send + Sync + Sized + 'static {
    /// The most physical CPUs there can be: at most 64.
    const MAX_CPUS: usize;

    /// Index of this CPU, below `MAX_CPUS`.
    fn cpu() -> usize;

    /// The machine's counter (CSR `time`), by which deadlines go.
    fn now() -> u64;

    /// Makes a CPU take a supervisor software interrupt, which makes it look at its vCPU's
    /// requests.
    fn kick(cpu: usize);

    /// A software interrupt arrived while a guest ran; it is acknowledged (sip.SSIP is clear). The
    /// scheduler may have sent it.
    fn kicked();

    /// Whether this CPU is to run something else than this vCPU. Asked before each entry.
    fn need_resched() -> bool;

    /// This CPU is to take a supervisor timer interrupt when `deadline` (in ticks) has come, besides
    /// those of the hypervisor's own; `u64::MAX`: no more. Holds until the next call on this CPU.
    /// Called on machines without Sstc only, where a guest has no timer of its own.
    fn set_guest_timer(deadline: u64);

    /// Lets passthrough line `line` interrupt CPU `cpu`, and no other. One that has fired and is not
    /// completed stays silent until it is.
    fn enable_line(line: u32, cpu: usize);

    /// Passthrough line `line` interrupts no more. It may have fired, and is completed later then.
    fn disable_line(line: u32);

    /// Passthrough line `line` interrupts no more, and if it has fired, that is forgotten.
    fn reset_line(line: u32);

    /// The guest has served passthrough line `line`, which has fired: it may interrupt again, if it
    /// is enabled. One that has not fired stays as it is.
    fn complete_line(line: u32);

    /// FENCE.I on these CPUs; complete on return (SBI, "Remote FENCE.I").
    fn remote_fence_i(cpus: u64);

    /// HFENCE.VVMA on these CPUs for the VMID that this CPU's hgatp holds; complete on return (SBI,
    /// "Remote HFENCE.VVMA" and "... with ASID"). `size` bytes from `start`; a `size` of
    /// `u64::MAX`, and `start` and `size` of 0, mean the whole address space.
    fn remote_hfence_vvma(cpus: u64, asid: Option<u64>, start: u64, size: u64);

    /// HFENCE.GVMA on all CPUs, this one included, for `vmid`; complete on return (SBI, "Remote
    /// HFENCE.GVMA with VMID"). `start` and `size` as for
    /// [`remote_hfence_vvma`](Self::remote_hfence_vvma).
    fn remote_hfence_gvma(vmid: u16, start: u64, size: u64);

    /// FENCE.I on all CPUs, this one included.
    fn fence_i_everywhere();

    /// mvendorid, marchid and mimpid as the firmware tells them: guests run on this CPU, and look
    /// there for its errata. 0 is always right.
    fn machine_ids() -> [u64; 3] {
        [0; 3]
    }
}
