//! Exceptions that the hypervisor takes from itself.

use core::arch::{asm, global_asm};
use core::mem::offset_of;

use crate::cpu::PerCpu;
use crate::{console, fault, image, paging};

/// What vectors.S saves of the place that failed.
#[repr(C)]
struct FatalFrame {
    /// x0 to x30, and the stack pointer.
    registers: [usize; 32],
    elr: usize,
    spsr: usize,
    esr: usize,
    far: usize,
    slot: usize,
    _padding: usize,
}

global_asm!(
    include_str!("vectors.S"),
    percpu_emergency = const offset_of!(PerCpu, emergency),
    percpu_serror = const offset_of!(PerCpu, trap),
    frame_size = const size_of::<FatalFrame>(),
    irq = sym irq,
    fatal = sym fatal,
);

unsafe extern "Rust" {
    /// `axhal::entry!` makes it.
    safe fn axhv_irq();
}

extern "C" fn irq() {
    fault::check();
    axhv_irq();
}

extern "C" fn fatal(frame: &FatalFrame) -> ! {
    fault::stop(|| dump(frame), Some(frame.elr), frame.registers[29])
}

fn dump(frame: &FatalFrame) {
    let kind = ["synchronous exception", "interrupt", "FIQ", "SError"][frame.slot % 4];
    let from = [
        "EL2 with SP_EL0",
        "EL2",
        "a lower EL",
        "a lower EL in AArch32",
    ][frame.slot / 4 % 4];
    console::write(format_args!("hypervisor fault: {kind} from {from}"));
    // EC: an abort taken from this EL, with DFSC saying translation fault.
    let class = frame.esr >> 26 & 0x3f;
    let far = frame.far;
    if class == 0x25 && (paging::is_stack_area(far) || image::is_boot_guard(far)) {
        console::write(format_args!(" (stack overflow)"));
    }
    console::write(format_args!(
        "\nesr {:#018x} far {:#018x} elr {:#018x} spsr {:#x}\n",
        frame.esr, frame.far, frame.elr, frame.spsr
    ));
    for (number, value) in frame.registers.iter().enumerate() {
        let end = if number % 4 == 3 { '\n' } else { ' ' };
        match number {
            31 => console::write(format_args!("sp  {value:#018x}{end}")),
            _ => console::write(format_args!("x{number:<2} {value:#018x}{end}")),
        }
    }
}

/// The frame pointer of whoever calls this.
#[inline(always)]
pub fn frame_pointer() -> usize {
    let value: usize;
    // SAFETY: reading a register.
    unsafe { asm!("mov {}, x29", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Return addresses, from the frame record at `frame` outwards. Whatever the stack holds, only
/// what is mapped is read, and each record is above the one before.
pub fn backtrace(mut frame: usize) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let record = frame;
        if record == 0 || !record.is_multiple_of(16) || !paging::is_memory(record) {
            return None;
        }
        let record = core::ptr::with_exposed_provenance::<[usize; 2]>(record);
        // SAFETY: mapped, and aligned so that all 16 bytes are on one page. On a stack of the
        // hypervisor nothing that matters is read wrongly: any bytes are good integers.
        let [next, address] = unsafe { record.read_volatile() };
        frame = if next > frame { next } else { 0 };
        (address != 0).then_some(address)
    })
}
