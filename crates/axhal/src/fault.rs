//! The hypervisor's own faults: everything there is to know goes to the early console, and the
//! machine stops.
//!
//! The format is read by scripts: `build-id <hex>`, then `#N 0x<address>` for each frame, then
//! `axhv: panic` and the status.

use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::{arch, console, cpu, image, power};

/// The CPU that reports, plus one.
static REPORTER: AtomicUsize = AtomicUsize::new(0);
/// How many faults came while one was reported.
static AGAIN: AtomicUsize = AtomicUsize::new(0);
/// The inter-processor interrupt that stops the other CPUs, to be enabled on each of them. The
/// answer to it is [`park_if_stopping`](crate::park_if_stopping).
pub const STOP_SGI: u32 = 15;
/// The longest backtrace.
const MAX_FRAMES: usize = 64;

/// Does not return while another CPU reports a fault of the hypervisor: the machine is about to
/// stop. Interrupts come for this too, so whoever handles interrupts of guests asks.
pub fn check() {
    if REPORTER.load(Ordering::Relaxed) != 0 {
        park_unless_reporter();
    }
}

#[cold]
fn park_unless_reporter() {
    if REPORTER.load(Ordering::Relaxed) != cpu::index() + 1 {
        power::park();
    }
}

/// Reports and stops. `first` is the address that failed, `frame` the frame pointer there.
pub(crate) fn stop(what: impl FnOnce(), first: Option<usize>, frame: usize) -> ! {
    arch::irq::mask();
    let me = cpu::index() + 1;
    match REPORTER.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            arch::stop_others();
            report(what, first, frame);
        }
        Err(other) if other == me => match AGAIN.fetch_add(1, Ordering::Relaxed) {
            0 => console::write(format_args!(
                "\naxhv: another fault while reporting this one\n"
            )),
            _ => power::park(),
        },
        Err(_) => power::park(),
    }
    console::write(format_args!("axhv: panic\n"));
    power::off(power::STATUS_PANIC)
}

fn report(what: impl FnOnce(), first: Option<usize>, frame: usize) {
    console::write(format_args!("\n"));
    what();
    let cpu = cpu::this();
    console::write(format_args!("cpu {} (id {:#x}), ", cpu.index(), cpu.id()));
    match cpu.current() {
        Some((vm, vcpu)) => console::write(format_args!("vm {vm}, vcpu {vcpu}\n")),
        None => console::write(format_args!("no vcpu\n")),
    }
    console::write(format_args!("build-id {}\n", Hex(image::build_id())));
    let mut number = 0;
    let mut print = |address: usize| {
        console::write(format_args!("#{number} {address:#x}\n"));
        number += 1;
    };
    first.into_iter().for_each(&mut print);
    arch::trap::backtrace(frame)
        .take(MAX_FRAMES)
        .for_each(&mut print);
}

struct Hex(&'static [u8]);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    stop(
        || console::write(format_args!("{info}\n")),
        None,
        arch::trap::frame_pointer(),
    )
}
