//! Fake CPUs: list registers, and the CPU interface a guest uses through them.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::regs::{hcr, lr, vmcr};
use crate::{Config, CpuInterface, Notify, Vgic, Wanted};

/// One physical CPU: its virtual CPU interface and its PPIs.
#[derive(Clone, Default)]
pub struct Hw {
    pub lr_count: usize,
    pub tdir: bool,
    pub lrs: [u64; 16],
    pub hcr: u64,
    pub vmcr: u64,
    pub ap: [[u32; 4]; 2],
    pub ppi_active: u32,
    pub ppi_latch: u32,
    pub ppi_line: u32,
    /// Accesses to list registers.
    pub lr_reads: usize,
    pub lr_writes: usize,
}

/// A physical SPI.
#[derive(Clone, Copy, Default)]
pub struct PhysSpi {
    pub enabled: bool,
    pub active: bool,
    pub latch: bool,
    pub line: bool,
    pub edge: bool,
    pub route: usize,
}

type Folder = Box<dyn Fn(usize)>;

thread_local! {
    static CPUS: RefCell<Vec<Hw>> = const { RefCell::new(Vec::new()) };
    static SPIS: RefCell<Vec<PhysSpi>> = RefCell::new(vec![PhysSpi::default(); 1024]);
    static CPU: Cell<usize> = const { Cell::new(0) };
    static FOLDER: RefCell<Option<Folder>> = const { RefCell::new(None) };
}

/// `count` CPUs after reset, for this thread; CPU 0 is the current one.
pub fn power_on(count: usize, lr_count: usize) {
    let hw = Hw {
        lr_count,
        tdir: true,
        ..Hw::default()
    };
    CPUS.set(vec![hw; count]);
    SPIS.set(vec![PhysSpi::default(); 1024]);
    CPU.set(0);
    FOLDER.set(None);
}

/// Runs `f` on another CPU.
pub fn on<R>(cpu: usize, f: impl FnOnce() -> R) -> R {
    let old = CPU.replace(cpu);
    let result = f();
    CPU.set(old);
    result
}

/// The current CPU.
pub fn hw<R>(f: impl FnOnce(&mut Hw) -> R) -> R {
    CPUS.with_borrow_mut(|cpus| f(&mut cpus[CPU.get()]))
}

pub fn spi<R>(intid: u32, f: impl FnOnce(&mut PhysSpi) -> R) -> R {
    SPIS.with_borrow_mut(|spis| f(&mut spis[intid as usize]))
}

/// What a Fold asked of a vCPU on another CPU of this thread does.
pub fn set_folder(folder: Folder) {
    FOLDER.set(Some(folder));
}

impl Hw {
    fn slot(&self, intid: u32, state: u64) -> Option<usize> {
        (0..self.lr_count).find(|&i| self.lrs[i] & state != 0 && lr::vintid(self.lrs[i]) == intid)
    }

    fn running(&self) -> u8 {
        let bits = self.ap[0][0] | self.ap[1][0];
        if bits == 0 {
            0xff
        } else {
            (bits.trailing_zeros() << 3) as u8
        }
    }

    /// The list register that is signalled: the highest priority pending one, if its group is
    /// enabled, it is not masked, and it preempts.
    pub fn signalled(&self) -> Option<usize> {
        let enabled = |l: u64| {
            let bit = if l & lr::GROUP1 != 0 {
                vmcr::VENG1
            } else {
                vmcr::VENG0
            };
            self.hcr & hcr::EN != 0 && self.vmcr & bit != 0
        };
        (0..self.lr_count)
            .filter(|&i| self.lrs[i] & lr::STATE == lr::PENDING && enabled(self.lrs[i]))
            .min_by_key(|&i| lr::priority(self.lrs[i]))
            .filter(|&i| {
                let prio = lr::priority(self.lrs[i]);
                prio < (self.vmcr >> 24) as u8 && prio < self.running()
            })
    }

    /// The guest reads ICC_IAR: INTID and priority.
    pub fn ack(&mut self) -> Option<(u32, u8)> {
        let slot = self.signalled()?;
        let l = &mut self.lrs[slot];
        *l ^= lr::STATE;
        let prio = lr::priority(*l);
        self.ap[usize::from(*l & lr::GROUP1 != 0)][0] |= 1 << (prio >> 3);
        Some((lr::vintid(*l), prio))
    }

    /// The guest writes ICC_EOIR.
    pub fn eoi(&mut self, intid: u32) {
        let dropped = self.running();
        let bits = self.ap[0][0] | self.ap[1][0];
        if bits == 0 {
            return;
        }
        for ap in &mut self.ap {
            ap[0] &= !(1 << bits.trailing_zeros());
        }
        if self.vmcr & vmcr::VEOIM != 0 {
            return;
        }
        match self.slot(intid, lr::ACTIVE) {
            // VirtualWriteEOIR: the priority that was dropped must be this interrupt's.
            Some(slot) if lr::priority(self.lrs[slot]) == dropped => self.deactivate(slot),
            Some(_) => {}
            None => self.count_eoi(),
        }
    }

    /// The guest writes ICC_DIR with EOImode 1, and that doesn't trap.
    pub fn dir(&mut self, intid: u32) {
        match self.slot(intid, lr::ACTIVE) {
            Some(slot) => self.deactivate(slot),
            None => self.count_eoi(),
        }
    }

    fn deactivate(&mut self, slot: usize) {
        self.lrs[slot] &= !lr::ACTIVE;
        if self.lrs[slot] & lr::HW != 0 {
            set_active(self, (self.lrs[slot] >> 32) as u32 & 0x1fff, false);
        }
    }

    fn count_eoi(&mut self) {
        self.hcr += 1 << hcr::EOICOUNT_SHIFT;
    }

    fn eisr(&self) -> u32 {
        let wants = |&i: &usize| self.lrs[i] & (lr::STATE | lr::HW | lr::EOI) == lr::EOI;
        (0..self.lr_count).filter(wants).fold(0, |m, i| m | 1 << i)
    }

    /// ICH_MISR_EL2.
    pub fn misr(&self) -> u32 {
        if self.hcr & hcr::EN == 0 {
            return 0;
        }
        let pending = (0..self.lr_count).any(|i| self.lrs[i] & lr::STATE == lr::PENDING);
        let (g0, g1) = (self.vmcr & vmcr::VENG0 != 0, self.vmcr & vmcr::VENG1 != 0);
        let conditions = [
            self.eisr() != 0,
            false,
            self.hcr & hcr::LRENPIE != 0 && self.hcr & hcr::EOICOUNT != 0,
            self.hcr & hcr::NPIE != 0 && !pending,
            self.hcr & hcr::VGRP0EIE != 0 && g0,
            self.hcr & hcr::VGRP0DIE != 0 && !g0,
            self.hcr & hcr::VGRP1EIE != 0 && g1,
            self.hcr & hcr::VGRP1DIE != 0 && !g1,
        ];
        (0..8).fold(0, |m, i| m | u32::from(conditions[i]) << i)
    }
}

fn set_active(hw: &mut Hw, intid: u32, active: bool) {
    if intid < 32 {
        hw.ppi_active = hw.ppi_active & !(1 << intid) | u32::from(active) << intid;
    } else {
        spi(intid, |s| s.active = active);
    }
}

pub struct Fake;

impl CpuInterface for Fake {
    fn lr_count() -> usize {
        hw(|h| h.lr_count)
    }
    fn pri_bits() -> u32 {
        5
    }
    fn pre_bits() -> u32 {
        5
    }
    fn has_tdir() -> bool {
        hw(|h| h.tdir)
    }
    fn read_lr(i: usize) -> u64 {
        hw(|h| {
            assert!(i < h.lr_count);
            h.lr_reads += 1;
            h.lrs[i]
        })
    }
    fn write_lr(i: usize, value: u64) {
        hw(|h| {
            assert!(i < h.lr_count);
            assert!(
                value & lr::HW == 0 || value & lr::STATE != lr::STATE,
                "pending and active is for software interrupts only"
            );
            let same = |l: &u64| l & lr::STATE != 0 && lr::vintid(*l) == lr::vintid(value);
            let twice = h.lrs.iter().enumerate().any(|(n, l)| n != i && same(l));
            assert!(
                value & lr::STATE == 0 || !twice,
                "twice in list registers: {value:#x}"
            );
            h.lr_writes += 1;
            h.lrs[i] = value;
        });
    }
    fn elrsr() -> u32 {
        hw(|h| {
            let full = (0..h.lr_count).filter(|&i| h.lrs[i] & lr::STATE != 0);
            !(full.fold(0, |m, i| m | 1 << i) | h.eisr()) & ((1 << h.lr_count) - 1)
        })
    }
    fn eisr() -> u32 {
        hw(|h| h.eisr())
    }
    fn misr() -> u32 {
        hw(|h| h.misr())
    }
    fn read_hcr() -> u64 {
        hw(|h| h.hcr)
    }
    fn write_hcr(value: u64) {
        hw(|h| h.hcr = value);
    }
    fn read_vmcr() -> u64 {
        hw(|h| h.vmcr)
    }
    fn write_vmcr(value: u64) {
        // Five bits of preemption: the least binary points.
        let bpr0 = (value >> 21 & 7).max(2);
        let bpr1 = (value >> 18 & 7).max(3);
        hw(|h| h.vmcr = value & !(0x3f << 18) | bpr0 << 21 | bpr1 << 18);
    }
    fn read_ap0r(n: usize) -> u32 {
        hw(|h| h.ap[0][n])
    }
    fn write_ap0r(n: usize, value: u32) {
        hw(|h| h.ap[0][n] = value);
    }
    fn read_ap1r(n: usize) -> u32 {
        hw(|h| h.ap[1][n])
    }
    fn write_ap1r(n: usize, value: u32) {
        hw(|h| h.ap[1][n] = value);
    }
    fn phys_set_active(intid: u32, active: bool) {
        hw(|h| set_active(h, intid, active));
    }
    fn phys_set_pending(intid: u32, pending: bool) {
        if intid < 32 {
            hw(|h| h.ppi_latch = h.ppi_latch & !(1 << intid) | u32::from(pending) << intid);
        } else {
            spi(intid, |s| s.latch = pending);
        }
    }
    fn phys_is_pending(intid: u32) -> bool {
        if intid < 32 {
            hw(|h| (h.ppi_latch | h.ppi_line) >> intid & 1 != 0)
        } else {
            spi(intid, |s| s.latch || !s.edge && s.line)
        }
    }
    fn phys_enable(intid: u32, enabled: bool) {
        spi(intid, |s| s.enabled = enabled);
    }
    fn phys_set_edge(intid: u32, edge: bool) {
        spi(intid, |s| s.edge = edge);
    }
    fn phys_route(intid: u32, cpu: usize) {
        spi(intid, |s| s.route = cpu);
    }
    fn cpu() -> usize {
        CPU.get()
    }
}

/// Records who is asked to synchronise; a Fold is done at once by this thread's folder.
#[derive(Default)]
pub struct Bell {
    pub sync: AtomicU64,
    pub fold: AtomicU64,
}

impl Notify for Bell {
    fn notify(&self, vcpu: usize, wanted: Wanted) {
        match wanted {
            Wanted::Sync => self.sync.fetch_or(1 << vcpu, Ordering::SeqCst),
            Wanted::Fold => {
                FOLDER.with_borrow(|f| {
                    if let Some(f) = f {
                        f(vcpu);
                    }
                });
                self.fold.fetch_or(1 << vcpu, Ordering::SeqCst)
            }
        };
    }
}

pub type FakeVgic = Vgic<Fake, Bell>;

pub const TIMER: u32 = 27;
pub const PASSTHROUGH: u32 = 40;

/// A VM of `vcpus` vCPUs, 64 SPIs, a linked timer PPI and one passthrough SPI.
pub fn vgic(vcpus: usize) -> Arc<FakeVgic> {
    let affinities: Vec<u64> = (0..vcpus as u64)
        .map(|i| (i % 16) | ((i / 16) << 8))
        .collect();
    let config = Config {
        affinities: &affinities,
        spis: 64,
        linked_ppis: &[(TIMER, TIMER)],
        passthrough_spis: &[PASSTHROUGH],
    };
    Arc::new(Vgic::new(&config, Bell::default()).expect("a valid configuration"))
}

/// What the guest's firmware has done: distributor and CPU interface on, no priority masked.
pub const GUEST_VMCR: u64 = vmcr::VENG0 | vmcr::VENG1 | 0xff << vmcr::VPMR_SHIFT;

/// A VM as [`vgic`] makes it, with vCPU `i` loaded on CPU `i` and its CPU interface on.
pub fn started(vcpus: usize, lr_count: usize) -> Arc<FakeVgic> {
    power_on(vcpus, lr_count);
    let vgic = vgic(vcpus);
    let folder = vgic.clone();
    set_folder(Box::new(move |v| on(v, || folder.fold(v))));
    for v in 0..vcpus {
        on(v, || {
            vgic.load(v);
            Fake::write_vmcr(GUEST_VMCR);
        });
    }
    vgic.dist_write(0, 0, 4, 3);
    (0..vcpus).for_each(|v| enter(&vgic, v));
    vgic
}

/// What happens around an entry of vCPU `v` on the current CPU until it stays in the guest:
/// maintenance interrupts, linked PPIs that fire, and synchronising.
pub fn enter_here(vgic: &FakeVgic, v: usize) {
    for _ in 0..100 {
        let mut quiet = true;
        if hw(|h| h.misr()) != 0 {
            vgic.maintenance(v);
            quiet = false;
        }
        let fires = hw(|h| (h.ppi_latch | h.ppi_line) & !h.ppi_active & 1 << TIMER != 0);
        if fires {
            hw(|h| {
                h.ppi_active |= 1 << TIMER;
                h.ppi_latch &= !(1 << TIMER);
            });
            vgic.ppi_fired(v, TIMER);
            quiet = false;
        }
        if vgic.notifier().sync.fetch_and(!(1 << v), Ordering::SeqCst) & 1 << v != 0 {
            assert!(vgic.sync_in(v));
            quiet = false;
        }
        if quiet {
            return;
        }
    }
    panic!("maintenance interrupts or requests without end");
}

/// [`enter_here`] on the CPU of the same number.
pub fn enter(vgic: &FakeVgic, v: usize) {
    on(v, || enter_here(vgic, v));
}

/// vCPU `v`, on the CPU of the same number, enters and reads ICC_IAR.
pub fn ack(vgic: &FakeVgic, v: usize) -> Option<u32> {
    on(v, || {
        enter_here(vgic, v);
        hw(|h| h.ack()).map(|(intid, _)| intid)
    })
}

/// vCPU `v` writes ICC_EOIR, and what follows from it.
pub fn eoi(vgic: &FakeVgic, v: usize, intid: u32) {
    on(v, || hw(|h| h.eoi(intid)));
    enter(vgic, v);
}

/// The physical passthrough SPI fires if it can.
pub fn fire_spi(vgic: &FakeVgic, intid: u32) {
    let fires = spi(intid, |s| {
        let fires = s.enabled && !s.active && (s.latch || s.line && !s.edge);
        if fires {
            s.active = true;
            s.latch = false;
        }
        fires
    });
    if fires {
        assert!(vgic.spi_fired(intid));
    }
}
