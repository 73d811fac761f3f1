//! Timer PPIs and passthrough SPIs: the physical state follows the virtual one.

use super::fake::*;
use crate::CpuInterface;
use crate::SgiRegister;
use crate::regs::{hcr, lr};

const SGI: u64 = 0x1_0000;

fn timer_line(asserted: bool) {
    hw(|h| h.ppi_line = u32::from(asserted) << TIMER);
}

fn phys_active() -> bool {
    hw(|h| h.ppi_active >> TIMER & 1 != 0)
}

#[test]
fn a_timer_is_ended_by_the_guest_alone() {
    let g = started(1, 4);
    g.redist_write(0, SGI + 0x100, 4, 1 << TIMER);
    enter(&g, 0);
    hw(|h| (h.lr_reads, h.lr_writes) = (0, 0));
    for _ in 0..10 {
        timer_line(true);
        assert_eq!(ack(&g, 0), Some(TIMER));
        assert!(phys_active());
        timer_line(false);
        hw(|h| h.eoi(TIMER));
        assert!(!phys_active());
        assert_eq!(hw(|h| h.misr()), 0, "no maintenance interrupt");
    }
    assert_eq!(hw(|h| h.lr_writes), 10, "one list register write each");
    // A line that stays asserted fires again.
    timer_line(true);
    assert_eq!(ack(&g, 0), Some(TIMER));
    eoi(&g, 0, TIMER);
    assert_eq!(ack(&g, 0), Some(TIMER));
}

#[test]
fn a_timer_disabled_in_the_redistributor_waits() {
    let g = started(1, 4);
    timer_line(true);
    enter(&g, 0);
    assert!(
        phys_active(),
        "held back, so that it does not fire without end"
    );
    assert_eq!(ack(&g, 0), None);
    assert!(!g.has_deliverable(0));
    assert_eq!(
        g.redist_read(0, SGI + 0x200, 4),
        1 << TIMER,
        "pending to be seen"
    );
    // And not any more when its line has fallen: it is free to fire then.
    timer_line(false);
    assert_eq!(g.redist_read(0, SGI + 0x200, 4), 0);
    assert!(!phys_active());
    timer_line(true);
    enter(&g, 0);
    assert!(phys_active());
    g.redist_write(0, SGI + 0x100, 4, 1 << TIMER);
    assert_eq!(ack(&g, 0), Some(TIMER));
    eoi(&g, 0, TIMER);
    // Taken back by disabling, also from a list register; gone if the line has fallen since.
    enter(&g, 0);
    g.redist_write(0, SGI + 0x180, 4, 1 << TIMER);
    assert_eq!(ack(&g, 0), None);
    timer_line(false);
    g.redist_write(0, SGI + 0x100, 4, 1 << TIMER);
    assert_eq!(ack(&g, 0), None);
    assert!(!phys_active());
}

#[test]
fn a_timer_moves_with_its_vcpu() {
    power_on(2, 4);
    let g = started(2, 4);
    on(1, || g.put(1));
    g.redist_write(0, SGI + 0x100, 4, 1 << TIMER);
    timer_line(true);
    enter(&g, 0);
    assert!(phys_active());
    g.put(0);
    timer_line(false);
    assert!(!phys_active(), "free for the next vCPU");
    assert_eq!(hw(|h| h.hcr) & hcr::EN, 0);
    on(1, || {
        timer_line(true);
        g.load(0);
        assert!(phys_active(), "pending, so it must not fire again");
        enter_here(&g, 0);
        assert_eq!(hw(|h| h.ack()).map(|a| a.0), Some(TIMER));
        g.put(0);
        assert!(!phys_active());
        g.load(0);
        assert!(phys_active(), "active");
        enter_here(&g, 0);
        timer_line(false);
        hw(|h| h.eoi(TIMER));
        assert!(!phys_active());
        // A vCPU that has neither leaves the PPI free.
        hw(|h| h.ppi_active = 1 << TIMER);
        g.put(0);
        g.load(1);
        assert!(!phys_active());
    });
}

#[test]
fn writes_of_pending_and_active_reach_the_physical_ppi() {
    let g = started(1, 4);
    let write = |reg: u64| {
        g.redist_write(0, SGI + reg, 4, 1 << TIMER);
        enter(&g, 0);
    };
    write(0x100);
    write(0x300);
    assert!(phys_active());
    assert_eq!(g.redist_read(0, SGI + 0x380, 4), 1 << TIMER);
    enter(&g, 0);
    write(0x380);
    assert!(!phys_active());
    write(0x200);
    assert!(phys_active());
    write(0x280);
    assert!(!phys_active());
    assert_eq!(ack(&g, 0), None);
    // Software's pending needs no line.
    write(0x200);
    assert_eq!(ack(&g, 0), Some(TIMER));
    eoi(&g, 0, TIMER);
    assert!(!phys_active());
    assert_eq!(ack(&g, 0), None);
    // A level that is asserted stays pending.
    timer_line(true);
    enter(&g, 0);
    write(0x280);
    assert_eq!(ack(&g, 0), Some(TIMER));
    // Pending once more while active comes from the physical controller.
    timer_line(false);
    write(0x200);
    eoi(&g, 0, TIMER);
    assert_eq!(ack(&g, 0), Some(TIMER));
}

#[test]
fn its_trigger_is_fixed() {
    let g = started(1, 4);
    g.redist_write(0, SGI + 0xc04, 4, u64::from(u32::MAX));
    let fixed = 3u64 << ((TIMER - 16) * 2);
    assert_eq!(g.redist_read(0, SGI + 0xc04, 4), 0xaaaa_aaaa & !fixed);
}

const WORD: u64 = 4 * (PASSTHROUGH as u64 / 32);
const BIT: u64 = 1 << (PASSTHROUGH % 32);

#[test]
fn a_passthrough_spi_is_enabled_configured_and_routed_by_the_guest() {
    let g = started(2, 4);
    assert!(!spi(PASSTHROUGH, |s| s.enabled));
    g.dist_write(0, 0x100 + WORD, 4, BIT);
    g.dist_write(
        0,
        0xc00 + PASSTHROUGH as u64 / 16 * 4,
        4,
        2 << (PASSTHROUGH % 16 * 2),
    );
    g.dist_write(0, 0x6000 + 8 * u64::from(PASSTHROUGH), 8, 1);
    let s = spi(PASSTHROUGH, |s| *s);
    assert!(s.enabled && s.edge && s.route == 1);
    spi(PASSTHROUGH, |s| s.latch = true);
    fire_spi(&g, PASSTHROUGH);
    assert_eq!(ack(&g, 0), None);
    assert_eq!(ack(&g, 1), Some(PASSTHROUGH));
    // An edge while it is active comes after it.
    spi(PASSTHROUGH, |s| s.latch = true);
    fire_spi(&g, PASSTHROUGH);
    eoi(&g, 1, PASSTHROUGH);
    assert!(!spi(PASSTHROUGH, |s| s.active));
    fire_spi(&g, PASSTHROUGH);
    assert_eq!(ack(&g, 1), Some(PASSTHROUGH));
    g.dist_write(0, 0x180 + WORD, 4, BIT);
    assert!(!spi(PASSTHROUGH, |s| s.enabled));
    assert!(!g.spi_fired(PASSTHROUGH + 1), "not this VM's");
    assert!(!g.spi_fired(5000));
}

#[test]
fn a_route_follows_its_vcpu() {
    let g = started(2, 4);
    let route = || spi(PASSTHROUGH, |s| s.route);
    g.dist_write(0, 0x6000 + 8 * u64::from(PASSTHROUGH), 8, 1);
    assert_eq!(route(), 1);
    g.put(0);
    on(1, || g.put(1));
    // vCPU 1 goes to CPU 0, and back.
    g.load(1);
    assert_eq!(route(), 0);
    g.put(1);
    on(1, || g.load(1));
    assert_eq!(route(), 1);
    // vCPU 0 gets it, and goes to CPU 1.
    on(1, || {
        g.dist_write(1, 0x6000 + 8 * u64::from(PASSTHROUGH), 8, 0);
        g.put(1);
    });
    assert_eq!(route(), 0);
    on(1, || {
        g.load(0);
        g.put(0);
    });
    assert_eq!(route(), 1);
    // A route to nobody changes nothing.
    g.dist_write(0, 0x6000 + 8 * u64::from(PASSTHROUGH), 8, 77);
    assert_eq!(route(), 1);
    g.reset();
    assert_eq!(route(), 1, "where vCPU 0 was last");
}

#[test]
fn an_edge_that_was_not_taken_survives_folding() {
    let g = started(1, 4);
    g.dist_write(
        0,
        0xc00 + PASSTHROUGH as u64 / 16 * 4,
        4,
        2 << (PASSTHROUGH % 16 * 2),
    );
    g.dist_write(0, 0x100 + WORD, 4, BIT);
    spi(PASSTHROUGH, |s| s.latch = true);
    fire_spi(&g, PASSTHROUGH);
    enter(&g, 0);
    assert!(hw(|h| h.lrs.iter().any(|l| l & lr::HW != 0)));
    g.put(0);
    g.load(0);
    assert_eq!(ack(&g, 0), Some(PASSTHROUGH));
}

#[test]
fn writes_of_pending_and_active_reach_the_physical_spi() {
    let g = started(1, 4);
    let write = |reg: u64| g.dist_write(0, reg + WORD, 4, BIT);
    write(0x100);
    write(0x300);
    assert!(spi(PASSTHROUGH, |s| s.active));
    assert_eq!(g.dist_read(0, 0x300 + WORD, 4), BIT);
    write(0x380);
    assert!(!spi(PASSTHROUGH, |s| s.active));
    spi(PASSTHROUGH, |s| s.latch = true);
    assert_eq!(g.dist_read(0, 0x200 + WORD, 4), BIT);
    write(0x280);
    assert!(!spi(PASSTHROUGH, |s| s.latch));
    assert_eq!(g.dist_read(0, 0x200 + WORD, 4), 0);
    write(0x200);
    assert_eq!(ack(&g, 0), Some(PASSTHROUGH));
    eoi(&g, 0, PASSTHROUGH);
    assert!(!spi(PASSTHROUGH, |s| s.active));
}

#[test]
fn reset_leaves_passthrough_spis_quiet() {
    let g = started(1, 4);
    g.dist_write(0, 0x100 + WORD, 4, BIT);
    spi(PASSTHROUGH, |s| s.line = true);
    fire_spi(&g, PASSTHROUGH);
    enter(&g, 0);
    g.put(0);
    spi(PASSTHROUGH, |s| s.latch = true);
    g.reset();
    let s = spi(PASSTHROUGH, |s| *s);
    assert!(!s.enabled && !s.active && !s.latch);
    assert_eq!(g.dist_read(0, 0x100 + WORD, 4), 0);
    // And nothing of it comes afterwards.
    g.load(0);
    Fake::write_vmcr(GUEST_VMCR);
    g.dist_write(0, 0, 4, 3);
    assert_eq!(ack(&g, 0), None);
    assert!(!g.has_deliverable(0));
}

#[test]
fn a_line_that_fell_is_not_pending_when_read() {
    let g = started(1, 4);
    g.dist_write(0, 0x100 + WORD, 4, BIT);
    spi(PASSTHROUGH, |s| s.line = true);
    fire_spi(&g, PASSTHROUGH);
    enter(&g, 0);
    assert_eq!(g.dist_read(0, 0x200 + WORD, 4), BIT);
    enter(&g, 0);
    spi(PASSTHROUGH, |s| s.line = false);
    assert_eq!(g.dist_read(0, 0x200 + WORD, 4), 0);
    assert!(!spi(PASSTHROUGH, |s| s.active), "it can fire again");
    assert!(!g.has_deliverable(0));
}

#[test]
fn a_timer_that_fires_again_keeps_its_list_register() {
    let g = started(1, 4);
    g.redist_write(0, SGI + 0x100, 4, 1 << TIMER | 0xff);
    enter(&g, 0);
    let send = |sgi: u64| {
        g.send_sgi(0, SgiRegister::Sgi1r, sgi << 24 | 1, |_| {
            assert!(g.sync_in(0))
        });
    };
    // The SGI in the first, the timer in the second; both are done with.
    send(0);
    timer_line(true);
    enter(&g, 0);
    assert_eq!((ack(&g, 0), g.ppi_can_fire(0, TIMER)), (Some(0), false));
    hw(|h| h.eoi(0));
    assert_eq!(ack(&g, 0), Some(TIMER));
    assert!(!g.ppi_can_fire(0, TIMER));
    timer_line(false);
    hw(|h| h.eoi(TIMER));
    assert!(g.ppi_can_fire(0, TIMER));
    timer_line(true);
    enter(&g, 0);
    for sgi in 1..4 {
        send(sgi);
    }
    // It is known to be in a list register, or this would not reach it.
    g.redist_write(0, SGI + 0x180, 4, 1 << TIMER);
    let mut got = Vec::new();
    while let Some(intid) = ack(&g, 0) {
        got.push(intid);
        eoi(&g, 0, intid);
    }
    assert_eq!(got, [1, 2, 3]);
    assert!(!g.ppi_can_fire(0, TIMER), "disabled");
}

#[test]
fn a_device_that_fires_again_follows_its_new_route() {
    let g = started(2, 1);
    g.dist_write(0, 0x100 + 4, 4, BIT | 2);
    spi(PASSTHROUGH, |s| s.line = true);
    fire_spi(&g, PASSTHROUGH);
    assert_eq!(ack(&g, 0), Some(PASSTHROUGH));
    g.dist_write(0, 0x6000 + 8 * u64::from(PASSTHROUGH), 8, 1);
    enter(&g, 0);
    hw(|h| h.eoi(PASSTHROUGH));
    // It fires while its old list register is not looked at yet, and another takes that.
    fire_spi(&g, PASSTHROUGH);
    g.set_level(33, true);
    assert_eq!((ack(&g, 0), ack(&g, 1)), (Some(33), Some(PASSTHROUGH)));
}
