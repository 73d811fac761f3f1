//! A machine for tests: a host whose RAM is ordinary memory, and a vCPU that plays a script of
//! exits. All state is per thread, so each test has a machine of its own.
#![allow(dead_code)] // Each test file uses a part of it.

pub mod host;
pub mod vcpu;

use std::sync::Arc;

use axvm::{AxVM, AxVMConfig};
use axvmconfig::Arch;

use host::Host;
use vcpu::ScriptVCpu;

/// A VM of the fake machine.
pub type Vm = AxVM<Host, ScriptVCpu>;

/// Where guests' RAM starts.
pub const RAM: usize = 0x4000_0000;

/// The configuration that the TOML text describes.
pub fn config(text: &str) -> AxVMConfig {
    match axvmconfig::parse(text, Arch::Aarch64) {
        Ok(config) => config.into(),
        Err(diagnostics) => panic!("{diagnostics:?}"),
    }
}

/// A VM with two vCPUs, and 4 MiB of RAM at [`RAM`].
pub fn two_vcpus() -> AxVMConfig {
    config(
        r#"
        [base]
        id = 1
        name = "test"
        cpu_num = 2
        [kernel]
        kernel_path = "kernel"
        memory_regions = [{ size = "4MiB" }]
        "#,
    )
}

/// Builds a VM, clears its RAM, and says that it is loaded.
pub fn loaded(config: AxVMConfig) -> Arc<Vm> {
    let vm = Vm::build(config).expect("a VM");
    vm.clear_ram(&[], || {}).expect("cleared");
    vm.loaded(RAM.into(), 0x77).expect("loaded");
    vm
}

/// A running VM whose vCPU 0 has taken its order to start and is bound.
pub fn running(config: AxVMConfig) -> Arc<Vm> {
    let vm = loaded(config);
    vm.boot().expect("booted");
    assert_eq!(vm.take_power_on(0), Ok(true));
    vm.bind_vcpu(0).expect("bound");
    vm
}
