//! Device accesses whose abort has no valid syndrome: the instruction is fetched and decoded.

use axaddrspace::GuestPhysAddr;
use axvcpu::AxVCpuExitReason;

use super::regs::read;
use super::translate;
use super::vcpu::ArmVCpu;
use crate::ArmHost;
use crate::decode::{Base, Decoded, LoadStore, load_store};
use crate::mmio::{BusAccess, Fault, Registers, WriteBack, big_endian};
use crate::walk::Stage1Fault;

/// What became of it.
pub enum Outcome {
    /// An access to be made.
    Access(AxVCpuExitReason),
    /// A prefetch: nothing to do.
    Nothing,
    /// The guest changed its tables meanwhile: it runs the instruction again.
    Retry,
    /// Not an instruction for devices: an external abort.
    Unsupported,
}

const SPSR_AARCH32: u64 = 1 << 4;
const PAGE: u64 = 4096;

/// Decodes the instruction that faulted at `far`, which is `ipa`.
pub fn access<H: ArmHost>(
    vcpu: &mut ArmVCpu<H>,
    esr: u64,
    far: u64,
    ipa: GuestPhysAddr,
) -> Outcome {
    let pc = read!("ELR_EL2");
    if read!("SPSR_EL2") & SPSR_AARCH32 != 0 || pc % 4 != 0 {
        return Outcome::Unsupported;
    }
    let fetch = match translate::stage1(pc) {
        Ok(fetch) => fetch,
        Err(Stage1Fault::Unmapped) => return Outcome::Retry,
        Err(Stage1Fault::Refused) => return Outcome::Unsupported,
    };
    let mut word = [0; 4];
    if !vcpu.vm.memory.read(fetch, &mut word) {
        return Outcome::Unsupported;
    }
    // Instructions are little-endian whatever SCTLR_EL1.EE says (B2.7.1).
    let instruction = match load_store(u32::from_le_bytes(word)) {
        Ok(Decoded::Access(instruction)) => instruction,
        Ok(Decoded::Prefetch) => return Outcome::Nothing,
        Err(_) => return Outcome::Unsupported,
    };
    vcpu.frame.spsr = read!("SPSR_EL2");
    plan(
        vcpu,
        &instruction,
        Fault {
            esr,
            far,
            walk_level: None,
        },
        pc,
        ipa,
    )
}

fn plan<H: ArmHost>(
    vcpu: &mut ArmVCpu<H>,
    instruction: &LoadStore,
    fault: Fault,
    pc: u64,
    ipa: GuestPhysAddr,
) -> Outcome {
    let frame = &vcpu.frame;
    let base = match instruction.base {
        Base::Gpr(reg) => frame.gpr(reg),
        Base::Sp => stack_pointer(frame.spsr),
        Base::Pc => pc,
    };
    let va = base.wrapping_add(instruction.offset.value(|reg| frame.gpr(reg)));
    let second_va = va.wrapping_add(instruction.first.width.bytes() as u64);
    // Both accesses must lie in the page that faulted: only that is known to be a device's.
    // Address tags (TBI) are no part of the comparison.
    let page = |va: u64| va << 8 >> 8 & !(PAGE - 1);
    let outside = |va: u64| page(va) != page(fault.far);
    let last = if instruction.second.is_some() {
        second_va
    } else {
        va
    };
    if outside(va) || outside(last) {
        return Outcome::Unsupported;
    }
    let at = |va: u64| {
        GuestPhysAddr::from_usize(
            ipa.as_usize() & !(PAGE as usize - 1) | (va & (PAGE - 1)) as usize,
        )
    };
    let big_endian = big_endian(frame.spsr, read!("SCTLR_EL1"));
    let first = (at(va), BusAccess::new(instruction.first, big_endian, frame));
    let second = instruction
        .second
        .map(|transfer| (at(second_va), BusAccess::new(transfer, big_endian, frame)));
    let write_back = instruction.write_back.and_then(|delta| {
        let value = base.wrapping_add(delta as u64);
        match instruction.base {
            Base::Gpr(reg) => Some(WriteBack::Gpr(reg, value)),
            Base::Sp => Some(WriteBack::Sp(value)),
            Base::Pc => None,
        }
    });
    Outcome::Access(vcpu.mmio.decoded(fault, first, second, write_back))
}

/// The stack pointer that PSTATE chooses.
fn stack_pointer(spsr: u64) -> u64 {
    const EL1H: u64 = 0b0101;
    if spsr & 0xf == EL1H {
        read!("SP_EL1")
    } else {
        read!("SP_EL0")
    }
}
