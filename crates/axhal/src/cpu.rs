//! The CPUs: their own data, and how they are started.

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::Once;

use crate::arch::{self, firmware};
use crate::machine::{Cpu, EnableMethod};
use crate::paging::{self, PagingError};
use crate::{boot, power};

pub use crate::machine::MAX_CPUS;

/// Pages of a CPU's first stack, and of the one that faults are reported on.
const STACK_PAGES: usize = 8;
const EMERGENCY_PAGES: usize = 2;
/// What each CPU has of its own. Assembly reads the first four fields, for a CPU that starts with
/// its caches off, and uses `trap`.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct PerCpu {
    /// Top of the stack that faults of the hypervisor are reported on.
    pub(crate) emergency: AtomicUsize,
    /// Top of the first stack.
    pub(crate) stack: AtomicUsize,
    /// Physical address of the root table.
    pub(crate) root: AtomicUsize,
    /// Virtual address of this struct.
    pub(crate) this: AtomicUsize,
    /// What the architecture's trap vector keeps here.
    pub(crate) trap: [AtomicUsize; 2],
    index: AtomicUsize,
    /// What the machine calls it.
    pub(crate) id: AtomicUsize,
    /// The VM's id plus one; 0 while no vCPU runs.
    vm: AtomicUsize,
    vcpu: AtomicUsize,
}

impl PerCpu {
    const fn new() -> Self {
        Self {
            emergency: AtomicUsize::new(0),
            stack: AtomicUsize::new(0),
            root: AtomicUsize::new(0),
            this: AtomicUsize::new(0),
            trap: [const { AtomicUsize::new(0) }; 2],
            index: AtomicUsize::new(0),
            id: AtomicUsize::new(0),
            vm: AtomicUsize::new(0),
            vcpu: AtomicUsize::new(0),
        }
    }

    /// Its number: the place of its node among the device tree's CPUs.
    #[inline]
    pub fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed)
    }

    /// What the machine calls it: the affinity fields of its MPIDR_EL1, or its hart id.
    #[inline]
    pub fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed) as u64
    }

    pub(crate) fn set_id(&self, id: u64) {
        self.id.store(id as usize, Ordering::Relaxed);
    }

    /// Where it is, as assembly wants it.
    pub(crate) fn address(&self) -> usize {
        ptr::from_ref(self).expose_provenance()
    }

    /// The VM and vCPU it runs, for reports of faults; `None` if it runs none.
    pub fn current(&self) -> Option<(usize, usize)> {
        let vm = self.vm.load(Ordering::Relaxed).checked_sub(1)?;
        Some((vm, self.vcpu.load(Ordering::Relaxed)))
    }

    /// Says which vCPU it runs from now on.
    #[inline]
    pub fn set_current(&self, current: Option<(usize, usize)>) {
        let (vm, vcpu) = current.map_or((0, 0), |(vm, vcpu)| (vm.wrapping_add(1), vcpu));
        self.vm.store(vm, Ordering::Relaxed);
        self.vcpu.store(vcpu, Ordering::Relaxed);
    }

    fn init(&self, index: usize, id: u64) {
        self.index.store(index, Ordering::Relaxed);
        self.set_id(id);
        self.set_current(None);
        self.this.store(self.address(), Ordering::Relaxed);
    }
}

/// Boot code makes the first one the boot CPU's.
pub(crate) static CPUS: [PerCpu; MAX_CPUS] = [const { PerCpu::new() }; MAX_CPUS];
static ONLINE: AtomicUsize = AtomicUsize::new(0);
static ENTRY: Once<fn(usize) -> !> = Once::new();

/// This CPU's data. The reference stays valid, but is another CPU's once the task has been
/// preempted or has switched.
#[inline]
pub fn this() -> &'static PerCpu {
    // SAFETY: boot code pointed the register at an element of `CPUS`, before any Rust ran on this
    // CPU, and only `init_boot_cpu` changes it, to another one.
    unsafe { &*ptr::with_exposed_provenance(arch::cpu::this()) }
}

/// This CPU's number.
#[inline]
pub fn index() -> usize {
    this().index()
}

/// The CPUs that run, as a mask of their numbers.
pub fn online() -> usize {
    ONLINE.load(Ordering::Acquire)
}

/// How many CPUs there are to use: numbers from 0 up to this.
pub fn count() -> usize {
    boot::info().machine.cpus.list.len()
}

/// The boot CPU takes its place among the CPUs of the machine. `false` if it isn't one of them.
pub(crate) fn init_boot_cpu(mut ids: impl Iterator<Item = u64>) -> Result<bool, PagingError> {
    let id = arch::cpu::id();
    let Some(index) = ids.position(|other| other == id) else {
        return Ok(false);
    };
    let cpu = &CPUS[index];
    cpu.emergency
        .store(CPUS[0].emergency.load(Ordering::Relaxed), Ordering::Relaxed);
    cpu.init(index, id);
    // SAFETY: an element of `CPUS`, for this CPU alone.
    unsafe { arch::cpu::set_this(cpu.this.load(Ordering::Relaxed)) };
    ONLINE.fetch_or(1 << index, Ordering::Release);
    paging::init_window(index)?;
    Ok(true)
}

/// Why a CPU could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// Its device tree node doesn't say how, or there is no firmware that could.
    EnableMethod,
    /// No stack for it.
    Paging(PagingError),
    /// The firmware refused.
    Firmware(firmware::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnableMethod => write!(
                f,
                "its device tree node doesn't say how to start it, or there is no firmware that could"
            ),
            Self::Paging(error) => write!(f, "no stack for it: {error}"),
            Self::Firmware(error) => write!(f, "the firmware doesn't start it: {error}"),
        }
    }
}

/// Starts all CPUs but this one; each runs `entry` with its number, on a stack of its own, with
/// interrupts masked. Returns when the firmware has been asked for all of them; [`online`] tells
/// who has come. `failed` is told of those that can't be started. Needs a frame source. Once.
pub fn start_all(entry: fn(usize) -> !, mut failed: impl FnMut(usize, StartError)) {
    ENTRY.call_once(|| entry);
    let this = index();
    for (index, cpu) in boot::info().machine.cpus.list.iter().enumerate() {
        if index == this {
            continue;
        }
        let result = match cpu.enable_method {
            EnableMethod::Unsupported => Err(StartError::EnableMethod),
            _ => start(index, cpu),
        };
        if let Err(error) = result {
            failed(index, error);
        }
    }
}

fn start(index: usize, cpu: &Cpu) -> Result<(), StartError> {
    let stack = paging::alloc_stack(STACK_PAGES).map_err(StartError::Paging)?;
    let emergency = paging::alloc_stack(EMERGENCY_PAGES).map_err(StartError::Paging)?;
    paging::init_window(index).map_err(StartError::Paging)?;
    let data = &CPUS[index];
    data.init(index, cpu.id);
    data.stack.store(stack.top().as_usize(), Ordering::Relaxed);
    data.emergency
        .store(emergency.top().as_usize(), Ordering::Relaxed);
    data.root
        .store(paging::root().as_usize(), Ordering::Relaxed);
    // SAFETY: all that boot code needs has just been stored, and this element is that CPU's.
    match unsafe { firmware::start_cpu(cpu, data) } {
        Some(result) => result.map_err(StartError::Firmware),
        None => Err(StartError::EnableMethod),
    }
}

/// The first Rust on a started CPU.
pub(crate) fn started() -> ! {
    let index = index();
    ONLINE.fetch_or(1 << index, Ordering::Release);
    arch::tlb::joined();
    match ENTRY.get() {
        Some(entry) => entry(index),
        None => power::park(),
    }
}
