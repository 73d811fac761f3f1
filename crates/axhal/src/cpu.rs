//! The CPUs: their own data, and how they are started.

use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use memory_addr::PhysAddr;
use spin::Once;

use crate::arch;
use crate::drivers::psci::PsciError;
use crate::machine::EnableMethod;
use crate::paging::{self, PagingError};
use crate::{boot, power};

pub use crate::machine::MAX_CPUS;

/// Pages of a CPU's first stack, and of the one that faults are reported on.
const STACK_PAGES: usize = 8;
const EMERGENCY_PAGES: usize = 2;
/// What each CPU has of its own. Assembly reads the first four fields, for a CPU that starts with
/// its caches off, and `serror`.
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
    /// 0: an SError is a fault of the hypervisor. 1: one is waited for. Else its syndrome.
    pub(crate) serror: AtomicUsize,
    index: AtomicUsize,
    mpidr: AtomicUsize,
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
            serror: AtomicUsize::new(0),
            index: AtomicUsize::new(0),
            mpidr: AtomicUsize::new(0),
            vm: AtomicUsize::new(0),
            vcpu: AtomicUsize::new(0),
        }
    }

    /// Its number: the place of its node among the device tree's CPUs.
    #[inline]
    pub fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed)
    }

    /// The affinity fields of its MPIDR_EL1, in their places.
    pub fn mpidr(&self) -> u64 {
        self.mpidr.load(Ordering::Relaxed) as u64
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

    fn init(&self, index: usize, mpidr: u64) {
        self.index.store(index, Ordering::Relaxed);
        self.mpidr.store(mpidr as usize, Ordering::Relaxed);
        self.set_current(None);
        self.this
            .store(ptr::from_ref(self).expose_provenance(), Ordering::Relaxed);
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
pub(crate) fn init_boot_cpu(mpidrs: impl Iterator<Item = u64>) -> Result<bool, PagingError> {
    let mpidr = arch::cpu::mpidr();
    let Some(index) = mpidrs.into_iter().position(|other| other == mpidr) else {
        return Ok(false);
    };
    let cpu = &CPUS[index];
    cpu.emergency
        .store(CPUS[0].emergency.load(Ordering::Relaxed), Ordering::Relaxed);
    cpu.init(index, mpidr);
    // SAFETY: an element of `CPUS`, for this CPU alone.
    unsafe { arch::cpu::set_this(cpu.this.load(Ordering::Relaxed)) };
    ONLINE.fetch_or(1 << index, Ordering::Release);
    paging::init_window(index)?;
    Ok(true)
}

/// Why a CPU could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// Its device tree node doesn't say `psci`, or there is no PSCI.
    EnableMethod,
    /// No stack for it.
    Paging(PagingError),
    /// The firmware refused.
    Psci(PsciError),
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
            EnableMethod::Psci => start(index, cpu.mpidr),
            EnableMethod::Unsupported => Err(StartError::EnableMethod),
        };
        if let Err(error) = result {
            failed(index, error);
        }
    }
}

fn start(index: usize, mpidr: u64) -> Result<(), StartError> {
    let psci = power::psci().ok_or(StartError::EnableMethod)?;
    let stack = paging::alloc_stack(STACK_PAGES).map_err(StartError::Paging)?;
    let emergency = paging::alloc_stack(EMERGENCY_PAGES).map_err(StartError::Paging)?;
    paging::init_window(index).map_err(StartError::Paging)?;
    let cpu = &CPUS[index];
    cpu.init(index, mpidr);
    cpu.stack.store(stack.top().as_usize(), Ordering::Relaxed);
    cpu.emergency
        .store(emergency.top().as_usize(), Ordering::Relaxed);
    cpu.root.store(paging::root().as_usize(), Ordering::Relaxed);
    let va = cpu.this.load(Ordering::Relaxed);
    let context: PhysAddr = arch::boot::image_to_phys(va);
    // SAFETY: mapped: it is a static. The entry is boot code made for this; it reads this PerCpu,
    // which has just been cleaned and stays this CPU's, and the image, which the boot loader
    // cleaned and which code doesn't change.
    unsafe {
        arch::mem::clean_inv_poc(va, size_of::<PerCpu>());
        psci.cpu_on(
            mpidr,
            arch::boot::secondary_entry(),
            context.as_usize() as u64,
        )
    }
    .map_err(StartError::Psci)
}

/// The first Rust on a started CPU.
pub(crate) fn started() -> ! {
    let index = index();
    ONLINE.fetch_or(1 << index, Ordering::Release);
    match ENTRY.get() {
        Some(entry) => entry(index),
        None => power::park(),
    }
}
