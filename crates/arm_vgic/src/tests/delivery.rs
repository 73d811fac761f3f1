//! From pending to acknowledged and back: levels and edges, more interrupts than list registers,
//! maintenance interrupts, and what WFI waits for.

use std::sync::atomic::Ordering;

use super::fake::*;
use crate::regs::{hcr, lr, vmcr};
use crate::{CpuInterface, REDIST_STRIDE, SgiRegister};

const SGI: u64 = 0x1_0000;

/// SPIs 32..64 of `g` enabled, Group 1; edge-triggered if `edge`.
fn enable_spis(g: &FakeVgic, edge: bool) {
    g.dist_write(0, 0x84, 4, u64::from(u32::MAX));
    g.dist_write(0, 0x104, 4, u64::from(u32::MAX));
    if edge {
        g.dist_write(0, 0xc08, 4, u64::from(u32::MAX));
        g.dist_write(0, 0xc0c, 4, u64::from(u32::MAX));
    }
}

fn priority(g: &FakeVgic, intid: u32, prio: u8) {
    g.dist_write(0, 0x400 + u64::from(intid), 1, prio.into());
}

#[test]
fn a_level_is_sampled_again_when_the_guest_has_ended_it() {
    let g = started(1, 4);
    enable_spis(&g, false);
    g.set_level(33, true);
    g.set_level(33, true);
    assert_eq!(ack(&g, 0), Some(33));
    assert_eq!(ack(&g, 0), None, "active");
    eoi(&g, 0, 33);
    assert_eq!(ack(&g, 0), Some(33), "still asserted");
    g.set_level(33, false);
    eoi(&g, 0, 33);
    assert_eq!(ack(&g, 0), None);
    // Asserted again between EOI and maintenance interrupt.
    g.set_level(33, true);
    assert_eq!(ack(&g, 0), Some(33));
    g.set_level(33, false);
    hw(|h| h.eoi(33));
    g.set_level(33, true);
    assert_eq!(ack(&g, 0), Some(33));
    // A pulse is nothing to a level.
    g.set_level(33, false);
    eoi(&g, 0, 33);
    g.pulse(33);
    assert_eq!(ack(&g, 0), None);
}

#[test]
fn a_level_that_falls_is_not_delivered() {
    let g = started(2, 4);
    enable_spis(&g, false);
    g.dist_write(0, 0x6000 + 8 * 34, 8, 1);
    for v in [0, 1] {
        let spi = 33 + v as u32;
        g.set_level(spi, true);
        enter(&g, v);
        assert!(on(v, || hw(|h| h.signalled())).is_some());
        g.set_level(spi, false);
        assert_eq!(ack(&g, v), None);
    }
}

#[test]
fn edges_count_once_until_acknowledged_and_take_no_maintenance() {
    let g = started(1, 4);
    enable_spis(&g, true);
    g.pulse(33);
    g.pulse(33);
    enter(&g, 0);
    g.pulse(33);
    assert_eq!(ack(&g, 0), Some(33));
    assert_eq!(ack(&g, 0), None);
    hw(|h| h.eoi(33));
    assert_eq!(hw(|h| h.misr()), 0);
    assert_eq!(ack(&g, 0), None);
    g.pulse(33);
    assert_eq!(ack(&g, 0), Some(33));
    g.pulse(33);
    enter(&g, 0);
    hw(|h| h.eoi(33));
    assert_eq!(hw(|h| h.misr()), 0);
    assert_eq!(ack(&g, 0), Some(33));
    // A line's rise is an edge, its fall is none.
    eoi(&g, 0, 33);
    g.set_level(33, true);
    g.set_level(33, false);
    assert_eq!(ack(&g, 0), Some(33));
    eoi(&g, 0, 33);
    assert_eq!(ack(&g, 0), None);
}

#[test]
fn what_is_no_interrupt_does_nothing() {
    let g = started(1, 4);
    enable_spis(&g, true);
    for intid in [0, 31, 96, 1019, 1020, 1023, 8192, u32::MAX] {
        g.set_level(intid, true);
        g.pulse(intid);
        g.ppi_fired(0, intid);
        g.write_dir(0, intid.into());
    }
    g.pulse(PASSTHROUGH);
    g.set_level(PASSTHROUGH, true);
    assert_eq!(ack(&g, 0), None);
    assert_eq!(g.notifier().fold.load(Ordering::SeqCst), 0);
}

#[test]
fn more_pending_than_list_registers_come_by_priority() {
    for lr_count in [1, 2, 4, 16] {
        let g = started(1, lr_count);
        enable_spis(&g, true);
        for i in 0..8 {
            priority(&g, 48 + i, (i as u8 * 5 % 8) << 3);
            g.pulse(48 + i);
        }
        enter(&g, 0);
        let waits = hw(|h| h.hcr) & hcr::NPIE != 0;
        assert_eq!(waits, lr_count < 8, "underflow only while something waits");
        let mut prios = Vec::new();
        while let Some(intid) = ack(&g, 0) {
            prios.push((intid - 48) * 5 % 8);
            eoi(&g, 0, intid);
        }
        assert_eq!(prios, (0..8).collect::<Vec<_>>());
        assert_eq!(hw(|h| h.hcr), hcr::EN | hcr::TDIR);
    }
}

/// Nine nested handlers, each of a higher priority than the last.
fn nest(g: &FakeVgic) {
    enable_spis(g, true);
    for i in 0..9 {
        let intid = 55 - i;
        priority(g, intid, (16 - i as u8) << 3);
        g.pulse(intid);
        assert_eq!(ack(g, 0), Some(intid));
    }
}

#[test]
fn active_interrupts_may_outnumber_list_registers() {
    for lr_count in [1, 2, 4] {
        let g = started(1, lr_count);
        nest(&g);
        assert!(hw(|h| h.hcr) & hcr::LRENPIE != 0);
        // Across a switch of vCPUs, too.
        g.put(0);
        g.load(0);
        enter(&g, 0);
        for intid in 47..=55 {
            assert_eq!(
                g.dist_read(0, 0x304, 4),
                0xff_ffff >> (intid - 32) << (intid - 32)
            );
            enter(&g, 0);
            eoi(&g, 0, intid);
        }
        assert_eq!(g.dist_read(0, 0x304, 4), 0);
        enter(&g, 0);
        assert_eq!(hw(|h| h.hcr), hcr::EN | hcr::TDIR);
        g.pulse(50);
        assert_eq!(ack(&g, 0), Some(50));
    }
}

#[test]
fn eoi_and_deactivation_are_separate_with_eoimode_1() {
    for tdir in [true, false] {
        let g = started(1, 2);
        hw(|h| (h.tdir, h.vmcr) = (tdir, h.vmcr | vmcr::VEOIM));
        nest(&g);
        for intid in 47..=55 {
            eoi(&g, 0, intid);
        }
        assert_eq!(g.dist_read(0, 0x304, 4), 0xff_8000);
        enter(&g, 0);
        for intid in 47..=55 {
            let traps = hw(|h| h.hcr) & hcr::TDIR != 0;
            assert_eq!(traps, tdir);
            if traps {
                g.write_dir(0, intid.into());
            } else {
                hw(|h| h.dir(intid));
            }
            enter(&g, 0);
            g.pulse(intid);
        }
        let mut count = 0;
        while let Some(intid) = ack(&g, 0) {
            eoi(&g, 0, intid);
            count += 1;
        }
        assert_eq!(count, 9);
    }
}

#[test]
fn an_spi_is_deactivated_by_another_vcpu() {
    let g = started(2, 4);
    enable_spis(&g, false);
    for v in 0..2 {
        on(v, || hw(|h| h.vmcr |= vmcr::VEOIM));
    }
    g.set_level(33, true);
    assert_eq!(ack(&g, 0), Some(33));
    eoi(&g, 0, 33);
    on(1, || g.write_dir(1, 33));
    assert_eq!(ack(&g, 0), Some(33));
    // With EOImode 0 a write of ICC_DIR is ignored.
    on(1, || {
        hw(|h| h.vmcr &= !vmcr::VEOIM);
        g.write_dir(1, 33);
    });
    eoi(&g, 0, 33);
    assert_eq!(ack(&g, 0), None);
}

#[test]
fn a_group_the_guest_has_disabled_does_not_stop_the_other() {
    let g = started(1, 2);
    enable_spis(&g, true);
    hw(|h| h.vmcr &= !vmcr::VENG0);
    // Four of Group 0 with the highest priority, one of Group 1.
    g.dist_write(0, 0x84, 4, !0b1_1110 & 0xffff_ffff);
    for intid in [33, 34, 35, 36] {
        g.pulse(intid);
    }
    priority(&g, 37, 0x80);
    g.pulse(37);
    assert_eq!(ack(&g, 0), Some(37));
    eoi(&g, 0, 37);
    hw(|h| h.vmcr |= vmcr::VENG0);
    for intid in [33, 34, 35, 36] {
        assert_eq!(ack(&g, 0), Some(intid));
        eoi(&g, 0, intid);
    }
    // The other way round: Group 0 fills the list registers, and is then disabled.
    for intid in [33, 34, 35, 37] {
        g.pulse(intid);
    }
    enter(&g, 0);
    hw(|h| h.vmcr &= !vmcr::VENG0);
    assert_eq!(ack(&g, 0), Some(37));
}

/// A CPU that takes either group's "is disabled" for true while the other one is (QEMU does) must
/// not interrupt for ever: with one group enabled the question is not asked.
#[test]
fn nobody_asks_about_the_last_enabled_group() {
    const BOTH: u64 = vmcr::VENG0 | vmcr::VENG1;
    for (enabled, group1) in [(vmcr::VENG0, 0), (vmcr::VENG1, u32::MAX), (BOTH, u32::MAX)] {
        let g = started(1, 2);
        enable_spis(&g, true);
        g.dist_write(0, 0x84, 4, group1.into());
        hw(|h| h.vmcr = h.vmcr & !BOTH | enabled);
        (33..38).for_each(|intid| g.pulse(intid));
        enter(&g, 0);
        let asked = hw(|h| h.hcr);
        assert_ne!(asked & hcr::NPIE, 0, "something waits");
        let disabled = asked & (hcr::VGRP0DIE | hcr::VGRP1DIE);
        assert_eq!(disabled != 0, enabled == BOTH, "{asked:#x}");
        assert_eq!(hw(|h| h.misr()), 0);
    }
}

#[test]
fn groups_of_the_distributor_gate_list_registers_too() {
    let g = started(2, 4);
    enable_spis(&g, true);
    g.dist_write(0, 0x6000 + 8 * 34, 8, 1);
    for (v, intid) in [(0, 33), (1, 34)] {
        g.pulse(intid);
        enter(&g, v);
    }
    // Both are in list registers by now.
    g.dist_write(0, 0, 4, 1);
    assert_eq!((ack(&g, 0), ack(&g, 1)), (None, None));
    g.dist_write(0, 0, 4, 2);
    assert_eq!((ack(&g, 0), ack(&g, 1)), (Some(33), Some(34)));
}

#[test]
fn only_what_touches_list_registers_folds_them() {
    let g = started(2, 4);
    enable_spis(&g, true);
    g.redist_write(0, SGI + 0x100, 4, 0xf);
    g.pulse(33);
    g.send_sgi(0, SgiRegister::Sgi1r, 1 << 24 | 1, |v| {
        g.notifier().sync.fetch_or(1 << v, Ordering::SeqCst);
    });
    enter(&g, 0);
    hw(|h| (h.lr_reads, h.lr_writes) = (0, 0));
    for offset in [
        0, 4, 8, 0x84, 0x104, 0x184, 0x420, 0xc08, 0x6108, 0x208, 0x308, 0xffe8,
    ] {
        g.dist_read(0, offset, 4);
    }
    for offset in [
        0,
        4,
        8,
        0x14,
        SGI + 0x80,
        SGI + 0x100,
        SGI + 0x400,
        SGI + 0xc04,
    ] {
        g.redist_read(0, offset, 4);
    }
    g.redist_read(0, REDIST_STRIDE + SGI + 0x200, 4);
    g.dist_write(0, 0x104, 4, u64::from(u32::MAX));
    g.dist_write(0, 0x204, 4, 1 << 8);
    g.redist_write(0, SGI + 0x100, 4, 0xffff);
    g.redist_write(0, SGI + 0x180, 4, 0xfff0);
    assert_eq!(hw(|h| (h.lr_reads, h.lr_writes)), (0, 0));
    assert_eq!(g.notifier().fold.load(Ordering::SeqCst), 0);
    // These do, here and elsewhere.
    assert_eq!(on(1, || g.dist_read(1, 0x204, 4)), 1 << 1 | 1 << 8);
    assert_eq!(g.notifier().fold.load(Ordering::SeqCst), 1);
    assert!(hw(|h| h.lrs.iter().all(|l| l & lr::STATE == 0)));
    assert_eq!(g.redist_read(0, SGI + 0x200, 4), 1 << 1);
    assert_eq!(ack(&g, 0), Some(1));
}

#[test]
fn nobody_takes_up_list_registers_while_held_off() {
    let g = started(1, 4);
    g.fold(0);
    g.hold.fetch_add(1, Ordering::SeqCst);
    assert!(!g.sync_in(0));
    assert!(!g.sync_in(0));
    g.hold.fetch_sub(1, Ordering::SeqCst);
    assert!(g.sync_in(0));
}

#[test]
fn wfi_waits_for_what_is_signalled_and_nothing_else() {
    let g = started(1, 4);
    enable_spis(&g, true);
    assert!(!g.has_deliverable(0));
    priority(&g, 33, 0x80);
    priority(&g, 34, 0x40);
    g.pulse(33);
    assert!(g.has_deliverable(0), "before it is in a list register");
    enter(&g, 0);
    assert!(g.has_deliverable(0));
    let vmcr = GUEST_VMCR;
    for (value, expected) in [
        (vmcr & !vmcr::VENG1, false),
        (vmcr & !vmcr::VENG0, true),
        (vmcr & !(0xff << 24) | 0x80 << 24, false),
        (vmcr & !(0xff << 24) | 0x88 << 24, true),
    ] {
        Fake::write_vmcr(value);
        assert_eq!(g.has_deliverable(0), expected, "{value:#x}");
    }
    Fake::write_vmcr(vmcr);
    assert_eq!(ack(&g, 0), Some(33));
    assert!(!g.has_deliverable(0));
    g.pulse(35);
    enter(&g, 0);
    assert!(g.has_deliverable(0), "priority 0 preempts");
    g.dist_write(0, 0x184, 4, 1 << 3);
    assert!(!g.has_deliverable(0), "disabled");
    g.pulse(34);
    enter(&g, 0);
    assert!(g.has_deliverable(0));
    // The same group priority as what is active: no preemption.
    Fake::write_vmcr(vmcr & !(7 << 18) | 7 << 18);
    assert!(g.has_deliverable(0), "bit 7 is the group priority");
    priority(&g, 34, 0x88);
    enter(&g, 0);
    assert!(!g.has_deliverable(0));
    Fake::write_vmcr(vmcr);
    // And of a vCPU that is not loaded.
    g.put(0);
    assert!(!g.has_deliverable(0));
    priority_unloaded(&g);
    assert!(g.has_deliverable(0));
}

fn priority_unloaded(g: &FakeVgic) {
    g.dist_write(0, 0x400 + 34, 1, 0x40);
}

#[test]
fn a_changed_priority_leaves_the_active_one_alone() {
    let g = started(1, 4);
    enable_spis(&g, true);
    priority(&g, 33, 0x80);
    g.pulse(33);
    assert_eq!(ack(&g, 0), Some(33));
    priority(&g, 33, 0x40);
    g.pulse(33);
    assert_eq!(ack(&g, 0), None);
    eoi(&g, 0, 33);
    assert_eq!(
        ack(&g, 0),
        Some(33),
        "deactivated, and pending with its new priority"
    );
    assert_eq!(hw(|h| h.ap[1][0]), 1 << (0x40 >> 3));
}

#[test]
fn what_comes_later_does_not_overtake_what_waits() {
    for later in [0, TIMER] {
        let g = started(1, 2);
        enable_spis(&g, true);
        g.redist_write(0, SGI + 0x100, 4, 1 << later | 2);
        g.redist_write(0, SGI + 0x400 + u64::from(later), 1, 0x80);
        for (i, intid) in [34, 35].into_iter().enumerate() {
            priority(&g, intid, 0x20 * (i as u8 + 1));
            g.pulse(intid);
        }
        g.send_sgi(0, SgiRegister::Sgi1r, 1 << 24 | 1, |_| {
            assert!(g.sync_in(0))
        });
        assert_eq!(ack(&g, 0), Some(1));
        hw(|h| h.eoi(1));
        // A list register is free, and SPI 35 waits: this one is behind it.
        if later == TIMER {
            hw(|h| h.ppi_line = 1 << TIMER);
            enter(&g, 0);
        } else {
            g.send_sgi(0, SgiRegister::Sgi1r, 1, |_| assert!(g.sync_in(0)));
        }
        for intid in [34, 35, later] {
            assert_eq!(ack(&g, 0), Some(intid));
            hw(|h| h.eoi(intid));
        }
    }
}

#[test]
fn what_comes_together_does_not_share_a_list_register() {
    let g = started(1, 4);
    g.redist_write(0, SGI + 0x100, 4, 0xff);
    enter(&g, 0);
    let send = |sgi: u64| g.send_sgi(0, SgiRegister::Sgi1r, sgi << 24 | 1, |_| {});
    send(2);
    assert!(g.sync_in(0));
    assert_eq!(ack(&g, 0), Some(2));
    eoi(&g, 0, 2);
    // One goes where it was before, the other somewhere else.
    send(2);
    send(5);
    assert!(g.sync_in(0));
    for sgi in [2, 5] {
        assert_eq!(ack(&g, 0), Some(sgi));
        eoi(&g, 0, sgi);
    }
}

#[test]
fn what_software_makes_active_is_deactivated_without_a_trap() {
    let g = started(1, 2);
    hw(|h| (h.tdir, h.vmcr) = (false, h.vmcr | vmcr::VEOIM));
    for (intid, reg) in [(20, SGI + 0x300), (35, 0x304)] {
        let (bit, dist) = (1 << (intid % 32), intid >= 32);
        let write = |reg| match dist {
            true => g.dist_write(0, reg, 4, bit),
            false => g.redist_write(0, reg, 4, bit),
        };
        enter(&g, 0);
        write(reg);
        enter(&g, 0);
        hw(|h| h.dir(intid));
        let left = match dist {
            true => g.dist_read(0, reg, 4),
            false => g.redist_read(0, reg, 4),
        };
        assert_eq!(left, 0, "{intid}");
    }
}

#[test]
fn folded_there_is_no_reason_for_a_maintenance_interrupt() {
    let g = started(1, 1);
    enable_spis(&g, true);
    g.pulse(33);
    g.pulse(34);
    enter(&g, 0);
    assert!(hw(|h| h.hcr) & hcr::NPIE != 0);
    g.fold(0);
    assert_eq!(hw(|h| h.misr()), 0);
    g.maintenance(0);
    assert_eq!(ack(&g, 0), Some(33));
}

#[test]
fn two_that_hold_each_other_off_both_get_on() {
    // vCPU 1, asked to fold, makes an access of its own that needs vCPU 0's list registers.
    let g = started(2, 4);
    enable_spis(&g, true);
    g.dist_write(0, 0x6000 + 8 * 34, 8, 1);
    for (v, intid) in [(0, 33), (1, 34)] {
        g.pulse(intid);
        enter(&g, v);
    }
    let other = g.clone();
    set_folder(Box::new(move |v| {
        assert_eq!(v, 1, "vCPU 0 has folded before it waits");
        on(1, || {
            assert_eq!(other.dist_read(1, 0x204, 4) & 0b110, 0b110);
            assert!(!other.sync_in(1), "held off");
        });
    }));
    assert_eq!(g.dist_read(0, 0x204, 4) & 0b110, 0b110);
    assert_eq!((ack(&g, 0), ack(&g, 1)), (Some(33), Some(34)));
}
