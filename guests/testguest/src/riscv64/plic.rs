//! The PLIC (RISC-V PLIC specification 1.0). The line is the UART's: high while its transmitter is
//! empty and that interrupt is enabled.

use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::exception::{self, Resume, catch, on_interrupt, taken};
use guest_support::mmio::{read8, read32, write8, write32};
use guest_support::plic::*;
use guest_support::sync::wait_for;
use guest_support::{lines, read_csr, smp, tree, uart};

pub const CASES: &[Case] = &[
    ("plic::contexts", 1, contexts),
    ("plic::registers", 1, registers),
    ("plic::source_0", 1, source_0),
    ("plic::out_of_range", 1, out_of_range),
    ("plic::nothing_to_claim", 1, nothing_to_claim),
    ("plic::level", 1, level),
    ("plic::level_comes_again", 1, level_comes_again),
    ("plic::line_falls", 1, line_falls),
    ("plic::in_service", 1, in_service),
    ("plic::completed_late", 1, completed_late),
    ("plic::disabled_stays_pending", 1, disabled_stays_pending),
    ("plic::priority_0", 1, priority_0),
    ("plic::threshold", 1, threshold),
    ("plic::claim_below_threshold", 1, claim_below_threshold),
    ("plic::complete_nothing", 1, complete_nothing),
    ("plic::complete_disabled", 1, complete_disabled),
    ("plic::complete_by_other_context", 2, complete_by_other),
    ("plic::route", 2, route),
    ("plic::claimed_once", 2, claimed_once),
    ("plic::highest_priority_first", 1, highest_priority_first),
    ("plic::lowest_number_first", 1, lowest_number_first),
];

/// The UART's source.
pub const UART: u32 = 10;
const IER: usize = uart::BASE + 1;
/// Transmitter empty.
const THRI: u8 = 2;

/// The highest priority, as written ones are cut to it.
const HIGHEST: u32 = 7;

/// All sources off for all CPUs, and nothing claimed.
pub fn quiet() {
    for n in 0..smp::count() {
        for word in 0..3 {
            write32(enable_register(context(n), word * 32), 0);
        }
        set_threshold(n, 0);
    }
    // What a case claimed and didn't complete; that needs an enabled source.
    set_enabled(0, UART, true);
    complete(0, UART);
    set_enabled(0, UART, false);
    set_priority(UART, 1);
    // A request that waits is taken.
    exception::mask();
    set_enabled(0, UART, true);
    if claim(0) == UART {
        complete(0, UART);
    }
    set_enabled(0, UART, false);
}

/// The line goes up, or down.
fn set_line(up: bool) {
    // What was printed has left.
    wait_for(100, || read8(uart::BASE + 5) & 0x60 == 0x60);
    write8(IER, 0);
    if up {
        write8(IER, THRI);
    }
}

fn fall(_: u32) {
    write8(IER, 0);
}

/// How often this CPU took it, after giving what is on its way time to come.
fn settled(cpu: usize) -> u64 {
    wait_for(2, || false);
    taken(cpu, UART)
}

fn external_pending() -> bool {
    read_csr!("sip") & 1 << 9 != 0
}

/// The board looks at a line when it changes, and at its registers when some of them are written:
/// what it should notice besides, it may not.
macro_rules! comes {
    ($condition:expr) => {{
        let came = wait_for(if crate::on_board() { 10 } else { 1000 }, || $condition);
        skip!(
            crate::on_board() && !came,
            "the board doesn't look at the line again"
        );
        check!(came);
    }};
}

/// Kernels that read no device tree have them compiled in: two for each hart, the second is S-mode's.
fn contexts() -> Outcome {
    for n in 0..smp::count() {
        let expected = 2 * smp::id(n) as usize + 1;
        check!(context(n) == expected, n = n, context = context(n));
    }
    Ok(())
}

/// Priorities and thresholds have fields of the same size, from 0 to some maximum; enables are
/// bits.
fn registers() -> Outcome {
    for priority in 0..=HIGHEST {
        set_priority(UART, priority);
        check!(
            read32(priority_register(UART)) == priority,
            priority = priority
        );
        set_threshold(0, priority);
        check!(
            read32(threshold_register(context(0))) == priority,
            priority = priority
        );
    }
    set_threshold(0, 0);
    let address = enable_register(context(0), UART);
    write32(address, 1 << UART);
    check!(read32(address) == 1 << UART);
    write32(address, 0);
    check!(read32(address) == 0);
    check!(read32(pending_register(UART)) & 1 << UART == 0);
    // Pending bits can't be written.
    write32(pending_register(UART), u32::MAX);
    check!(!is_pending(UART));
    Ok(())
}

/// There is none: its priority and bits are zero.
fn source_0() -> Outcome {
    write32(priority_register(0), HIGHEST);
    check!(read32(pending_register(0)) & 1 == 0);
    let enables = enable_register(context(0), 0);
    write32(enables, 1);
    let [priority, enabled] = [read32(priority_register(0)), read32(enables)];
    write32(enables, 0);
    skip!(
        crate::on_board() && (priority != 0 || enabled != 0),
        "the board remembers what it is told of source 0"
    );
    check!(
        priority == 0 && enabled == 0,
        priority = priority,
        enabled = enabled
    );
    Ok(())
}

/// What isn't there reads as zero, or can't be reached, and does no harm.
fn out_of_range() -> Outcome {
    let last = 15871;
    for address in [
        BASE + 0x1080,
        pending_register(1023),
        enable_register(context(0), 1023),
        enable_register(last, 31),
        threshold_register(last),
        claim_register(last),
        threshold_register(context(0)) + 8,
        BASE + 0x1f_fffc,
        BASE + 0x3ff_fffc,
    ] {
        let mut value = 0;
        catch(Resume::Next, || write32(address, 0xffff_ffff));
        let fault = catch(Resume::Next, || value = read32(address));
        check!(
            fault.is_none_or(|f| f.cause == 5 && f.value == address as u64),
            address = address,
            fault = fault
        );
        check!(
            fault.is_some() || value == 0,
            address = address,
            value = value
        );
    }
    check!(settled(0) == 0 && !external_pending());
    Ok(())
}

fn nothing_to_claim() -> Outcome {
    lines::enable(UART);
    check!(claim(0) == 0);
    check!(!is_pending(UART) && !external_pending());
    Ok(())
}

/// One interrupt for one rise, while the handler makes the line fall.
fn level() -> Outcome {
    on_interrupt(Some(fall), true);
    lines::enable(UART);
    for round in 1..=20 {
        set_line(true);
        check!(wait_for(1000, || taken(0, UART) == round), round = round);
    }
    check!(settled(0) == 20);
    check!(taken(0, lines::SPURIOUS) == 0);
    Ok(())
}

/// A line that is high still is looked at again when the interrupt is completed.
fn level_comes_again() -> Outcome {
    on_interrupt(
        Some(|line| {
            if taken(0, line) >= 5 {
                fall(line);
            }
        }),
        true,
    );
    lines::enable(UART);
    set_line(true);
    comes!(taken(0, UART) == 5);
    check!(settled(0) == 5);
    Ok(())
}

/// A request that the gateway let through stays, although the line has fallen (chapter 3).
fn line_falls() -> Outcome {
    exception::mask();
    lines::enable(UART);
    set_line(true);
    check!(wait_for(1000, || is_pending(UART)));
    set_line(false);
    skip!(
        crate::on_board() && !is_pending(UART),
        "the board's pending bit follows the line"
    );
    check!(is_pending(UART) && external_pending());
    check!(claim(0) == UART);
    check!(!is_pending(UART) && !external_pending());
    complete(0, UART);
    wait_for(2, || false);
    check!(!is_pending(UART) && !external_pending());
    Ok(())
}

/// Between claim and completion the source doesn't interrupt, and nothing is there to claim.
fn in_service() -> Outcome {
    exception::mask();
    lines::enable(UART);
    set_line(true);
    check!(wait_for(1000, external_pending));
    check!(claim(0) == UART);
    check!(!external_pending());
    check!(claim(0) == 0);
    wait_for(2, || false);
    check!(!external_pending());
    complete(0, UART);
    comes!(external_pending());
    check!(claim(0) == UART);
    set_line(false);
    complete(0, UART);
    check!(!external_pending());
    Ok(())
}

/// The completion may come after the handler.
fn completed_late() -> Outcome {
    on_interrupt(None, false);
    lines::enable(UART);
    set_line(true);
    check!(wait_for(1000, || taken(0, UART) == 1));
    check!(settled(0) == 1);
    on_interrupt(Some(fall), true);
    complete(0, UART);
    comes!(taken(0, UART) == 2);
    check!(settled(0) == 2);
    Ok(())
}

fn disabled_stays_pending() -> Outcome {
    on_interrupt(Some(fall), true);
    set_priority(UART, 1);
    set_line(true);
    check!(wait_for(1000, || is_pending(UART)));
    check!(!external_pending() && claim(0) == 0);
    check!(settled(0) == 0);
    set_enabled(0, UART, true);
    comes!(taken(0, UART) == 1);
    Ok(())
}

/// "Never interrupt."
fn priority_0() -> Outcome {
    on_interrupt(Some(fall), true);
    set_enabled(0, UART, true);
    set_priority(UART, 0);
    set_line(true);
    check!(wait_for(1000, || is_pending(UART)));
    check!(settled(0) == 0 && !external_pending());
    check!(claim(0) == 0);
    set_priority(UART, 1);
    check!(wait_for(1000, || taken(0, UART) == 1));
    Ok(())
}

/// Masks all priorities up to and including itself.
fn threshold() -> Outcome {
    on_interrupt(Some(fall), true);
    lines::enable(UART);
    let mut count = 0;
    for (priority, threshold) in [(1, 0), (1, 1), (3, 2), (3, 3), (3, 7), (7, 6), (7, 7)] {
        set_priority(UART, priority);
        set_threshold(0, threshold);
        set_line(true);
        check!(wait_for(1000, || is_pending(UART) || taken(0, UART) > count));
        if priority > threshold {
            count += 1;
            check!(
                wait_for(1000, || taken(0, UART) == count),
                priority = priority
            );
        } else {
            check!(
                settled(0) == count && !external_pending(),
                priority = priority
            );
            set_threshold(0, priority - 1);
            count += 1;
            check!(
                wait_for(1000, || taken(0, UART) == count),
                priority = priority
            );
        }
    }
    Ok(())
}

/// A claim doesn't look at the threshold (chapter 9).
fn claim_below_threshold() -> Outcome {
    lines::enable(UART);
    set_threshold(0, HIGHEST);
    set_line(true);
    check!(wait_for(1000, || is_pending(UART)));
    check!(!external_pending());
    let claimed = claim(0);
    skip!(
        crate::on_board() && claimed == 0,
        "the board's threshold masks claims too"
    );
    check!(claimed == UART, claimed = claimed);
    set_line(false);
    complete(0, UART);
    Ok(())
}

/// Completions of what isn't claimed, or isn't there, are ignored.
fn complete_nothing() -> Outcome {
    on_interrupt(Some(fall), true);
    lines::enable(UART);
    for source in [0, 1, UART, 95, 96, 1023, 1024, u32::MAX] {
        complete(0, source);
    }
    check!(settled(0) == 0 && !external_pending());
    set_line(true);
    check!(wait_for(1000, || taken(0, UART) == 1));
    check!(settled(0) == 1);
    Ok(())
}

/// So is one of a source that isn't enabled for the context (chapter 10).
fn complete_disabled() -> Outcome {
    exception::mask();
    lines::enable(UART);
    set_line(true);
    check!(wait_for(1000, external_pending));
    check!(claim(0) == UART);
    set_enabled(0, UART, false);
    complete(0, UART);
    set_enabled(0, UART, true);
    wait_for(1, || false);
    skip!(
        crate::on_board() && external_pending(),
        "the board takes any completion"
    );
    check!(!external_pending() && !is_pending(UART));
    complete(0, UART);
    comes!(external_pending());
    Ok(())
}

fn complete_by_other() -> Outcome {
    exception::mask();
    lines::enable(UART);
    set_line(true);
    check!(wait_for(1000, external_pending));
    check!(claim(0) == UART);
    complete(1, UART);
    wait_for(1, || false);
    skip!(
        crate::on_board() && external_pending(),
        "the board takes any completion"
    );
    check!(!external_pending() && !is_pending(UART));
    complete(0, UART);
    comes!(external_pending());
    Ok(())
}

fn nothing() {}

fn route() -> Outcome {
    check!(smp::run(1, nothing));
    on_interrupt(Some(fall), true);
    for round in 1..=5 {
        for to in [1, 0] {
            lines::enable_for(UART, to);
            set_line(true);
            check!(
                wait_for(1000, || taken(to, UART) == round),
                round = round,
                to = to
            );
            // Behind its handler: completed for a context that it isn't enabled for any more, the
            // source would not come again.
            check!(smp::run(1, nothing));
        }
    }
    check!(settled(0) == 5 && settled(1) == 5);
    Ok(())
}

/// Enabled for all, it interrupts all, and one of them gets it.
fn claimed_once() -> Outcome {
    static TOTAL: AtomicU64 = AtomicU64::new(0);
    TOTAL.store(0, Ordering::SeqCst);
    let cpus = smp::count();
    for n in 1..cpus {
        check!(smp::run(n, nothing), n = n);
    }
    on_interrupt(
        Some(|line| {
            if line == UART {
                fall(line);
                TOTAL.fetch_add(1, Ordering::SeqCst);
            }
        }),
        true,
    );
    set_priority(UART, 1);
    for n in 0..cpus {
        set_enabled(n, UART, true);
    }
    for round in 1..=20 {
        set_line(true);
        check!(
            wait_for(1000, || TOTAL.load(Ordering::SeqCst) >= round),
            round = round
        );
        wait_for(1, || false);
        let total = TOTAL.load(Ordering::SeqCst);
        check!(total == round, total = total, round = round);
    }
    Ok(())
}

/// A second source: the board's clock, whose alarm is in the past.
struct Alarm {
    base: usize,
    source: u32,
}

impl Alarm {
    fn find() -> Option<Self> {
        let is_clock = |p: &tree::Property| {
            p.name == "compatible" && p.texts().any(|name| name == "google,goldfish-rtc")
        };
        let node = tree::properties().find(is_clock)?.node;
        let of = |name| tree::properties().find(move |p| p.node == node && p.name == name);
        Some(Self {
            base: of("reg")?.cell(4) as usize,
            source: of("interrupts")?.cell(0),
        })
    }

    /// The line goes up (goldfish RTC: IRQ_ENABLED, ALARM_HIGH, ALARM_LOW).
    fn ring(&self) {
        write32(self.base + 0x10, 1);
        write32(self.base + 0xc, 0);
        write32(self.base + 0x8, 1);
    }

    /// The line falls (CLEAR_INTERRUPT).
    fn clear(&self) {
        write32(self.base + 0x1c, 1);
        write32(self.base + 0x10, 0);
    }
}

/// Both sources pend; claims give them in the order of `priorities`, the UART's first.
fn claim_order(priorities: [u32; 2], uart_first: bool) -> Outcome {
    let alarm = Alarm::find();
    let Some(alarm) = alarm else {
        skip!(true, "there is no second source");
        return Ok(());
    };
    exception::mask();
    lines::enable(UART);
    lines::enable(alarm.source);
    set_priority(UART, priorities[0]);
    set_priority(alarm.source, priorities[1]);
    set_line(true);
    alarm.ring();
    let both = wait_for(1000, || is_pending(UART) && is_pending(alarm.source));
    let claimed = [claim(0), claim(0), claim(0)];
    set_line(false);
    alarm.clear();
    complete(0, UART);
    complete(0, alarm.source);
    set_enabled(0, alarm.source, false);
    check!(both);
    let mut order = [UART, alarm.source, 0];
    if !uart_first {
        order.swap(0, 1);
    }
    check!(claimed == order, claimed = claimed);
    check!(!external_pending());
    Ok(())
}

fn highest_priority_first() -> Outcome {
    claim_order([2, 1], true)?;
    claim_order([6, 7], false)
}

/// Of equal priorities.
fn lowest_number_first() -> Outcome {
    claim_order([3, 3], true)
}
