//! What a riscv64 guest sees.

mod abort;
mod dbcn;
mod fp;
mod hsm;
mod ipi;
mod legacy;
mod memory;
mod mmio;
mod plic;
mod rfence;
mod sbi;
mod sysreg;
mod timer;
mod user;
mod wait;

use crate::Case;
use guest_support::mmio::{read8, write8};
use guest_support::{exception, sbi as firmware, timer as clock, uart, write_csr};

pub const AREAS: &[&[Case]] = &[
    sbi::CASES,
    hsm::CASES,
    ipi::CASES,
    rfence::CASES,
    dbcn::CASES,
    legacy::CASES,
    plic::CASES,
    timer::CASES,
    wait::CASES,
    mmio::CASES,
    abort::CASES,
    user::CASES,
    sysreg::CASES,
    fp::CASES,
    memory::CASES,
];

/// Whether this is QEMU's board without a hypervisor: OpenSBI answers.
pub fn on_board() -> bool {
    firmware::is_opensbi()
}

/// Back to what every case finds, whatever the last one left.
pub fn reset() {
    exception::mask();
    clock::arm_sbi(u64::MAX);
    clock::stop();
    write8(uart::BASE + 1, 0);
    while read8(uart::BASE + 5) & 1 != 0 {
        read8(uart::BASE);
    }
    plic::quiet();
    write_csr!("sip", 0);
    write_csr!("sie", 1 << 1 | 1 << 9);
    write_csr!("scounteren", 0);
    exception::on_interrupt(None, true);
    exception::forget_taken();
    exception::unmask();
}
