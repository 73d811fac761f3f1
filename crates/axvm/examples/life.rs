//! A VM's whole life, on a machine that exists in memory only: built from its description, loaded,
//! started, run exit by exit, stopped, reset. What the hypervisor does with real vCPUs is the same:
//! see `src/manager.rs` and `src/vcpu.rs`.
//!
//! `cargo run -p axvm --example life`

// The host (`Host: AxVMHal`) and the architecture (`ScriptVCpu: AxArchVCpu`) of the tests.
#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;

use axdevice::AccessWidth;
use axerrno::AxResult;
use axvm::{AxVCpuExitReason, StopCause, VmError};
use axvmconfig::Arch;

use common::Vm;

const DESCRIPTION: &str = r#"
[base]
id = 1
name = "example"

[kernel]
kernel_path = "kernel.bin"
memory_regions = [{ size = "16MiB" }]
"#;

const RAM: usize = 0x4000_0000;
const UART: usize = 0x0900_0000;

fn main() -> AxResult {
    // 1. A description is checked, and becomes a configuration.
    let description = match axvmconfig::parse(DESCRIPTION, Arch::Aarch64) {
        Ok(description) => description,
        Err(diagnostics) => panic!("{diagnostics:?}"),
    };
    // 2. The VM. `build` is `new` with the offending values in its error.
    let vm: Arc<Vm> = Vm::build(description.into()).inspect_err(|error| println!("{error}"))?;

    for life in 1..=2 {
        println!("life {life}");
        load(&vm)?;
        // 3. vCPU 0 gets an order to start.
        vm.boot()?;
        script(&vm)?;
        // 4. Its task runs it. A hypervisor has a task for each vCPU.
        run(&vm, 0)?;
        // 5. All tasks have left: interrupts become quiet, and it can be started again.
        vm.stopped();
        println!("ended: {:?}", vm.cause());
        vm.reset()?;
    }
    Ok(())
    // Dropping the last reference gives back memory and VMID.
}

/// Clears RAM but for what the image overwrites, and writes the image.
fn load(vm: &Vm) -> Result<(), VmError> {
    let image = [0xd503_2003u32.to_le_bytes(); 4].concat(); // NOPs
    vm.clear_ram(&[], || {})?;
    vm.write_image(RAM.into(), &image)?;
    vm.loaded(RAM.into(), 0)
}

/// The task of a vCPU, and the exit loop.
fn run(vm: &Vm, id: usize) -> AxResult {
    while !vm.is_stopping() {
        if !vm.take_power_on(id)? {
            // A task would sleep here.
            continue;
        }
        vm.bind_vcpu(id)?;
        while !vm.is_stopping() {
            // Accesses to emulated devices are served inside.
            match vm.run_vcpu(id)? {
                AxVCpuExitReason::Nothing => {}
                AxVCpuExitReason::Halt { deadline } => println!("waits, until {deadline:?}"),
                AxVCpuExitReason::CpuUp {
                    target_cpu,
                    entry_point,
                    arg,
                } => {
                    let result = vm.power_on(target_cpu, entry_point, arg as usize);
                    vm.with_vcpu(id, |vcpu| vcpu.ups.push(result))?;
                }
                AxVCpuExitReason::SystemDown => vm.stop(StopCause::PoweredOff),
                AxVCpuExitReason::SystemReset => vm.stop(StopCause::Reset),
                other => {
                    println!("no answer to {other:?}");
                    vm.shutdown()?;
                }
            }
        }
        vm.unbind_vcpu(id)?;
    }
    let mut sent = [0; 64];
    if let Some(console) = vm.console() {
        let len = console.drain_output(&mut sent);
        println!("printed: {:?}", String::from_utf8_lossy(&sent[..len]));
    }
    Ok(())
}

/// What the guest of this example does.
fn script(vm: &Vm) -> AxResult {
    let print = |byte: u8| AxVCpuExitReason::MmioWrite {
        addr: UART.into(),
        width: AccessWidth::Byte,
        data: byte.into(),
    };
    vm.with_vcpu(0, |vcpu| {
        vcpu.script.extend(b"hello".map(print));
        vcpu.script
            .push_back(AxVCpuExitReason::Halt { deadline: None });
        vcpu.script.push_back(AxVCpuExitReason::SystemDown);
    })
}
