//! The exception vectors' other half.

use super::{cpu, firmware, gic};
use crate::exception::{Resume, catch, faulted, took};
use core::sync::atomic::{AtomicU64, Ordering};

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

impl From<[u64; 5]> for Fault {
    fn from([vector, esr, far, elr, spsr]: [u64; 5]) -> Self {
        Self {
            vector,
            esr,
            far,
            elr,
            spsr,
        }
    }
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

unsafe extern "C" {
    fn guest_enter_user(pc: u64, spsr: u64, argument: u64) -> u64;
    fn guest_leave_user();
}

/// The last interrupt of group 0.
static FAST: AtomicU64 = AtomicU64::new(0);

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: the handler keeps all registers.
    unsafe { core::arch::asm!("msr daifclr, #2", "isb", options(nostack)) };
}

/// Keeps interrupts out.
pub fn mask() {
    // SAFETY: nothing depends on interrupts being taken.
    unsafe { core::arch::asm!("msr daifset, #2", options(nostack)) };
}

/// Waits for an interrupt, which is taken only where they are let in.
#[inline]
pub fn wait() {
    // SAFETY: a barrier and a hint.
    unsafe { core::arch::asm!("dsb sy", "wfi", options(nostack)) };
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
        took(gic::SPURIOUS);
    } else if took(intid) {
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

/// Takes an exception whose handler lies at `address`.
pub fn fault_with_handler_at(address: usize) {
    write_sysreg!("vbar_el1", address as u64);
    // SAFETY: takes an exception; the caller knows what is there.
    unsafe { core::arch::asm!("svc #0", options(nostack)) };
}

fn fault(frame: &mut Frame, vector: u64) {
    let resume = faulted([
        vector,
        read_sysreg!("esr_el1"),
        read_sysreg!("far_el1"),
        frame.elr,
        frame.spsr,
    ]);
    match resume {
        Resume::Never => fatal(frame, vector),
        Resume::Next => frame.elr += 4,
        Resume::Link => frame.elr = frame.x[30],
        Resume::User => {
            frame.elr = guest_leave_user as *const () as u64;
            // EL1 with its own stack pointer; interrupts of group 1 may come, as before.
            frame.spsr = 0x345;
        }
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
    firmware::off()
}
