//! Xen, and KVM in Debian's kernel, with the same guests; on riscv64 KVM alone. scripts/bench.sh fetches them.

use crate::paths;
use crate::qemu::Machine;
use crate::rows::{self, Rows};
use crate::systems::{self, bench, command_line, file, initramfs, linux, word};
use axhv_tests::Failure;
use std::path::Path;
use std::process::Command;

/// Where the modules that Xen starts its domain from are loaded.
const KERNEL: u64 = 0x5000_0000;
const RAMDISK: u64 = 0x5800_0000;

/// The version of Xen's package.
pub fn xen_version() -> Result<String, Failure> {
    let path = file("build/peers/aarch64/xen.version");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    Ok(text.split(['+', '-', '\n']).next().unwrap_or("?").into())
}

/// A domain that Xen starts by itself, without a domain 0 ("dom0less").
struct Domain {
    kernel: String,
    ramdisk: Option<String>,
    args: String,
    cpus: usize,
    kib: usize,
}

/// Xen.
pub fn xen(cpu: &str) -> Result<Rows, Failure> {
    let bench = |args: &str| Domain {
        kernel: bench(),
        ramdisk: None,
        args: args.into(),
        cpus: 2,
        kib: 64 << 10,
    };
    let machine = Machine::new("xen", cpu).cpus(2).until("BENCH-END");
    let mut rows = rows::of_bench(&start_xen(machine, &bench(""))?)?;
    let machine = Machine::new("xen-switch", cpu).until("BENCH-END");
    rows.extend(rows::of_bench(&start_xen(machine, &bench("switch"))?)?);
    for quiet in [true, false] {
        let domain = Domain {
            kernel: linux(),
            ramdisk: Some(initramfs()),
            args: command_line(quiet),
            cpus: 1,
            kib: 512 << 10,
        };
        let machine = Machine::new(&format!("xen-linux-{}", word(quiet)), cpu);
        let (machine, offsets) = systems::noting_offsets(machine)?;
        let log = start_xen(machine.until("reboot: Power down"), &domain)?;
        systems::user_space(&mut rows, quiet, &log, &offsets.read()?, cpu)?;
    }
    Ok(rows)
}

/// Boots Xen with one domain; gives the console's log.
fn start_xen(machine: Machine, domain: &Domain) -> Result<String, Failure> {
    let tree = machine.dir()?.join("xen.dtb");
    device_tree(&machine, domain, &tree)?;
    let mut args = vec!["-kernel".into(), file("build/peers/aarch64/xen")];
    args.extend(["-dtb".into(), tree.display().to_string()]);
    let ramdisk = domain.ramdisk.iter().map(|ramdisk| (RAMDISK, ramdisk));
    for (address, module) in [(KERNEL, &domain.kernel)].into_iter().chain(ramdisk) {
        args.push("-device".into());
        args.push(format!(
            "loader,file={module},addr={address:#x},force-raw=on"
        ));
    }
    machine.args(args).run()
}

/// The machine's device tree with the domain in it (Xen: docs/features/dom0less.pandoc).
fn device_tree(machine: &Machine, domain: &Domain, out: &Path) -> Result<(), Failure> {
    let blob = out.with_extension("machine.dtb");
    machine.dump_tree(&blob)?;
    let mut text = tool(
        "dtc",
        &["-q", "-I", "dtb", "-O", "dts", &blob.display().to_string()],
    )?;
    let module = |kind: &str, at: u64, path: &str, more: &str| {
        let size = std::fs::metadata(path)
            .map_err(|e| format!("{path}: {e}"))?
            .len();
        Ok::<_, Failure>(format!(
            "module@{at:x} {{ compatible = \"multiboot,{kind}\", \"multiboot,module\"; \
             reg = <0 {at:#x} 0 {size:#x}>; {more} }};"
        ))
    };
    let bootargs = format!("bootargs = \"{}\";", domain.args);
    let mut modules = module("kernel", KERNEL, &domain.kernel, &bootargs)?;
    if let Some(ramdisk) = &domain.ramdisk {
        modules += &module("ramdisk", RAMDISK, ramdisk, "")?;
    }
    text += &format!(
        "/ {{ chosen {{ xen,xen-bootargs = \"console=dtuart dtuart=/pl011@9000000\"; \
         #address-cells = <2>; #size-cells = <2>; \
         domU1 {{ compatible = \"xen,domain\"; #address-cells = <2>; #size-cells = <2>; \
         cpus = <{}>; memory = <0 {}>; vpl011; {modules} }}; }}; }};",
        domain.cpus, domain.kib
    );
    let source = out.with_extension("dts");
    std::fs::write(&source, text).map_err(|e| format!("{}: {e}", source.display()))?;
    let [source, out] = [&source, out].map(|path| path.display().to_string());
    tool(
        "dtc",
        &["-q", "-I", "dts", "-O", "dtb", "-o", &out, &source],
    )
    .map(drop)
}

/// Runs a program; gives what it printed.
fn tool(program: &str, args: &[&str]) -> Result<String, Failure> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {args:?}: {said}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// KVM: Debian's kernel as the host, its QEMU for the guest's machine. The host's initramfs runs one
/// guest after the other; the quiet Linux has a host of its own, so that its way from the reset on
/// is that of nobody else.
pub fn kvm(cpu: &str) -> Result<Rows, Failure> {
    let (log, _) = kvm_host("kvm", cpu, "bench switch verbose")?;
    let mut rows = rows::of_bench(part(&log, "bench")?)?;
    rows.extend(rows::of_bench(part(&log, "switch")?)?);
    systems::user_space(&mut rows, false, part(&log, "verbose")?, "", cpu)?;
    let (log, offsets) = kvm_host("kvm-linux-quiet", cpu, "quiet")?;
    systems::user_space(&mut rows, true, part(&log, "quiet")?, &offsets, cpu)?;
    Ok(rows)
}

/// KVM on riscv64: Debian's kernel and its module as the host, and a small program of ours that runs
/// the bench guest. Each guest has a host of its own: what the firmware does is counted for one. A vCPU
/// that waits keeps its CPU for a while in KVM, unless `polls` is false.
pub fn small_kvm(cpu: &str, polls: bool) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    for guest in ["bench", "switch"] {
        let name = format!("kvm-{guest}{}", if polls { "" } else { "-no-polling" });
        let words = format!("{}{guest}", if polls { "" } else { "no-polling " });
        let run = |plugin: &[String]| {
            let machine = Machine::new(&name, cpu).cpus(2).args(plugin);
            let (log, _) = run_kvm_host(machine, &words)?;
            part(&log, guest).map(String::from)
        };
        rows.extend(paths::with_firmware(&name, run)?.1);
    }
    Ok(rows)
}

/// KVM's module, made to let a guest count: in the file `from`, to the file `to`. KVM keeps `cycle` from
/// guests, by `csrwi hcounteren, 2` where it begins with a hart; here that is 7. No path of it
/// changes. What was signed is another file, so that the signature is left out.
pub fn counting_module(from: &str, to: &str) -> Result<(), Failure> {
    let mut module = std::fs::read(from).map_err(|e| format!("{from}: {e}"))?;
    let places: Vec<_> = (0..module.len().saturating_sub(3))
        .step_by(2)
        .filter(|&at| module[at..at + 4] == 0x6061_5073_u32.to_le_bytes())
        .collect();
    let [place] = places[..] else {
        return Err(format!(
            "{from} sets hcounteren at {} places, not one",
            places.len()
        ));
    };
    module[place..place + 4].copy_from_slice(&0x6063_d073_u32.to_le_bytes());
    // Linux, scripts/sign-file.c: the signature, twelve bytes of which the last four are its length,
    // and this text.
    const SIGNED: &[u8] = b"~Module signature appended~\n";
    if let Some(rest) = module.strip_suffix(SIGNED)
        && let Some((rest, length)) = rest.split_last_chunk()
    {
        let length = u32::from_be_bytes(*length) as usize + 8;
        module.truncate(rest.len().saturating_sub(length));
    }
    std::fs::write(to, module).map_err(|e| format!("{to}: {e}"))
}

/// Boots the host, which runs `guests`; gives the console's log and the offsets of the guests'
/// counters.
fn kvm_host(name: &str, cpu: &str, guests: &str) -> Result<(String, String), Failure> {
    let machine = Machine::new(name, cpu).cpus(2).memory("2500M");
    run_kvm_host(machine, guests)
}

fn run_kvm_host(machine: Machine, guests: &str) -> Result<(String, String), Failure> {
    let (machine, offsets) = systems::noting_offsets(machine)?;
    // What stands behind the dashes is for init.
    let append = format!("{} -- {guests}", command_line(true));
    let host = file("build/bench/kvm.cpio");
    let log = machine
        .args(["-kernel", &linux(), "-initrd", &host, "-append", &append])
        .run()?;
    Ok((log, offsets.read()?))
}

/// What the guest `name` printed on the host.
fn part<'a>(log: &'a str, name: &str) -> Result<&'a str, Failure> {
    let begin = format!("PEER-BEGIN {name}");
    let (_, rest) = log
        .split_once(&begin)
        .ok_or_else(|| format!("KVM's host did not run {name}"))?;
    rest.split_once("PEER-END")
        .map(|(part, _)| part)
        .ok_or_else(|| format!("KVM's {name} did not end"))
}
