//! What an aarch64 guest sees.

mod abort;
mod debug;
mod fp;
mod gic;
mod gic_active;
mod gic_order;
mod memory;
mod mmio;
mod psci;
mod sysreg;
mod timer;
mod user;
mod wait;

use crate::Case;
use guest_support::mmio::read32;
use guest_support::{exception, gic as controller, timer as clock};

pub const AREAS: &[&[Case]] = &[
    psci::CASES,
    gic::CASES,
    gic_order::CASES,
    gic_active::CASES,
    timer::CASES,
    wait::CASES,
    mmio::CASES,
    abort::CASES,
    user::CASES,
    sysreg::CASES,
    debug::CASES,
    fp::CASES,
    memory::CASES,
];

/// Whether this is QEMU's board without a hypervisor: its distributor's GICD_IIDR.
pub fn on_board() -> bool {
    read32(controller::GICD + 8) == 0x43b
}

/// Back to what every case finds, whatever the last one left.
pub fn reset() {
    clock::stop_virtual();
    clock::stop_physical();
    exception::mask();
    gic::quiet();
    exception::on_interrupt(None, true);
    exception::forget_taken();
    exception::unmask();
}
