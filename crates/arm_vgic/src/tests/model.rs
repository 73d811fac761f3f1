//! Random histories against a reference: the GIC's state machine itself (IHI 0069, "Interrupt
//! handling state machine"), without list registers, loading or folding.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::fake::*;
use crate::SgiRegister;
use crate::regs::vmcr;

const VCPUS: usize = 3;
const CPUS: usize = 2;
/// The interrupts that take part: SGIs, a PPI, the linked timer, SPIs, the passthrough SPI.
const IDS: [u32; 16] = [
    0,
    1,
    2,
    3,
    4,
    5,
    20,
    TIMER,
    32,
    33,
    34,
    35,
    36,
    63,
    64,
    PASSTHROUGH,
];

#[derive(Clone, Copy, Default)]
struct Irq {
    enabled: bool,
    group1: bool,
    edge: bool,
    latch: bool,
    line: bool,
    active: bool,
    prio: u8,
    target: Option<usize>,
}

impl Irq {
    fn pending(&self) -> bool {
        self.latch || self.line && !self.edge
    }
}

#[derive(Default)]
struct Face {
    pmr: u8,
    groups: u64,
    /// Acknowledged and not EOI'd.
    stack: Vec<(u32, u8)>,
    /// EOI'd and, with EOImode 1, not deactivated.
    ended: Vec<u32>,
}

struct World {
    vgic: Arc<FakeVgic>,
    cpu_of: Rc<RefCell<[Option<usize>; VCPUS]>>,
    private: [[Irq; 32]; VCPUS],
    spis: Vec<Irq>,
    faces: [Face; VCPUS],
    timer: [bool; VCPUS],
    ctlr: u32,
    split: bool,
}

impl World {
    fn new(lr_count: usize, split: bool) -> Self {
        power_on(CPUS, lr_count);
        let vgic = vgic(VCPUS);
        let cpu_of = Rc::new(RefCell::new([None; VCPUS]));
        let (folder, cpus) = (vgic.clone(), cpu_of.clone());
        set_folder(Box::new(move |v| {
            if let Some(cpu) = cpus.borrow()[v] {
                on(cpu, || folder.fold(v));
            }
        }));
        let mut private = [[Irq::default(); 32]; VCPUS];
        for bank in &mut private {
            bank[..16].iter_mut().for_each(|irq| irq.edge = true);
        }
        let spi = Irq {
            target: Some(0),
            ..Irq::default()
        };
        let mut world = Self {
            vgic,
            cpu_of,
            private,
            spis: vec![spi; 64],
            faces: Default::default(),
            timer: [false; VCPUS],
            ctlr: 0,
            split,
        };
        for v in 0..VCPUS {
            world.load(v, v % CPUS);
            world.face(v, 0xf8, vmcr::VENG0 | vmcr::VENG1);
        }
        world
    }

    fn irq(&mut self, v: usize, id: u32) -> &mut Irq {
        match id {
            0..32 => &mut self.private[v][id as usize],
            _ => &mut self.spis[id as usize - 32],
        }
    }

    fn loaded(&self, v: usize) -> Option<usize> {
        self.cpu_of.borrow()[v]
    }

    /// A vCPU that is loaded: `v` if it is.
    fn someone(&mut self, v: usize) -> usize {
        if self.loaded(v).is_none() {
            self.load(v, v % CPUS);
        }
        v
    }

    fn here<R>(&self, v: usize, f: impl FnOnce(&FakeVgic) -> R) -> R {
        on(self.loaded(v).expect("loaded"), || f(&self.vgic))
    }

    fn put(&mut self, v: usize) {
        if let Some(cpu) = self.loaded(v) {
            on(cpu, || {
                self.vgic.put(v);
                hw(|h| {
                    h.ppi_line = 0;
                    assert_eq!(h.ppi_active, 0, "a linked PPI stays active");
                    assert!(h.lrs.iter().all(|l| l & crate::regs::lr::STATE == 0));
                });
            });
            self.cpu_of.borrow_mut()[v] = None;
        }
    }

    fn load(&mut self, v: usize, cpu: usize) {
        self.put(v);
        let other = (0..VCPUS).find(|&o| self.loaded(o) == Some(cpu));
        if let Some(other) = other {
            self.put(other);
        }
        self.cpu_of.borrow_mut()[v] = Some(cpu);
        let line = u32::from(self.timer[v]) << TIMER;
        on(cpu, || {
            hw(|h| h.ppi_line = line);
            self.vgic.load(v);
        });
    }

    fn face(&mut self, v: usize, pmr: u8, groups: u64) {
        let v = self.someone(v);
        self.faces[v].pmr = pmr;
        self.faces[v].groups = groups;
        let mode = if self.split { vmcr::VEOIM } else { 0 };
        let value = u64::from(pmr) << vmcr::VPMR_SHIFT | groups | mode | 3 << 18 | 2 << 21;
        self.here(v, |_| hw(|h| h.vmcr = value));
    }

    fn settle(&mut self) {
        for _ in 0..3 {
            fire_spi(&self.vgic, PASSTHROUGH);
            for v in 0..VCPUS {
                if self.loaded(v).is_some() {
                    self.here(v, |vgic| enter_here(vgic, v));
                }
            }
        }
    }

    fn reg(v: usize, id: u32, base: u64) -> (bool, u64, u32) {
        if id < 32 {
            (false, redist(v) + base, id)
        } else {
            (true, base + u64::from(id / 32 * 4), id % 32)
        }
    }

    fn write(&mut self, me: usize, v: usize, id: u32, base: u64, group: bool) {
        let (dist, offset, bit) = Self::reg(v, id, base);
        let mut value = 1u32 << bit;
        if base == 0x80 {
            let old = self.here(me, |g| access(g, me, dist, offset, 4, None)) as u32;
            value = old & !value | u32::from(group) << bit;
        }
        self.here(me, |g| access(g, me, dist, offset, 4, Some(value.into())));
    }

    /// The priority of what the reference would signal to vCPU `v`.
    fn best(&mut self, v: usize) -> Option<u8> {
        let running = self.faces[v]
            .stack
            .iter()
            .map(|s| s.1)
            .min()
            .unwrap_or(0xff);
        let pmr = self.faces[v].pmr;
        let ids = IDS.into_iter().filter(|&id| self.deliverable(v, id));
        let best = ids.collect::<Vec<_>>();
        let best = best.into_iter().map(|id| self.irq(v, id).prio).min()?;
        (best < pmr && best < running).then_some(best)
    }

    fn deliverable(&mut self, v: usize, id: u32) -> bool {
        let (ctlr, groups) = (self.ctlr, self.faces[v].groups);
        let irq = *self.irq(v, id);
        let bit = if irq.group1 { 2 } else { 1 };
        let here = id < 32 || irq.target == Some(v);
        let forwarded = irq.enabled && ctlr & bit as u32 != 0 && groups & bit != 0;
        here && forwarded && irq.pending() && !irq.active
    }

    fn ack(&mut self, v: usize) {
        let v = self.someone(v);
        self.settle();
        let best = self.best(v);
        let deliverable = self.here(v, |g| g.has_deliverable(v));
        assert_eq!(deliverable, best.is_some(), "has_deliverable");
        let got = self.here(v, |_| hw(|h| h.ack()));
        assert_eq!(got.map(|g| g.1), best, "vCPU {v} got {got:?}");
        if let Some((id, prio)) = got {
            assert!(self.deliverable(v, id), "{id} is not to be delivered");
            let irq = self.irq(v, id);
            assert_eq!(irq.prio, prio);
            irq.active = true;
            irq.latch = false;
            self.faces[v].stack.push((id, prio));
        }
    }

    fn eoi(&mut self, v: usize) {
        let v = self.someone(v);
        // The hardware has what is active in list registers, or counts, once it has entered.
        self.settle();
        if let Some((id, _)) = self.faces[v].stack.pop() {
            self.here(v, |_| hw(|h| h.eoi(id)));
            if self.split {
                self.faces[v].ended.push(id);
            } else {
                self.irq(v, id).active = false;
            }
        }
    }

    /// vCPU `by` deactivates what `v` has ended.
    fn dir(&mut self, by: usize, v: usize, pick: usize) {
        let ended = &mut self.faces[v].ended;
        if ended.is_empty() || !self.split {
            return;
        }
        let id = ended[pick % ended.len()];
        if id < 32 && by != v {
            return;
        }
        ended.retain(|&e| e != id);
        let by = self.someone(by);
        self.settle();
        self.irq(v, id).active = false;
        self.here(by, |g| g.write_dir(by, id.into()));
    }

    /// Reads back state through registers.
    fn compare(&mut self, me: usize, v: usize) {
        let me = self.someone(me);
        self.settle();
        for id in IDS {
            let irq = *self.irq(v, id);
            let read = |base: u64| {
                let (dist, offset, bit) = Self::reg(v, id, base);
                self.here(me, |g| access(g, me, dist, offset, 4, None)) >> bit & 1 != 0
            };
            assert_eq!(read(0x80), irq.group1, "IGROUPR {id}");
            assert_eq!(read(0x100), irq.enabled, "ISENABLER {id}");
            assert_eq!(read(0x380), irq.active, "ICACTIVER {id}");
            // The line of another vCPU's timer is not to be seen from here.
            if id != TIMER || v == me {
                assert_eq!(read(0x280), irq.pending(), "ICPENDR {id}");
            }
        }
    }

    fn step(&mut self, (op, a, b, c): (u8, u8, u8, u8)) {
        let id = IDS[a as usize % IDS.len()];
        let v = b as usize % VCPUS;
        let me = c as usize % VCPUS;
        let flag = c & 0x80 != 0;
        let emulated = 32 + u32::from(a % 5);
        match op {
            0..4 => {
                self.vgic.set_level(emulated, flag);
                let irq = self.irq(0, emulated);
                irq.latch |= flag && !irq.line && irq.edge;
                irq.line = flag;
            }
            4 => {
                self.vgic.pulse(emulated);
                let irq = self.irq(0, emulated);
                irq.latch |= irq.edge;
            }
            5..9 => {
                let sgi = u32::from(a % 6);
                let value = u64::from(sgi) << 24 | 1 << v;
                let bell = self.vgic.notifier();
                self.vgic.send_sgi(me, SgiRegister::Sgi1r, value, |t| {
                    bell.sync.fetch_or(1 << t, Ordering::SeqCst);
                });
                self.irq(v, sgi).latch = true;
            }
            9..14 => {
                // Mostly enables.
                let on = c & 0xc0 != 0;
                let me = self.someone(me);
                self.write(me, v, id, if on { 0x100 } else { 0x180 }, false);
                self.irq(v, id).enabled = on;
            }
            14 | 15 => {
                let linked = id == TIMER || id == PASSTHROUGH;
                if flag && linked && self.irq(v, id).active {
                    return;
                }
                let me = self.someone(me);
                self.write(me, v, id, if flag { 0x200 } else { 0x280 }, false);
                self.irq(v, id).latch = flag;
            }
            16..19 => {
                let me = self.someone(me);
                let prio = c & 0xf8;
                let (dist, offset, _) = Self::reg(v, id, 0);
                let offset = if dist { 0x400 } else { offset + 0x400 } + u64::from(id);
                self.here(me, |g| access(g, me, dist, offset, 1, Some(c.into())));
                self.irq(v, id).prio = prio;
            }
            19 | 20 => {
                let me = self.someone(me);
                self.write(me, v, id, 0x80, flag);
                self.irq(v, id).group1 = flag;
            }
            21 | 22 if id >= 32 => {
                // One in four routes leads nowhere.
                let to = (c >> 2) as usize % 4;
                let me = self.someone(me);
                let offset = 0x6000 + 8 * u64::from(id);
                self.here(me, |g| g.dist_write(me, offset, 8, to as u64));
                self.irq(v, id).target = (to < VCPUS).then_some(to);
            }
            23 => {
                let me = self.someone(me);
                self.ctlr = if flag { 3 } else { u32::from(c >> 2 & 3) };
                let ctlr = self.ctlr.into();
                self.here(me, |g| g.dist_write(me, 0, 4, ctlr));
            }
            24 if (32..PASSTHROUGH).contains(&id) => {
                let me = self.someone(me);
                let offset = 0xc00 + u64::from(id / 16 * 4);
                let bit = 2 << (id % 16 * 2);
                self.here(me, |g| {
                    let old = g.dist_read(me, offset, 4);
                    g.dist_write(me, offset, 4, if flag { old | bit } else { old & !bit });
                });
                self.irq(v, id).edge = flag;
            }
            25 => self.face(
                v,
                [0xf8, 0xff, 0x80, 0x40][c as usize & 3],
                [3, 3, 1, 2][c as usize >> 2 & 3],
            ),
            26 | 27 => self.load(v, c as usize % CPUS),
            28 => self.put(v),
            // A timer's line falls in its handler; so does the passthrough device's.
            29 | 30 if flag || self.irq(v, TIMER).active && self.loaded(v).is_some() => {
                self.timer[v] = flag;
                self.irq(v, TIMER).line = flag;
                if self.loaded(v).is_some() {
                    self.here(v, |_| hw(|h| h.ppi_line = u32::from(flag) << TIMER));
                }
            }
            31 if flag || self.irq(v, PASSTHROUGH).active => {
                self.irq(v, PASSTHROUGH).line = flag;
                spi(PASSTHROUGH, |s| s.line = flag);
            }
            32 if self.split => {
                let me = self.someone(me);
                if id == PASSTHROUGH || id == TIMER {
                    return;
                }
                self.write(me, v, id, if flag { 0x300 } else { 0x380 }, false);
                self.irq(v, id).active = flag;
                if !flag {
                    for face in self
                        .faces
                        .iter_mut()
                        .enumerate()
                        .filter(|f| id >= 32 || f.0 == v)
                    {
                        face.1.ended.retain(|&e| e != id);
                    }
                }
            }
            33 => self.compare(me, v),
            34..44 => self.ack(v),
            44..50 => self.eoi(v),
            50..53 => self.dir(me, v, a as usize),
            _ => {}
        }
        // Else several things come together.
        if c % 4 != 0 {
            self.settle();
        }
    }
}

fn redist(v: usize) -> u64 {
    v as u64 * crate::REDIST_STRIDE + 0x1_0000
}

fn access(
    g: &FakeVgic,
    me: usize,
    dist: bool,
    offset: u64,
    width: usize,
    value: Option<u64>,
) -> u64 {
    match (dist, value) {
        (true, None) => g.dist_read(me, offset, width),
        (false, None) => g.redist_read(me, offset, width),
        (true, Some(value)) => {
            g.dist_write(me, offset, width, value);
            0
        }
        (false, Some(value)) => {
            g.redist_write(me, offset, width, value);
            0
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn guests_observe_the_architecture(
        lr_count in prop_oneof![Just(1usize), Just(2), Just(4), Just(16)],
        split in any::<bool>(),
        bring_up in any::<u64>(),
        steps in prop::collection::vec((0u8..53, any::<u8>(), any::<u8>(), any::<u8>()), 1..250),
    ) {
        let mut world = World::new(lr_count, split);
        // Half of the interrupts enabled from the start.
        world.step((23, 0, 0, 0x80));
        for (i, _) in IDS.iter().enumerate() {
            for v in 0..VCPUS {
                let bits = bring_up >> ((i + v) % 48);
                world.step((9, i as u8, v as u8, if bits & 1 != 0 { 0x40 } else { 0 }));
                world.step((16, i as u8, v as u8, (bits as u8) << 3));
            }
        }
        for step in steps {
            world.step(step);
        }
        // Nothing is lost: with everything ended, all that is pending comes.
        for v in 0..VCPUS {
            while !world.faces[v].stack.is_empty() {
                world.eoi(v);
                world.settle();
            }
            while !world.faces[v].ended.is_empty() {
                world.dir(v, v, 0);
                world.settle();
            }
        }
        for v in 0..VCPUS {
            world.face(v, 0xff, 3);
            for _ in 0..40 {
                world.ack(v);
            }
        }
    }
}
