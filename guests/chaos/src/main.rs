//! A guest that does at random what no guest should, on all its CPUs at once. Its command line says
//! what: `chaos=CLASS seed=N ms=N`, a class of actions, `all` of them, `reset` for nothing but a
//! reset of its machine, or `watch` for a good neighbour that says how long it was kept from running.
//!
//! Each action is code made at run time. However it ends, `entry.s` puts the CPU in order, and
//! [`chaos_next`] chooses the next one. The CPU that finds the time over switches the machine off.
#![no_std]
#![no_main]

#[cfg(target_arch = "aarch64")]
#[path = "aarch64/mod.rs"]
mod arch;
#[cfg(target_arch = "riscv64")]
#[path = "riscv64/mod.rs"]
mod arch;
mod code;
mod options;
mod random;
mod watch;

use arch::{CLASSES, DEADLY, LOUD, REGISTERS};
use code::Code;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use guest_support::{cpu, firmware, lines, smp, timer, uart};
use options::Options;

/// A class of actions: its name on the command line, and what it does.
type Class = (&'static str, fn(&mut Code));

/// How a CPU came to its next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The last one took an exception.
    Fault,
    /// It was interrupted.
    Interrupt,
    /// It came to its end.
    Return,
    /// The CPU was started.
    Start,
    /// In another way.
    Other,
}

/// What of a CPU outlives an action.
pub struct State {
    random: AtomicU64,
    /// Which system register is next.
    sweep: AtomicU64,
    steps: AtomicU64,
    /// The registers that the last action began with.
    x: [AtomicU64; REGISTERS],
    /// How often it came in each way.
    arrivals: [AtomicU64; 5],
}

static STATES: [State; smp::MAX] = [const {
    State {
        random: AtomicU64::new(0),
        sweep: AtomicU64::new(0),
        steps: AtomicU64::new(0),
        x: [const { AtomicU64::new(0) }; REGISTERS],
        arrivals: [const { AtomicU64::new(0) }; 5],
    }
}; smp::MAX];

/// The class of actions: an index of all classes, or `usize::MAX` for any.
static CLASS: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The first CPU is spared what it may not come back from, because another does that.
static SPARE: AtomicBool = AtomicBool::new(false);
/// When to stop.
static END: AtomicU64 = AtomicU64::new(0);

#[repr(C, align(4096))]
struct Stacks([[u8; 1 << 14]; smp::MAX]);

// SAFETY: no other symbol of the guest has this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static mut chaos_stacks: Stacks = Stacks([[0; 1 << 14]; smp::MAX]);

/// This CPU's.
pub fn state() -> &'static State {
    &STATES[cpu() & (smp::MAX - 1)]
}

// SAFETY: no other symbol of the guest has this name.
#[unsafe(no_mangle)]
extern "C" fn guest_first_cpu(tree: usize, id: usize) -> ! {
    guest_support::begin(tree, id);
    let options = Options::read();
    if options.class == "watch" {
        watch::run(options.milliseconds);
        firmware::off()
    }
    uart::init();
    say(format_args!(
        "{} seed {} begins",
        options.class, options.seed
    ));
    if options.class == "reset" {
        arch::reset(options.seed);
    }
    let class = all_classes().position(|(name, _)| *name == options.class);
    CLASS.store(class.unwrap_or(usize::MAX), Ordering::SeqCst);
    for (n, state) in STATES.iter().enumerate() {
        let seed = (options.seed << 4 | n as u64) + 1;
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        state.random.store(seed, Ordering::SeqCst);
        state.sweep.store(seed >> 32, Ordering::SeqCst);
    }
    SPARE.store(smp::count() > 1, Ordering::SeqCst);
    lines::init();
    let end = timer::now() + timer::ticks(options.milliseconds);
    END.store(end, Ordering::SeqCst);
    arch::begin(id)
}

fn all_classes() -> impl Iterator<Item = &'static Class> {
    [CLASSES, DEADLY, LOUD].into_iter().flatten()
}

// SAFETY: no other symbol of the guest has this name.
#[unsafe(no_mangle)]
extern "C" fn chaos_next(how: u64) -> ! {
    let state = state();
    let steps = state.steps.fetch_add(1, Ordering::Relaxed);
    let arrival = arch::arrival(how);
    state.arrivals[arrival as usize].fetch_add(1, Ordering::Relaxed);
    match arrival {
        Arrival::Interrupt => arch::take_interrupt(),
        Arrival::Fault => code::resume(arch::fault_address()),
        _ => {}
    }
    if timer::now() > END.load(Ordering::Relaxed) {
        finish();
    }
    if steps.is_multiple_of(64) {
        arch::start_all();
    }
    let mut code = Code::new();
    class_of_step()(&mut code);
    code.run()
}

fn class_of_step() -> fn(&mut Code) {
    let all = usize::MAX;
    let chosen = CLASS.load(Ordering::Relaxed);
    let harmless = CLASSES.len();
    let deadly = harmless..harmless + DEADLY.len();
    let spared = cpu() == 0 && SPARE.load(Ordering::Relaxed) && deadly.contains(&chosen);
    let index = if chosen == all && cpu() != 0 && random::once_in(64) {
        harmless + random::below(deadly.len() as u64) as usize
    } else if chosen == all || spared {
        random::below(harmless as u64) as usize
    } else {
        chosen
    };
    all_classes().nth(index).map_or(|_| (), |(_, class)| *class)
}

fn finish() -> ! {
    static FINISHED: AtomicBool = AtomicBool::new(false);
    if FINISHED.swap(true, Ordering::SeqCst) {
        // Time for the other to say what it has to.
        guest_support::sync::wait_for(200, || false);
        firmware::off();
    }
    uart::init();
    for (n, state) in STATES.iter().enumerate() {
        let steps = state.steps.load(Ordering::Relaxed);
        if steps != 0 {
            let count = |arrival: Arrival| state.arrivals[arrival as usize].load(Ordering::Relaxed);
            say(format_args!(
                "CPU {n}: {steps} steps, {} faults, {} interrupts, {} returns, {} starts",
                count(Arrival::Fault),
                count(Arrival::Interrupt),
                count(Arrival::Return),
                count(Arrival::Start)
            ));
        }
    }
    firmware::off()
}

/// Prints a line, without a lock that a CPU could have left taken.
pub fn say(line: core::fmt::Arguments<'_>) {
    uart::print_impatiently(format_args!("chaos: {line}"));
}
