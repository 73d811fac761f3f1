//! Samples of a row, and the line that says what they were.

use crate::arch::hardware::{Uart, frequency, mark, now};
use core::cell::UnsafeCell;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};

/// Measures `$code`, done `$report.batch()` times, from one read of the counter to the next.
macro_rules! cost {
    ($report:expr, $name:literal, $code:expr) => {{
        let batch = $report.batch();
        $report.row($name, batch, || {
            let from = $crate::arch::hardware::now();
            for _ in 0..batch {
                $code;
            }
            $crate::arch::hardware::now() - from
        });
    }};
}

/// Runs that aren't counted, and runs that are.
pub const WARM_UP: usize = 100;
/// Runs that are counted.
pub const RUNS: usize = 1000;

/// As many CPUs as there are stacks.
pub const MAX_CPUS: usize = 2;

/// What the vectors keep for each CPU; each entry.s has the offsets.
#[repr(C, align(128))]
pub struct Cpu {
    /// When the last interrupt was taken.
    pub irq_time: AtomicU64,
    /// When it had been ended.
    pub irq_done: AtomicU64,
    /// How many were taken.
    pub irqs: AtomicU64,
    /// Which was the last, as the controller or the cause tells.
    pub intid: AtomicU64,
    /// When the last fault was taken.
    pub fault_time: AtomicU64,
    /// How many were taken.
    pub faults: AtomicU64,
    /// The register that tells the cause of the last one.
    pub cause: AtomicU64,
    /// The register of a device to write when it interrupts, or 0.
    pub quiet_address: AtomicU64,
    /// What to write there.
    pub quiet_value: AtomicU64,
}

impl Cpu {
    const fn new() -> Self {
        Self {
            irq_time: AtomicU64::new(0),
            irq_done: AtomicU64::new(0),
            irqs: AtomicU64::new(0),
            intid: AtomicU64::new(0),
            fault_time: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            cause: AtomicU64::new(0),
            quiet_address: AtomicU64::new(0),
            quiet_value: AtomicU64::new(0),
        }
    }

    /// How many interrupts this CPU took.
    #[inline(always)]
    pub fn irqs(&self) -> u64 {
        self.irqs.load(Ordering::Relaxed)
    }

    /// When it took the last one, and when it had ended it.
    pub fn times(&self) -> [u64; 2] {
        [&self.irq_time, &self.irq_done].map(|time| time.load(Ordering::Relaxed))
    }
}

// SAFETY: no other symbol of a guest has this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static bench_cpus: [Cpu; MAX_CPUS] = [const { Cpu::new() }; MAX_CPUS];

/// CPU number `n`.
pub fn cpu(n: usize) -> &'static Cpu {
    &bench_cpus[n]
}

/// Memory for the samples of a row that has up to two values.
struct Samples(UnsafeCell<[[u64; RUNS]; 2]>);

// SAFETY: only the first CPU measures.
unsafe impl Sync for Samples {}

static SAMPLES: Samples = Samples(UnsafeCell::new([[0; RUNS]; 2]));

/// Where rows go.
pub struct Report {
    uart: Uart,
    /// Instructions for each tick of the counter when the emulator counts.
    tick: u64,
    /// The number of the row: the emulator's plugin counts them too.
    row: u8,
}

impl Report {
    /// Rows are printed to `uart`.
    pub fn new(uart: Uart) -> Self {
        Self {
            uart,
            tick: (1_000_000_000 / frequency().max(1)).max(1),
            row: 0,
        }
    }

    /// How often a cheap operation is done for one sample, so that it is exact to one instruction.
    pub fn batch(&self) -> usize {
        self.tick as usize
    }

    /// Instructions, where the emulator counts, or else nanoseconds, of `ticks`.
    fn scaled(&self, ticks: u64) -> u64 {
        ticks * self.tick
    }

    /// The ticks in which that many instructions run, where the emulator counts.
    pub fn ticks(&self, instructions: u64) -> u64 {
        instructions / self.tick
    }

    /// Prints a line.
    pub fn say(&mut self, text: core::fmt::Arguments<'_>) {
        // Sending can't fail.
        let _ = self.uart.write_fmt(text);
        let _ = self.uart.write_str("\r\n");
    }

    /// Measures `name`: one call of `run` is `batch` operations and gives the ticks they took.
    #[inline(always)]
    pub fn row(&mut self, name: &str, batch: usize, mut run: impl FnMut() -> u64) {
        self.rows([name, ""], batch, || [run(), 0]);
    }

    /// Measures two values of one operation; one without a name isn't printed.
    #[inline(always)]
    pub fn rows(&mut self, names: [&str; 2], batch: usize, mut run: impl FnMut() -> [u64; 2]) {
        // What was printed is passed on before, not during, the runs.
        let end = now() + frequency() / 200;
        while now() < end {}
        let faults = cpu(0).faults.load(Ordering::Relaxed);
        self.row += 1;
        for _ in 0..WARM_UP {
            run();
        }
        // SAFETY: one CPU measures one row at a time, and nothing else refers to the samples.
        let samples = unsafe { &mut *SAMPLES.0.get() };
        mark();
        let [first, second] = samples;
        for (first, second) in first.iter_mut().zip(second.iter_mut()) {
            [*first, *second] = run();
        }
        mark();
        let faults = cpu(0).faults.load(Ordering::Relaxed) - faults;
        let number = self.row;
        for (name, samples) in names.into_iter().zip(samples) {
            if name.is_empty() {
                continue;
            }
            samples.sort_unstable();
            let [least, median, worst] = [0, RUNS / 2, RUNS - 1]
                .map(|n| (self.scaled(samples[n]) + batch as u64 / 2) / batch as u64);
            self.say(format_args!(
                "BENCH {name} {median} {worst} {least} {RUNS} {faults} {number}"
            ));
        }
    }
}
