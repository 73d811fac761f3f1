//! Physical devices given to VMs; images started without a kernel's own protocol; VMs without an
//! interrupt controller.

use crate::Case;
use axhv_tests::Failure;
use axhv_tests::machine::{Machine, Running};
use axhv_tests::vm::Vm;
use std::process::Command;

pub const CASES: &[Case] = &[
    ("passthrough::rtc_on_the_board", rtc_on_the_board),
    ("passthrough::rtc_on_1_cpu", |name| {
        rtc(Machine::new(name).cpus(1).vm(rtc_vm(BY_PATH)))
    }),
    ("passthrough::rtc_on_4_cpus", |name| {
        rtc(Machine::new(name).cpus(4).vm(rtc_vm(BY_PATH)))
    }),
    ("passthrough::rtc_by_address", |name| {
        rtc(Machine::new(name).cpu("max").vm(rtc_vm(BY_ADDRESS)))
    }),
    ("passthrough::beside_a_busy_vm", beside_a_busy_vm),
    ("passthrough::linux_rtc", linux_rtc),
    ("passthrough::linux_second_uart", linux_second_uart),
    ("passthrough::refusals", refusals),
    ("bios::starts_a_kernel", bios),
    ("no_interrupts::polled", polled),
];

const BY_PATH: &str = "{ path = \"/pl031@9010000\" }";
const BY_ADDRESS: &str = "[\"clock\", 0x9010000, 0x9010000, 0x1000, 2]";

fn devices(list: &str) -> String {
    format!("[devices]\npassthrough_devices = [{list}]\n")
}

fn rtc_vm(device: &str) -> Vm {
    Vm::guest("rtc", 2).extra(&devices(device))
}

/// Without the hypervisor: what the guest expects of the clock is right. (The board ends where it
/// would restart.)
fn rtc_on_the_board(name: &str) -> Result<(), Failure> {
    let mut running = Machine::without_hypervisor(name, "rtc.bin")
        .cpus(2)
        .boot()?;
    running.expect("rtc: the alarm came while it works")?;
    running.expect("rtc: the alarm came while it waits")?;
    running.expect("rtc: the alarm came on the other CPU")?;
    running.expect("rtc: restarting with the interrupt pending and active")?;
    running.finish(0).map(drop)
}

/// The clock's alarm reaches the guest, wherever its vCPUs are, and a restart leaves nothing of it.
fn rtc(machine: Machine) -> Result<(), Failure> {
    let mut running = machine.boot()?;
    running.expect("rtc: part 0x31")?;
    running.expect("rtc: the alarm came while it works")?;
    running.expect("rtc: the alarm came while it waits")?;
    running.expect("rtc: the alarm came on the other CPU")?;
    running.expect("rtc: restarted, enabled false active false asserted 1")?;
    running.expect("rtc: memory reads 0x0\r\n")?;
    running.expect("rtc: after the restart the alarm came")?;
    running.expect("rtc: done")?;
    running.finish(0).map(drop)
}

/// The only CPU mostly runs another VM when the alarm goes off.
fn beside_a_busy_vm(name: &str) -> Result<(), Failure> {
    let machine = Machine::new(name).cpus(1).append("console=rtc");
    rtc(machine.vm(rtc_vm(BY_PATH)).vm(Vm::guest("testguest", 1)))
}

fn linux(machine: Machine, devices_: &str) -> Result<Running, Failure> {
    let mut running = machine.vm(Vm::linux(2).extra(&devices(devices_))).boot()?;
    running.shell()?;
    Ok(running)
}

/// Linux's own driver reads the clock, and gets its alarm.
fn linux_rtc(name: &str) -> Result<(), Failure> {
    let mut running = linux(Machine::new(name), BY_PATH)?;
    let answer = running.run("cat /sys/class/rtc/rtc0/name")?;
    if !answer.starts_with("rtc-pl031") {
        return Err(running.failure(&format!("the clock is {answer:?}")));
    }
    running.run("echo +2 > /sys/class/rtc/rtc0/wakealarm; sleep 4")?;
    let line = running.run("grep rtc-pl031 /proc/interrupts")?;
    let count = line.split_whitespace().skip(1).take(2);
    let count: u64 = count.filter_map(|n| n.parse::<u64>().ok()).sum();
    if count == 0 {
        return Err(running.failure(&format!("no alarm came: {line:?}")));
    }
    running.send("poweroff\n")?;
    running.finish(0).map(drop)
}

/// Whether QEMU's board has a second UART, which it has from 9.1 on.
fn has_second_uart() -> Result<bool, Failure> {
    let qemu = std::env::var("QEMU").unwrap_or_else(|_| "qemu-system-aarch64".into());
    let output = Command::new(&qemu).arg("--version").output();
    let output = output.map_err(|e| format!("{qemu}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split("version ").nth(1).map(|rest| {
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next()?.parse::<u32>().ok();
        (number(), number())
    });
    match version {
        Some((Some(major), Some(minor))) => Ok((major, minor) >= (9, 1)),
        _ => Err(format!("{qemu} has no version: {text:?}")),
    }
}

/// Linux prints more than the UART's FIFO holds, which takes its interrupt. A board without the
/// UART is told so.
fn linux_second_uart(name: &str) -> Result<(), Failure> {
    let file = std::env::temp_dir().join(format!("axhv-{}-uart1", std::process::id()));
    let second = format!("file:{}", file.display());
    let machine = Machine::new(name).args(&["-serial", &second]);
    let device = "[\"/pl011@9040000\"]";
    if !has_second_uart()? {
        let mut running = machine.vm(Vm::linux(2).extra(&devices(device))).boot()?;
        running.expect("E0705")?;
        return running.finish(2).map(drop);
    }
    let mut running = linux(machine, device)?;
    running.run("seq 1 300 > /dev/ttyAMA1")?;
    running.send("poweroff\n")?;
    running.finish(0)?;
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    // A test machine's leftovers harm nobody.
    let _ = std::fs::remove_file(&file);
    let lines: Vec<u32> = text.lines().filter_map(|l| l.trim().parse().ok()).collect();
    if lines != (1..=300).collect::<Vec<_>>() {
        return Err(format!("the second UART printed {text:?}"));
    }
    Ok(())
}

/// What a VM may not have, each with the check that says so; a good neighbour runs all the same.
fn refusals(name: &str) -> Result<(), Failure> {
    let refused = [
        ("gic", "[\"/intc@8000000\"]", "E0706"),
        ("console", "[\"/pl011@9000000\"]", "E0706"),
        ("flash", "[\"/flash@0\"]", "E0706"),
        ("shared", "[\"/virtio_mmio@a000000\"]", "E0707"),
        ("dma", "[\"/virtio_mmio@a001000\"]", "E0708"),
        (
            "ram",
            "[\"ram\", 0x50000000, 0x50000000, 0x1000, 0]",
            "E0710",
        ),
        ("line", LINE, "E0713"),
        ("nothing", "[\"/nothing\"]", "E0705"),
    ];
    let mut machine = Machine::new(name);
    for (name, device, _) in refused {
        let vm = Vm::guest("hello", 1).named(name).extra(&devices(device));
        machine = machine.vm(vm);
    }
    let mut running = machine.vm(Vm::guest("hello", 1)).boot()?;
    running.expect("hello: done")?;
    let text = running.finish(2)?;
    for (name, _, code) in refused {
        let said = |line: &str| line.contains(&format!("{name}.toml")) && line.contains(code);
        if !text.lines().any(said) {
            return Err(format!("{name}: no {code} in\n{text}"));
        }
    }
    Ok(())
}

/// The physical UART's line; the guest's own UART has another one.
const LINE: &str = "[\"clock\", 0x9010000, 0x9010000, 0x1000, 1]]\n\
    emu_devices = [[\"uart\", 0x9000000, 0x1000, 40, \"console\"]";

const BIOS: &str = "kernel_load_addr = 0x40080000\n\
    bios_path = \"../../guests/aarch64/bios.bin\"\nbios_load_addr = 0x40000000\n";

/// A BIOS runs first, and starts the kernel.
fn bios(name: &str) -> Result<(), Failure> {
    let vm = Vm::guest("hello", 1).extra(BIOS);
    let mut running = Machine::new(name).vm(vm).boot()?;
    running.expect("bios: runs")?;
    running.expect("hello: done")?;
    running.finish(0).map(drop)
}

/// A raw program without an interrupt controller prints, waits for its timer and ends.
fn polled(name: &str) -> Result<(), Failure> {
    let vm = Vm::guest("bios", 1).extra(
        "kernel_load_addr = 0x40000000\nentry_point = 0x40000000\n\
         [devices]\ninterrupt_mode = \"none\"\n",
    );
    let mut running = Machine::new(name).vm(vm).boot()?;
    running.expect("bios: runs")?;
    running.expect("bios: waited for its timer")?;
    running.finish(0).map(drop)
}
