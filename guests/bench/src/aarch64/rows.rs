//! Rows of a vCPU that has its CPU for itself.

use super::hardware::{self, Uart, hvc, now, read32, relax, write32};
use super::machine::Machine;
use crate::measure::{Report, cpu};
use core::arch::asm;
use core::sync::atomic::Ordering;

const PSCI_VERSION: u64 = 0x8400_0000;
/// Of the range for OEMs, which nobody answers.
const UNKNOWN: u64 = 0x8300_00ff;
/// An address of normal memory where nothing is.
const NOTHING: usize = 8 << 30;
/// Instructions from arming a timer until it fires: more than the slowest path to arm it takes.
const AHEAD: u64 = 20_000;

/// Measures an instruction that writes its operand.
macro_rules! read_cost {
    ($report:expr, $name:literal, $instruction:literal) => {
        cost!($report, $name, {
            // SAFETY: reads a register, or faults, which the vectors step over.
            unsafe { asm!($instruction, out(reg) _, options(nostack)) }
        })
    };
}

/// All of them.
pub fn measure(report: &mut Report, machine: &Machine) {
    cost!(report, "nothing", nothing());
    calls(report);
    registers(report);
    devices(report, machine);
    faults(report);
    interrupts(report, machine);
    timers(report);
}

fn calls(report: &mut Report) {
    cost!(report, "hvc_psci_version", hvc(PSCI_VERSION, [0; 3]));
    cost!(report, "hvc_unknown", hvc(UNKNOWN, [0; 3]));
    cost!(
        report,
        "hvc_psci_features",
        hvc(0x8400_000a, [0xc400_0001, 0, 0])
    );
    cost!(report, "hvc_affinity_info", hvc(0xc400_0004, [0; 3]));
    // Where SMC is UNDEFINED (no EL2, no EL3) the row has faults.
    cost!(report, "smc_psci_version", {
        // SAFETY: as for HVC.
        unsafe {
            asm!("smc #0", inout("x0") PSCI_VERSION => _, out("x1") _, out("x2") _, out("x3") _,
                 out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _,
                 out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _,
                 out("x15") _, out("x16") _, out("x17") _, options(nostack));
        }
    });
}

fn registers(report: &mut Report) {
    read_cost!(report, "read_id_aa64pfr0", "mrs {}, id_aa64pfr0_el1");
    read_cost!(report, "read_ctr", "mrs {}, ctr_el0");
    read_cost!(report, "read_cntpct", "mrs {}, cntpct_el0");
    read_cost!(report, "read_cntvct", "mrs {}, cntvct_el0");
    read_cost!(report, "read_actlr", "mrs {}, actlr_el1");
    read_cost!(report, "read_mdscr", "mrs {}, mdscr_el1");
    let value = read_sysreg!("ttbr0_el1");
    cost!(report, "write_ttbr0", {
        // SAFETY: writes what is there.
        unsafe { asm!("msr ttbr0_el1, {}", in(reg) value, options(nostack)) }
    });
    cost!(report, "write_pmr", {
        // SAFETY: writes what is there.
        unsafe { asm!("msr icc_pmr_el1, {}", in(reg) 0xffu64, options(nostack)) }
    });
    cost!(
        report,
        "read_iar_nothing_pending",
        read_sysreg!("icc_iar1_el1")
    );
    // SAFETY: maintenance by address of memory that is there changes no value.
    cost!(report, "dc_civac", unsafe {
        asm!("dc civac, {}", in(reg) 0x4010_0000u64, options(nostack))
    });
    // SAFETY: forgetting translations changes none of them.
    cost!(report, "tlbi_vmalle1is", unsafe {
        asm!("tlbi vmalle1is", options(nostack))
    });
    // SAFETY: hints.
    cost!(report, "wfe_with_event", unsafe {
        asm!("sevl", "wfe", options(nostack))
    });
}

fn devices(report: &mut Report, machine: &Machine) {
    let &Machine { gicd, gicr, .. } = machine;
    let uart = machine.uart();
    cost!(report, "gicd_iidr_read", read32(gicd + 8));
    cost!(report, "gicd_typer_read", read32(gicd + 4));
    cost!(report, "gicd_isenabler_read", read32(gicd + 0x104));
    cost!(report, "gicd_isenabler_write", write32(gicd + 0x104, 0));
    cost!(report, "gicd_ipriorityr_read", read32(gicd + 0x420));
    cost!(report, "gicd_irouter_read", read32(gicd + 0x6000 + 40 * 8));
    cost!(report, "gicr_waker_read", read32(gicr + 0x14));
    cost!(report, "gicr_isenabler_read", read32(gicr + 0x1_0100));
    cost!(report, "uart_fr_read", read32(uart + 0x18));
    cost!(report, "uart_imsc_read", read32(uart + 0x38));
    characters(report, "uart_write_burst", uart, 0);
    characters(report, "uart_write_single", uart, AHEAD);
    let uart = Uart(uart);
    uart.send(b'\r');
    uart.send(b'\n');
    wait_until(now() + report.ticks(50 * AHEAD));
}

/// One character each time, in lines of 50. What passes them on has `pause` instructions in between, so
/// that it has come to rest, or none, so that the next one finds it at work.
fn characters(report: &mut Report, name: &str, uart: usize, pause: u64) {
    let mut count = 0;
    let pause = report.ticks(pause);
    report.row(name, 1, || {
        count += 1;
        let byte = if count % 50 == 0 { b'\n' } else { b'.' };
        if pause != 0 {
            wait_until(now() + pause);
        }
        while read32(uart + 0x18) & 1 << 5 != 0 {
            relax();
        }
        let from = now();
        write32(uart, byte.into());
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
        // SAFETY: this faults, and the vectors step over it.
        unsafe { asm!("mrs {}, s3_0_c15_c3_3", out(reg) _, options(nostack)) }
    });
    fault("undef_lor_register", || {
        // SAFETY: as above; where it doesn't fault, it reads a register.
        unsafe { asm!("mrs {}, s3_0_c10_c4_3", out(reg) _, options(nostack)) }
    });
    fault("abort_nothing_there", || {
        // SAFETY: as above; it reads no memory of this program.
        unsafe { asm!("ldr {}, [{}]", out(reg) _, in(reg) NOTHING, options(nostack)) }
    });
}

/// An operation of no instructions: what is left is the cost of measuring.
#[inline(always)]
fn nothing() {}

/// Spins until the counter has reached `time`.
fn wait_until(time: u64) {
    while now() < time {}
}

fn interrupts(report: &mut Report, machine: &Machine) {
    let cpu = cpu(0);
    // An SGI to this vCPU itself.
    report.rows(["self_sgi", "self_sgi_ended"], 1, || {
        let seen = cpu.irqs();
        let from = now();
        hardware::send(1, 0);
        while cpu.irqs() == seen {}
        cpu.times().map(|time| time - from)
    });
    // An SPI that the guest makes pending itself, at the distributor.
    let spi = 40;
    hardware::enable_spi(machine, spi, true);
    report.rows(["spi_set_pending", ""], 1, || {
        let seen = cpu.irqs();
        let from = now();
        write32(machine.gicd + 0x204, 1 << (spi - 32));
        while cpu.irqs() == seen {}
        cpu.times().map(|time| time - from)
    });
    if let Some((rtc, spi)) = machine.rtc {
        alarm(report, machine, rtc, spi);
    }
}

/// A device's interrupt: the PL031 (Arm DDI 0224) has its own as soon as the time to match is now.
fn alarm(report: &mut Report, machine: &Machine, rtc: usize, spi: u32) {
    const MR: usize = 4;
    const IMSC: usize = 0x10;
    const ICR: usize = 0x1c;
    let cpu = cpu(0);
    cpu.quiet_value.store(1, Ordering::Relaxed);
    cpu.quiet_address
        .store((rtc + ICR) as u64, Ordering::Relaxed);
    write32(rtc + IMSC, 1);
    hardware::enable_spi(machine, spi, false);
    report.rows(["device_interrupt", "device_interrupt_ended"], 1, || {
        let seen = cpu.irqs();
        let second = read32(rtc);
        let from = now();
        write32(rtc + MR, second);
        while cpu.irqs() == seen {
            // The second passed before the write: ask for the next one.
            if now() - from > 1_000_000 {
                write32(rtc + MR, read32(rtc));
            }
        }
        cpu.times().map(|time| time - from)
    });
    write32(rtc + IMSC, 0);
    cpu.quiet_address.store(0, Ordering::Relaxed);
}

fn timers(report: &mut Report) {
    let cpu = cpu(0);
    let ahead = report.ticks(AHEAD);
    report.rows(["timer_late", "timer_late_ended"], 1, || {
        let seen = cpu.irqs();
        let due = now() + ahead;
        write_sysreg!("cntv_cval_el0", due);
        write_sysreg!("cntv_ctl_el0", 1);
        while cpu.irqs() == seen {}
        cpu.times().map(|time| time - due)
    });
    // CNTPCT and CNTVCT differ by the guest's offset.
    report.rows(["timer_physical_late", ""], 1, || {
        let seen = cpu.irqs();
        let count = read_sysreg!("cntpct_el0");
        let due = now() + ahead;
        write_sysreg!("cntp_cval_el0", count + ahead);
        write_sysreg!("cntp_ctl_el0", 1);
        while cpu.irqs() == seen {}
        cpu.times().map(|time| time.saturating_sub(due))
    });
    report.rows(["timer_late_from_wfi", ""], 1, || {
        let seen = cpu.irqs();
        let due = now() + ahead;
        write_sysreg!("cntv_cval_el0", due);
        write_sysreg!("cntv_ctl_el0", 1);
        hardware::mask();
        while cpu.irqs() == seen {
            hardware::wfi();
            hardware::unmask();
            hardware::mask();
        }
        hardware::unmask();
        cpu.times().map(|time| time - due)
    });
    // A timer is set and cancelled, as kernels do all the time.
    let far = u64::MAX / 4;
    cost!(report, "timer_arm_and_stop", {
        write_sysreg!("cntv_cval_el0", far);
        write_sysreg!("cntv_ctl_el0", 1);
        write_sysreg!("cntv_ctl_el0", 0);
    });
    cost!(report, "timer_physical_arm_and_stop", {
        write_sysreg!("cntp_cval_el0", far);
        write_sysreg!("cntp_ctl_el0", 1);
        write_sysreg!("cntp_ctl_el0", 0);
    });
}
