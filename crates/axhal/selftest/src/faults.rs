//! What axhal must report, and survive long enough to do so.

use core::hint::black_box;

use axhal::paging::{self, PhysAddr};
use axhal::{cpu, mem};

use crate::bare::M2;

/// Causes the fault of this name. Returns if there is none.
pub fn cause(name: &str, guest_ram: usize) {
    match name {
        "unmapped" => {
            cpu::this().set_current(Some((1, 2)));
            outer();
        }
        "write-text" => write(cause as *const () as usize),
        "write-rodata" => write(name_of_nothing().as_ptr().addr()),
        "execute-data" => execute(black_box(&mut [0u64; 4]).as_mut_ptr().addr()),
        "overflow" => drop(black_box(overflow(0))),
        "overflow-secondary" => {
            cpu::start_all(overflow_there, |_, _| {});
            axhal::power::park()
        }
        "behind-window" => {
            let pa = PhysAddr::from_usize(guest_ram);
            // SAFETY: not at all: the point is that it faults.
            paging::with_window(pa, M2, |p| unsafe { mem::zero(p.wrapping_add(M2), 8) });
        }
        "panic" => panic!("as asked for"),
        "panic-in-panic" => panic!("{}", Panics),
        _ => {}
    }
}

fn name_of_nothing() -> &'static str {
    black_box("in .rodata")
}

fn write(va: usize) {
    // SAFETY: not at all: the point is that it faults.
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(va).write_volatile(0) };
}

fn execute(va: usize) {
    // SAFETY: not at all: the point is that it faults.
    let function: fn() = unsafe { core::mem::transmute(va) };
    function();
}

#[inline(never)]
fn outer() {
    inner();
    black_box(());
}

#[inline(never)]
fn inner() {
    write(black_box(0x1234_5000));
    black_box(());
}

#[inline(never)]
fn overflow(depth: usize) -> usize {
    let filler = black_box([depth; 64]);
    if black_box(depth) == usize::MAX {
        0
    } else {
        overflow(depth + 1) + filler[depth % 64]
    }
}

fn overflow_there(_: usize) -> ! {
    black_box(overflow(0));
    axhal::power::park()
}

struct Panics;

impl core::fmt::Display for Panics {
    fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        panic!("while printing")
    }
}
