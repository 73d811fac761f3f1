//! `/cpus`: Devicetree Specification 0.4, section 3.8, and the arm64 `cpus` binding.

use arrayvec::ArrayVec;

use super::{Fdt, MachineError};

/// The most CPUs this hypervisor uses.
pub const MAX_CPUS: usize = 8;
/// The bits of MPIDR_EL1 that are affinity: Aff3, Aff2, Aff1, Aff0.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// How a CPU is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnableMethod {
    /// By PSCI's CPU_ON.
    Psci,
    /// By something that isn't supported, or not said.
    Unsupported,
}

/// A CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// The affinity fields of its MPIDR_EL1, in their places.
    pub mpidr: u64,
    /// How it is started.
    pub enable_method: EnableMethod,
}

/// The CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// The first [`MAX_CPUS`], in the order of the tree.
    pub list: ArrayVec<Cpu, MAX_CPUS>,
    /// How many the tree has. The boot CPU may be one of those left out.
    pub found: usize,
}

pub(super) fn read(fdt: &Fdt<'_>) -> Result<Cpus, MachineError> {
    let none = MachineError::NoNode { what: "/cpus/cpu" };
    let mut cpus = Cpus {
        list: ArrayVec::new(),
        found: 0,
    };
    for node in fdt.find("/cpus").ok_or(none)?.children() {
        if node.string("device_type") != Some("cpu") || !node.is_enabled() {
            continue;
        }
        let mpidr = match node.bus_regs()?.first() {
            Some(&(mpidr, _)) => mpidr,
            None => {
                return Err(MachineError::Missing {
                    node: node.offset(),
                    property: "reg",
                });
            }
        };
        if mpidr & !AFFINITY != 0 || cpus.list.iter().any(|cpu| cpu.mpidr == mpidr) {
            return Err(MachineError::Value {
                node: node.offset(),
                property: "reg",
                value: mpidr,
            });
        }
        cpus.found += 1;
        let enable_method = match node.string("enable-method") {
            Some("psci") => EnableMethod::Psci,
            _ => EnableMethod::Unsupported,
        };
        // A full list is not an error: the others stay off, and `found` tells.
        let _ = cpus.list.try_push(Cpu {
            mpidr,
            enable_method,
        });
    }
    if cpus.list.is_empty() {
        return Err(none);
    }
    Ok(cpus)
}
