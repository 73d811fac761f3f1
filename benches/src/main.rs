//! `make bench`, `make bench-peers`, `make bench-paths`: what operations cost, in instructions.

mod arch;
mod kinds;
mod paths;
mod peers;
mod qemu;
mod rows;
mod systems;
mod table;
mod vms;

use axhv_tests::Failure;
use axhv_tests::arch::AARCH64;
use rows::{Key, Systems};
use std::path::Path;
use std::process::ExitCode;

/// The name of the hypervisor's column.
const OURS: &str = "axhv";

fn main() -> ExitCode {
    let what = std::env::args().nth(1).unwrap_or_default();
    let result = match what.as_str() {
        "run" => run(std::env::args().any(|arg| arg == "--update")),
        "peers" => peers(),
        "paths" => paths::run().map(|text| {
            println!("{text}");
            true
        }),
        // A step of scripts/bench.sh.
        "module" => {
            let [from, to] = [2, 3].map(|n| std::env::args().nth(n).unwrap_or_default());
            peers::counting_module(&from, &to).map(|()| true)
        }
        _ => Err("usage: axhv-bench run [--update] | peers | paths".into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("axhv-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What the figures depend on, of which the bare machine says a part: it has run.
fn key(cpu: &str) -> Result<Key, Failure> {
    let version = systems::guest("linux/VERSION");
    let kernel = std::fs::read_to_string(&version).map_err(|e| format!("{version}: {e}"))?;
    Ok(Key {
        kernel: kernel.trim().into(),
        qemu: qemu::version()?,
        cpu: cpu.into(),
        firmware: systems::firmware(cpu)?,
    })
}

/// Measures both CPU models and compares with the reference of the same key. Whether nothing got
/// worse. With `update` the figures become the reference.
fn run(update: bool) -> Result<bool, Failure> {
    let mut good = true;
    for cpu in arch::bench().models() {
        let now = Systems::from([
            ("bare".to_string(), systems::bare(cpu)?),
            (OURS.to_string(), systems::axhv(cpu)?),
        ]);
        let key = key(cpu)?;
        let committed = systems::file("benches/reference");
        let committed = Path::new(&committed).join(key.file());
        let reference = rows::from_json(&committed)?;
        let json = rows::to_json(&key, &now);
        write(
            &Path::new(&systems::file("build/bench")).join(key.file()),
            &json,
        )?;
        println!("\n{cpu}, QEMU {}, {}\n", key.qemu, key.kernel);
        println!("{}", table::table(OURS, &now, reference.as_ref()));
        match reference {
            None => println!("no reference for {}: nothing to compare with", key.file()),
            Some(reference) => {
                let (worse, better) =
                    table::compare(OURS, &now, &reference, arch::bench().tick(cpu));
                for line in &better {
                    println!("better  {line}");
                }
                for line in &worse {
                    println!("WORSE   {line}");
                }
                if !better.is_empty() && !update {
                    println!("what got better becomes the reference by: make bench UPDATE=1");
                }
                good &= worse.is_empty();
            }
        }
        if update {
            write(&committed, &json)?;
        }
    }
    Ok(good || update)
}

/// The same guests under Xen and KVM, and how they compare.
fn peers() -> Result<bool, Failure> {
    let [cpu, _] = arch::bench().models();
    let mut now = Systems::from([
        ("bare".to_string(), systems::bare(cpu)?),
        (OURS.to_string(), systems::axhv(cpu)?),
    ]);
    let key = key(cpu)?;
    if arch::bench().arch == &AARCH64 {
        let version = peers::xen_version()?;
        now.insert(format!("xen {version}"), peers::xen(cpu)?);
        now.insert("kvm".into(), peers::kvm(cpu)?);
    } else {
        now.insert("kvm".into(), peers::small_kvm(cpu, true)?);
        now.insert("kvm, no polling".into(), peers::small_kvm(cpu, false)?);
    }
    let path = systems::file("build/bench");
    write(
        &Path::new(&path).join("peers.json"),
        &rows::to_json(&key, &now),
    )?;
    println!("\n{cpu}, QEMU {}, {}\n", key.qemu, key.kernel);
    println!("{}", table::ratios(OURS, &now));
    Ok(true)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
