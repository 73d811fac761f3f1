//! The firmware: PSCI, where the machine has it.

use spin::Once;

use super::boot::secondary_entry;
use super::mem;
use crate::cpu::PerCpu;
use crate::drivers::psci::{Firmware, Psci, PsciError};
use crate::drivers::uart::Uart;
use crate::image;
use crate::machine::{self, Cpu, EnableMethod, Fdt};

/// What the firmware answers.
pub type Error = PsciError;

static PSCI: Once<Psci> = Once::new();

/// Finds out how the firmware is called.
pub fn init(tree: &Fdt<'_>) {
    if let Ok(Some(psci)) = machine::psci(tree) {
        PSCI.call_once(|| Psci::new(Firmware::new(psci.conduit)));
    }
}

/// A console by way of the firmware: there is none.
pub fn console() -> Option<Uart> {
    None
}

/// Powers the machine off. Returns if there is no firmware, or if it fails. PSCI has no place for
/// a status.
pub fn off(_status: u8) -> Option<Error> {
    PSCI.get().map(Psci::system_off)
}

/// Resets the machine. Returns as [`off`] does.
pub fn reset() -> Option<Error> {
    PSCI.get().map(Psci::system_reset)
}

/// Starts a CPU, with `data` prepared for it. `None`: its device tree node doesn't say `psci`, or
/// there is no PSCI.
///
/// # Safety
/// `data` has all that boot code needs: stacks and the root table. It is that CPU's alone.
pub unsafe fn start_cpu(cpu: &Cpu, data: &'static PerCpu) -> Option<Result<(), Error>> {
    let psci = PSCI
        .get()
        .filter(|_| cpu.enable_method == EnableMethod::Psci)?;
    let va = data.address();
    let context = image::to_phys(va).as_usize() as u64;
    // SAFETY: mapped: it is a static. The entry is boot code made for this; it reads this PerCpu,
    // which has just been cleaned and stays this CPU's, and the image, which the boot loader
    // cleaned and which code doesn't change.
    Some(unsafe {
        mem::clean_inv_poc(va, size_of::<PerCpu>());
        psci.cpu_on(cpu.id, secondary_entry(), context)
    })
}
