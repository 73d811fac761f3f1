//! riscv64: guest_support's machine, with a trap handler that does no more than a measurement needs.
//! The counter is `cycle`, which the emulator lets be the number of instructions.

pub mod hardware;
mod rows;

use crate::measure::{MAX_CPUS, Report, cpu};
use crate::pair;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{mask, unmask};
use guest_support::{firmware, plic, smp, tree, uart, write_csr};
use hardware::Uart;

core::arch::global_asm!(include_str!("entry.s"), options(raw));

/// The address of the first hart's claim register.
// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static bench_claim: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn bench_trap();
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
extern "C" fn guest_first_cpu(device_tree: usize, id: usize, time: u64) -> ! {
    guest_support::begin(device_tree, id);
    uart::init();
    hardware::begin();
    let claim = plic::claim_register(plic::context(0));
    bench_claim.store(claim as u64, Ordering::Relaxed);
    plic::set_threshold(0, 0);
    take_over(0);
    let mut report = Report::new(Uart);
    report.say(format_args!(
        "BENCH-START count {time} physical {} frequency {} uart {:#x} plic {:#x}",
        hardware::count_at(time),
        hardware::frequency(),
        uart::BASE,
        plic::BASE
    ));
    let line = tree::find("bootargs").map_or("", |property| property.text());
    crate::run(&mut report, line, rows::measure);
    firmware::off()
}

/// From now on traps of this hart are measured.
fn take_over(number: usize) {
    mask();
    write_csr!("sscratch", core::ptr::from_ref(cpu(number)) as u64);
    write_csr!("stvec", bench_trap as *const () as u64);
    // Software and external interrupts; the timer's when it is set.
    write_csr!("sie", 1 << 1 | 1 << 9);
    unmask();
}

/// Whether there is a second CPU.
pub fn has_second() -> bool {
    smp::count() > 1
}

/// Starts the second CPU: it goes to [`pair::serve`].
pub fn start_second() {
    const { assert!(MAX_CPUS == 2) };
    smp::give(1, || {
        take_over(1);
        pair::serve(1)
    });
}
