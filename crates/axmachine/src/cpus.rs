//! `/cpus`: Devicetree Specification 0.4, section 3.8, and the arm64 and riscv
//! `cpus` bindings.

use arrayvec::ArrayVec;

use super::{Architecture, Fdt, MachineError, Node};

/// The most CPUs this hypervisor uses.
pub const MAX_CPUS: usize = 8;
/// The bits of MPIDR_EL1 that are affinity: Aff3, Aff2, Aff1, Aff0.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// How a CPU is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnableMethod {
    /// By PSCI's CPU_ON.
    Psci,
    /// By SBI's HSM extension.
    Sbi,
    /// By something that isn't supported, or not said.
    Unsupported,
}

/// A CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// What the machine calls it: the affinity fields of its MPIDR_EL1, in their places, or its
    /// hart id.
    pub id: u64,
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

/// The nodes of the CPUs that may be used; `None` without `/cpus`.
pub(super) fn nodes<'a>(fdt: &Fdt<'a>) -> Option<impl Iterator<Item = Node<'a>> + use<'a>> {
    let is_cpu = |node: &Node<'_>| node.string("device_type") == Some("cpu") && node.is_enabled();
    Some(fdt.find("/cpus")?.children().filter(is_cpu))
}

/// A CPU's number: its `reg`.
pub(super) fn id(node: &Node<'_>) -> Result<u64, MachineError> {
    match node.bus_regs()?.first() {
        Some(&(id, _)) => Ok(id),
        None => Err(MachineError::Missing {
            node: node.offset(),
            property: "reg",
        }),
    }
}

pub(super) fn read(fdt: &Fdt<'_>, architecture: Architecture) -> Result<Cpus, MachineError> {
    let none = MachineError::NoNode { what: "/cpus/cpu" };
    let riscv = architecture == Architecture::Riscv;
    let mut cpus = Cpus {
        list: ArrayVec::new(),
        found: 0,
    };
    for node in nodes(fdt).ok_or(none)? {
        let id = id(&node)?;
        let allowed = if riscv { u64::MAX } else { AFFINITY };
        if id & !allowed != 0 || cpus.list.iter().any(|cpu| cpu.id == id) {
            return Err(MachineError::Value {
                node: node.offset(),
                property: "reg",
                value: id,
            });
        }
        cpus.found += 1;
        let enable_method = match node.string("enable-method") {
            // A hart without translation has no supervisor to start.
            _ if riscv && node.string("mmu-type") == Some("riscv,none") => {
                EnableMethod::Unsupported
            }
            _ if riscv => EnableMethod::Sbi,
            Some("psci") => EnableMethod::Psci,
            _ => EnableMethod::Unsupported,
        };
        // A full list is not an error: the others stay off, and `found` tells.
        let _ = cpus.list.try_push(Cpu { id, enable_method });
    }
    if cpus.list.is_empty() {
        return Err(none);
    }
    Ok(cpus)
}
