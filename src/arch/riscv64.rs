//! riscv64: the harts' own interrupts, the PLIC and the timer under the hypervisor and its vCPUs.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use axaddrspace::GuestPhysRange;
use axhal::boot::{self, BootInfo};
use axhal::drivers::Ecall;
use axhal::drivers::intc::{self, Pending};
use axhal::drivers::plic::{Context, Lines, Plic, PlicError};
use axhal::drivers::sbi::{FenceRange, Sbi};
use axhal::drivers::timer::{self, BadFrequency, Deadlines, Scale};
use axhal::machine::{Extensions, Fdt, Mmu, Node};
use axhal::paging::{self, PagingError};
use axhal::{cpu, cpu::MAX_CPUS, remote};
use axloader::fdt::{self, Arch, IsaExtensions, MmuType, RiscvCpu};
use axvm::AxVMConfig;
use axvmconfig::EmulatedDeviceType;
use riscv_vcpu::{CpuError, Described, GuestIsa, RiscvHost, RiscvVCpu};
use spin::Once;

use super::{Event, map};
use crate::task::SCHEDULER;

/// What VM descriptions are for.
pub const ARCH: axvmconfig::Arch = axvmconfig::Arch::Riscv64;

/// The vCPUs of this image.
pub type VCpu = RiscvVCpu<Host>;

/// How guests' kernels are loaded.
pub use axloader::RISCV64 as BOOT_PROTOCOL;

/// What guests are told the clock of their UART is: that of QEMU's board.
pub const UART_CLOCK_HZ: u32 = 3_686_400;

/// No deadline.
const NEVER: u64 = u64::MAX;

struct Interrupts {
    plic: Plic,
    timer: Timer,
    machine_ids: [u64; 3],
}

static INTERRUPTS: Once<Interrupts> = Once::new();

/// What is known of the PLIC's sources.
static LINES: Lines = Lines::new();
/// Each CPU's context of the PLIC.
static CONTEXTS: [Once<Context>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];

/// Why this machine can't be used.
#[derive(Clone, Copy, Debug)]
pub enum ArchError {
    /// The device tree describes another architecture's machine.
    NotRiscv,
    /// Registers can't be mapped.
    Paging(PagingError),
    /// The interrupt controller.
    Plic(PlicError),
    /// The interrupt controller has no output to this CPU's supervisor mode.
    NoContext(usize),
    /// There is no such CPU, or it can't be used.
    NoCpu(usize),
    /// The system counter.
    Counter(BadFrequency),
    /// The firmware refuses fences or interrupts for other harts.
    Firmware,
    /// This CPU can't run guests.
    Cpu(CpuError),
}

impl fmt::Display for ArchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRiscv => write!(f, "its device tree is not a RISC-V machine's"),
            Self::Paging(error) => write!(f, "its registers can't be mapped: {error}"),
            Self::Plic(error) => write!(f, "interrupt controller: {error}"),
            Self::NoContext(cpu) => write!(
                f,
                "the interrupt controller has no output to CPU {cpu}: `interrupts-extended` of its \
                 node doesn't name it"
            ),
            Self::NoCpu(cpu) => write!(f, "there is no CPU {cpu}"),
            Self::Counter(error) => write!(f, "system counter: {error}"),
            Self::Firmware => write!(
                f,
                "its firmware refuses remote fences (SBI RFENCE, with HFENCE) or IPIs"
            ),
            Self::Cpu(error) => write!(f, "{error}"),
        }
    }
}

impl From<PagingError> for ArchError {
    fn from(error: PagingError) -> Self {
        Self::Paging(error)
    }
}

impl From<PlicError> for ArchError {
    fn from(error: PlicError) -> Self {
        Self::Plic(error)
    }
}

impl From<CpuError> for ArchError {
    fn from(error: CpuError) -> Self {
        Self::Cpu(error)
    }
}

/// Takes over the interrupt controller and the timer. Once, on the boot CPU.
pub fn init(info: &BootInfo) -> Result<(), ArchError> {
    let machine = &info.machine;
    let riscv = machine.riscv().ok_or(ArchError::NotRiscv)?;
    let plic = Plic::init(map(&riscv.plic.regs)?, riscv.plic.sources, &LINES)?;
    let timer = Timer {
        hardware: timer::Timer::new(machine).map_err(ArchError::Counter)?,
    };
    let machine_ids = Sbi::new(Ecall).machine_ids();
    INTERRUPTS.call_once(|| Interrupts {
        plic,
        timer,
        machine_ids,
    });
    Ok(())
}
/// Sets this CPU up: its interrupts, its timer, its virtualization.
pub fn init_cpu() -> Result<(), ArchError> {
    let index = cpu::index();
    let riscv = boot::info().machine.riscv().ok_or(ArchError::NotRiscv)?;
    let context = riscv.plic.contexts.get(index).copied().flatten();
    let context = context.ok_or(ArchError::NoContext(index))?;
    let context = interrupts().plic.context(context)?;
    if let Some(slot) = CONTEXTS.get(index) {
        slot.call_once(|| context);
    }
    timer().clear_deadline();
    try_firmware(index)?;
    intc::init_cpu();
    let extensions = riscv.harts.get(index).map(|hart| hart.extensions);
    let extensions = extensions.unwrap_or(Extensions::empty());
    riscv_vcpu::init_cpu::<Host>(Described {
        sstc: extensions.contains(Extensions::SSTC),
        svpbmt: extensions.contains(Extensions::SVPBMT),
    })?;
    Ok(())
}

/// Asks the firmware for all that other CPUs will ask it for, for this one: who is told later that a
/// fence was made could have another VM find memory that it still translates to.
fn try_firmware(cpu: usize) -> Result<(), ArchError> {
    let here = 1 << cpu;
    remote::fence_i(here);
    remote::sfence_vma(here, FenceRange::ALL);
    remote::hfence_gvma(here, FenceRange::ALL, Some(0));
    for asid in [None, Some(0)] {
        remote::hfence_vvma(here, FenceRange::ALL, asid);
    }
    // Pending from now on, and cleared when interrupts are set up.
    remote::kick(cpu);
    if remote::failed() {
        return Err(ArchError::Firmware);
    }
    Ok(())
}

fn interrupts() -> &'static Interrupts {
    match INTERRUPTS.get() {
        Some(interrupts) => interrupts,
        // `init` comes first, in `main`.
        None => axhal::power::park(),
    }
}

/// This hart's timer for two: the hypervisor, and where guests have no timer of their own (Sstc) the
/// vCPU that runs here.
pub struct Timer {
    hardware: timer::Timer,
}

/// Each CPU's deadlines.
static DEADLINES: [Deadlines; MAX_CPUS] = [const { Deadlines::new() }; MAX_CPUS];

impl Timer {
    /// Conversions between ticks and nanoseconds.
    #[inline]
    pub fn scale(&self) -> &Scale {
        self.hardware.scale()
    }

    /// Ticks of the counter now.
    #[inline]
    pub fn now(&self) -> u64 {
        self.hardware.now()
    }

    /// Lets this CPU's timer interrupt for the hypervisor when the counter reaches `ticks`.
    #[inline]
    pub fn set_deadline(&self, ticks: u64) {
        if let Some(deadlines) = DEADLINES.get(cpu::index()) {
            deadlines.set_own(&self.hardware, ticks);
        }
    }

    /// No deadline for the hypervisor any more.
    #[inline]
    pub fn clear_deadline(&self) {
        self.set_deadline(NEVER);
    }

    /// Whether this CPU's timer has fired for the hypervisor. Its interrupt is taken back.
    fn fired(&self) -> bool {
        let deadlines = DEADLINES.get(cpu::index());
        deadlines.is_some_and(|deadlines| deadlines.fired(&self.hardware, self.now()))
    }
}

/// The counter and its conversions.
pub fn timer() -> &'static Timer {
    &interrupts().timer
}

/// Interrupts another CPU, which then looks at its requests and its run queue.
pub fn kick(cpu: usize) {
    remote::kick(cpu);
}

/// Acknowledges what is pending. All but lines are done with then.
pub fn acknowledge() -> Event {
    match intc::pending() {
        None => Event::None,
        Some(pending) => acknowledge_one(pending),
    }
}

/// What an interrupt is that has ended a vCPU's run: by its number in scause.
pub fn classify(number: u32) -> Event {
    match number.into() {
        intc::SOFTWARE => acknowledge_one(Pending::Software),
        intc::TIMER => acknowledge_one(Pending::Timer),
        _ => acknowledge_one(Pending::External),
    }
}

fn acknowledge_one(pending: Pending) -> Event {
    match pending {
        Pending::Software => {
            intc::clear_software();
            Event::Kick
        }
        Pending::Timer if timer().fired() => Event::Timer,
        Pending::Timer => Event::Kick,
        // Nothing to claim: another CPU did, or the source was masked meanwhile.
        Pending::External => claim().map_or(Event::Kick, Event::Line),
    }
}

/// Claims a source. It fires no more before [`complete`].
fn claim() -> Option<u32> {
    let context = CONTEXTS.get(cpu::index())?.get()?;
    interrupts().plic.claim(*context)
}

/// Whether this machine has a shared line of this number.
pub fn line_exists(line: u32) -> bool {
    interrupts().plic.has(line)
}

/// A line that belongs to nobody: it fires no more, and owes the PLIC nothing.
pub fn silence(line: u32) {
    let plic = &interrupts().plic;
    plic.set_masked(line, true);
    plic.complete(line);
}

/// The device behind a line has been served.
pub fn complete(line: u32) {
    interrupts().plic.complete(line);
}

/// Lets a shared line interrupt CPU `cpu`, and no other.
pub fn enable_line(line: u32, cpu: usize) -> Result<(), ArchError> {
    let context = CONTEXTS.get(cpu).and_then(Once::get);
    let plic = &interrupts().plic;
    plic.route(line, *context.ok_or(ArchError::NoCpu(cpu))?)?;
    plic.set_masked(line, false);
    Ok(())
}

/// The architecture's part of what a guest's device tree says.
pub fn guest_arch(config: &AxVMConfig) -> Arch<'static> {
    let plic = config
        .emu_devices()
        .iter()
        .find(|device| device.emu_type == EmulatedDeviceType::Plic)
        .map(|device| fdt::Plic {
            registers: device.base_gpa as u64..(device.base_gpa + device.length) as u64,
            sources: riscv_vcpu::sources(config.pass_through_spis()),
        });
    static CPU: Once<RiscvCpu<'static>> = Once::new();
    Arch::Riscv {
        plic,
        cpu: *CPU.call_once(guest_cpu),
    }
}

/// What all harts have in common, as far as it works in guests. Its strings stay for ever.
fn guest_cpu() -> RiscvCpu<'static> {
    let info = boot::info();
    let harts = info.machine.riscv().map(|riscv| &riscv.harts);
    let harts = || harts.into_iter().flatten();
    let names: &[String] = Vec::leak(common_extensions(info));
    let extensions: Vec<&str> = names.iter().map(String::as_str).collect();
    let isa = GuestIsa::from_list(extensions.iter().copied(), riscv_vcpu::features().enabled());
    let block = |has, size: Option<u32>| size.filter(|_| isa.has(has));
    let first = harts().next();
    RiscvCpu {
        timebase_hz: timer().scale().frequency() as u32,
        isa: String::leak(isa.string()),
        extensions: Some(IsaExtensions {
            base: GuestIsa::BASE,
            extensions: Vec::leak(extensions),
        }),
        mmu: match harts().filter_map(|hart| hart.mmu).min() {
            Some(Mmu::Sv57) => MmuType::Sv57,
            Some(Mmu::Sv48) => MmuType::Sv48,
            Some(Mmu::Sv39) | None => MmuType::Sv39,
        },
        cbom_block_size: block("zicbom", first.and_then(|hart| hart.cbom_block)),
        cboz_block_size: block("zicboz", first.and_then(|hart| hart.cboz_block)),
        cbop_block_size: None,
    }
}

/// The extensions of the first hart that all others have too, of those that guests may have.
fn common_extensions(info: &BootInfo) -> Vec<String> {
    let enabled = riscv_vcpu::features().enabled();
    let Ok(tree) = Fdt::new(info.fdt) else {
        return Vec::new();
    };
    let cpus = tree.find("/cpus").into_iter();
    let nodes = cpus.flat_map(|cpus| cpus.children());
    // Not those of harts that are there and not to be used: often a small one, for the firmware.
    let mut isas = nodes.filter(Node::is_enabled).filter_map(|node| {
        if node.property("riscv,isa-extensions").is_some() {
            let names = node.strings("riscv,isa-extensions");
            return Some(GuestIsa::from_list(names, enabled));
        }
        GuestIsa::from_string(node.string("riscv,isa")?, enabled).ok()
    });
    let Some(first) = isas.next() else {
        return Vec::new();
    };
    let others: Vec<GuestIsa> = isas.collect();
    first
        .extensions()
        .filter(|name| others.iter().all(|other| other.has(name)))
        .map(String::from)
        .collect()
}

/// See `PagingHandler::publish_tables`.
pub fn publish_tables() {
    paging::publish();
}

/// See `PagingHandler::flush_stage2`.
pub fn flush_stage2(vmid: u16, range: Option<GuestPhysRange>) {
    let _masked = axhal::irq::MaskGuard::new();
    riscv_vcpu::flush_stage2::<Host>(vmid, range);
}

/// Harts see memory the same with and without translation (privileged ISA, 3.6.5): guest RAM needs
/// no cleaning.
pub fn guest_ram_is_coherent() -> bool {
    true
}

/// The machine under the vCPUs.
pub struct Host;

fn range(start: u64, size: u64) -> FenceRange {
    FenceRange::new(start as usize, size as usize)
}

impl RiscvHost for Host {
    const MAX_CPUS: usize = MAX_CPUS;

    #[inline]
    fn cpu() -> usize {
        cpu::index()
    }

    #[inline]
    fn now() -> u64 {
        timer().now()
    }

    #[inline]
    fn kick(cpu: usize) {
        kick(cpu);
    }

    #[inline]
    fn kicked() {
        axhal::park_if_stopping();
        SCHEDULER.ipi();
    }

    #[inline]
    fn need_resched() -> bool {
        SCHEDULER.need_resched()
    }

    fn set_guest_timer(deadline: u64) {
        if let Some(deadlines) = DEADLINES.get(cpu::index()) {
            deadlines.set_guest(&timer().hardware, deadline);
        }
    }

    fn enable_line(line: u32, cpu: usize) {
        if let Err(error) = enable_line(line, cpu) {
            log::error!("interrupt {line}: {error}");
        }
    }

    fn disable_line(line: u32) {
        interrupts().plic.set_masked(line, true);
    }

    fn reset_line(line: u32) {
        silence(line);
    }

    fn complete_line(line: u32) {
        complete(line);
    }

    fn remote_fence_i(cpus: u64) {
        remote::fence_i(cpus as usize);
    }

    fn remote_hfence_vvma(cpus: u64, asid: Option<u64>, start: u64, size: u64) {
        remote::hfence_vvma(cpus as usize, range(start, size), asid);
    }

    fn remote_hfence_gvma(vmid: u16, start: u64, size: u64) {
        remote::hfence_gvma(cpu::online(), range(start, size), Some(vmid));
    }

    fn fence_i_everywhere() {
        remote::fence_i(cpu::online());
    }

    fn machine_ids() -> [u64; 3] {
        interrupts().machine_ids
    }
}
