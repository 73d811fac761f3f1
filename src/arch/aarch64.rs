//! aarch64: the physical GICv3 and timer under the hypervisor and its vCPUs.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arm_vcpu::{ArmHost, ArmVCpu, CpuError};
use arrayvec::ArrayVec;
use axaddrspace::{GuestPhysRange, PagingHandler};
use axhal::boot::BootInfo;
use axhal::drivers::gicv3::{self, Gic, GicError, Line, Redistributor, SgiTarget};
use axhal::drivers::mmio::Mmio;
use axhal::drivers::timer::{BadFrequency, Timer};
use axhal::machine::Trigger;
use axhal::paging::{self, PagingError};
use axhal::{cpu, cpu::MAX_CPUS};
use axloader::fdt::{Arch, GicV3, TimerInterrupts};
use axvm::AxVMConfig;
use axvmconfig::EmulatedDeviceType;
use spin::Once;

use super::{Event, map};
use crate::memory;
use crate::task::SCHEDULER;

/// What VM descriptions are for.
pub const ARCH: axvmconfig::Arch = axvmconfig::Arch::Aarch64;

/// The vCPUs of this image.
pub type VCpu = ArmVCpu<Host>;

/// How guests' kernels are loaded.
pub use axloader::AARCH64 as BOOT_PROTOCOL;

/// What guests are told the clock of their UART is: that of the common boards.
pub const UART_CLOCK_HZ: u32 = 24_000_000;

/// SGI: look at your vCPU's requests, and at your run queue.
const KICK: u32 = 0;
const FIRST_SPI: u32 = 32;
/// The hypervisor timer's priority: more urgent than `gicv3::DEFAULT_PRIORITY`.
const TIMER_PRIORITY: u8 = 0x80;

struct Interrupts {
    gic: Gic,
    timer: Timer,
    targets: ArrayVec<SgiTarget, MAX_CPUS>,
}

static INTERRUPTS: Once<Interrupts> = Once::new();
static REDISTRIBUTORS: [Once<Redistributor>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];

/// The PPIs on the exit path, as plain numbers.
static VIRTUAL_TIMER: AtomicU32 = AtomicU32::new(27);
static PHYSICAL_TIMER: AtomicU32 = AtomicU32::new(30);
static HYPERVISOR_TIMER: AtomicU32 = AtomicU32::new(26);
static MAINTENANCE: AtomicU32 = AtomicU32::new(25);

/// VTTBR_EL2 of CPUs that run no guest.
static IDLE_VTTBR: AtomicU64 = AtomicU64::new(0);

/// Why this machine can't be used.
#[derive(Clone, Copy, Debug)]
pub enum ArchError {
    /// The device tree describes another architecture's machine.
    NotArm,
    /// Registers can't be mapped.
    Paging(PagingError),
    /// The interrupt controller.
    Gic(GicError),
    /// The system counter.
    Counter(BadFrequency),
    /// The GIC has no maintenance interrupt: no virtual CPU interface.
    NoMaintenanceInterrupt,
    /// This CPU can't run guests.
    Cpu(CpuError),
    /// No memory.
    NoMemory,
}

impl fmt::Display for ArchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotArm => write!(f, "its device tree is not an Arm machine's"),
            Self::Paging(error) => write!(f, "its registers can't be mapped: {error}"),
            Self::Gic(error) => write!(f, "interrupt controller: {error}"),
            Self::Counter(error) => write!(f, "system counter: {error}"),
            Self::NoMaintenanceInterrupt => {
                write!(
                    f,
                    "the interrupt controller can't serve guests: its node has no `interrupts`"
                )
            }
            Self::Cpu(error) => write!(f, "{error}"),
            Self::NoMemory => write!(f, "no memory"),
        }
    }
}

impl From<PagingError> for ArchError {
    fn from(error: PagingError) -> Self {
        Self::Paging(error)
    }
}

impl From<GicError> for ArchError {
    fn from(error: GicError) -> Self {
        Self::Gic(error)
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
    let arm = machine.arm().ok_or(ArchError::NotArm)?;
    let dist = map(&arm.gic.distributor)?;
    let mut redists = ArrayVec::<Mmio, { axhal::machine::MAX_REDIST_REGIONS }>::new();
    for region in &arm.gic.redistributors {
        redists.push(map(region)?);
    }
    let gic = Gic::init(&arm.gic, dist, &redists, cpu::this().id())?;
    let timer = Timer::new(machine).map_err(ArchError::Counter)?;
    let mut targets = ArrayVec::new();
    for cpu in &machine.cpus.list {
        targets.push(gic.sgi_target(cpu.id)?);
    }
    let maintenance = arm
        .gic
        .maintenance
        .ok_or(ArchError::NoMaintenanceInterrupt)?;
    VIRTUAL_TIMER.store(arm.timer.virtual_.number, Ordering::Relaxed);
    PHYSICAL_TIMER.store(arm.timer.physical.number, Ordering::Relaxed);
    HYPERVISOR_TIMER.store(arm.timer.hypervisor.number, Ordering::Relaxed);
    MAINTENANCE.store(maintenance.number, Ordering::Relaxed);
    INTERRUPTS.call_once(|| Interrupts {
        gic,
        timer,
        targets,
    });
    let format = arm_vcpu::stage2_format().map_err(CpuError::Stage2)?;
    let frames = axaddrspace::TableFormat::root_frames(&format);
    let root = memory::Paging::alloc_table(frames).ok_or(ArchError::NoMemory)?;
    IDLE_VTTBR.store(root.as_usize() as u64, Ordering::Relaxed);
    Ok(())
}
/// Sets this CPU up: its interrupts, its timer, its virtualization.
pub fn init_cpu() -> Result<(), ArchError> {
    let index = cpu::index();
    let redist = interrupts().gic.init_cpu(cpu::this().id())?;
    for ppi in [
        &VIRTUAL_TIMER,
        &PHYSICAL_TIMER,
        &HYPERVISOR_TIMER,
        &MAINTENANCE,
    ] {
        let line = redist.line(ppi.load(Ordering::Relaxed))?;
        // Their trigger is fixed on most machines; where it isn't, they are levels.
        let _ = line.set_trigger(Trigger::Level);
        if line.intid() == HYPERVISOR_TIMER.load(Ordering::Relaxed) {
            // Before all that a guest can cause: time slices end whatever it does.
            line.set_priority(TIMER_PRIORITY);
        }
        line.enable();
    }
    if let Some(slot) = REDISTRIBUTORS.get(index) {
        slot.call_once(|| redist);
    }
    arm_vcpu::init_cpu(idle_vttbr())?;
    Ok(())
}

fn interrupts() -> &'static Interrupts {
    match INTERRUPTS.get() {
        Some(interrupts) => interrupts,
        // `init` comes first, in `main`.
        None => axhal::power::park(),
    }
}

fn idle_vttbr() -> u64 {
    IDLE_VTTBR.load(Ordering::Relaxed)
}

/// The counter and its conversions.
pub fn timer() -> &'static Timer {
    &interrupts().timer
}

/// Interrupts another CPU, which then looks at its requests and its run queue.
pub fn kick(cpu: usize) {
    if let Some(target) = interrupts().targets.get(cpu) {
        gicv3::send_sgi(*target, KICK as u8);
    }
}

/// Acknowledges what is pending. All but lines are done with then.
pub fn acknowledge() -> Event {
    let intid = gicv3::ack();
    if intid >= gicv3::SPECIAL {
        return Event::None;
    }
    classify(intid)
}

/// What an interrupt is that a vCPU's exit has acknowledged already.
pub fn classify(intid: u32) -> Event {
    gicv3::end(intid);
    if intid >= FIRST_SPI {
        return Event::Line(intid - FIRST_SPI);
    }
    if intid == VIRTUAL_TIMER.load(Ordering::Relaxed)
        || intid == PHYSICAL_TIMER.load(Ordering::Relaxed)
    {
        // A guest's timer while no vCPU is loaded here: it stays active, so that it can't fire
        // again before the next load says what it is.
        return Event::Kick;
    }
    if intid == HYPERVISOR_TIMER.load(Ordering::Relaxed) {
        // Off before the deactivation, or its level fires again.
        timer().clear_deadline();
        gicv3::deactivate(intid);
        return Event::Timer;
    }
    gicv3::deactivate(intid);
    Event::Kick
}

/// Whether this machine has a shared line of this number.
pub fn line_exists(line: u32) -> bool {
    line < interrupts().gic.spi_count()
}

/// A line that belongs to nobody: it fires no more.
pub fn silence(line: u32) {
    let intid = line.saturating_add(FIRST_SPI);
    if let Ok(spi) = interrupts().gic.spi(intid)
        && let Err(error) = spi.disable()
    {
        log::error!("interrupt {intid}: {error}");
    }
    gicv3::deactivate(intid);
}

/// The device behind a line has been served.
pub fn complete(line: u32) {
    gicv3::deactivate(line + FIRST_SPI);
}

/// Lets a shared line of the hypervisor's own interrupt CPU `cpu`.
pub fn enable_line(line: u32, cpu: usize) -> Result<(), ArchError> {
    let interrupts = interrupts();
    let intid = line.saturating_add(FIRST_SPI);
    let mpidr = axhal::boot::info()
        .machine
        .cpus
        .list
        .get(cpu)
        .map_or(0, |cpu| cpu.id);
    interrupts.gic.route(intid, mpidr)?;
    interrupts.gic.spi(intid)?.enable();
    Ok(())
}

/// The architecture's part of what a guest's device tree says.
pub fn guest_arch(config: &AxVMConfig) -> Arch<'static> {
    let registers = |kind| {
        let mut devices = config.emu_devices().iter();
        let device = devices.find(|device| device.emu_type == kind)?;
        Some(device.base_gpa as u64..(device.base_gpa + device.length) as u64)
    };
    let distributor = registers(EmulatedDeviceType::GicDistributor);
    let redistributors = registers(EmulatedDeviceType::GicRedistributor);
    Arch::Arm {
        gic: distributor
            .zip(redistributors)
            .map(|(distributor, redistributors)| GicV3 {
                distributor,
                redistributors,
            }),
        timer: timer_interrupts(),
    }
}

/// The guest's timers interrupt by the machine's own PPIs.
fn timer_interrupts() -> TimerInterrupts {
    let usual = TimerInterrupts::default();
    let Some(arm) = axhal::boot::info().machine.arm() else {
        return usual;
    };
    let timer = &arm.timer;
    TimerInterrupts {
        secure: timer.secure_physical.map_or(usual.secure, |ppi| ppi.number),
        physical: timer.physical.number,
        virt: timer.virtual_.number,
        hyp: timer.hypervisor.number,
    }
}

/// See `PagingHandler::publish_tables`.
pub fn publish_tables() {
    paging::publish();
}

/// See `PagingHandler::flush_stage2`.
pub fn flush_stage2(vmid: u16, range: Option<GuestPhysRange>) {
    let _masked = axhal::irq::MaskGuard::new();
    arm_vcpu::flush_stage2(idle_vttbr(), vmid, range);
}

/// Stage 2 forces guest RAM to be write-back (FEAT_S2FWB): no cleaning is needed.
pub fn guest_ram_is_coherent() -> bool {
    arm_vcpu::features().fwb
}

/// The machine under the vCPUs.
pub struct Host;

impl Host {
    fn line(intid: u32) -> Option<Line> {
        if intid < FIRST_SPI {
            REDISTRIBUTORS.get(cpu::index())?.get()?.line(intid).ok()
        } else {
            interrupts().gic.spi(intid).ok()
        }
    }
}

impl ArmHost for Host {
    const MAX_CPUS: usize = MAX_CPUS;
    const KICK_SGI: u32 = KICK;

    #[inline]
    fn cpu() -> usize {
        cpu::index()
    }

    #[inline]
    fn ack() -> u32 {
        gicv3::ack()
    }

    #[inline]
    fn end(intid: u32) {
        gicv3::end(intid);
    }

    #[inline]
    fn deactivate(intid: u32) {
        gicv3::deactivate(intid);
    }

    #[inline]
    fn kick(cpu: usize) {
        kick(cpu);
    }

    #[inline]
    fn kicked() {
        SCHEDULER.ipi();
    }

    #[inline]
    fn need_resched() -> bool {
        SCHEDULER.need_resched()
    }

    #[inline]
    fn maintenance_intid() -> u32 {
        MAINTENANCE.load(Ordering::Relaxed)
    }

    #[inline]
    fn virtual_timer_intid() -> u32 {
        VIRTUAL_TIMER.load(Ordering::Relaxed)
    }

    #[inline]
    fn physical_timer_intid() -> u32 {
        PHYSICAL_TIMER.load(Ordering::Relaxed)
    }

    fn take_serror() -> Option<u64> {
        axhal::take_serror()
    }

    #[inline]
    fn idle_vttbr() -> u64 {
        idle_vttbr()
    }

    fn set_active(intid: u32, active: bool) {
        if let Some(line) = Self::line(intid) {
            if active {
                line.set_active()
            } else {
                line.clear_active()
            }
        }
    }

    fn set_pending(intid: u32, pending: bool) {
        if let Some(line) = Self::line(intid) {
            if pending {
                line.set_pending()
            } else {
                line.clear_pending()
            }
        }
    }

    fn is_pending(intid: u32) -> bool {
        Self::line(intid).is_some_and(|line| line.is_pending())
    }

    fn set_enabled(intid: u32, enabled: bool) {
        let Some(line) = Self::line(intid) else {
            return;
        };
        if enabled {
            line.enable();
        } else if let Err(error) = line.disable() {
            log::error!("interrupt {intid}: {error}");
        }
    }

    fn set_edge(intid: u32, edge: bool) {
        let trigger = if edge { Trigger::Edge } else { Trigger::Level };
        let Some(line) = Self::line(intid) else {
            return;
        };
        // Changing it on an enabled line is UNPREDICTABLE (IHI 0069, GICD_ICFGR<n>).
        let enabled = line.is_enabled();
        if enabled && line.disable().is_err() {
            return;
        }
        // A trigger that is fixed stays what it is: the guest is told that it may not change it.
        let _ = line.set_trigger(trigger);
        if enabled {
            line.enable();
        }
    }

    fn route(intid: u32, cpu: usize) {
        if let Some(cpu) = axhal::boot::info().machine.cpus.list.get(cpu)
            && let Err(error) = interrupts().gic.route(intid, cpu.id)
        {
            log::error!("interrupt {intid}: {error}");
        }
    }
}
