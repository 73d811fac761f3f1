//! Code made at run time.

use crate::arch::{REGISTERS, RET, synchronize};
use crate::random::value;
use crate::state;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_support::cpu;

/// As many instructions as an action may have.
const WORDS: usize = 64;

#[repr(C, align(4096))]
struct Buffers([[u32; WORDS]; 8]);

static mut BUFFERS: Buffers = Buffers([[0; WORDS]; 8]);

unsafe extern "C" {
    fn chaos_call(code: *const u32, registers: *const [AtomicU64; REGISTERS]) -> !;
}

/// An action in the making: code, and the registers it starts with, from x0.
pub struct Code {
    words: [u32; WORDS],
    count: usize,
    /// What the registers hold at the start.
    pub x: [u64; REGISTERS],
}

impl Code {
    /// No instruction, and any values.
    pub fn new() -> Self {
        let mut x = [0; REGISTERS];
        x.iter_mut().for_each(|x| *x = value());
        Self {
            words: [0; WORDS],
            count: 0,
            x,
        }
    }

    /// Appends an instruction, while there is room.
    pub fn push(&mut self, word: u32) {
        if self.count < WORDS - 1 {
            self.words[self.count] = word;
            self.count += 1;
        }
    }

    /// Runs it. However it ends, the CPU goes on with its next action.
    pub fn run(mut self) -> ! {
        self.words[self.count..].fill(RET);
        // SAFETY: each CPU has a buffer of its own; nobody holds a reference to it.
        let code = unsafe { (&raw mut BUFFERS.0[cpu() & 7]).cast::<u32>() };
        // SAFETY: as above.
        unsafe { code.copy_from(self.words.as_ptr(), WORDS) };
        synchronize(code, self.count);
        for (slot, x) in state().x.iter().zip(self.x) {
            slot.store(x, Ordering::Relaxed);
        }
        go(code)
    }
}

/// Goes on behind the instruction of the last action that faulted at `pc`, if it was one of it.
pub fn resume(pc: u64) {
    // SAFETY: no reference is made.
    let code = unsafe { (&raw const BUFFERS.0[cpu() & 7]).cast::<u32>() };
    let behind = (pc.wrapping_sub(code as u64) / 4) as usize + 1;
    if behind < WORDS && pc.is_multiple_of(4) {
        go(code.wrapping_add(behind));
    }
}

fn go(code: *const u32) -> ! {
    // SAFETY: whatever the code does, the next action relies on nothing but this CPU's state and
    // the image, whose addresses no action is given.
    unsafe { chaos_call(code, &raw const state().x) }
}
