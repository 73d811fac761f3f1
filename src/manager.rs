//! From the boot bundle to running VMs, and from VMs that end to the machine that powers off.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use axaddrspace::HostPhysAddr;
use axhal::{irq, power};
use axtask::{CpuMask, TaskConfig, TaskName, WaitQueue};
use axvcpu::GuestFault;
use axvm::{AxVMConfig, AxVMHal, StopCause, VmFault, VmStatus};
use axvmconfig::bundle::Bundle;
use axvmconfig::{AxVMCrateConfig, Severity, VmMemMappingType};
use spin::Mutex;

use crate::hal::Hal;
use crate::task::{Machine, SCHEDULER, TaskOf, priority};
use crate::vm::{self, Running, Vm};
use crate::{arch, board, console, interrupt, loader, memory, vcpu};

/// The machine's final status: every VM ended well.
const STATUS_OK: u8 = 0;
/// A VM ended with a fault.
const STATUS_FAULT: u8 = 1;
/// A VM could not be started.
const STATUS_NOT_STARTED: u8 = 2;

/// A VM from its description to its end.
struct Guest {
    id: usize,
    name: String,
    /// Its description's name in the bundle.
    toml: String,
    vm: Arc<Vm>,
    /// vCPU tasks that have left since it was told to stop.
    left: AtomicUsize,
    /// How often it has been started again. vCPU tasks that have left wait for this to change...
    lives: AtomicUsize,
    /// ... or for this: they are to end.
    over: AtomicBool,
    /// When it was started last, in ticks, and how many lives before were short.
    started: AtomicU64,
    short_lives: AtomicUsize,
}

/// A VM that restarts sooner than this after its start...
const SHORT_LIFE_NS: u64 = 1_000_000_000;
/// ... so many times in a row waits until that time has passed.
const SHORT_LIVES: usize = 3;

static GUESTS: Mutex<Vec<Arc<Guest>>> = Mutex::new(Vec::new());
/// Somebody's last vCPU has left.
static EVENT: AtomicBool = AtomicBool::new(false);
static WAKE: WaitQueue<Machine> = WaitQueue::new();
/// vCPU tasks of a stopped VM wait here for what becomes of it.
static STOPPED: WaitQueue<Machine> = WaitQueue::new();

/// Between two bounded pieces of long work: lets interrupts in, and other tasks.
pub fn pause() {
    irq::preemptible(|| {});
}

/// The manager's task: starts the VMs of `bundle`, watches them, and powers the machine off.
pub fn run(bundle: &'static [u8], stay: bool) {
    let mut status = STATUS_OK;
    let bundle = match Bundle::new(bundle) {
        Ok(bundle) => bundle,
        Err(_) if bundle.is_empty() => {
            log::error!("no VMs: the image has no bundle and none was handed over (-initrd)");
            return idle(STATUS_NOT_STARTED, stay);
        }
        Err(error) => {
            log::error!("bundle: {error}");
            return idle(STATUS_NOT_STARTED, stay);
        }
    };
    let configs = descriptions(&bundle, &mut status);
    if configs.len() > 1 {
        console::name_lines();
    }
    let held: Vec<_> = configs.iter().map(|(_, config)| hold(config)).collect();
    for ((toml, config), held) in configs.into_iter().zip(held) {
        if let Err(error) = create(&bundle, toml, config) {
            log::error!("{toml}: {error}");
            status = status.max(STATUS_NOT_STARTED);
        }
        // What one that was refused did not come to take.
        for (base, size) in held {
            memory::release(base, size);
        }
        // One that ended while the next was loaded.
        status = status.max(serve_ended(&bundle).0);
    }
    log::debug!("{}", memory::usage());
    while !GUESTS.lock().is_empty() {
        let (ended, next) = serve_ended(&bundle);
        status = status.max(ended);
        if !GUESTS.lock().is_empty() {
            let event = || EVENT.swap(false, Ordering::Acquire);
            WAKE.wait_until_deadline(&SCHEDULER, next, event);
        }
    }
    idle(status, stay);
}

/// Looks after the VMs whose last vCPU has left. Returns the worst status of those that are over,
/// and until when others have to wait, in ticks.
fn serve_ended(bundle: &Bundle<'_>) -> (u8, u64) {
    let (mut status, mut next) = (STATUS_OK, u64::MAX);
    let guests: Vec<_> = GUESTS.lock().clone();
    for guest in guests {
        if guest.left.load(Ordering::Acquire) < guest.vm.vcpu_list().len() {
            continue;
        }
        if guest.vm.status() == VmStatus::Stopping {
            // Quiet from now on, whatever comes next. It takes as long as a piece of work may.
            pause();
            interrupt::detach(&guest.vm);
            guest.vm.stopped();
            pause();
        }
        match wait_before_restart(&guest) {
            Some(until) => next = next.min(until),
            None => status = status.max(ended(bundle, &guest)),
        }
    }
    (status, next)
}

/// Until when a VM that wants to start again has to wait: a guest that does nothing but restart
/// must not keep the hypervisor busy, nor its log.
fn wait_before_restart(guest: &Guest) -> Option<u64> {
    if guest.vm.cause() != Some(StopCause::Reset) {
        return None;
    }
    let timer = arch::timer();
    let short = timer.scale().to_ticks(SHORT_LIFE_NS);
    let until = guest.started.load(Ordering::Relaxed).saturating_add(short);
    if timer.now() >= until {
        guest.short_lives.store(0, Ordering::Relaxed);
        return None;
    }
    (guest.short_lives.load(Ordering::Relaxed) >= SHORT_LIVES).then_some(until)
}

/// No VM is left.
fn idle(status: u8, stay: bool) {
    console::drain();
    if stay {
        log::info!("no VM runs (when-idle=stay)");
        return;
    }
    power::off(status);
}

/// The bundle's descriptions that pass all checks; what is wrong with the others is printed.
fn descriptions<'a>(bundle: &Bundle<'a>, status: &mut u8) -> Vec<(&'a str, AxVMCrateConfig)> {
    let mut good = Vec::new();
    for file in bundle.descriptions() {
        let Ok(text) = core::str::from_utf8(file.data) else {
            log::error!("{}: not UTF-8 text", file.name);
            *status = STATUS_NOT_STARTED;
            continue;
        };
        match axvmconfig::parse(text, crate::arch::ARCH) {
            Ok(mut config) => {
                let mut found = config.warnings.clone();
                board::with_facts(|facts| {
                    found.extend(axvmconfig::resolve_devices(&mut config, facts).0);
                    found.extend(axvmconfig::check_board(&config, facts).0);
                });
                if report(file.name, text, &found) {
                    *status = STATUS_NOT_STARTED;
                } else {
                    good.push((file.name, text, config));
                }
            }
            Err(diagnostics) => {
                report(file.name, text, &diagnostics.0);
                *status = STATUS_NOT_STARTED;
            }
        }
    }
    // What several say together: the later one is refused.
    let configs: Vec<_> = good.iter().map(|(_, _, config)| config).collect();
    let mut conflicts = axvmconfig::check_bundle(&configs);
    conflicts.extend(board::with_facts(|facts| {
        axvmconfig::check_memory(&configs, facts)
    }));
    let mut index = 0;
    good.retain(|(name, text, _)| {
        let found: Vec<_> = conflicts
            .iter()
            .filter(|(n, _)| *n == index)
            .map(|(_, d)| *d)
            .collect();
        index += 1;
        let refused = report(name, text, &found);
        if refused {
            *status = STATUS_NOT_STARTED;
        }
        !refused
    });
    good.into_iter()
        .map(|(name, _, config)| (name, config))
        .collect()
}

/// Prints diagnostics; `true` if there is an error among them.
fn report(file: &str, text: &str, found: &[axvmconfig::Diagnostic]) -> bool {
    let mut errors = false;
    for diagnostic in found {
        let line = diagnostic.line(file, text);
        if diagnostic.severity() == Severity::Error {
            errors = true;
            log::error!("{line}");
        } else {
            log::warn!("{line}");
        }
    }
    errors
}

/// Sets the memory aside that a VM wants at a certain address, so that no VM before it gets it by
/// chance. What isn't free is missed when the VM is built.
fn hold(config: &AxVMCrateConfig) -> Vec<(HostPhysAddr, usize)> {
    let regions = config.kernel.memory_regions.iter().map(|at| at.value);
    let identical = regions.filter(|r| r.map_type == VmMemMappingType::MapIdentical);
    let ranges = identical.map(|r| (HostPhysAddr::from_usize(r.gpa), r.size));
    ranges
        .filter(|(base, size)| memory::set_aside(*base, *size))
        .collect()
}

/// Builds a VM, loads it, and starts it. What was taken for it is given back on an error.
fn create(bundle: &Bundle<'_>, toml: &str, config: AxVMCrateConfig) -> Result<(), Failure> {
    let config = AxVMConfig::from(config);
    if config.id() >= vm::MAX_VMS {
        return Err(Failure::Id(config.id()));
    }
    let vm = Vm::build(config).map_err(Failure::Build)?;
    loader::load(&vm, bundle, toml).map_err(Failure::Load)?;
    if !interrupt::attach(&vm) {
        return Err(Failure::Lines);
    }
    let tasks = spawn_vcpus(&vm).inspect_err(|_| interrupt::detach(&vm))?;
    let guest = Arc::new(Guest {
        id: vm.id(),
        name: vm.name().to_string(),
        toml: toml.to_string(),
        vm: vm.clone(),
        left: AtomicUsize::new(0),
        lives: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        started: AtomicU64::new(arch::timer().now()),
        short_lives: AtomicUsize::new(0),
    });
    if let Err(running) = vm::register(Running {
        vm: vm.clone(),
        tasks,
    }) {
        interrupt::detach(&vm);
        dismiss(&vm, &running.tasks);
        return Err(Failure::Id(guest.id));
    }
    if let Some(port) = vm.console() {
        console::attach(vm.id(), vm.name(), port);
    }
    let ram: usize = vm.ram().map(|range| range.size()).sum();
    let vcpus = vm.vcpu_list().len();
    log::info!(
        "VM {} {}: {vcpus} vCPUs, {} MiB",
        guest.id,
        guest.name,
        ram >> 20
    );
    GUESTS.lock().push(guest);
    log::debug!(
        "VM {} starts {} us after the counter",
        vm.id(),
        Hal::current_time_nanos() / 1000
    );
    if let Err(error) = vm.boot() {
        // It ends like any other, then.
        log::error!("{toml}: {}", Failure::Boot(error));
        vm.stop(StopCause::Fault(VmFault::Restart));
    }
    Ok(())
}

/// Makes the vCPUs' tasks, which wait to be switched on. On an error there are none.
fn spawn_vcpus(vm: &Arc<Vm>) -> Result<Box<[TaskOf]>, Failure> {
    let mut tasks: Vec<TaskOf> = Vec::new();
    for vcpu in vm.vcpu_list() {
        let id = vcpu.id();
        let mask = vcpu.cpu_mask();
        let config = TaskConfig {
            name: TaskName::new(vm.name()),
            priority: priority::WORK,
            affinity: mask.map_or(CpuMask::ALL, |mask| CpuMask::from_bits(mask as u64)),
            data: vcpu::data(vm, id),
        };
        let own = vm.clone();
        let task = SCHEDULER.spawn(config, move || {
            vcpu::main(&own, id);
            0
        });
        match task {
            Ok(task) => tasks.push(task),
            Err(error) => {
                dismiss(vm, &tasks);
                return Err(Failure::Spawn(error));
            }
        }
    }
    Ok(tasks.into())
}

/// Ends the tasks of a VM that nobody knows yet.
fn dismiss(vm: &Vm, tasks: &[TaskOf]) {
    vm.stop(StopCause::Requested);
    for task in tasks {
        task.unpark();
        task.join();
    }
}

/// A vCPU task has left its stopping VM. Returns when it is decided what becomes of the VM:
/// `true`: it starts again; `false`: it is over, and so is the task.
pub fn left(vm: &Arc<Vm>) -> bool {
    let find = |guests: &Vec<Arc<Guest>>| guests.iter().find(|guest| guest.id == vm.id()).cloned();
    let Some(guest) = find(&GUESTS.lock()) else {
        return false;
    };
    let lives = guest.lives.load(Ordering::Acquire);
    guest.left.fetch_add(1, Ordering::AcqRel);
    EVENT.store(true, Ordering::Release);
    WAKE.notify_one();
    let over = || guest.over.load(Ordering::Acquire);
    STOPPED.wait_until(&SCHEDULER, || {
        over() || guest.lives.load(Ordering::Acquire) != lives
    });
    !over()
}

/// All vCPUs of a VM have left: it starts again, or its memory comes back. Returns its status.
fn ended(bundle: &Bundle<'_>, guest: &Arc<Guest>) -> u8 {
    let vm = &guest.vm;
    let mut cause = vm.cause().unwrap_or(StopCause::Requested);
    if cause == StopCause::Reset {
        match restart(bundle, guest) {
            Ok(()) => return STATUS_OK,
            Err(error) => {
                // Somebody may have wanted it stopped meanwhile: that is no fault.
                cause = match vm.cause() {
                    Some(StopCause::Requested) => StopCause::Requested,
                    _ => {
                        log::error!("VM {} {}: restart: {error}", guest.id, guest.name);
                        StopCause::Fault(VmFault::Restart)
                    }
                };
            }
        }
    }
    console::detach(guest.id);
    log::info!("VM {} {} ended: {}", guest.id, guest.name, Cause(&cause));
    let running = vm::unregister(guest.id);
    guest.over.store(true, Ordering::Release);
    STOPPED.notify_all();
    for task in running.iter().flat_map(|running| running.tasks.iter()) {
        task.join();
    }
    GUESTS.lock().retain(|other| other.id != guest.id);
    match cause {
        StopCause::Fault(_) => STATUS_FAULT,
        _ => STATUS_OK,
    }
}

/// Starts a stopped VM again. On an error it can only be ended.
fn restart(bundle: &Bundle<'_>, guest: &Arc<Guest>) -> Result<(), Failure> {
    let vm = &guest.vm;
    console::drain();
    console::drop_input(guest.id);
    log::info!("VM {} {} restarts", guest.id, guest.name);
    vm.reset().map_err(Failure::Boot)?;
    loader::load(vm, bundle, &guest.toml).map_err(Failure::Load)?;
    if !interrupt::attach(vm) {
        return Err(Failure::Lines);
    }
    guest.left.store(0, Ordering::Release);
    guest.started.store(arch::timer().now(), Ordering::Relaxed);
    guest.short_lives.fetch_add(1, Ordering::Relaxed);
    vm.boot()
        .inspect_err(|_| interrupt::detach(vm))
        .map_err(Failure::Boot)?;
    // The tasks look for orders to start when their VM has some.
    guest.lives.fetch_add(1, Ordering::Release);
    STOPPED.notify_all();
    Ok(())
}

/// Why a VM could not be started.
enum Failure {
    Id(usize),
    Build(axvm::VmError),
    Lines,
    Load(loader::LoadFailure),
    Spawn(axtask::SpawnError),
    Boot(axerrno::AxError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "VM id {id}: ids are below {}", vm::MAX_VMS),
            Self::Build(error) => write!(f, "{error}"),
            Self::Lines => write!(
                f,
                "a passed-through interrupt is another VM's, or not there"
            ),
            Self::Load(error) => write!(f, "{error}"),
            Self::Spawn(error) => write!(f, "no task: {error}"),
            Self::Boot(error) => write!(f, "{}", vcpu::name(*error)),
        }
    }
}

/// Why a VM ended, for people.
struct Cause<'a>(&'a StopCause);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            StopCause::PoweredOff => write!(f, "powered off"),
            StopCause::Reset => write!(f, "reset"),
            StopCause::AllCpusOff => write!(f, "all its CPUs switched themselves off"),
            StopCause::Requested => write!(f, "shut down by the hypervisor"),
            StopCause::Fault(VmFault::Guest { vcpu, fault }) => match fault {
                GuestFault::UnexpectedTrap { syndrome, pc } => {
                    write!(
                        f,
                        "fault: vCPU {vcpu}: unexpected trap, syndrome {syndrome:#x}, pc {pc:#x}"
                    )
                }
                GuestFault::NoHandler { pc } => {
                    write!(
                        f,
                        "fault: vCPU {vcpu}: no exception handler can be fetched, pc {pc:#x}"
                    )
                }
                GuestFault::HardwareError { syndrome, pc } => {
                    write!(
                        f,
                        "fault: vCPU {vcpu}: hardware error, syndrome {syndrome:#x}, pc {pc:#x}"
                    )
                }
            },
            StopCause::Fault(VmFault::Unhandled { vcpu }) => {
                write!(f, "fault: vCPU {vcpu}: unhandled exit")
            }
            StopCause::Fault(VmFault::Restart) => write!(f, "fault: it could not be restarted"),
        }
    }
}
