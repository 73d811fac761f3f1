//! The trap handler's other half.

use super::{cpu, firmware, lines, plic, smp};
use crate::exception::{Resume, catch, faulted, took};

/// The registers of what was interrupted, as the handler saves them.
#[repr(C)]
#[derive(Debug)]
pub struct Frame {
    /// x0 to x31; x0 isn't kept.
    pub x: [u64; 32],
    /// `sepc`.
    pub pc: u64,
    /// `sstatus`.
    pub status: u64,
}

/// A fault that a case expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `scause`.
    pub cause: u64,
    /// `stval`.
    pub value: u64,
    /// `sepc`.
    pub pc: u64,
    /// `sstatus`.
    pub status: u64,
}

impl From<[u64; 5]> for Fault {
    fn from([cause, value, pc, status, _]: [u64; 5]) -> Self {
        Self {
            cause,
            value,
            pc,
            status,
        }
    }
}

/// Exception codes (privileged ISA, table "scause values").
impl Fault {
    /// Instruction access fault.
    pub const FETCH: u64 = 1;
    /// Illegal instruction.
    pub const ILLEGAL: u64 = 2;
    /// Breakpoint.
    pub const BREAKPOINT: u64 = 3;
    /// Load address misaligned.
    pub const LOAD_MISALIGNED: u64 = 4;
    /// Load access fault.
    pub const LOAD: u64 = 5;
    /// Store/AMO address misaligned.
    pub const STORE_MISALIGNED: u64 = 6;
    /// Store/AMO access fault.
    pub const STORE: u64 = 7;
    /// Environment call from U-mode.
    pub const USER_CALL: u64 = 8;
    /// Instruction page fault.
    pub const FETCH_PAGE: u64 = 12;
    /// Load page fault.
    pub const LOAD_PAGE: u64 = 13;
    /// Store/AMO page fault.
    pub const STORE_PAGE: u64 = 15;
}

const INTERRUPT: u64 = 1 << 63;
const SOFTWARE: u64 = 1;
const EXTERNAL: u64 = 9;
/// SPIE of `sstatus`.
const SPIE: u64 = 1 << 5;
/// SPP of `sstatus`.
const SPP: u64 = 1 << 8;

unsafe extern "C" {
    fn guest_enter_user(pc: u64, argument: u64) -> u64;
    fn guest_leave_user();
}

/// Lets interrupts in.
#[inline]
pub fn unmask() {
    // SAFETY: the handler keeps all registers.
    unsafe { core::arch::asm!("csrsi sstatus, 2", options(nostack)) };
}

/// Keeps interrupts out.
#[inline]
pub fn mask() {
    // SAFETY: nothing depends on interrupts being taken.
    unsafe { core::arch::asm!("csrci sstatus, 2", options(nostack)) };
}

/// Waits for an interrupt, which is taken only where they are let in.
#[inline]
pub fn wait() {
    // SAFETY: a hint.
    unsafe { core::arch::asm!("wfi", options(nostack)) };
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
extern "C" fn guest_exception(frame: &mut Frame, cause: u64) {
    match cause & !INTERRUPT {
        _ if cause & INTERRUPT == 0 => fault(frame, cause),
        EXTERNAL => external(),
        SOFTWARE => {
            clear_csr!("sip", 1 << SOFTWARE);
            if !smp::was_call() {
                took(lines::IPI);
            }
        }
        other => {
            took(lines::LOCAL + other as u32);
        }
    }
}

fn external() {
    let source = plic::claim(cpu());
    if took(source) {
        plic::complete(cpu(), source);
    }
}

/// Runs the code at `pc`, as U-mode sees it, with a0 `argument`, until it takes an exception. What
/// it left in a0, and the exception.
pub fn run_user(pc: u64, argument: u64) -> (u64, Option<Fault>) {
    let mut result = 0;
    let fault = catch(Resume::User, || {
        // SAFETY: code in U-mode reaches only what it names; the function returns as a call does.
        result = unsafe { guest_enter_user(pc, argument) };
    });
    (result, fault)
}

/// Takes an exception whose handler lies at `address`.
pub fn fault_with_handler_at(address: usize) {
    write_csr!("stvec", address as u64);
    // SAFETY: takes an exception; the caller knows what is there.
    unsafe { core::arch::asm!("ebreak", options(nostack)) };
}

fn fault(frame: &mut Frame, cause: u64) {
    let value = read_csr!("stval");
    match faulted([cause, value, frame.pc, frame.status, 0]) {
        Resume::Never => fatal(frame, cause, value),
        Resume::Next => frame.pc += length(frame.pc),
        Resume::Link => frame.pc = frame.x[1],
        Resume::User => {
            frame.pc = guest_leave_user as *const () as u64;
            frame.status |= SPP | SPIE;
            // The stack lies behind this frame.
            frame.x[2] = (&raw const *frame).wrapping_add(1) as u64;
            frame.x[4] = cpu() as u64;
        }
    }
}

/// The length of the instruction at `pc`, which was fetched already.
fn length(pc: u64) -> u64 {
    // SAFETY: the instruction was executed, so its address can be read.
    let parcel = unsafe { (pc as *const u16).read() };
    if parcel & 3 == 3 { 4 } else { 2 }
}

fn fatal(frame: &Frame, cause: u64, value: u64) -> ! {
    println!(
        "GUEST FAULT: CPU {} scause {cause} stval {value:#x} sepc {:#x} sstatus {:#x}",
        cpu(),
        frame.pc,
        frame.status
    );
    firmware::off()
}
