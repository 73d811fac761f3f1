//! Traps of the hypervisor itself.

use core::arch::{asm, global_asm};
use core::mem::offset_of;

use super::regs;
use crate::cpu::PerCpu;
use crate::{console, fault, image, paging};

/// What vectors.S saves of the place that failed.
#[repr(C)]
struct FatalFrame {
    /// The program counter, then x1 to x31.
    registers: [usize; 32],
    sstatus: usize,
    scause: usize,
    stval: usize,
    _padding: usize,
}

global_asm!(
    include_str!("vectors.S"),
    percpu_emergency = const offset_of!(PerCpu, emergency),
    percpu_trap = const offset_of!(PerCpu, trap),
    frame_size = const size_of::<FatalFrame>(),
    sstatus_return = const regs::SSTATUS_RETURN,
    hstatus_spv = const regs::HSTATUS_SPV,
    irq = sym irq,
    fatal = sym fatal,
);

// Its address means something, not what it holds.
unsafe extern "C" {
    safe static axhal_trap_vector: u8;
}

unsafe extern "Rust" {
    /// `axhal::entry!` makes it.
    safe fn axhv_irq();
}

/// What `stvec` holds in the hypervisor: the address of its vector, in direct mode.
#[inline]
pub fn vector() -> usize {
    (&raw const axhal_trap_vector).addr()
}

extern "C" fn irq() {
    fault::check();
    axhv_irq();
}

extern "C" fn fatal(frame: &FatalFrame) -> ! {
    fault::stop(|| dump(frame), Some(frame.registers[0]), frame.registers[8])
}

/// The names of x0 to x31 by the calling convention; the first place has the program counter.
const NAMES: [&str; 32] = [
    "pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
    "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5",
    "t6",
];

/// What `scause` says (privileged ISA, table 39).
fn exception(scause: usize) -> &'static str {
    match scause {
        0 => "instruction address misaligned",
        1 => "instruction access fault",
        2 => "illegal instruction",
        3 => "breakpoint",
        4 => "load address misaligned",
        5 => "load access fault",
        6 => "store address misaligned",
        7 => "store access fault",
        12 => "instruction page fault",
        13 => "load page fault",
        15 => "store page fault",
        20 => "instruction guest-page fault",
        21 => "load guest-page fault",
        22 => "virtual instruction",
        23 => "store guest-page fault",
        _ => "exception",
    }
}

fn dump(frame: &FatalFrame) {
    let (scause, stval) = (frame.scause, frame.stval);
    console::write(format_args!("hypervisor fault: {}", exception(scause)));
    let page_fault = matches!(scause, 13 | 15);
    if page_fault && (paging::is_stack_area(stval) || image::is_boot_guard(stval)) {
        console::write(format_args!(" (stack overflow)"));
    }
    console::write(format_args!(
        "\nscause {scause:#018x} stval {stval:#018x} sepc {:#018x} sstatus {:#x}\n",
        frame.registers[0], frame.sstatus
    ));
    for (number, (name, value)) in NAMES.iter().zip(&frame.registers).enumerate() {
        let end = if number % 4 == 3 { '\n' } else { ' ' };
        console::write(format_args!("{name:<3} {value:#018x}{end}"));
    }
}

/// The frame pointer of whoever calls this.
#[inline(always)]
pub fn frame_pointer() -> usize {
    let value: usize;
    // SAFETY: reading a register.
    unsafe { asm!("mv {}, s0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Return addresses, from the frame that ends at `frame` outwards: the two words below it are the
/// caller's frame pointer and the return address (RISC-V ABIs, "Frame Pointer Convention").
/// Whatever the stack holds, only what is mapped is read, and each record is above the one before.
pub fn backtrace(mut frame: usize) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let record = frame.checked_sub(16)?;
        if !record.is_multiple_of(16) || !paging::is_memory(record) {
            return None;
        }
        let at = core::ptr::with_exposed_provenance::<[usize; 2]>(record);
        // SAFETY: mapped, and aligned so that all 16 bytes are on one page. On a stack of the
        // hypervisor nothing that matters is read wrongly: any bytes are good integers.
        let [next, address] = unsafe { at.read_volatile() };
        frame = if next > frame { next } else { 0 };
        (address != 0).then_some(address)
    })
}
