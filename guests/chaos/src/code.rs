//! Code made at run time, and the instructions it is made of (DDI 0487, C4.1).

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
    fn chaos_call(code: *const u32, registers: *const [AtomicU64; 29]) -> !;
}

/// An action in the making: code, and the registers x0 to x28 it starts with. x27 is for the
/// action's own state; what an instruction takes as its address is in x1.
pub struct Code {
    words: [u32; WORDS],
    count: usize,
    /// What x0 to x28 hold at the start.
    pub x: [u64; 29],
}

impl Code {
    /// No instruction, and any values.
    pub fn new() -> Self {
        let mut x = [0; 29];
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
        // SAFETY: as above; what was written is then made visible to instruction fetches, line by
        // line of 16 bytes, the smallest there are.
        unsafe {
            code.copy_from(self.words.as_ptr(), WORDS);
            for n in 0..=self.count / 4 {
                core::arch::asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", in(reg) code.add(n * 4));
            }
            core::arch::asm!("dsb ish", "isb");
        }
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

/// RET.
const RET: u32 = 0xd65f_03c0;
/// ISB.
pub const ISB: u32 = 0xd503_3fdf;
/// DSB SY.
pub const DSB: u32 = 0xd503_3f9f;
/// WFI.
pub const WFI: u32 = 0xd503_207f;
/// WFE.
pub const WFE: u32 = 0xd503_205f;
/// ERET.
pub const ERET: u32 = 0xd69f_03e0;
/// BR X1.
pub const BR_X1: u32 = 0xd61f_0020;
/// NOP.
pub const NOP: u32 = 0xd503_201f;

/// SCTLR_EL1.
pub const SCTLR: u32 = system(3, 0, 1, 0, 0);
/// SPSR_EL1.
pub const SPSR: u32 = system(3, 0, 4, 0, 0);
/// ELR_EL1.
pub const ELR: u32 = system(3, 0, 4, 0, 1);
/// MDSCR_EL1.
pub const MDSCR: u32 = system(2, 0, 0, 2, 2);

/// The field of a system instruction or register: op0, op1, CRn, CRm, op2.
pub const fn system(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {
    op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}

/// MSR or SYS of `register`, from x`from`.
pub const fn msr(register: u32, from: u32) -> u32 {
    0xd500_0000 | register | from
}

/// MRS or SYSL of `register`, to x`to`.
pub const fn mrs(register: u32, to: u32) -> u32 {
    0xd520_0000 | register | to
}

/// MSR DAIFClr, `mask`.
pub const fn daif_clear(mask: u32) -> u32 {
    0xd503_40ff | mask << 8
}

/// HVC, SMC (`smc`) or SVC with an immediate.
pub const fn call(smc: bool, immediate: u32) -> u32 {
    (if smc { 0xd400_0003 } else { 0xd400_0002 }) | (immediate & 0xffff) << 5
}

/// WFIT (or WFET) of x2.
pub const fn wait_timeout(event: bool) -> u32 {
    if event { 0xd503_1002 } else { 0xd503_1022 }
}
