use std::cell::{Cell, RefCell};
use std::sync::Mutex;

use axaddrspace::GuestPhysAddr;
use axdevice::{Access, AccessWidth};
use axvcpu::{IrqchipRegion, Mode};

use super::*;

thread_local! {
    /// The CPU this thread is.
    static CPU: Cell<usize> = const { Cell::new(0) };
    /// Kicks, and what became of lines, in order.
    static DID: RefCell<Vec<(&'static str, usize)>> = const { RefCell::new(Vec::new()) };
}

fn did(what: &'static str, whom: usize) {
    DID.with_borrow_mut(|did| did.push((what, whom)));
}

fn taken() -> Vec<(&'static str, usize)> {
    DID.take()
}

struct Host;

impl RiscvHost for Host {
    const MAX_CPUS: usize = 8;

    fn cpu() -> usize {
        CPU.get()
    }

    fn now() -> u64 {
        1_000
    }

    fn kick(cpu: usize) {
        did("kick", cpu);
    }

    fn kicked() {}

    fn need_resched() -> bool {
        false
    }

    fn set_guest_timer(_: u64) {}

    fn enable_line(line: u32, cpu: usize) {
        did("enable", line as usize);
        did("at", cpu);
    }

    fn disable_line(line: u32) {
        did("disable", line as usize);
    }

    fn reset_line(line: u32) {
        did("reset", line as usize);
    }

    fn complete_line(line: u32) {
        did("complete", line as usize);
    }

    fn remote_fence_i(_: u64) {}

    fn remote_hfence_vvma(_: u64, _: Option<u64>, _: u64, _: u64) {}

    fn remote_hfence_gvma(_: u16, _: u64, _: u64) {}

    fn fence_i_everywhere() {}
}

struct NoMemory;

impl GuestMemory for NoMemory {
    fn read(&self, _: GuestPhysAddr, _: &mut [u8]) -> bool {
        false
    }

    fn write(&self, _: GuestPhysAddr, _: &[u8]) -> bool {
        false
    }
}

static WOKEN: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

const PLIC: usize = 0x0c00_0000;

fn vm(lines: &[u32]) -> Arc<RiscvVm<Host>> {
    taken();
    let harts = [10, 11, 12];
    let irqchip = [IrqchipRegion {
        role: IrqchipRole::Distributor,
        range: GuestPhysRange {
            start: PLIC.into(),
            end: (PLIC + 0x400_0000).into(),
        },
    }];
    RiscvVm::new(VmSetup {
        vm_id: 77,
        phys_ids: &harts,
        irqchip: &irqchip,
        passthrough_lines: lines,
        sync: harts.iter().map(|_| VCpuSync::new()).collect(),
        memory: Arc::new(NoMemory),
        notify: |vm, vcpu, _| WOKEN.lock().unwrap().push((vm, vcpu)),
    })
    .unwrap()
}

#[test]
fn a_vcpu_that_was_elsewhere_or_not_alone_finds_stale_entries() {
    let vm = vm(&[]);
    let enter = |vcpu, last, cpu| vm.entered_here(vcpu, last, cpu);
    assert!(enter(0, NOBODY, 0), "its first");
    assert!(!enter(0, 0, 0), "nobody was here meanwhile");
    assert!(enter(1, NOBODY, 0), "another was here");
    assert!(enter(0, 0, 0), "again");
    assert!(enter(0, 0, 3), "it was elsewhere");
    // Nobody else was on CPU 0: but what it fenced on CPU 3 may still be there.
    assert!(enter(0, 3, 0));
    assert!(!enter(0, 0, 0));
    // A CPU that is not known.
    assert!(enter(0, 9, 9));
}

#[test]
fn interrupts_reach_a_vcpu_where_it_is() {
    let vm = vm(&[]);
    let [running, here, asleep] = [0, 1, 2].map(|id| &vm.sync[id]);
    assert!(running.enter(5));
    assert!(here.enter(0));
    assert!(asleep.block());
    WOKEN.lock().unwrap().retain(|woken| woken.0 != 77);
    vm.send_ipi(0b111);
    assert_eq!(taken(), [("kick", 5)]);
    assert!(WOKEN.lock().unwrap().contains(&(77, 2)));
    for vcpu in 0..3 {
        assert!(vm.sync[vcpu].take_request(Request::Interrupt));
        assert_eq!(vm.take_pending(vcpu), pending::SOFTWARE);
        assert_eq!(vm.take_pending(vcpu), 0);
    }
}

#[test]
fn fences_go_to_cpus_with_guests_and_to_vcpus_without() {
    let vm = vm(&[]);
    assert!(vm.sync[0].enter(5));
    assert!(vm.sync[1].block());
    let cpus = vm.fence_others(0b111, pending::TRANSLATIONS);
    // In the guest: by the firmware, and nothing is left to do.
    assert_eq!(cpus, 1 << 5);
    assert!(!vm.sync[0].has_requests());
    assert_eq!(vm.take_pending(0), 0);
    // Asleep or outside: when it enters, for which nobody wakes it.
    for vcpu in [1, 2] {
        assert!(vm.sync[vcpu].has_requests());
        assert_eq!(vm.take_pending(vcpu), pending::TRANSLATIONS);
    }
    assert_eq!(vm.sync[1].mode(), Mode::Blocked);
    assert_eq!(taken(), []);
    // Both kinds add up.
    vm.fence_others(0b100, pending::TRANSLATIONS);
    vm.fence_others(0b100, pending::INSTRUCTIONS);
    assert_eq!(
        vm.take_pending(2),
        pending::TRANSLATIONS | pending::INSTRUCTIONS
    );
    assert_eq!(vm.fence_others(0, pending::TRANSLATIONS), 0);
}

#[test]
fn a_fence_keeps_a_vcpu_from_entering_or_from_sleeping() {
    let vm = vm(&[]);
    assert_eq!(vm.fence_others(1, pending::INSTRUCTIONS), 0);
    assert!(!vm.sync[0].enter(0));
    assert!(!vm.sync[0].block());
}

#[test]
fn lines_of_devices_and_of_the_machine() {
    let vm = vm(&[40, 200]);
    assert!(!vm.line_fired(41));
    assert!(vm.line_fired(40));
    assert!(vm.line_fired(200));
    // Sources that the guest has not enabled go nowhere.
    assert!(!vm.vplic.as_ref().unwrap().external_pending(0));
    taken();
    vm.reset();
    // Nothing was enabled: what has fired is forgotten.
    assert_eq!(taken(), [("reset", 40), ("reset", 200)]);
    let [(range, _)] = &vm.mmio_devices()[..] else {
        panic!("one PLIC");
    };
    assert_eq!(range.start, PLIC.into());
}

#[test]
fn lines_follow_the_vcpu_they_target() {
    let vm = vm(&[40, 200]);
    let [(_, plic)] = &vm.mmio_devices()[..] else {
        panic!("one PLIC");
    };
    // Source 40 for a vCPU's context, or not.
    let enable = |vcpu: usize, enabled: bool| {
        let access = Access {
            vcpu: 0,
            offset: 0x2000 + 0x80 * (2 * vcpu as u64 + 1) + 4,
            width: AccessWidth::Word,
        };
        plic.write(access, u64::from(enabled) << 8).unwrap();
        taken()
    };
    let comes = |vcpu, cpu| {
        vm.moved_here(vcpu, cpu);
        taken()
    };
    // It has not run yet: the line is this CPU's until it does.
    CPU.set(4);
    assert_eq!(enable(2, true), [("enable", 40), ("at", 4)]);
    assert_eq!(comes(2, 5), [("enable", 40), ("at", 5)]);
    // Another vCPU that has it enabled is the first.
    assert_eq!(comes(1, 3), []);
    assert_eq!(enable(1, true), [("enable", 40), ("at", 3)]);
    assert_eq!(comes(2, 6), []);
    assert_eq!(enable(1, false), [("enable", 40), ("at", 6)]);
    assert_eq!(enable(2, false), [("disable", 40)]);
    assert_eq!(comes(2, 5), []);
    assert_eq!(enable(2, true), [("enable", 40), ("at", 5)]);
    vm.reset();
    assert_eq!(
        taken(),
        [("disable", 40), ("reset", 40), ("reset", 200)],
        "none is owed a completion in the next life"
    );
    // Where it was is forgotten.
    assert_eq!(enable(2, true), [("enable", 40), ("at", 4)]);
    CPU.set(0);
}

#[test]
fn a_vm_without_interrupt_controller_has_lines_that_go_nowhere() {
    let vm = RiscvVm::<Host>::new(VmSetup {
        vm_id: 1,
        phys_ids: &[0],
        irqchip: &[],
        passthrough_lines: &[],
        sync: [VCpuSync::new()].into(),
        memory: Arc::new(NoMemory),
        notify: |_, _, _| (),
    })
    .unwrap();
    vm.irq_sink().set_level(10, true);
    assert!(vm.mmio_devices().is_empty());
    assert!(!vm.line_fired(1));
}

#[test]
fn the_guests_clock_begins_at_zero() {
    let vm = vm(&[]);
    vm.start();
    assert_eq!(Host::now().wrapping_add(vm.clock()), 0);
}

#[test]
fn a_new_life_knows_nothing_of_the_old() {
    let vm = vm(&[]);
    vm.send_ipi(1);
    vm.entered_here(0, NOBODY, 0);
    vm.reset();
    assert_eq!(vm.take_pending(0), 0);
    assert!(vm.entered_here(0, 0, 0));
}

#[test]
fn harts_are_known_by_their_ids() {
    let vm = vm(&[]);
    assert_eq!(
        [10, 12, 13].map(|hart| vm.vcpu_of(hart)),
        [Some(0), Some(2), None]
    );
}

#[test]
fn sets_are_walked_bit_by_bit() {
    assert_eq!(bits(0).count(), 0);
    assert_eq!(bits(1 << 63 | 5).collect::<Vec<_>>(), [0, 2, 63]);
    assert_eq!(bits(u64::MAX).count(), 64);
}
