//! The registers are memory: what is written to a register that sets bits is seen there.

use std::{vec, vec::Vec};

use super::*;
use crate::{
    drivers::{
        arch::{OPS, Op},
        tests::Memory,
    },
    machine::{Region, Trigger},
};

const BOOT_CPU: u64 = 0x8100_0102;

/// What the tree says. The addresses don't matter here.
fn described(stride: Option<u64>) -> machine::GicV3 {
    machine::GicV3 {
        distributor: Region::new(0x800_0000, 0x1_0000).unwrap(),
        redistributors: ArrayVec::new(),
        redistributor_stride: stride,
        maintenance: None,
        its_count: 0,
    }
}

/// A distributor with these lines, in words of 32.
fn distributor(words: u32, typer: u32) -> Memory {
    let mut memory = Memory::new(FRAME);
    let regs = memory.regs();
    regs.write32(PIDR2, 0x3b);
    regs.write32(GICD_TYPER, (words - 1) | typer);
    memory
}

/// A region of redistributors: frames of each, affinity, and the low bits of GICR_TYPER.
fn region(cpus: &[(usize, u64, u64)]) -> Memory {
    let frames: usize = cpus.iter().map(|cpu| cpu.0).sum();
    let mut memory = Memory::new(frames * FRAME);
    let regs = memory.regs();
    let mut at = 0;
    for &(frames, affinity, typer) in cpus {
        regs.write32(at + PIDR2, 0x40);
        regs.write64(at + 8, affinity << 32 | typer);
        at += frames * FRAME;
    }
    memory
}

#[test]
fn init_resets_all_shared_lines() {
    let mut memory = distributor(3, 0);
    let regs = memory.regs();
    regs.write32(ISENABLER, 0xabcd);
    regs.write32(ICFGR + 8, !0);
    let gic = Gic::init(&described(None), regs, &[], BOOT_CPU).unwrap();
    assert_eq!(gic.spi_count(), 64);
    for word in 1..3 {
        for register in [IGROUPR, ICENABLER, ICPENDR, ICACTIVER] {
            assert_eq!(regs.read32(register + word * 4), !0, "{register:#x}");
        }
    }
    for intid in (32..96).step_by(4) {
        assert_eq!(regs.read32(IPRIORITYR + intid), 0xa0a0_a0a0);
    }
    for intid in 32..96 {
        // Without MPIDR_EL1's bit 31, which would be "any CPU" here.
        assert_eq!(regs.read64(GICD_IROUTER + intid * 8), 0x102);
    }
    assert_eq!((regs.read32(ICFGR + 8), regs.read32(ICFGR + 20)), (0, 0));
    // The private ones are each CPU's own, and beyond the last there is nothing.
    assert_eq!(regs.read32(IGROUPR), 0);
    assert_eq!(regs.read32(ISENABLER), 0xabcd);
    assert_eq!(regs.read32(IGROUPR + 12), 0);
    assert_eq!(regs.read32(GICD_CTLR), CTLR_ARE | CTLR_ENABLE_GRP1);
}

#[test]
fn most_lines_there_can_be() {
    let mut memory = distributor(32, 0);
    let gic = Gic::init(&described(None), memory.regs(), &[], 0).unwrap();
    assert_eq!(gic.spi_count(), 988);
    assert!(gic.spi(1019).is_ok());
    for intid in [0, 31, 1020, 1024, u32::MAX] {
        assert_eq!(gic.spi(intid).err(), Some(GicError::NoInterrupt { intid }));
        assert!(gic.route(intid, 0).is_err());
    }
    let mut memory = distributor(1, 0);
    let gic = Gic::init(&described(None), memory.regs(), &[], 0).unwrap();
    assert_eq!(gic.spi_count(), 0);
}

#[test]
fn what_is_no_gicv3() {
    let mut memory = distributor(1, 0);
    let regs = memory.regs();
    regs.write32(PIDR2, 0x2b);
    let init = |regs, redists: &[_]| Gic::init(&described(None), regs, redists, 0).err();
    assert_eq!(init(regs, &[]), Some(GicError::Version(0x2b)));
    regs.write32(PIDR2, 0x3b);
    let many = [regs; 9];
    assert_eq!(init(regs, &many), Some(GicError::TooManyRegions(9)));
    let half = regs.slice(0, FRAME / 2).unwrap();
    assert_eq!(init(half, &[]), Some(GicError::TooSmall(FRAME / 2)));
}

#[test]
fn lines() {
    let mut memory = distributor(4, 0);
    let regs = memory.regs();
    let gic = Gic::init(&described(None), regs, &[], 0).unwrap();
    let line = gic.spi(77).unwrap();
    assert_eq!(line.intid(), 77);
    let (word, bit) = (8, 1 << 13);
    type Act = fn(&Line);
    let acts: [(Act, usize); 6] = [
        (Line::enable, ISENABLER),
        (|line| line.disable().unwrap(), ICENABLER),
        (Line::set_pending, ISPENDR),
        (Line::clear_pending, ICPENDR),
        (Line::set_active, ISACTIVER),
        (Line::clear_active, ICACTIVER),
    ];
    for (act, register) in acts {
        regs.write32(register + word, 0);
        act(&line);
        assert_eq!(regs.read32(register + word), bit, "{register:#x}");
    }
    type Ask = fn(&Line) -> bool;
    let asks: [(Ask, usize); 3] = [
        (Line::is_enabled, ISENABLER),
        (Line::is_pending, ISPENDR),
        (Line::is_active, ISACTIVER),
    ];
    for (ask, register) in asks {
        regs.write32(register + word, bit);
        assert!(ask(&line));
        regs.write32(register + word, !bit);
        assert!(!ask(&line));
    }
    line.set_priority(0x40);
    assert_eq!(regs.read32(IPRIORITYR + 76), 0xa0a0_40a0);
    gic.route(77, 0x83_8002_0304).unwrap();
    assert_eq!(regs.read64(GICD_IROUTER + 77 * 8), 0x83_0002_0304);
}

#[test]
fn triggers() {
    let mut memory = distributor(4, 0);
    let regs = memory.regs();
    let gic = Gic::init(&described(None), regs, &[], 0).unwrap();
    let line = gic.spi(77).unwrap();
    line.set_trigger(Trigger::Edge).unwrap();
    assert_eq!(regs.read32(ICFGR + 16), 2 << 26);
    regs.write32(ICFGR + 16, !0);
    line.set_trigger(Trigger::Level).unwrap();
    assert_eq!(regs.read32(ICFGR + 16), !(2 << 26));
    line.enable();
    assert_eq!(
        line.set_trigger(Trigger::Edge),
        Err(GicError::Enabled { intid: 77 })
    );
}

#[test]
fn redistributors_are_found_by_affinity() {
    const LAST: u64 = 1 << 4;
    const VLPIS: u64 = 1 << 1;
    let mut first = region(&[(2, 0, 0), (4, 1, VLPIS), (2, 0x100, LAST)]);
    let mut second = region(&[(2, 0x0100_0203, LAST), (2, 5, 0)]);
    let regions = [first.regs(), second.regs()];
    let found = |mpidr| {
        let redist = Redistributor::find(&regions, None, mpidr)?;
        // A write to one of its lines tells where it is.
        redist.line(5)?.enable();
        let (at, _) = regions
            .iter()
            .flat_map(|region| (0..region.len()).step_by(FRAME).map(move |at| (at, region)))
            .find(|(at, region)| region.read32(at + ISENABLER) == 1 << 5)
            .unwrap();
        for region in &regions {
            for at in (0..region.len()).step_by(FRAME) {
                region.write32(at + ISENABLER, 0);
            }
        }
        Ok(at / FRAME)
    };
    assert_eq!(found(0x8000_0000), Ok(1));
    assert_eq!(found(1), Ok(3));
    assert_eq!(found(0x100), Ok(7));
    // Aff3, in the second region.
    assert_eq!(found(0x1_8000_0203), Ok(1));
    for mpidr in [2, 5, 0x200, 0x1_0000_0000] {
        assert_eq!(found(mpidr), Err(GicError::NoRedistributor { mpidr }));
    }
}

#[test]
fn stride_and_missing_last_bits() {
    let mut memory = region(&[(4, 0, 0), (4, 1, 0)]);
    let regs = [memory.regs()];
    assert!(Redistributor::find(&regs, Some(4 * FRAME), 1).is_ok());
    // The region ends even where no redistributor says so.
    assert_eq!(
        Redistributor::find(&regs, Some(4 * FRAME), 2).err(),
        Some(GicError::NoRedistributor { mpidr: 2 })
    );
    // With the wrong stride there is something else than a redistributor.
    assert_eq!(
        Redistributor::find(&regs, None, 1).err(),
        Some(GicError::Version(0))
    );
}

#[test]
fn private_lines() {
    let mut memory = region(&[(2, 0, 1 << 4)]);
    let regs = memory.regs();
    regs.write32(0x14, 2);
    let redist = Redistributor::find(&[regs], None, 0).unwrap();
    redist.init(0).unwrap();
    assert_eq!(regs.read32(0x14), 0, "awake");
    assert_eq!(regs.read32(FRAME + IGROUPR), !0);
    assert_eq!(regs.read32(FRAME + ICENABLER), !0);
    assert_eq!(regs.read32(FRAME + ICPENDR), !0);
    assert_eq!(regs.read32(FRAME + ICACTIVER), !0);
    assert_eq!(regs.read32(FRAME + ISENABLER), 0xffff, "SGIs");
    assert_eq!(regs.read32(FRAME + IPRIORITYR + 28), 0xa0a0_a0a0);
    assert_eq!(
        redist.line(32).err(),
        Some(GicError::NoInterrupt { intid: 32 })
    );
    redist.line(27).unwrap().set_active();
    assert_eq!(regs.read32(FRAME + ISACTIVER), 1 << 27);
}

#[test]
fn hardware_that_hangs() {
    let mut memory = region(&[(2, 0, 1 << 4)]);
    let regs = memory.regs();
    let redist = Redistributor::find(&[regs], None, 0).unwrap();
    regs.write32(0x14, 4);
    assert_eq!(redist.init(0), Err(GicError::Asleep { mpidr: 0 }));
    regs.write32(0x14, 0);
    regs.write32(0, 1 << 3);
    assert_eq!(redist.init(0), Err(GicError::WriteStuck));
    assert_eq!(redist.line(3).unwrap().disable(), Err(GicError::WriteStuck));
}

#[test]
fn software_generated_interrupts() {
    let mut memory = distributor(1, 0);
    let regs = memory.regs();
    let gic = Gic::init(&described(None), regs, &[], 0).unwrap();
    let target = gic.sgi_target(0x12_8034_560f).unwrap();
    OPS.take();
    send_sgi(target, 7);
    let value = 0x12 << 48 | 0x34 << 32 | 7 << 24 | 0x56 << 16 | 1 << 15;
    // Memory first, then the interrupt, then what comes after it.
    let expected: Vec<_> = vec![Op::StoreBarrier, Op::Sgi(value), Op::Synchronize];
    assert_eq!(OPS.take(), expected);

    let mpidr = 0x13;
    assert_eq!(gic.sgi_target(mpidr), Err(GicError::Unreachable { mpidr }));
    regs.write32(GICD_TYPER, 1 << 26);
    let gic = Gic::init(&described(None), regs, &[], 0).unwrap();
    send_sgi(gic.sgi_target(mpidr).unwrap(), 0);
    assert!(OPS.take().contains(&Op::Sgi(1 << 44 | 1 << 3)));
}

#[test]
fn handling_is_ordered() {
    OPS.take();
    assert_eq!(ack(), SPURIOUS);
    assert_eq!(OPS.take(), [Op::FullBarrier]);
    end(40);
    deactivate(40);
    assert_eq!(
        OPS.take(),
        [
            Op::End(40),
            Op::Synchronize,
            Op::Deactivate(40),
            Op::Synchronize
        ]
    );
}
