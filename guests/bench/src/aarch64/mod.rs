//! aarch64: with vectors that do no more than a measurement needs.

#[macro_use]
pub mod hardware;
mod machine;
mod rows;

use crate::measure::{MAX_CPUS, Report};
use crate::pair;
use core::sync::atomic::{AtomicUsize, Ordering};
use hardware::{Uart, hvc};

core::arch::global_asm!(include_str!("entry.s"), options(raw));

const CPU_ON: u64 = 0xc400_0003;
const AFFINITY_INFO: u64 = 0xc400_0004;

/// The device tree, for the second CPU.
static TREE: AtomicUsize = AtomicUsize::new(0);

const STACK_SIZE: usize = 1 << 15;

#[repr(C, align(4096))]
struct Stacks([[u8; STACK_SIZE]; MAX_CPUS]);

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static mut bench_stacks: Stacks = Stacks([[0; STACK_SIZE]; MAX_CPUS]);

#[repr(C, align(4096))]
struct Table([u64; 512]);

/// The identity map in blocks of 1 GiB: the first is device memory, execute-never, the others are
/// normal memory (Arm ARM, D8.3: AF, inner shareable, attributes 1 and 0 of MAIR).
const fn identity() -> Table {
    let mut table = Table([0; 512]);
    let mut n = 0;
    while n < 512 {
        let kind = if n == 0 { 1 << 2 | 3 << 53 } else { 0 };
        table.0[n] = (n as u64) << 30 | 1 | 1 << 10 | 3 << 8 | kind;
        n += 1;
    }
    table
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static bench_map: Table = identity();

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
extern "C" fn bench_first_cpu(device_tree: usize, virtual_count: u64, physical_count: u64) -> ! {
    TREE.store(device_tree, Ordering::Relaxed);
    let machine = machine::read(device_tree);
    // CR of a PL011; Xen's model has none, and ignores it.
    hardware::write32(machine.uart() + 0x30, 0x301);
    hardware::init_gic(&machine, 0);
    hardware::unmask();
    let mut report = Report::new(Uart(machine.uart()));
    report.say(format_args!(
        "BENCH-START count {virtual_count} physical {physical_count} frequency {} uart {:#x} gicd {:#x}",
        read_sysreg!("cntfrq_el0"),
        machine.uart(),
        machine.gicd
    ));
    crate::run(&mut report, machine.args, |report| {
        rows::measure(report, &machine);
    });
    hardware::system_off()
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
extern "C" fn bench_broken(vector: u64) -> ! {
    let mut report = Report::new(Uart(machine::read(0).uart()));
    report.say(format_args!(
        "BENCH-BROKEN vector {vector} ESR {:#x} FAR {:#x} ELR {:#x}",
        read_sysreg!("esr_el1"),
        read_sysreg!("far_el1"),
        read_sysreg!("elr_el1")
    ));
    hardware::system_off()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut report = Report::new(Uart(machine::read(0).uart()));
    report.say(format_args!("BENCH-BROKEN {info}"));
    hardware::system_off()
}

unsafe extern "C" {
    fn bench_secondary_entry();
}

/// Whether there is a second CPU.
pub fn has_second() -> bool {
    hvc(AFFINITY_INFO, [1, 0, 0]) >= 0
}

/// Starts the second CPU: it goes to [`pair::serve`].
pub fn start_second() {
    hvc(CPU_ON, [1, bench_secondary_entry as *const () as u64, 1]);
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
extern "C" fn bench_other_cpu(number: usize) -> ! {
    hardware::init_gic(&machine::read(TREE.load(Ordering::Relaxed)), number);
    hardware::unmask();
    pair::serve(number)
}
