//! Physical devices given to VMs; images started without a kernel's own protocol; VMs without an
//! interrupt controller.

use crate::{Case, case};
use axhv_tests::arch::Arch;
use axhv_tests::machine::{Machine, Monitor, Running};
use axhv_tests::vm::Vm;
use axhv_tests::{Failure, Test};
use std::process::Command;
use std::time::Duration;

pub fn cases(_: &'static Arch) -> Vec<Case> {
    vec![
        case("passthrough::rtc_on_the_board", rtc_on_the_board),
        case("passthrough::rtc_on_1_cpu", |test| {
            rtc(test, Machine::new(test).cpus(1).vm(rtc_vm(test)))
        }),
        case("passthrough::rtc_on_4_cpus", |test| {
            rtc(test, Machine::new(test).cpus(4).vm(rtc_vm(test)))
        }),
        case("passthrough::rtc_by_address", rtc_by_address),
        case("passthrough::rtc_follows_its_vcpu", rtc_follows_its_vcpu),
        case("passthrough::beside_a_busy_vm", beside_a_busy_vm),
        case("passthrough::linux_rtc", linux_rtc),
        case("passthrough::linux_second_uart", linux_second_uart),
        case("passthrough::refusals", refusals),
        case("bios::starts_a_kernel", bios),
        case("no_interrupts::polled", polled),
    ]
}

fn devices(list: &str) -> String {
    format!("[devices]\npassthrough_devices = [{list}]\n")
}

fn rtc_vm(test: &Test) -> Vm {
    rtc_vm_of(test, 2)
}

fn rtc_vm_of(test: &Test, vcpus: usize) -> Vm {
    Vm::guest("rtc", vcpus).extra(&devices(test.arch.rtc.by_path))
}

fn rtc_by_address(test: &Test) -> Result<(), Failure> {
    let vm = Vm::guest("rtc", 2).extra(&devices(test.arch.rtc.by_address));
    rtc(test, Machine::new(test).cpu(test.arch.rich_cpu).vm(vm))
}

/// Without the hypervisor: what the guest expects of the clock is right. (The board ends where it
/// would restart.)
fn rtc_on_the_board(test: &Test) -> Result<(), Failure> {
    let mut running = Machine::without_hypervisor(test, "rtc.bin")
        .cpus(3)
        .boot()?;
    running.expect("rtc: the alarm came while it works")?;
    running.expect("rtc: the alarm came while it waits")?;
    running.expect("rtc: the alarm came on the other CPU")?;
    for when in MOVES {
        running.expect(&format!("rtc: the alarm came {when}"))?;
    }
    running.expect("rtc: restarting with the interrupt pending and active")?;
    running.finish(0).map(drop)
}

/// What the guest says of its alarms while its first vCPU moves.
const MOVES: [&str; 8] = {
    let [first, then] = ["before its way", "after its way"];
    let way = "on its way";
    [way, way, way, way, first, then, first, then]
};

/// The vCPU that an interrupt is for moves to another CPU and back: while nothing happens, and while
/// it is being served. The interrupt goes where the vCPU is, and none is lost.
fn rtc_follows_its_vcpu(test: &Test) -> Result<(), Failure> {
    let vm = rtc_vm_of(test, 3).on(&[0b11, 0b01, 0b10]);
    let mut running = Machine::new(test).cpus(2).transparent().vm(vm).boot()?;
    running.expect("rtc: the alarm came on the other CPU")?;
    let mut monitor = Monitor::of(test)?;
    let mut followed = Vec::new();
    while !running.text().contains("rtc: restarting") && !running.ended() {
        let mut here = Vec::new();
        for (cpu, (address, mask, routed)) in test.arch.rtc.routes.into_iter().enumerate() {
            if monitor.word(address)? & mask == routed {
                here.push(cpu);
            }
        }
        // In the middle of a move there may be none, or both as they are read one after the other.
        if let [cpu] = here[..]
            && followed.last() != Some(&cpu)
        {
            followed.push(cpu);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for when in MOVES {
        running.expect(&format!("rtc: the alarm came {when}"))?;
    }
    if followed.len() < 4 {
        return Err(running.failure(&format!("the interrupt went to the CPUs {followed:?}")));
    }
    running.expect("rtc: after the restart the alarm came")?;
    running.finish(0).map(drop)
}

/// The clock's alarm reaches the guest, wherever its vCPUs are, and a restart leaves nothing of it.
fn rtc(test: &Test, machine: Machine) -> Result<(), Failure> {
    let mut running = machine.boot()?;
    running.expect(test.arch.rtc.found)?;
    running.expect("rtc: the alarm came while it works")?;
    running.expect("rtc: the alarm came while it waits")?;
    running.expect("rtc: the alarm came on the other CPU")?;
    running.expect("rtc: restarted, enabled false active false asserted 1")?;
    running.expect("rtc: memory reads 0x0\r\n")?;
    running.expect("rtc: after the restart the alarm came")?;
    running.expect("rtc: done")?;
    let text = running.finish(0)?;
    let mut seeds: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("of seed"))
        .collect();
    seeds.dedup();
    match seeds[..] {
        [_, _] if seeds.iter().all(|line| line.contains("rtc: 32 bytes")) => Ok(()),
        _ => Err(format!("each life has a seed of its own, not {seeds:?}")),
    }
}

/// The only CPU mostly runs another VM when the alarm goes off.
fn beside_a_busy_vm(test: &Test) -> Result<(), Failure> {
    let machine = Machine::new(test).cpus(1).append("console=rtc");
    rtc(test, machine.vm(rtc_vm(test)).vm(Vm::guest("testguest", 1)))
}

fn linux(machine: Machine, devices_: &str) -> Result<Running, Failure> {
    let mut running = machine.vm(Vm::linux(2).extra(&devices(devices_))).boot()?;
    running.shell()?;
    Ok(running)
}

/// Linux's own driver reads the clock, and gets its alarm where a shell can set it.
fn linux_rtc(test: &Test) -> Result<(), Failure> {
    let clock = &test.arch.rtc;
    let mut running = linux(Machine::new(test), clock.by_path)?;
    let answer = running.run("cat /sys/class/rtc/rtc0/name")?;
    if !answer.starts_with(clock.linux) {
        return Err(running.failure(&format!("the clock is {answer:?}")));
    }
    let read = running.run("cat /sys/class/rtc/rtc0/since_epoch")?;
    if !read.trim().parse::<u64>().is_ok_and(|time| time > 0) {
        return Err(running.failure(&format!("the clock says {read:?}")));
    }
    if let Some(row) = clock.alarm {
        running.run("echo +2 > /sys/class/rtc/rtc0/wakealarm; sleep 4")?;
        let line = running.run(&format!("grep {row} /proc/interrupts"))?;
        let count = line.split_whitespace().skip(1).take(2);
        let count: u64 = count.filter_map(|n| n.parse::<u64>().ok()).sum();
        if count == 0 {
            return Err(running.failure(&format!("no alarm came: {line:?}")));
        }
    }
    running.send("poweroff\n")?;
    running.finish(0).map(drop)
}

/// Whether QEMU's board has a second UART, which it has from 9.1 on.
fn has_second_uart(test: &Test) -> Result<bool, Failure> {
    let qemu = test.arch.qemu();
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
fn linux_second_uart(test: &Test) -> Result<(), Failure> {
    let file = std::env::temp_dir().join(format!("axhv-{}-uart1", std::process::id()));
    let second = format!("file:{}", file.display());
    let machine = Machine::new(test).args(&["-serial", &second]);
    let device = "[\"/pl011@9040000\"]";
    if !has_second_uart(test)? {
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
fn refusals(test: &Test) -> Result<(), Failure> {
    let mut machine = Machine::new(test);
    for (name, device, _) in test.arch.refused {
        let vm = Vm::guest("hello", 1).named(name).extra(&devices(device));
        machine = machine.vm(vm);
    }
    let mut running = machine.vm(Vm::guest("hello", 1)).boot()?;
    running.expect("hello: done")?;
    let text = running.finish(2)?;
    for (name, _, code) in test.arch.refused {
        let said = |line: &str| line.contains(&format!("{name}.toml")) && line.contains(*code);
        if !text.lines().any(said) {
            return Err(format!("{name}: no {code} in\n{text}"));
        }
    }
    Ok(())
}

/// A BIOS runs first, and starts the kernel.
fn bios(test: &Test) -> Result<(), Failure> {
    let (name, ram) = (test.arch.name, test.arch.ram);
    let kernel = ram + test.arch.bios_kernel;
    let vm = Vm::guest("hello", 1).extra(&format!(
        "kernel_load_addr = {kernel:#x}\n\
         bios_path = \"../../guests/{name}/bios.bin\"\nbios_load_addr = {ram:#x}\n"
    ));
    let mut running = Machine::new(test).vm(vm).boot()?;
    running.expect("bios: runs")?;
    running.expect("hello: done")?;
    running.finish(0).map(drop)
}

/// A raw program without an interrupt controller prints, waits for its timer and ends.
fn polled(test: &Test) -> Result<(), Failure> {
    let ram = test.arch.ram;
    let vm = Vm::guest("bios", 1).extra(&format!(
        "kernel_load_addr = {ram:#x}\nentry_point = {ram:#x}\n\
         [devices]\ninterrupt_mode = \"none\"\n"
    ));
    let mut running = Machine::new(test).vm(vm).boot()?;
    running.expect("bios: runs")?;
    running.expect("bios: waited for its timer")?;
    running.finish(0).map(drop)
}
