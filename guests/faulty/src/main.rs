//! A guest that faults on purpose: its exception vectors lie where nothing is, and then it takes an
//! exception. The abort of the handler's fetch has the same handler, so no instruction is ever
//! executed again. A machine would hang; a hypervisor has to notice. Its virtual timer is armed then.
#![no_std]
#![no_main]

use guest_support::exception::mask;
use guest_support::map::NO_MEMORY;
use guest_support::sync::wait_for;
use guest_support::timer::arm_virtual;
use guest_support::{println, write_sysreg};

guest_support::guest!(main);

fn main() {
    println!("faulty: faults in a moment");
    // Time for its neighbours to be busy.
    wait_for(300, || false);
    mask();
    // It would fire when the guest is gone.
    arm_virtual(1000);
    write_sysreg!("vbar_el1", NO_MEMORY as u64);
    // SAFETY: takes an exception, and there is no way back.
    unsafe { core::arch::asm!("svc #0", options(nostack)) };
    println!("faulty: came back");
}
