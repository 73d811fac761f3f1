//! Exceptions: interrupts go to a hook, and a case may expect a fault and look at what came.

use crate::smp::MAX;
use crate::{cpu, gic, psci, uart};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The registers of what was interrupted, as the vectors save them.
#[repr(C)]
#[derive(Debug)]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
}

/// A fault that a case expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The vector's number, 0 to 15.
    pub vector: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
}

impl Fault {
    /// The exception class.
    pub fn class(&self) -> u64 {
        self.esr >> 26
    }

    /// The fault status code of an abort.
    pub fn status(&self) -> u64 {
        self.esr & 0x3f
    }
}

/// Where a CPU goes on after an expected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Resume {
    /// Nothing is expected.
    Never = 0,
    /// Behind the instruction.
    Next = 1,
    /// At x30: for jumps to where nothing is, made by BLR.
    Link = 2,
    /// Behind [`run_user`].
    User = 3,
}

unsafe extern "C" {
    fn guest_enter_user(pc: u64, spsr: u64, argument: u64) -> u64;
    fn guest_leave_user();
}

#[derive(Default)]
struct Expected {
    resume: AtomicUsize,
    count: AtomicU64,
    fault: [AtomicU64; 5],
}

static EXPECTED: [Expected; MAX] = [const {
    Expected {
        resume: AtomicUsize::new(0),
        count: AtomicU64::new(0),
        fault: [const { AtomicU64::new(0) }; 5],
    }
}; MAX];

/// Called with the interrupt's number, on the CPU that took it, before it is ended; or 0.
static HOOK: AtomicUsize = AtomicUsize::new(0);
/// Whether interrupts are ended after the hook.
static AUTO_END: AtomicBool = AtomicBool::new(true);
/// How often each CPU took each of the first interrupts.
static TAKEN: [[AtomicU64; 1024]; MAX] = [const { [const { AtomicU64::new(0) }; 1024] }; MAX];

/// The last interrupt of group 0.
static FAST: AtomicU64 = AtomicU64::new(0);

/// Switches the UART and the first CPU's part of the interrupt controller on, and lets interrupts
/// in.
pub fn init() {
    uart::init();
    gic::init_distributor();
    gic::init_cpu();
    unmask();
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: the handler keeps all registers.
    unsafe { core::arch::asm!("msr daifclr, #2", options(nostack)) };
}

/// Keeps interrupts out.
pub fn mask() {
    // SAFETY: nothing depends on interrupts being taken.
    unsafe { core::arch::asm!("msr daifset, #2", options(nostack)) };
}

/// Lets interrupts of group 0 in.
pub fn unmask_fast() {
    // SAFETY: the handler keeps all registers.
    unsafe { core::arch::asm!("msr daifclr, #1", options(nostack)) };
}

/// Keeps interrupts of group 0 out.
pub fn mask_fast() {
    // SAFETY: nothing depends on interrupts being taken.
    unsafe { core::arch::asm!("msr daifset, #1", options(nostack)) };
}

/// What to call on interrupts, and whether they are ended behind it.
pub fn on_interrupt(hook: Option<fn(u32)>, auto_end: bool) {
    HOOK.store(hook.map_or(0, |hook| hook as usize), Ordering::SeqCst);
    AUTO_END.store(auto_end, Ordering::SeqCst);
}

/// How often CPU number `cpu` took interrupt `intid`.
pub fn taken(cpu: usize, intid: u32) -> u64 {
    TAKEN[cpu][intid as usize & 1023].load(Ordering::SeqCst)
}

/// Forgets how often interrupts were taken.
pub fn forget_taken() {
    for count in TAKEN.iter().flatten() {
        count.store(0, Ordering::SeqCst);
    }
}

/// Runs `code` and gives the first fault that came, if one did. Each fault is resumed as told.
pub fn catch(resume: Resume, code: impl FnOnce()) -> Option<Fault> {
    let expected = &EXPECTED[cpu()];
    expected.count.store(0, Ordering::SeqCst);
    expected.resume.store(resume as usize, Ordering::SeqCst);
    code();
    expected
        .resume
        .store(Resume::Never as usize, Ordering::SeqCst);
    if expected.count.load(Ordering::SeqCst) == 0 {
        return None;
    }
    let [vector, esr, far, elr, spsr] =
        [0, 1, 2, 3, 4].map(|n: usize| expected.fault[n].load(Ordering::SeqCst));
    Some(Fault {
        vector,
        esr,
        far,
        elr,
        spsr,
    })
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
extern "C" fn guest_exception(frame: &mut Frame, vector: u64) {
    match vector % 4 {
        0 => fault(frame, vector),
        1 => interrupt(),
        2 => fast_interrupt(),
        _ => fatal(frame, vector),
    }
}

fn interrupt() {
    let intid = gic::acknowledge();
    if intid >= 1020 {
        TAKEN[cpu()][gic::SPURIOUS as usize].fetch_add(1, Ordering::SeqCst);
        return;
    }
    TAKEN[cpu()][intid as usize].fetch_add(1, Ordering::SeqCst);
    let hook = HOOK.load(Ordering::SeqCst);
    if hook != 0 {
        // SAFETY: `on_interrupt` put a `fn(u32)` there.
        unsafe { core::mem::transmute::<usize, fn(u32)>(hook)(intid) };
    }
    if AUTO_END.load(Ordering::SeqCst) {
        gic::end(intid);
    }
}

/// Interrupts of group 0 come as FIQ.
fn fast_interrupt() {
    let intid = read_sysreg!("icc_iar0_el1") as usize & 1023;
    FAST.store(intid as u64, Ordering::SeqCst);
    if intid < 1020 {
        crate::write_sysreg!("icc_eoir0_el1", intid as u64);
    }
}

/// Whether an interrupt of group 0 came since [`take_fast`].
pub fn fast_came() -> bool {
    FAST.load(Ordering::SeqCst) != 0
}

/// The last interrupt of group 0 since the last call, or 0.
pub fn take_fast() -> u64 {
    FAST.swap(0, Ordering::SeqCst)
}

/// Runs the code at `pc`, as EL0 sees it, with PSTATE `spsr` and x0 `argument`, until it takes an
/// exception. What it left in x0, and the exception.
pub fn run_user(pc: u64, spsr: u64, argument: u64) -> (u64, Option<Fault>) {
    let mut result = 0;
    let fault = catch(Resume::User, || {
        // SAFETY: code at EL0 reaches only what it names; the function returns as a call does.
        result = unsafe { guest_enter_user(pc, spsr, argument) };
    });
    (result, fault)
}

fn fault(frame: &mut Frame, vector: u64) {
    let expected = &EXPECTED[cpu()];
    let resume = expected.resume.load(Ordering::SeqCst);
    if resume == Resume::Never as usize {
        fatal(frame, vector);
    }
    let seen = [
        vector,
        read_sysreg!("esr_el1"),
        read_sysreg!("far_el1"),
        frame.elr,
        frame.spsr,
    ];
    if expected.count.fetch_add(1, Ordering::SeqCst) == 0 {
        for (slot, value) in expected.fault.iter().zip(seen) {
            slot.store(value, Ordering::SeqCst);
        }
    }
    if resume == Resume::User as usize {
        frame.elr = guest_leave_user as *const () as u64;
        // EL1 with its own stack pointer; interrupts of group 1 may come, as before.
        frame.spsr = 0x345;
    } else if resume == Resume::Link as usize {
        frame.elr = frame.x[30];
    } else {
        frame.elr += 4;
    }
}

fn fatal(frame: &Frame, vector: u64) -> ! {
    println!(
        "GUEST FAULT: CPU {} vector {vector} ESR {:#x} FAR {:#x} ELR {:#x} SPSR {:#x}",
        cpu(),
        read_sysreg!("esr_el1"),
        read_sysreg!("far_el1"),
        frame.elr,
        frame.spsr
    );
    psci::system_off()
}
