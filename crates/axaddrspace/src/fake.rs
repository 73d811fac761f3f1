//! A host for tests. Table frames and guest RAM are ordinary memory; everything done to tables is
//! seen, and breaks of the rules panic. State is per thread, as each test has its own.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::{GuestPhysRange, HostPhysAddr, HostVirtAddr, PagingHandler};

/// Guest RAM of the fake machine, which windows open onto.
pub const RAM: usize = 0x4000_0000;
pub const RAM_SIZE: usize = 8 << 20;
const FRAME: usize = 4096;

/// What the fake knows of a format.
#[derive(Clone, Copy)]
pub struct Rules {
    /// What of an entry may change while it stays valid: its permissions, nothing else.
    pub permissions: u64,
    /// The table that a valid entry leads to.
    pub table: fn(u64) -> Option<usize>,
}

impl Default for Rules {
    fn default() -> Self {
        ARM
    }
}

/// S2AP and XN may change. Bits 1:0 are set in tables, and in pages, which are not told apart.
pub const ARM: Rules = Rules {
    permissions: 3 << 6 | 3 << 53,
    table: |e| (e & 3 == 3).then_some((e & 0xffff_ffff_f000) as usize),
};

/// R, W and X may change; all clear in a valid entry make it a table.
pub const RISCV: Rules = Rules {
    permissions: 7 << 1,
    table: |e| (e & 0xf == 1).then_some((e >> 10 << 12) as usize),
};

#[derive(Default)]
pub struct State {
    pub rules: Rules,
    /// Tables that are out, with their number of frames. Table frames are identity mapped.
    pub tables: BTreeMap<usize, usize>,
    /// How many more table allocations succeed.
    pub budget: Option<usize>,
    pub flushes: Vec<(u16, Option<GuestPhysRange>)>,
    /// Every valid entry as last seen, by address; and those that were taken out and not flushed.
    seen: BTreeMap<usize, u64>,
    unflushed: BTreeMap<usize, u64>,
    pub windows: Vec<(HostPhysAddr, usize)>,
    ram: Vec<u64>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

pub fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(f)
}

fn layout(count: usize) -> Layout {
    Layout::from_size_align(count * FRAME, count * FRAME).unwrap()
}

fn word(at: usize) -> u64 {
    // SAFETY: callers pass addresses inside tables that are out.
    unsafe { (at as *const u64).read_volatile() }
}

impl State {
    /// Looks at every entry, as a walker might at any moment. An entry that went from valid to
    /// another valid value must have been invalid with a flush in between, or differ in
    /// permissions only.
    fn observe(&mut self) {
        let mut now = BTreeMap::new();
        for (&base, &frames) in &self.tables {
            for at in (base..base + frames * FRAME).step_by(8) {
                let value = word(at);
                if value & 1 != 0 {
                    now.insert(at, value);
                }
            }
        }
        for (&at, &old) in &self.seen {
            match now.get(&at) {
                Some(&new) => assert_eq!(
                    old & !self.rules.permissions,
                    new & !self.rules.permissions,
                    "a valid entry became another valid one"
                ),
                None => {
                    self.unflushed.insert(at, old);
                }
            }
        }
        for at in now.keys().filter(|at| !self.seen.contains_key(at)) {
            assert!(
                !self.unflushed.contains_key(at),
                "an entry became valid before its old value was flushed"
            );
        }
        self.seen = now;
    }
}

pub struct Fake;

impl PagingHandler for Fake {
    fn alloc_frames(_: usize, _: usize) -> Option<HostPhysAddr> {
        None
    }

    fn dealloc_frames(_: HostPhysAddr, _: usize) {}

    fn phys_to_virt(paddr: HostPhysAddr) -> HostVirtAddr {
        let page = paddr.as_usize() & !(FRAME - 1);
        with(|s| {
            let (base, frames) = s.tables.range(..=page).next_back().expect("a table");
            assert!(page < base + frames * FRAME, "a frame that is not a table");
        });
        paddr.as_usize().into()
    }

    fn alloc_table(count: usize) -> Option<HostPhysAddr> {
        with(|s| {
            match &mut s.budget {
                Some(0) => return None,
                Some(left) => *left -= 1,
                None => {}
            }
            // SAFETY: the layout is not empty.
            let base = unsafe {
                let base = alloc(layout(count));
                base.write_bytes(0, count * FRAME);
                base as usize
            };
            s.tables.insert(base, count);
            Some(base.into())
        })
    }

    fn dealloc_table(base: HostPhysAddr, count: usize) {
        with(|s| {
            let base = base.as_usize();
            assert_eq!(s.tables.remove(&base), Some(count), "a table that is out");
            let frames = base..base + count * FRAME;
            let table = s.rules.table;
            assert!(
                !s.unflushed
                    .values()
                    .any(|&e| table(e).is_some_and(|table| frames.contains(&table))),
                "a table was freed before the entry that led to it was flushed"
            );
            s.seen.retain(|at, _| !frames.contains(at));
            s.unflushed.retain(|at, _| !frames.contains(at));
            // SAFETY: allocated above with the same layout, and out until now.
            unsafe { dealloc(base as *mut u8, layout(count)) };
        });
    }

    fn publish_tables() {
        with(State::observe);
    }

    fn flush_stage2(vmid: u16, range: Option<GuestPhysRange>) {
        with(|s| {
            s.observe();
            s.flushes.push((vmid, range));
            s.unflushed.clear();
        });
    }

    fn clean_to_poc(_: HostPhysAddr, _: usize) {}

    fn sync_icache(_: HostPhysAddr, _: usize) {}

    fn with_window<R>(base: HostPhysAddr, len: usize, f: impl FnOnce(*mut u8) -> R) -> R {
        let at = base.as_usize();
        assert!(
            at >> 21 == (at + len - 1) >> 21,
            "a window inside one block"
        );
        assert!(at >= RAM && at + len <= RAM + RAM_SIZE, "RAM");
        let ram = with(|s| {
            s.windows.push((base, len));
            s.ram.resize(RAM_SIZE / 8, 0);
            s.ram.as_mut_ptr().cast::<u8>()
        });
        f(ram.wrapping_add(at - RAM))
    }
}
