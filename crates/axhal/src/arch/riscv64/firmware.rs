//! The firmware: SBI.

use super::boot::secondary_entry;
use crate::cpu::PerCpu;
use crate::drivers::sbi::{Sbi, SbiError};
use crate::drivers::uart::Uart;
use crate::drivers::{Ecall, FirmwareConsole};
use crate::image;
use crate::machine::{Cpu, EnableMethod, Fdt};

/// What the firmware answers.
pub type Error = SbiError;

fn sbi() -> Sbi {
    Sbi::new(Ecall)
}

/// Finds out how the firmware is called: there is one way only.
pub fn init(_tree: &Fdt<'_>) {}

/// A console by way of the firmware.
pub fn console() -> Option<Uart> {
    Some(Uart::Firmware(FirmwareConsole::find()))
}

/// Powers the machine off. Returns if it fails. The firmware is told whether it is because of a
/// failure (SBI, 10.1); it has no place for the number. What becomes of that is the firmware's:
/// OpenSBI 1.5 on QEMU's virt powers off by `syscon-poweroff`, and QEMU ends with 0 either way.
pub fn off(status: u8) -> Option<Error> {
    Some(sbi().shutdown(status != 0))
}

/// Resets the machine. Returns if it fails.
pub fn reset() -> Option<Error> {
    Some(sbi().cold_reboot())
}

/// Starts a hart, with `data` prepared for it. `None`: it can't be started this way.
///
/// # Safety
/// `data` has all that boot code needs: stacks and the root table. It is that hart's alone.
pub unsafe fn start_cpu(cpu: &Cpu, data: &'static PerCpu) -> Option<Result<(), Error>> {
    if cpu.enable_method != EnableMethod::Sbi {
        return None;
    }
    let opaque = image::to_phys(data.address()).as_usize() as u64;
    // SAFETY: the entry is boot code made for this; it reads this PerCpu, which stays this hart's.
    // Harts see the same memory with and without translation (privileged ISA, 3.6.5).
    Some(unsafe { sbi().hart_start(cpu.id, secondary_entry(), opaque) })
}
