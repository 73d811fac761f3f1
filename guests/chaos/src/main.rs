//! A guest that does at random what no guest should, on all its CPUs at once. Its command line says
//! what: `chaos=CLASS seed=N ms=N`, a class of [`actions`], `all` of them, `reset` for nothing but
//! SYSTEM_RESET, or `watch` for a good neighbour that says how long it was kept from running.
//!
//! Each action is code made at run time. However it ends, `entry.s` puts the CPU in order, and
//! [`chaos_next`] chooses the next one. The CPU that finds the time over switches the machine off.
#![no_std]
#![no_main]

mod actions;
mod code;
mod options;
mod random;
mod watch;

use code::Code;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use guest_support::mmio::{read32, write32};
use guest_support::{cpu, firmware, gic, psci, read_sysreg, smp, timer, uart};
use options::Options;

core::arch::global_asm!(include_str!("entry.s"), options(raw));

/// What of a CPU outlives an action.
pub struct State {
    random: AtomicU64,
    /// Which system register is next.
    sweep: AtomicU64,
    steps: AtomicU64,
    /// x0 to x28 of the last action.
    x: [AtomicU64; 29],
    /// How often each vector was taken; then returns and starts.
    vectors: [AtomicU64; 18],
}

static STATES: [State; smp::MAX] = [const {
    State {
        random: AtomicU64::new(0),
        sweep: AtomicU64::new(0),
        steps: AtomicU64::new(0),
        x: [const { AtomicU64::new(0) }; 29],
        vectors: [const { AtomicU64::new(0) }; 18],
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

unsafe extern "C" {
    fn chaos_entry() -> !;
}

/// Where a CPU begins.
pub fn entry() -> u64 {
    chaos_entry as *const () as u64
}

/// This CPU's.
pub fn state() -> &'static State {
    &STATES[cpu() & (smp::MAX - 1)]
}

// SAFETY: no other symbol of the guest has this name.
#[unsafe(no_mangle)]
extern "C" fn guest_first_cpu(tree: usize) -> ! {
    let options = Options::read(tree);
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
        let conduit = [psci::Conduit::Hvc, psci::Conduit::Smc][options.seed as usize % 2];
        psci::call4(conduit, psci::SYSTEM_RESET, [0; 3]);
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
    gic::init_distributor();
    gic::init_cpu();
    let end = timer::now() + timer::ticks(options.milliseconds);
    END.store(end, Ordering::SeqCst);
    // SAFETY: it never returns, and relies on nothing this function has.
    unsafe { chaos_entry() }
}

fn all_classes() -> impl Iterator<Item = &'static actions::Class> {
    [actions::CLASSES, actions::DEADLY, actions::LOUD]
        .into_iter()
        .flatten()
}

// SAFETY: no other symbol of the guest has this name.
#[unsafe(no_mangle)]
extern "C" fn chaos_next(vector: u64) -> ! {
    let state = state();
    let steps = state.steps.fetch_add(1, Ordering::Relaxed);
    if let Some(count) = state.vectors.get(vector as usize) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    if vector % 4 == 1 && vector < 16 {
        take_interrupt();
    }
    if vector == 4 {
        code::resume(read_sysreg!("elr_el1"));
    }
    if timer::now() > END.load(Ordering::Relaxed) {
        finish();
    }
    if steps.is_multiple_of(64) {
        (0..smp::MAX as u64).for_each(|n| {
            psci::call(psci::CPU_ON, [n, entry(), n]);
        });
    }
    let mut code = Code::new();
    class_of_step()(&mut code);
    code.run()
}

fn class_of_step() -> fn(&mut Code) {
    let all = usize::MAX;
    let chosen = CLASS.load(Ordering::Relaxed);
    let harmless = actions::CLASSES.len();
    let deadly = harmless..harmless + actions::DEADLY.len();
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

/// Acknowledges what came, and ends it in one way or another, or never.
fn take_interrupt() {
    let intid = gic::acknowledge();
    timer::stop_virtual();
    timer::stop_physical();
    match random::below(4) {
        0 => {}
        1 => gic::deactivate(intid),
        _ => gic::end(intid),
    }
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
            let count = |n: usize| state.vectors[n].load(Ordering::Relaxed);
            say(format_args!(
                "CPU {n}: {steps} steps, {} faults, {} interrupts, {} returns, {} starts",
                count(4),
                count(5) + count(6),
                count(16),
                count(17)
            ));
        }
    }
    firmware::off()
}

struct Uart;

impl core::fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            // It may be switched off: no wait is for ever.
            let full = || read32(uart::BASE + 0x18) & 1 << 5 != 0;
            let mut patience = 100_000;
            while full() && patience > 0 {
                patience -= 1;
            }
            write32(uart::BASE, byte.into());
        }
        Ok(())
    }
}

/// Prints a line, without a lock that a CPU could have left taken.
pub fn say(line: core::fmt::Arguments<'_>) {
    // `write_str` above doesn't fail.
    let _ = Uart.write_fmt(format_args!("chaos: {line}\r\n"));
}
