//! The bare machine and the hypervisor, measured.

use crate::arch;
use crate::paths;
use crate::qemu::Machine;
use crate::rows::{self, Rows, number_after, once};
use crate::vms::{self, Vm};
use axhv_tests::{Failure, artifacts};
use object::{Object, ObjectSection};
use std::path::PathBuf;

/// A file below the top of the repository.
pub fn file(name: &str) -> String {
    artifacts::root().join(name).display().to_string()
}

/// A file of the hypervisor's build.
pub fn built(name: &str) -> String {
    file(&format!("build/{}/{name}", arch::bench().arch.name))
}

/// A file where the guests are.
pub fn guest(name: &str) -> String {
    file(&format!("build/guests/{}/{name}", arch::bench().arch.name))
}

/// The bench guest.
pub fn bench() -> String {
    guest("bench.bin")
}

/// Debian's kernel.
pub fn linux() -> String {
    guest("linux/Image")
}

/// The initramfs that says when user space is reached, and switches off.
pub fn initramfs() -> String {
    file("build/bench/up.cpio.gz")
}

/// Linux's command line, the same in all systems; `quiet` leaves the console out.
pub fn command_line(quiet: bool) -> String {
    let tty = arch::bench().arch.tty;
    let quiet = if quiet { " quiet" } else { "" };
    let more = arch::bench().linux_options;
    format!("console={tty} nokaslr{more}{quiet}")
}

/// The bare machine, which has no hypervisor to do anything.
pub fn bare(cpu: &str) -> Result<Rows, Failure> {
    let machine = Machine::bare(&format!("bare-{cpu}"), cpu)
        .cpus(2)
        .args(["-kernel", &bench()]);
    let (_, mut rows) =
        paths::with_firmware(&format!("bare-{cpu}"), |plugin| machine.args(plugin).run())?;
    for quiet in [true, false] {
        let log = Machine::bare(&format!("bare-linux-{}-{cpu}", word(quiet)), cpu)
            .args(["-kernel", &linux(), "-initrd", &initramfs()])
            .args(["-append", &command_line(quiet)])
            .run()?;
        user_space(&mut rows, quiet, &log, "", cpu)?;
    }
    Ok(rows)
}

/// The firmware that said its name when [`bare`] ran, where there is one.
pub fn firmware(cpu: &str) -> Result<Option<String>, Failure> {
    if arch::bench().firmware.is_none() {
        return Ok(None);
    }
    let path = file(&format!("build/bench/bare-{cpu}/console.log"));
    let log = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let name = log
        .lines()
        .find_map(|line| line.split_once("OpenSBI v"))
        .map(|(_, version)| format!("opensbi-{}", version.trim()));
    name.map(Some)
        .ok_or_else(|| format!("{path}: no OpenSBI says its version"))
}

/// The name of a boot's verbosity.
pub fn word(quiet: bool) -> &'static str {
    if quiet { "quiet" } else { "verbose" }
}

/// Adds when a Linux reached its user space: by its own clock, and by the machine's, as far as the
/// `offsets` that QEMU noted tell it.
pub fn user_space(
    rows: &mut Rows,
    quiet: bool,
    log: &str,
    offsets: &str,
    cpu: &str,
) -> Result<(), Failure> {
    let clock = log
        .lines()
        .find_map(|line| line.split_once("] BENCH-UP")?.0.rsplit_once('['))
        .and_then(|(_, stamp)| {
            let (seconds, micros) = stamp.trim().split_once('.')?;
            Some(seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?)
        })
        .ok_or("Linux didn't say when it reached user space")?;
    rows.insert(format!("linux_own_clock_{}_us", word(quiet)), once(clock));
    let count = number_after(log, "COUNT ").ok_or("Linux didn't say its count")?;
    // The last offset is that of the guest which ran last; 0 is a host's own.
    let offset = offsets
        .lines()
        .rev()
        .filter_map(|line| line.split_once("value 0x"))
        .filter_map(|(_, hex)| u64::from_str_radix(hex.trim(), 16).ok())
        .find(|&offset| offset != 0)
        .unwrap_or(0);
    if quiet {
        let tick = arch::bench().tick(cpu);
        rows.insert(
            "linux_reset_to_user_us".into(),
            once((count + offset) * tick / 1000),
        );
        if offset != 0 {
            rows.insert(
                "reset_to_linux_started_us".into(),
                once(offset * tick / 1000),
            );
        }
    }
    Ok(())
}

/// The machine for the rows of the hypervisor, with arguments for a plugin, if one shall look on.
pub fn alone(cpu: &str, plugin: &[String]) -> Result<String, Failure> {
    let machine = Machine::new(&format!("axhv-{cpu}"), cpu)
        .cpus(2)
        .args(plugin);
    let mut vm = Vm::bench("", "cpu_num = 2\nphys_cpu_sets = [1, 2]");
    let clock = arch::bench().arch.rtc.by_path;
    vm.extra = format!("[devices]\npassthrough = [{clock}]\n");
    vms::run(machine, vm)
}

/// The same for two vCPUs that share a CPU.
pub fn shared(cpu: &str, plugin: &[String]) -> Result<String, Failure> {
    let machine = Machine::new(&format!("axhv-switch-{cpu}"), cpu).args(plugin);
    vms::run(machine, Vm::bench("switch", "cpu_num = 2"))
}

/// The hypervisor.
pub fn axhv(cpu: &str) -> Result<Rows, Failure> {
    let (log, mut rows) =
        paths::with_firmware(&format!("axhv-{cpu}"), |plugin| alone(cpu, plugin))?;
    let physical = number_after(&log, "physical ").ok_or("no BENCH-START")?;
    let frequency = number_after(&log, "frequency ")
        .ok_or("no BENCH-START")?
        .max(1);
    rows.insert(
        "reset_to_guest_us".into(),
        once(physical * 1_000_000 / frequency),
    );
    let log = if cpu == arch::bench().arch.rich_cpu {
        let (log, longest) = paths::shared()?;
        rows.insert("interrupts_masked_longest".into(), once(longest));
        log
    } else {
        shared(cpu, &[])?
    };
    rows.extend(rows::of_bench(&log)?);
    for quiet in [true, false] {
        boot_linux(&mut rows, cpu, quiet)?;
    }
    if cpu == arch::bench().arch.rich_cpu {
        rows.insert("image_text_and_rodata_bytes".into(), once(image_size()?));
        memory(&mut rows)?;
        scale(&mut rows)?;
        interference(&mut rows)?;
    }
    Ok(rows)
}

fn boot_linux(rows: &mut Rows, cpu: &str, quiet: bool) -> Result<(), Failure> {
    let vm = Vm {
        kernel: "linux/Image",
        base: String::new(),
        memory: "512MiB",
        cmdline: command_line(quiet),
        extra: "ramdisk_path = \"../up.cpio.gz\"\n".into(),
    };
    let machine = Machine::new(&format!("axhv-linux-{}-{cpu}", word(quiet)), cpu);
    let (machine, offsets) = noting_offsets(machine)?;
    let log = vms::run(machine, vm)?;
    user_space(rows, quiet, &log, &offsets.read()?, cpu)
}

/// Where QEMU notes each offset of the guest's counter that a hypervisor sets, if
/// the counter that Linux's user space reads has one.
pub struct Offsets(Option<PathBuf>);

impl Offsets {
    /// What QEMU noted: nothing of a counter that has no offset.
    pub fn read(&self) -> Result<String, Failure> {
        match &self.0 {
            None => Ok(String::new()),
            Some(path) => {
                std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
            }
        }
    }
}

/// `machine`, noting the offsets of the guest's counter.
pub fn noting_offsets(machine: Machine) -> Result<(Machine, Offsets), Failure> {
    let Some(event) = arch::bench().offsets else {
        return Ok((machine, Offsets(None)));
    };
    let path = machine.dir()?.join("offsets.log");
    let log = path.display().to_string();
    let machine = machine.args(["-trace", event, "-D", &log]);
    Ok((machine, Offsets(Some(path))))
}

/// The sizes of code and of read-only data in the image.
fn image_size() -> Result<u64, Failure> {
    let path = built("bare/axhv.elf");
    let bytes = std::fs::read(&path).map_err(|e| format!("{path}: {e}"))?;
    let elf = object::File::parse(&*bytes).map_err(|e| format!("{path}: {e}"))?;
    let size = |name| {
        elf.section_by_name(name)
            .map_or(0, |section| section.size())
    };
    Ok(size(".text") + size(".rodata"))
}

/// What the hypervisor itself says it uses, by its line `memory: image N KiB, heap N KiB (...),
/// stacks and tables N KiB; ...; bundle N KiB`, in bytes.
fn memory_of(name: &str, cpus: usize, vms: &[Vm]) -> Result<u64, Failure> {
    let machine = Machine::new(name, arch::bench().arch.rich_cpu)
        .cpus(cpus)
        .until("KiB; bundle ");
    let log = vms::start(machine.args(["-append", "loglevel=debug"]), vms)?;
    let line = log
        .lines()
        .find_map(|line| line.split_once("memory: "))
        .ok_or("the hypervisor didn't say what memory it uses")?
        .1;
    ["image ", "heap ", "tables "]
        .iter()
        .map(|word| number_after(line, word).ok_or(format!("no {word}in {line:?}")))
        .sum::<Result<u64, _>>()
        .map(|kib| kib << 10)
}

/// Memory besides guests' RAM, their tables and the bundle: of a machine with 2 GiB and two CPUs,
/// and what another VM and another vCPU need.
fn memory(rows: &mut Rows) -> Result<(), Failure> {
    let vm = |cpus| Vm::bench("idle", &format!("cpu_num = {cpus}"));
    let used = memory_of("axhv-memory", 2, &[vm(2)])?;
    let one = memory_of("axhv-memory-one", 8, &[vm(1)])?;
    let vcpus = memory_of("axhv-memory-vcpus", 8, &[vm(8)])?;
    let eight = vec![vm(1); 8];
    let vms = memory_of("axhv-memory-vms", 8, &eight)?;
    rows.insert("memory_used_bytes".into(), once(used));
    let each = |all: u64| once(all.saturating_sub(one) / 7);
    rows.insert("memory_another_vcpu_bytes".into(), each(vcpus));
    rows.insert("memory_another_vm_bytes".into(), each(vms));
    Ok(())
}

/// Exits of a VM beside seven others on eight CPUs.
fn scale(rows: &mut Rows) -> Result<(), Failure> {
    let machine = Machine::new("axhv-scale", arch::bench().arch.rich_cpu)
        .cpus(8)
        .until("BENCH-END");
    let mut vms = vec![Vm::bench("", "cpu_num = 2\nphys_cpu_sets = [1, 2]")];
    vms.extend((2..=7).map(|n| Vm::bench("idle", &format!("phys_cpu_sets = [{}]", 1 << n))));
    vms.push(Vm::bench("idle", "phys_cpu_sets = [1]"));
    scaled(rows, "8_vms", |plugin| {
        vms::start(machine.args(plugin), &vms)
    })?;
    let machine = Machine::new("axhv-devices", arch::bench().arch.rich_cpu).cpus(2);
    let consoles: String = (1..DEVICES)
        .map(|n| 0xa00_0000 + n * 0x1000)
        .map(|base| format!(", {{ type = \"console\", base_gpa = {base:#x} }}"))
        .collect();
    let vm = Vm {
        extra: format!("[devices]\nemu_devices = [{{ type = \"console\" }}{consoles}]\n"),
        ..Vm::bench("", "cpu_num = 2\nphys_cpu_sets = [1, 2]")
    };
    scaled(rows, "100_devices", |plugin| {
        vms::run(machine.args(plugin), vm)
    })
}

/// Emulated devices besides the interrupt controller.
const DEVICES: usize = 100;

/// Takes the rows that are to stay the same, whatever there is `of` something, and the firmware's
/// share of each, which is not in our hands.
fn scaled(
    rows: &mut Rows,
    of: &str,
    run: impl FnOnce(&[String]) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let (_, measured) = paths::with_firmware(&format!("axhv-{of}"), run)?;
    for row in arch::bench().scale {
        let value = measured.get(*row).ok_or(format!("no {row}, {of}"))?;
        rows.insert(format!("{row}_{of}"), *value);
        if let Some(share) = measured.get(&format!("{row}_firmware")) {
            rows.insert(format!("{row}_{of}_firmware"), *share);
        }
    }
    Ok(())
}

/// Interrupts of CPUs that are left alone for ten seconds, by QEMU's log of exceptions.
fn interference(rows: &mut Rows) -> Result<(), Failure> {
    for (word, row) in [("spin", "busy"), ("sleep", "waiting")] {
        // An instruction takes eight nanoseconds, so that the ten seconds pass soon.
        let machine = Machine::new(&format!("axhv-{word}"), arch::bench().arch.rich_cpu)
            .cpus(2)
            .shift(3);
        let log = machine.dir()?.join("exceptions.log");
        let path = log.display().to_string();
        let vm = Vm::bench(word, "phys_cpu_sets = [2]");
        vms::run(machine.args(["-d", "int", "-D", &path]), vm)?;
        let text = std::fs::read_to_string(&log).map_err(|e| format!("{path}: {e}"))?;
        let [first, second] = interrupts(&text)?;
        // The vCPU that waits has a timer: one interrupt ends the wait, and the guest takes one.
        let own = if word == "sleep" { 2 } else { 0 };
        rows.insert(
            format!("interrupts_in_10_s_{row}_vcpu"),
            once(second.saturating_sub(own)),
        );
        if word == "spin" {
            rows.insert("interrupts_in_10_s_idle_cpu".into(), once(first));
        }
    }
    Ok(())
}

/// The interrupts that CPUs 0 and 1 took between the first two hypervisor calls in QEMU's log.
fn interrupts(log: &str) -> Result<[u64; 2], Failure> {
    let mut calls = 0;
    let mut counts = [0; 2];
    for line in log.lines() {
        if line.contains(arch::bench().call) {
            calls += 1;
        } else if calls == 1
            && let Some(cpu) = arch::bench().interrupted(line)
            && let Some(count) = counts.get_mut(cpu)
        {
            *count += 1;
        }
    }
    if calls < 2 {
        return Err(format!("QEMU's log has {calls} hypervisor calls"));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_count_between_the_calls() {
        let log = "Taking exception 5 [IRQ] on CPU 1\nTaking exception 11 [Hypervisor Call] on CPU 1\n\
                   ...from EL1 to EL2\nTaking exception 5 [IRQ] on CPU 1\nTaking exception 5 [IRQ] on CPU 0\n\
                   Taking exception 6 [FIQ] on CPU 0\nTaking exception 11 [Hypervisor Call] on CPU 1\n\
                   Taking exception 5 [IRQ] on CPU 1\n";
        assert_eq!(interrupts(log), Ok([2, 1]));
        assert!(interrupts("").is_err());
    }

    #[test]
    fn user_space_by_two_clocks() {
        let mut rows = Rows::new();
        let log = "[    0.798522] BENCH-UP\nCOUNT 00000000000893273687\n";
        let offsets = "x: value 0x0\nx: value 0x83e624d\n";
        user_space(&mut rows, true, log, offsets, "max").unwrap();
        assert_eq!(rows["linux_own_clock_quiet_us"], once(798_522));
        assert_eq!(rows["linux_reset_to_user_us"], once(1_031_579));
        assert_eq!(rows["reset_to_linux_started_us"], once(138_306));
        assert!(user_space(&mut rows, true, "", "", "max").is_err());
    }
}
