//! The GICv3 and the hypervisor's physical timer.

use core::cell::UnsafeCell;

use axhal::boot::{self, BootInfo};
use axhal::cpu;
use axhal::drivers::gicv3::{self, Gic};
use axhal::drivers::timer::Timer;
use axhal::machine::Arm;

use super::Event;
use crate::bare::registers;

const KICK: u32 = 0;

struct Shared(UnsafeCell<Option<Gic>>);
// SAFETY: written once by the boot CPU, before there are others.
unsafe impl Sync for Shared {}
static GIC: Shared = Shared(UnsafeCell::new(None));

fn machine() -> &'static Arm {
    boot::info().machine.arm().expect("an Arm machine")
}

fn gic() -> &'static Gic {
    // SAFETY: written before.
    unsafe { &*GIC.0.get() }.as_ref().expect("a GIC")
}

/// Takes the interrupt controller over, and sets the boot CPU up.
pub fn init(info: &BootInfo) -> Timer {
    let arm = machine();
    let dist = registers(&arm.gic.distributor);
    let redist = registers(&arm.gic.redistributors[0]);
    let gic = Gic::init(&arm.gic, dist, &[redist], cpu::this().id()).expect("gic");
    // SAFETY: the boot CPU alone runs.
    unsafe { *GIC.0.get() = Some(gic) };
    init_cpu();
    Timer::new(&info.machine).expect("a frequency")
}

/// Sets this CPU up.
pub fn init_cpu() {
    let lines = gic().init_cpu(cpu::this().id()).expect("redistributor");
    lines
        .line(machine().timer.hypervisor.number)
        .expect("a PPI")
        .enable();
}

/// Interrupts another CPU.
pub fn kick(cpu: usize) {
    let id = boot::info().machine.cpus.list[cpu].id;
    gicv3::send_sgi(gic().sgi_target(id).expect("a target"), KICK as u8);
}

/// Serves one interrupt.
pub fn serve() -> Event {
    let intid = gicv3::ack();
    if intid >= gicv3::SPECIAL {
        return Event::None;
    }
    let event = if intid == machine().timer.hypervisor.number
        && let Ok(timer) = Timer::new(&boot::info().machine)
    {
        timer.clear_deadline();
        Event::Timer
    } else if intid == KICK {
        Event::Kick
    } else {
        Event::Other
    };
    gicv3::end(intid);
    gicv3::deactivate(intid);
    event
}

/// What only this architecture has: nothing.
pub fn extra(_info: &BootInfo) {}
