use super::Memory;
use crate::drivers::{
    arch::{OPS, Op, SIP},
    intc::{self, Pending},
    mmio::Mmio,
    plic::{Plic, PlicError},
};

const LEN: usize = 0x20_0000 + 3 * 0x1000;

fn plic(memory: &mut Memory) -> (Plic, Mmio) {
    let regs = memory.regs();
    (Plic::init(regs, 40).unwrap(), regs)
}

#[test]
fn what_was_left_on_is_off() {
    let mut memory = Memory::new(LEN);
    let regs = memory.regs();
    for source in 0..64 {
        regs.write32(source * 4, 7);
    }
    for word in 0..4 {
        regs.write32(0x2080 + word * 4, !0);
    }
    regs.write32(0x20_1000, 3);
    let plic = Plic::init(regs, 40).unwrap();
    assert_eq!(regs.read32(0), 7, "there is no source 0");
    assert!((1..=40).all(|source| regs.read32(source * 4) == 0));
    assert_eq!(regs.read32(41 * 4), 7, "not a source");
    let _ = plic.context(1).unwrap();
    assert_eq!((regs.read32(0x2080), regs.read32(0x2084)), (0, 0));
    assert_eq!(regs.read32(0x2088), !0, "no source of this one's");
    assert_eq!(regs.read32(0x20_1000), 0);
    assert_eq!(regs.read32(0x20_1004), 40, "all completed, to the last");
}

#[test]
fn sources_and_contexts() {
    let mut memory = Memory::new(LEN);
    let (plic, regs) = plic(&mut memory);
    let context = plic.context(2).unwrap();
    for source in [1, 31, 32, 40] {
        plic.set_enabled(&context, source, true).unwrap();
        plic.set_masked(source, false);
        assert_eq!(regs.read32(source as usize * 4), 1);
    }
    assert_eq!(
        (regs.read32(0x2100), regs.read32(0x2104)),
        (1 << 31 | 2, 1 << 8 | 1)
    );
    plic.set_enabled(&context, 31, false).unwrap();
    plic.set_masked(40, true);
    assert_eq!((regs.read32(0x2100), regs.read32(160)), (2, 0));
    for source in [0, 41, u32::MAX] {
        let error = Err(PlicError::NoSource { source });
        assert_eq!(plic.set_enabled(&context, source, true), error);
        plic.set_masked(source, false);
        assert!(!plic.has(source));
    }
    for context in [3, 15872, u32::MAX] {
        assert_eq!(
            plic.context(context).unwrap_err(),
            PlicError::NoContext { context }
        );
    }
}

#[test]
fn claim_and_complete() {
    let mut memory = Memory::new(LEN);
    let (plic, regs) = plic(&mut memory);
    let context = plic.context(0).unwrap();
    regs.write32(0x20_0004, 0);
    assert_eq!(plic.claim(&context), None);
    regs.write32(0x20_0004, 10);
    assert_eq!(plic.claim(&context), Some(10));
    OPS.take();
    plic.complete(&context, 11);
    assert_eq!(
        OPS.take(),
        [Op::FullBarrier; 2],
        "the device's registers come first, and behind it what another hart does"
    );
    assert_eq!(regs.read32(0x20_0004), 11);
    plic.set_enabled(&context, 11, true).unwrap();
    assert_eq!(OPS.take(), [Op::FullBarrier], "before the lock is free");
}

#[test]
fn too_few_registers() {
    let mut memory = Memory::new(LEN);
    for sources in [0, 1024] {
        let error = PlicError::Sources(sources);
        assert_eq!(Plic::init(memory.regs(), sources).unwrap_err(), error);
    }
    let mut memory = Memory::new(0x1ff8);
    assert!(Plic::init(memory.regs(), 1).is_err());
}

#[test]
fn inputs_of_a_hart() {
    for (sip, pending) in [
        (0, None),
        (0x222, Some(Pending::External)),
        (0x022, Some(Pending::Software)),
        (0x020, Some(Pending::Timer)),
        // A guest's, and a guest's external interrupts.
        (0x1444, None),
    ] {
        SIP.set(sip);
        assert_eq!(intc::pending(), pending);
    }
    OPS.take();
    intc::init_cpu();
    intc::clear_software();
    let expected = [
        Op::ClearSip(2),
        Op::Sie(0x222),
        Op::ClearSip(2),
        Op::FullBarrier,
    ];
    assert_eq!(OPS.take(), expected);
}
