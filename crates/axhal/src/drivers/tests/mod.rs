//! Drivers on made-up registers: memory that keeps what is written to it.

mod ns16550;
mod pl011;
mod plic;
mod psci;
mod sbi;
mod timer;
mod uart;

use std::{vec, vec::Vec};

use arrayvec::ArrayVec;

use super::mmio::Mmio;
use crate::machine::{
    self, Arm, Controller, Cpu, Cpus, EnableMethod, Extensions, GicV3, Hart, Interrupt, Machine,
    Platform, Plic, Region, Riscv, Trigger,
};

fn machine(platform: Platform) -> Machine {
    let cpu = Cpu {
        id: 0,
        enable_method: EnableMethod::Unsupported,
    };
    Machine {
        cpus: Cpus {
            list: ArrayVec::from_iter([cpu]),
            found: 1,
        },
        memory: ArrayVec::new(),
        reserved: ArrayVec::new(),
        initrd: None,
        rng_seed: None,
        console: None,
        platform,
    }
}

/// A machine whose tree gives the counter this frequency.
pub fn arm_machine(frequency: Option<u32>) -> Machine {
    let line = |number| Interrupt {
        controller: Controller::Gic,
        number,
        trigger: Trigger::Level,
    };
    machine(Platform::Arm(Arm {
        gic: GicV3 {
            distributor: Region { base: 0, size: 1 },
            redistributors: ArrayVec::new(),
            redistributor_stride: None,
            maintenance: None,
            its_count: 0,
        },
        timer: machine::Timer {
            secure_physical: None,
            physical: line(30),
            virtual_: line(27),
            hypervisor: line(26),
            frequency,
        },
        psci: None,
    }))
}

/// A machine whose only hart has these extensions.
pub fn riscv_machine(extensions: Extensions) -> Machine {
    machine(Platform::Riscv(Riscv {
        timebase: 10_000_000,
        harts: ArrayVec::from_iter([Hart {
            extensions,
            mmu: None,
            cbom_block: None,
            cboz_block: None,
        }]),
        plic: Plic {
            regs: Region { base: 0, size: 1 },
            sources: 1,
            contexts: ArrayVec::from_iter([Some(1)]),
        },
    }))
}

/// Registers that are memory.
pub struct Memory(Vec<u64>);

impl Memory {
    /// `len` bytes of zeros.
    pub fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(8)])
    }

    /// The registers. They must not be used once `self` is gone.
    pub fn regs(&mut self) -> Mmio {
        let va = self.0.as_mut_ptr().expose_provenance();
        // SAFETY: the vector's memory is mapped and aligned, is not reached by another way while
        // the registers are used, and outlives them in all tests.
        unsafe { Mmio::new(va, self.0.len() * 8) }
    }
}

#[test]
fn accesses_are_little_endian_and_of_their_width() {
    let mut memory = Memory::new(16);
    let regs = memory.regs();
    regs.write64(0, 0x1122_3344_5566_7788);
    assert_eq!(regs.read32(0), 0x5566_7788);
    assert_eq!(regs.read32(4), 0x1122_3344);
    assert_eq!(regs.read8(2), 0x66);
    regs.write8(1, 0xee);
    assert_eq!(regs.read32(0), 0x5566_ee88);
    regs.write32(12, 1);
    assert_eq!(regs.read64(8), 1 << 32);
}

#[test]
fn accesses_are_bounded() {
    let mut memory = Memory::new(16);
    let regs = memory.regs();
    let outside: [fn(Mmio); 5] = [
        |regs| _ = regs.read32(16),
        |regs| _ = regs.read32(2),
        |regs| _ = regs.read64(12),
        |regs| regs.write32(usize::MAX - 3, 0),
        |regs| regs.write8(16, 0),
    ];
    for access in outside {
        assert!(std::panic::catch_unwind(|| access(regs)).is_err());
    }
    assert_eq!(regs.slice(8, 8).unwrap().len(), 8);
    assert!(regs.slice(8, 9).is_none());
    assert!(regs.slice(4, 4).is_none());
    assert!(regs.slice(8, usize::MAX).is_none());
}
