//! Threads as CPUs: accesses to what sits in each other's list registers, while interrupts come
//! in from all sides. Each sender sends again only when its last interrupt was acknowledged, so
//! that one that is lost or comes twice is noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::fake::{Fake, GUEST_VMCR, hw, power_on};
use crate::{Config, CpuInterface, Notify, REDIST_STRIDE, SgiRegister, Vgic, Wanted};

const CPUS: usize = 4;
const ROUNDS: usize = 400;
const SYNC: u32 = 1;
const FOLD: u32 = 2;

struct Requests(Vec<AtomicU32>);

impl Notify for Requests {
    fn notify(&self, vcpu: usize, wanted: Wanted) {
        let bit = if wanted == Wanted::Fold { FOLD } else { SYNC };
        self.0[vcpu].fetch_or(bit, Ordering::SeqCst);
        if bit == FOLD {
            // There are fewer cores than threads.
            thread::yield_now();
        }
    }
}

struct Board {
    vgic: Vgic<Fake, Requests>,
    /// On its way: SGI `from` sent to a vCPU, and SPI 32 + `from`.
    sgi: Vec<Vec<AtomicBool>>,
    spi: Vec<AtomicBool>,
    acknowledged: AtomicUsize,
    deadline: Instant,
}

struct Cpu<'a> {
    board: &'a Board,
    me: usize,
    seed: u64,
}

impl Cpu<'_> {
    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as usize % below
    }

    fn bring_up(&mut self) {
        let (g, me) = (&self.board.vgic, self.me);
        power_on(1, 3);
        g.load(me);
        Fake::write_vmcr(GUEST_VMCR);
        let base = me as u64 * REDIST_STRIDE + 0x1_0000;
        g.redist_write(me, base + 0x100, 4, 0xffff);
    }

    /// What the exit loop does: `true` when the guest may be entered.
    fn ready_to_enter(&self) -> bool {
        let (g, me) = (&self.board.vgic, self.me);
        assert!(Instant::now() < self.board.deadline, "something was lost");
        let requests = g.notifier().0[me].swap(0, Ordering::SeqCst);
        if requests & FOLD != 0 {
            g.fold(me);
        }
        if hw(|h| h.misr()) != 0 {
            g.maintenance(me);
        }
        if requests & SYNC != 0 && !g.sync_in(me) {
            g.notifier().0[me].fetch_or(SYNC, Ordering::SeqCst);
            thread::yield_now();
        }
        g.notifier().0[me].load(Ordering::SeqCst) == 0
    }

    fn guest(&mut self) {
        let (board, me) = (self.board, self.me);
        let g = &board.vgic;
        let other = self.random(CPUS);
        let redist = other as u64 * REDIST_STRIDE + 0x1_0000;
        match self.random(16) {
            0..6 => {
                if let Some((intid, _)) = hw(|h| h.ack()) {
                    let flag = match intid {
                        0..16 => &board.sgi[intid as usize][me],
                        _ => &board.spi[intid as usize - 32],
                    };
                    assert!(flag.swap(false, Ordering::SeqCst), "{intid} came twice");
                    board.acknowledged.fetch_add(1, Ordering::SeqCst);
                    hw(|h| h.eoi(intid));
                }
            }
            6..9 => {
                if !board.sgi[me][other].swap(true, Ordering::SeqCst) {
                    let value = (me as u64) << 24 | 1 << other;
                    g.send_sgi(me, SgiRegister::Sgi1r, value, |t| {
                        g.notifier().notify(t, Wanted::Sync);
                    });
                }
            }
            9 | 10 => {
                if !board.spi[me].swap(true, Ordering::SeqCst) {
                    g.pulse(32 + me as u32);
                }
            }
            11 => g.dist_write(me, 0x6100 + 8 * other as u64, 8, self.random(CPUS) as u64),
            12 => {
                // In list registers or not: folded, out of the guest's hands for a moment.
                g.redist_write(me, redist + 0x180, 4, 1 << me);
                g.redist_write(me, redist + 0x100, 4, 1 << me);
            }
            13 => {
                let prio = self.random(16) as u64 * 8;
                g.redist_write(me, redist + 0x400 + me as u64, 1, prio);
            }
            14 => {
                g.redist_read(me, redist + 0x300, 4);
                g.dist_read(me, 0x204, 4);
            }
            _ => {
                g.put(me);
                g.load(me);
            }
        }
    }
}

#[test]
fn nothing_is_lost_between_cpus_that_fold_for_each_other() {
    let affinities: Vec<u64> = (0..CPUS as u64).collect();
    let config = Config {
        affinities: &affinities,
        spis: 32,
        linked_ppis: &[],
        passthrough_spis: &[],
    };
    power_on(1, 3);
    let requests = Requests((0..CPUS).map(|_| AtomicU32::new(0)).collect());
    let vgic = Vgic::new(&config, requests).expect("valid");
    // Edge-triggered SPIs, enabled.
    vgic.dist_write(0, 0xc08, 4, 0xffff_ffff);
    vgic.dist_write(0, 0x104, 4, 0xf);
    vgic.dist_write(0, 0, 4, 3);
    let flags = || (0..CPUS).map(|_| AtomicBool::new(false)).collect();
    let board = Arc::new(Board {
        vgic,
        sgi: (0..CPUS).map(|_| flags()).collect(),
        spi: flags(),
        acknowledged: AtomicUsize::new(0),
        deadline: Instant::now() + Duration::from_secs(120),
    });
    let threads: Vec<_> = (0..CPUS)
        .map(|me| {
            let board = board.clone();
            thread::spawn(move || {
                let seed = 0x9e37_79b9_7f4a_7c15 + me as u64;
                let mut cpu = Cpu {
                    board: &board,
                    me,
                    seed,
                };
                cpu.bring_up();
                while board.acknowledged.load(Ordering::SeqCst) < ROUNDS * CPUS {
                    if cpu.ready_to_enter() {
                        cpu.guest();
                    }
                }
                board.vgic.put(me);
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a CPU failed");
    }
    assert_eq!(board.vgic.hold.load(Ordering::SeqCst), 0);
}
