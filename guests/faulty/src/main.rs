//! A guest that faults on purpose: its exception handler lies where nothing is, and then it takes an
//! exception. The abort of the handler's fetch has the same handler, so no instruction is ever
//! executed again. A machine would hang; a hypervisor has to notice. Its timer is armed then.
#![no_std]
#![no_main]

use guest_support::exception::{fault_with_handler_at, mask};
use guest_support::map::NO_MEMORY;
use guest_support::println;
use guest_support::sync::wait_for;
use guest_support::timer::arm;

guest_support::guest!(main);

fn main() {
    println!("faulty: faults in a moment");
    // Time for its neighbours to be busy.
    wait_for(300, || false);
    mask();
    // It would fire when the guest is gone.
    arm(1000);
    fault_with_handler_at(NO_MEMORY);
    println!("faulty: came back");
}
