//! Interrupts by kind: SGIs, PPIs and SPIs, their state bits, routing, registers that don't exist
//! (Arm IHI 0069).

use crate::Case;
use crate::outcome::Outcome;
use guest_support::exception::{self, on_interrupt, taken};
use guest_support::gic::*;
use guest_support::mmio::{read32, read64, write32, write64};
use guest_support::sync::wait_for;
use guest_support::{cpu, read_sysreg, smp, write_sysreg};

pub const CASES: &[Case] = &[
    ("gic::identification", 1, identification),
    ("gic::redistributors", 1, redistributors),
    ("gic::reserved_registers", 1, reserved_registers),
    ("gic::banked_registers_of_affinity_routing", 1, banked),
    ("gic::register_fields", 1, register_fields),
    ("gic::sgi_to_self", 1, sgi_to_self),
    ("gic::sgi_pending_bit", 1, sgi_pending_bit),
    ("gic::sgi_to_list", 2, sgi_to_list),
    ("gic::sgi_to_others", 2, sgi_to_others),
    ("gic::sgi_ping_pong", 2, sgi_ping_pong),
    ("gic::ppi_by_software", 1, ppi_by_software),
    ("gic::spi_edge", 1, spi_edge),
    ("gic::spi_level", 1, spi_level),
    ("gic::disabled_stays_pending", 1, disabled_stays_pending),
    ("gic::spi_route", 2, spi_route),
    ("gic::spi_route_follows", 2, spi_route_follows),
    ("gic::group_0", 1, group_0),
    ("gic::distributor_off", 1, distributor_off),
];

/// SPIs that no device of the board or of the guest platform has.
pub const SPI: u32 = 40 + 60;
/// How many of them the cases use.
pub const SPIS: u32 = 16;
/// A PPI that nothing has.
const PPI: u32 = 21;

/// Takes all interrupts of the cases out of the controller, and its settings back to normal.
pub fn quiet() {
    write_sysreg!("icc_ctlr_el1", read_sysreg!("icc_ctlr_el1") & !2);
    for intid in (0..16).chain([PPI]).chain(SPI..SPI + SPIS) {
        if intid >= 16 {
            set(Bits::ClearEnable, intid);
        } else {
            set(Bits::SetEnable, intid);
        }
        set(Bits::ClearPending, intid);
        set(Bits::ClearActive, intid);
        set_priority(intid, 0xa0);
        if intid >= 32 {
            set_edge(intid, true);
            route(intid, smp::id(cpu()));
        }
    }
    write_sysreg!("icc_pmr_el1", 0xff);
    write_sysreg!("icc_bpr1_el1", 0);
    write_sysreg!("icc_igrpen0_el1", 0);
    write_sysreg!("icc_igrpen1_el1", 1);
}

/// A fresh SPI of group 1, edge-triggered or level-sensitive, enabled, for this CPU.
pub fn fresh(n: u32, edge: bool) -> u32 {
    let intid = SPI + n;
    set_edge(intid, edge);
    route(intid, smp::id(cpu()));
    enable(intid);
    intid
}

/// How often this CPU took `intid`, after giving what is on its way time to come.
fn settled(intid: u32) -> u64 {
    wait_for(1, || false);
    taken(cpu(), intid)
}

fn identification() -> Outcome {
    let architecture = read32(GICD + 0xffe8) >> 4 & 0xf;
    check!(architecture == 3, architecture = architecture);
    let typer = read32(GICD + 4);
    check!(((typer & 31) + 1) * 32 > SPI + SPIS, typer = typer);
    let ctlr = read32(GICD);
    check!(ctlr & 0x50 == 0x50, ctlr = ctlr);
    // Affinity routing and the one security state can't be switched off.
    write32(GICD, ctlr & !0x50);
    let after = read32(GICD);
    init_distributor();
    check!(after & 0x40 != 0, after = after);
    let sre = read_sysreg!("icc_sre_el1");
    check!(sre & 1 == 1, sre = sre);
    Ok(())
}

fn redistributors() -> Outcome {
    let cpus = smp::count();
    for n in 0..cpus {
        let base = GICR + n * GICR_STRIDE;
        let typer = read64(base + 8);
        check!(typer >> 32 == smp::id(n), n = n, typer = typer);
        check!(
            (typer >> 4 & 1 == 1) == (n == cpus - 1),
            n = n,
            typer = typer
        );
        check!(typer >> 8 & 0xffff == n as u64, n = n, typer = typer);
        // The halves can be read too.
        check!(read32(base + 8) == typer as u32 && read32(base + 12) == (typer >> 32) as u32);
        let architecture = read32(base + 0xffe8) >> 4 & 0xf;
        check!(architecture == 3, architecture = architecture);
    }
    Ok(())
}

fn reserved_registers() -> Outcome {
    for address in [
        GICD + 0x14,
        GICD + 0x60,
        GICD + 0x7c,
        GICD + 0xe04,
        GICD + 0x5000,
        GICD + 0xc000,
        redistributor() + 0x2c,
        redistributor() + 0xe0,
        redistributor() + SGI_FRAME + 0x60,
        redistributor() + SGI_FRAME + 0x1000,
    ] {
        write32(address, 0xffff_ffff);
        let value = read32(address);
        check!(value == 0, address = address, value = value);
    }
    Ok(())
}

/// With affinity routing the distributor's registers of SGIs and PPIs are RAZ/WI (12.9).
fn banked() -> Outcome {
    for offset in [
        0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0xc00, 0x800, 0x820,
    ] {
        write32(GICD + offset, 0xffff_ffff);
        let value = read32(GICD + offset);
        check!(value == 0, offset = offset, value = value);
    }
    Ok(())
}

fn register_fields() -> Outcome {
    // Priorities are bytes, and words of four.
    for n in 0..4 {
        set_priority(SPI + n, 0x40 + 0x20 * n as u8);
    }
    let four = read32(GICD + 0x400 + SPI as usize);
    check!(four == 0xa080_6040, four = four);
    // Configuration: the low bit of each pair is reserved.
    set_edge(SPI, true);
    check!(read32(GICD + 0xc00 + (SPI / 16 * 4) as usize) >> (SPI % 16 * 2) & 3 == 2);
    set_edge(SPI, false);
    check!(read32(GICD + 0xc00 + (SPI / 16 * 4) as usize) >> (SPI % 16 * 2) & 3 == 0);
    // SGIs are always edge-triggered.
    let frame = redistributor() + SGI_FRAME;
    write32(frame + 0xc00, 0);
    let sgis = read32(frame + 0xc00);
    check!(sgis == 0xaaaa_aaaa, sgis = sgis);
    // Routes are 64 bits, reached as halves as well; reserved bits stay 0.
    let address = GICD + 0x6000 + SPI as usize * 8;
    write64(address, !(1 << 31));
    let value = read64(address);
    check!(
        crate::on_board() || value & !0xff_00ff_ffff == 0,
        value = value
    );
    write32(address, 0);
    write32(address + 4, 0);
    check!(read64(address) == 0);
    // Enable bits: set and clear show the same.
    set(Bits::SetEnable, SPI);
    check!(get(Bits::SetEnable, SPI) && get(Bits::ClearEnable, SPI));
    set(Bits::ClearEnable, SPI);
    check!(!get(Bits::SetEnable, SPI) && !get(Bits::ClearEnable, SPI));
    Ok(())
}

fn sgi_to_self() -> Outcome {
    for intid in 0..16 {
        send_sgi(intid, 1 << cpu());
        check!(wait_for(1000, || taken(cpu(), intid) == 1), intid = intid);
    }
    for intid in 0..16 {
        check!(settled(intid) == 1, intid = intid);
    }
    Ok(())
}

fn sgi_pending_bit() -> Outcome {
    exception::mask();
    check!(acknowledge() == SPURIOUS);
    send_sgi(5, 1 << cpu());
    check!(wait_for(1000, || get(Bits::SetPending, 5)));
    check!(get(Bits::ClearPending, 5));
    let highest = read_sysreg!("icc_hppir1_el1");
    check!(highest == 5, highest = highest);
    let status = read_sysreg!("isr_el1");
    check!(status & 0x80 != 0, status = status);
    set(Bits::ClearPending, 5);
    check!(wait_for(1000, || read_sysreg!("isr_el1") & 0x80 == 0));
    check!(acknowledge() == SPURIOUS);
    // Pending by the register instead of an SGI.
    set(Bits::SetPending, 5);
    exception::unmask();
    check!(wait_for(1000, || taken(cpu(), 5) == 1));
    Ok(())
}

fn nothing() {}

fn sgi_to_list() -> Outcome {
    check!(smp::run(1, nothing));
    send_sgi(1, 0b10);
    check!(wait_for(1000, || taken(1, 1) == 1));
    check!(settled(1) == 0);
    send_sgi(2, 0b11);
    check!(wait_for(1000, || taken(0, 2) == 1 && taken(1, 2) == 1));
    // Targets that don't exist are ignored.
    send_sgi(3, 0x8000);
    check!(settled(3) == 0 && taken(1, 3) == 0);
    Ok(())
}

fn sgi_to_others() -> Outcome {
    let cpus = smp::count();
    for cpu in 1..cpus {
        check!(smp::run(cpu, nothing), cpu = cpu);
    }
    send_sgi_to_others(4);
    for cpu in 1..cpus {
        check!(wait_for(1000, || taken(cpu, 4) == 1), cpu = cpu);
    }
    check!(settled(4) == 0);
    Ok(())
}

fn sgi_ping_pong() -> Outcome {
    check!(smp::run(1, nothing));
    on_interrupt(
        Some(|intid| {
            if cpu() == 1 {
                send_sgi(intid, 1);
            }
        }),
        true,
    );
    for round in 1..=200 {
        send_sgi(6, 0b10);
        check!(
            wait_for(2000, || taken(0, 6) == round),
            round = round,
            there = taken(1, 6)
        );
    }
    check!(taken(1, 6) == 200);
    Ok(())
}

fn ppi_by_software() -> Outcome {
    enable(PPI);
    set(Bits::SetPending, PPI);
    check!(wait_for(1000, || taken(cpu(), PPI) == 1));
    check!(settled(PPI) == 1);
    check!(!get(Bits::SetPending, PPI) && !get(Bits::SetActive, PPI));
    Ok(())
}

fn spi_edge() -> Outcome {
    let intid = fresh(0, true);
    for round in 1..=5 {
        set(Bits::SetPending, intid);
        check!(
            wait_for(1000, || taken(cpu(), intid) == round),
            round = round
        );
    }
    check!(settled(intid) == 5);
    // Pending again while it is active: it comes once more.
    on_interrupt(
        Some(|intid| {
            if taken(cpu(), intid) == 6 {
                set(Bits::SetPending, intid);
            }
        }),
        true,
    );
    set(Bits::SetPending, intid);
    check!(wait_for(1000, || taken(cpu(), intid) == 7));
    check!(settled(intid) == 7);
    Ok(())
}

/// A level-sensitive interrupt made pending by software stays so until it is acknowledged (4.1.2).
fn spi_level() -> Outcome {
    let intid = fresh(1, false);
    exception::mask();
    set(Bits::SetPending, intid);
    check!(get(Bits::SetPending, intid));
    set(Bits::ClearPending, intid);
    check!(!get(Bits::SetPending, intid));
    set(Bits::SetPending, intid);
    exception::unmask();
    check!(wait_for(1000, || taken(cpu(), intid) == 1));
    check!(settled(intid) == 1);
    check!(!get(Bits::SetPending, intid) && !get(Bits::SetActive, intid));
    Ok(())
}

fn disabled_stays_pending() -> Outcome {
    for intid in [7, PPI, fresh(2, true)] {
        set(Bits::ClearEnable, intid);
        set(Bits::SetPending, intid);
        check!(settled(intid) == 0, intid = intid);
        check!(get(Bits::SetPending, intid), intid = intid);
        set(Bits::SetEnable, intid);
        check!(wait_for(1000, || taken(cpu(), intid) == 1), intid = intid);
    }
    Ok(())
}

fn spi_route() -> Outcome {
    check!(smp::run(1, nothing));
    let intid = fresh(3, true);
    route(intid, smp::id(1));
    set(Bits::SetPending, intid);
    check!(wait_for(1000, || taken(1, intid) == 1));
    check!(settled(intid) == 0);
    route(intid, smp::id(0));
    set(Bits::SetPending, intid);
    check!(wait_for(1000, || taken(0, intid) == 1));
    check!(taken(1, intid) == 1);
    Ok(())
}

/// A pending interrupt goes where its route points when it is taken.
fn spi_route_follows() -> Outcome {
    check!(smp::run(1, nothing));
    exception::mask();
    let intid = fresh(4, true);
    set(Bits::SetPending, intid);
    wait_for(1, || false);
    route(intid, smp::id(1));
    let there = wait_for(1000, || taken(1, intid) == 1);
    exception::unmask();
    check!(there);
    check!(settled(intid) == 0);
    Ok(())
}

/// Group 0 comes as FIQ, and only to its own acknowledge register.
fn group_0() -> Outcome {
    let intid = fresh(5, true);
    let group = GICD + Bits::Group as usize + (intid / 32 * 4) as usize;
    write32(group, read32(group) & !(1 << (intid % 32)));
    check!(!get(Bits::Group, intid));
    write_sysreg!("icc_igrpen0_el1", 1);
    exception::take_fast();
    set(Bits::SetPending, intid);
    wait_for(1, || false);
    let highest = read_sysreg!("icc_hppir0_el1");
    check!(highest == intid.into(), highest = highest);
    check!(acknowledge() == SPURIOUS || crate::on_board());
    exception::unmask_fast();
    let came = wait_for(1000, exception::fast_came);
    exception::mask_fast();
    let fast = exception::take_fast();
    enable(intid);
    check!(came && fast == intid.into(), fast = fast);
    Ok(())
}

fn distributor_off() -> Outcome {
    let intid = fresh(6, true);
    write32(GICD, 1 << 4);
    while read32(GICD) & (1 << 31) != 0 {}
    set(Bits::SetPending, intid);
    let early = settled(intid);
    init_distributor();
    check!(early == 0);
    check!(wait_for(1000, || taken(cpu(), intid) == 1));
    Ok(())
}
