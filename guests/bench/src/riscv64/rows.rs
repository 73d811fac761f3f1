//! Rows of a vCPU that has its CPU for itself.

use super::hardware::{self, Uart, count_at, enable_timer, now, relax};
use crate::measure::{Report, cpu};
use core::arch::asm;
use core::sync::atomic::Ordering;
use guest_support::map::NO_MEMORY;
use guest_support::mmio::{read8, read32, write8, write32};
use guest_support::sbi::{self, call};
use guest_support::{plic, read_csr, smp, timer, tree, uart, write_csr};

/// Of the range for experiments, which nobody answers: KVM asks the program that runs the guest.
const UNKNOWN: u64 = 0x0800_00ff;
/// Behind all ranges that have a meaning.
const UNASSIGNED: u64 = 0x0b00_00ff;
/// Instructions from arming a timer until it fires: more than the slowest path to arm it takes.
const AHEAD: u64 = 20_000;
/// The UART's source.
const UART: u32 = 10;
const IER: usize = uart::BASE + 1;
const LSR: usize = uart::BASE + 5;

/// All of them.
pub fn measure(report: &mut Report) {
    cost!(report, "nothing", nothing());
    calls(report);
    registers(report);
    devices(report);
    faults(report);
    interrupts(report);
    timers(report);
}

/// An operation of no instructions: what is left is the cost of measuring.
#[inline(always)]
fn nothing() {}

fn calls(report: &mut Report) {
    cost!(report, "sbi_spec_version", call(sbi::BASE, 0, []));
    cost!(report, "sbi_unknown", call(UNKNOWN, 0, []));
    cost!(report, "sbi_unassigned", call(UNASSIGNED, 0, []));
    cost!(report, "sbi_probe", call(sbi::BASE, 3, [sbi::TIME]));
    let me = smp::id(0);
    cost!(
        report,
        "sbi_hart_status",
        call(sbi::HSM, sbi::HART_STATUS, [me])
    );
    cost!(
        report,
        "sbi_remote_fence_i_self",
        call(sbi::RFENCE, 0, [1, me])
    );
}

fn registers(report: &mut Report) {
    cost!(report, "read_time", timer::now());
    cost!(report, "read_sip", read_csr!("sip"));
    let satp = read_csr!("satp");
    cost!(report, "write_satp", write_csr!("satp", satp));
    // SAFETY: forgetting translations changes none of them.
    cost!(report, "sfence_vma", unsafe {
        asm!("sfence.vma", options(nostack))
    });
}

fn devices(report: &mut Report) {
    let context = plic::context(0);
    let enables = plic::enable_register(context, UART);
    cost!(
        report,
        "plic_priority_read",
        read32(plic::priority_register(UART))
    );
    cost!(
        report,
        "plic_priority_write",
        write32(plic::priority_register(UART), 1)
    );
    cost!(
        report,
        "plic_pending_read",
        read32(plic::pending_register(UART))
    );
    cost!(report, "plic_enable_read", read32(enables));
    cost!(report, "plic_enable_write", write32(enables, 0));
    cost!(
        report,
        "plic_threshold_write",
        write32(plic::threshold_register(context), 0)
    );
    cost!(
        report,
        "plic_claim_nothing",
        read32(plic::claim_register(context))
    );
    cost!(report, "uart_lsr_read", read8(LSR));
    cost!(report, "uart_ier_read", read8(IER));
    characters(report, "uart_write_burst", 0);
    characters(report, "uart_write_single", AHEAD);
    Uart.send(b'\r');
    Uart.send(b'\n');
    wait_until(now() + report.ticks(50 * AHEAD));
}

/// One character each time, in lines of 50. What passes them on has `pause` instructions in between, so
/// that it has come to rest, or none, so that the next one finds it at work.
fn characters(report: &mut Report, name: &str, pause: u64) {
    let mut count = 0;
    let pause = report.ticks(pause);
    report.row(name, 1, || {
        count += 1;
        let byte = if count % 50 == 0 { b'\n' } else { b'.' };
        if pause != 0 {
            wait_until(now() + pause);
        }
        while read8(LSR) & 1 << 5 == 0 {
            relax();
        }
        let from = now();
        write8(uart::BASE, byte);
        now() - from
    });
}

fn faults(report: &mut Report) {
    let cpu = cpu(0);
    let mut fault = |name, run: fn()| {
        report.row(name, 1, || {
            let from = now();
            run();
            cpu.fault_time.load(Ordering::Relaxed).saturating_sub(from)
        });
    };
    fault("undef_unknown_register", || {
        // SAFETY: this faults, and the handler steps over it.
        unsafe { asm!("csrr {}, 0x1ff", out(reg) _, options(nostack)) }
    });
    fault("undef_hypervisor_register", || {
        // SAFETY: as above; where it doesn't fault, it reads a register.
        unsafe { asm!("csrr {}, 0x680", out(reg) _, options(nostack)) }
    });
    fault("abort_nothing_there", || {
        // SAFETY: as above; it reads no memory of this program.
        unsafe { asm!("ld {}, 0({})", out(reg) _, in(reg) NO_MEMORY, options(nostack)) }
    });
}

/// Spins until the counter has reached `time`.
fn wait_until(time: u64) {
    while now() < time {}
}

fn interrupts(report: &mut Report) {
    let cpu = cpu(0);
    report.rows(["self_ipi", "self_ipi_ended"], 1, || {
        let seen = cpu.irqs();
        let from = now();
        hardware::send(1, 0);
        while cpu.irqs() == seen {}
        cpu.times().map(|time| time - from)
    });
    // The emulated UART's own: its transmitter is empty.
    wait_until(now() + report.ticks(50 * AHEAD));
    cpu.quiet_value.store(0, Ordering::Relaxed);
    cpu.quiet_address.store(IER as u64, Ordering::Relaxed);
    plic::set_priority(UART, 1);
    plic::set_enabled(0, UART, true);
    report.rows(["uart_interrupt", "uart_interrupt_ended"], 1, || {
        let seen = cpu.irqs();
        let from = now();
        write8(IER, 2);
        while cpu.irqs() == seen {}
        cpu.times().map(|time| time - from)
    });
    plic::set_enabled(0, UART, false);
    write8(IER, 0);
    if let Some((clock, source)) = alarm_clock() {
        alarm(report, clock, source);
    }
    cpu.quiet_address.store(0, Ordering::Relaxed);
}

/// A goldfish clock and its interrupt.
fn alarm_clock() -> Option<(usize, u32)> {
    let node = tree::properties()
        .find(|p| p.name == "compatible" && p.texts().any(|name| name == "google,goldfish-rtc"))?
        .node;
    let of = |name| tree::properties().find(move |p| p.node == node && p.name == name);
    Some((of("reg")?.cell(4) as usize, of("interrupts")?.cell(0)))
}

/// A physical device's interrupt: an alarm whose time has passed comes at once.
fn alarm(report: &mut Report, clock: usize, source: u32) {
    let cpu = cpu(0);
    cpu.quiet_value.store(1, Ordering::Relaxed);
    // A write of a byte to CLEAR_INTERRUPT may be too small for the device: the row quietens it
    // itself, behind the interrupt, by switching its interrupt off (IRQ_ENABLED).
    cpu.quiet_address.store(0, Ordering::Relaxed);
    plic::set_priority(source, 1);
    plic::set_enabled(0, source, true);
    write32(clock + 0x10, 0);
    write32(clock + 0xc, 0);
    write32(clock + 0x8, 1);
    report.rows(["device_interrupt", ""], 1, || {
        let seen = cpu.irqs();
        let from = now();
        write32(clock + 0x10, 1);
        while cpu.irqs() == seen {}
        let times = cpu.times();
        write32(clock + 0x10, 0);
        // What came once more before that.
        wait_until(now() + 10_000);
        times.map(|time| time - from)
    });
    plic::set_enabled(0, source, false);
    write32(clock + 0x1c, 1);
}

fn timers(report: &mut Report) {
    late(
        report,
        ["timer_late", "timer_late_ended"],
        false,
        timer::arm_at,
    );
    late(report, ["timer_late_from_wfi", ""], true, timer::arm_at);
    late(report, ["timer_sbi_late", ""], false, timer::arm_sbi);
    // A timer is set and cancelled, as kernels do all the time.
    let far = u64::MAX / 4;
    cost!(report, "timer_arm_and_stop", {
        timer::arm_at(far);
        timer::stop();
    });
    cost!(report, "timer_sbi_arm_and_stop", {
        timer::arm_sbi(far);
        timer::arm_sbi(u64::MAX);
    });
}

/// From the deadline until the interrupt is taken, and ended.
#[inline(always)]
fn late(report: &mut Report, names: [&str; 2], asleep: bool, arm: fn(u64)) {
    let cpu = cpu(0);
    let ahead = report.ticks(AHEAD);
    report.rows(names, 1, || {
        let seen = cpu.irqs();
        // At the beginning of a tick: the emulator counts the rest from where in a tick it is set.
        let time = timer::now();
        while timer::now() == time {}
        let deadline = hardware::time_at(now() + ahead);
        arm(deadline);
        enable_timer();
        if asleep {
            hardware::mask();
            while cpu.irqs() == seen {
                hardware::wfi();
                hardware::unmask();
                hardware::mask();
            }
            hardware::unmask();
        } else {
            while cpu.irqs() == seen {}
        }
        cpu.times()
            .map(|time| time.saturating_sub(count_at(deadline)))
    });
    timer::stop();
}
