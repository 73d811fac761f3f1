//! Remote fences (SBI specification 2.0, chapter 8): once the call is back, the other harts see the
//! tables as they are now.

use super::hsm::nobodys;
use crate::Case;
use crate::outcome::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::map::{self, FREE, LEAF, POINTER, entry};
use guest_support::sbi::*;
use guest_support::smp;
use guest_support::sync::wait_for;

pub const CASES: &[Case] = &[
    ("rfence::remap_page", 2, remap_page),
    ("rfence::remap_page_by_asid", 2, remap_page_by_asid),
    ("rfence::remap_all", 2, remap_all),
    ("rfence::all_harts", 2, all_harts),
    ("rfence::invalid_hart", 1, invalid_hart),
    ("rfence::no_hypervisor_fences", 1, no_hypervisor_fences),
];

const FENCE_I: u64 = 0;
const SFENCE_VMA: u64 = 1;
const SFENCE_VMA_ASID: u64 = 2;

#[repr(C, align(4096))]
struct Page([AtomicU64; 512]);

impl Page {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 512])
    }

    fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }
}

/// Tables of levels 1 and 0 for the gigapage that the map leaves free, and two pages.
static LEVEL_1: Page = Page::new();
static LEVEL_0: Page = Page::new();
static PAGES: [Page; 2] = [Page::new(), Page::new()];

/// What the other CPU reads there, again and again, until the case is over.
static SEEN: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicU64 = AtomicU64::new(0);

/// G: a fence of one address space doesn't cover it.
const GLOBAL: u64 = 1 << 5;

/// Maps the n-th page of [`FREE`] to one of the two. A page table entry only: no fence.
fn map(page: usize, to: usize) {
    LEVEL_0.0[page].store(entry(PAGES[to].address(), LEAF & !GLOBAL), Ordering::SeqCst);
}

fn read(page: usize) -> u64 {
    // SAFETY: the address is mapped to one of the pages, which never change after `begin`.
    unsafe { ((FREE + page * 4096) as *const u64).read_volatile() }
}

/// Maps everything to the first page, and lets the other CPU read the third page.
fn begin() {
    PAGES[0].0[0].store(111, Ordering::SeqCst);
    PAGES[1].0[0].store(222, Ordering::SeqCst);
    (0..512).for_each(|page| map(page, 0));
    LEVEL_1.0[0].store(entry(LEVEL_0.address(), POINTER), Ordering::SeqCst);
    map::set(FREE, entry(LEVEL_1.address(), POINTER));
    SEEN.store(0, Ordering::SeqCst);
    STOP.store(0, Ordering::SeqCst);
    // SAFETY: forgets translations.
    unsafe { core::arch::asm!("sfence.vma", options(nostack)) };
    smp::give(1, || {
        // SAFETY: as above.
        unsafe { core::arch::asm!("sfence.vma", options(nostack)) };
        while STOP.load(Ordering::SeqCst) == 0 {
            SEEN.store(read(3), Ordering::SeqCst);
        }
    });
}

/// Ends what [`begin`] began.
fn end() -> bool {
    STOP.store(1, Ordering::SeqCst);
    smp::wait(1)
}

/// Maps the page to and fro, and fences with `fence` each time, which says how that went.
pub fn remap(fence: impl Fn() -> i64) -> Outcome {
    begin();
    check!(wait_for(1000, || SEEN.load(Ordering::SeqCst) == 111));
    for round in 0..50 {
        let to = (round + 1) % 2;
        map(3, to);
        let error = fence();
        // What it read before the fence it may store once more.
        let want = [111, 222][to];
        let right = wait_for(1000, || SEEN.load(Ordering::SeqCst) == want);
        if error != SUCCESS || !right {
            end();
        }
        check!(error == SUCCESS, error = error);
        check!(right, round = round, seen = SEEN.load(Ordering::SeqCst));
    }
    check!(end());
    map::set(FREE, 0);
    Ok(())
}

fn remap_page() -> Outcome {
    let address = (FREE + 3 * 4096) as u64;
    remap(|| call(RFENCE, SFENCE_VMA, [1, smp::id(1), address, 4096]).error)
}

fn remap_page_by_asid() -> Outcome {
    let address = (FREE + 3 * 4096) as u64;
    remap(|| call(RFENCE, SFENCE_VMA_ASID, [1, smp::id(1), address, 4096, 0]).error)
}

/// Start and size 0, or size -1: the whole address space.
fn remap_all() -> Outcome {
    remap(|| call(RFENCE, SFENCE_VMA, [1, smp::id(1), 0, 0]).error)?;
    remap(|| call(RFENCE, SFENCE_VMA, [1, smp::id(1), 0, u64::MAX]).error)
}

fn all_harts() -> Outcome {
    remap(|| call(RFENCE, SFENCE_VMA, [0, ALL_HARTS, FREE as u64, 1 << 30]).error)?;
    let answer = call(RFENCE, FENCE_I, [0, ALL_HARTS]);
    check!(answer.error == SUCCESS, answer = answer);
    Ok(())
}

fn invalid_hart() -> Outcome {
    skip_on_board!("the board ignores harts that aren't there");
    for function in [FENCE_I, SFENCE_VMA, SFENCE_VMA_ASID] {
        for hart in nobodys() {
            if hart != ALL_HARTS {
                let answer = call(RFENCE, function, [1, hart, 0, 0, 0]);
                check!(answer.error == INVALID_PARAM, hart = hart, answer = answer);
            }
        }
    }
    Ok(())
}

/// Without the hypervisor extension its fences aren't there.
fn no_hypervisor_fences() -> Outcome {
    skip_on_board!("the board has the hypervisor extension");
    for function in 3..=6 {
        let answer = call(RFENCE, function, [1, smp::id(0), 0, 0, 0]);
        check!(
            answer.error == NOT_SUPPORTED,
            function = function,
            answer = answer
        );
    }
    Ok(())
}
