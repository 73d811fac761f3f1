//! Floating-point and vector registers. The hypervisor itself is built without them, so they hold
//! a guest's state at all times: that of the vCPU that was bound here last.
//!
//! sstatus.FS and VS are "clean" when a vCPU is bound; what it changes makes them "dirty", together
//! with its own (privileged ISA, "vsstatus": both fields are in effect). So unbinding saves what is
//! dirty, and binding loads what is not here any more. A use can't be trapped, as on other
//! architectures: with sstatus.FS off it is an illegal instruction, and those are the guest's.

use alloc::boxed::Box;
use alloc::vec;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;

use super::regs::{clear, csr, read, set};
use crate::features::Features;
use crate::inject::status;

/// Whose state is in the registers of each CPU: the number of a [`Units`].
static OWNERS: Once<Box<[AtomicU64]>> = Once::new();
/// Numbers are not used twice.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Prepares for so many CPUs.
pub fn init(cpus: usize) {
    OWNERS.call_once(|| (0..cpus).map(|_| AtomicU64::new(0)).collect());
}

/// f0 to f31, fcsr.
#[repr(C)]
struct Float {
    f: [u64; 32],
    fcsr: u64,
}

/// v0 to v31, and the vector CSRs.
#[repr(C)]
struct Vector {
    /// 32 registers of vlenb bytes.
    v: *mut u64,
    vstart: u64,
    vcsr: u64,
    vl: u64,
    vtype: u64,
}

/// A vCPU's floating-point and vector state.
pub struct Units {
    number: u64,
    /// The CPU it was saved on last; its registers are this state if their owner is.
    cpu: usize,
    float: Float,
    v: Box<[u64]>,
    vstart: u64,
    vcsr: u64,
    vl: u64,
    vtype: u64,
}

/// vtype with vill set: as after reset ("V", "State of Vector Extension at Reset").
const VILL: u64 = 1 << 63;

impl Units {
    /// All zero.
    pub fn new(features: &Features) -> Self {
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            cpu: usize::MAX,
            float: Float {
                f: [0; 32],
                fcsr: 0,
            },
            v: vec![0; features.vlenb * 32 / 8].into_boxed_slice(),
            vstart: 0,
            vcsr: 0,
            vl: 0,
            vtype: VILL,
        }
    }

    /// All zero again; not while bound.
    pub fn reset(&mut self) {
        // What is in some CPU's registers is nobody's.
        self.number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        self.cpu = usize::MAX;
        self.float.f = [0; 32];
        self.float.fcsr = 0;
        self.v.fill(0);
        (self.vstart, self.vcsr, self.vl, self.vtype) = (0, 0, 0, VILL);
    }

    /// Makes the registers this vCPU's, and usable. Those that are not switched stay off: one VM would
    /// find in them what another one left.
    pub fn load(&mut self, cpu: usize, features: &Features) {
        set!(SSTATUS, features.units());
        if !self.is_here(cpu) {
            if features.float {
                // SAFETY: reads one `Float`; FS is not off; the registers hold nothing of the
                // hypervisor's (soft-float target).
                unsafe { load_float(&self.float) }
            }
            if features.vlenb != 0 {
                let state = self.vector();
                // SAFETY: `state.v` points to 32 registers of vlenb bytes, which `new` allocated; VS
                // is not off.
                unsafe { load_vector(&state) }
            }
            // Loading has made them dirty: FS and VS are 3, and become 2.
            clear!(
                SSTATUS,
                (status::FS & !status::FS_CLEAN) | (status::VS & !status::VS_CLEAN)
            );
        }
        self.cpu = cpu;
        if let Some(owner) = owner(cpu) {
            owner.store(self.number, Ordering::Relaxed);
        }
    }

    /// Saves what has changed; the registers can't be used then.
    pub fn save(&mut self) {
        let sstatus = read!(SSTATUS);
        if sstatus & status::FS == status::FS {
            // SAFETY: writes one `Float`; FS is not off.
            unsafe { save_float(&mut self.float) }
        }
        if sstatus & status::VS == status::VS {
            let mut state = self.vector();
            // SAFETY: `state.v` points to 32 registers of vlenb bytes; VS is not off.
            unsafe { save_vector(&mut state) }
            (self.vstart, self.vcsr) = (state.vstart, state.vcsr);
            (self.vl, self.vtype) = (state.vl, state.vtype);
        }
        clear!(SSTATUS, status::FS | status::VS);
    }

    /// Nothing has been loaded since here, nor has this state been loaded elsewhere.
    fn is_here(&self, cpu: usize) -> bool {
        self.cpu == cpu
            && owner(cpu).is_some_and(|owner| owner.load(Ordering::Relaxed) == self.number)
    }

    fn vector(&mut self) -> Vector {
        Vector {
            v: self.v.as_mut_ptr(),
            vstart: self.vstart,
            vcsr: self.vcsr,
            vl: self.vl,
            vtype: self.vtype,
        }
    }
}

/// An entry is touched by its own CPU only, with interrupts masked.
fn owner(cpu: usize) -> Option<&'static AtomicU64> {
    OWNERS.get()?.get(cpu)
}

/// Bytes of a vector register; 0 if there are none. With interrupts masked and no vCPU bound.
pub fn probe_vectors() -> usize {
    set!(SSTATUS, status::VS);
    // VS may be writable where there is no vector unit ("Extension Context Status"), as it is in
    // QEMU 7.2.
    let bytes = if read!(SSTATUS) & status::VS != 0 {
        super::fetch::vector_bytes().unwrap_or(0) as usize
    } else {
        0
    };
    clear!(SSTATUS, status::VS);
    // Whole doublewords: vlenb is a power of two; units of fewer than 64 bits are not "V".
    if bytes >= 8 { bytes } else { 0 }
}

/// Whether there is floating point with 64 bits. With interrupts masked and no vCPU bound.
pub fn probe_float() -> bool {
    set!(SSTATUS, status::FS);
    let there = read!(SSTATUS) & status::FS != 0 && super::fetch::has_double();
    clear!(SSTATUS, status::FS);
    there
}

/// # Safety
/// `state` is valid for writes; sstatus.FS is not off.
#[unsafe(naked)]
unsafe extern "C" fn save_float(state: *mut Float) {
    naked_asm!(
        ".option push",
        ".option arch, +d",
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "fsd f\\n, 8*\\n(a0)",
        ".endr",
        "frcsr t0",
        "sd t0, 256(a0)",
        "ret",
        ".option pop",
    )
}

/// # Safety
/// `state` is valid for reads; sstatus.FS is not off.
#[unsafe(naked)]
unsafe extern "C" fn load_float(state: *const Float) {
    naked_asm!(
        ".option push",
        ".option arch, +d",
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "fld f\\n, 8*\\n(a0)",
        ".endr",
        "ld t0, 256(a0)",
        "fscsr t0",
        "ret",
        ".option pop",
    )
}

/// Whole-register stores do not depend on vtype and vl, but begin at vstart ("Vector Load/Store
/// Whole Register Instructions").
///
/// # Safety
/// `state` is valid, and its `v` for writes of 32 registers; sstatus.VS is not off.
#[unsafe(naked)]
unsafe extern "C" fn save_vector(state: *mut Vector) {
    naked_asm!(
        ".option push",
        ".option arch, +v",
        "ld a1, 0(a0)",
        "csrr t0, vstart",
        "sd t0, 8(a0)",
        "csrr t0, vcsr",
        "sd t0, 16(a0)",
        "csrr t0, vl",
        "sd t0, 24(a0)",
        "csrr t0, vtype",
        "sd t0, 32(a0)",
        "csrw vstart, zero",
        "csrr t1, {vlenb}",
        "slli t1, t1, 3",
        "vs8r.v v0, (a1)",
        "add a1, a1, t1",
        "vs8r.v v8, (a1)",
        "add a1, a1, t1",
        "vs8r.v v16, (a1)",
        "add a1, a1, t1",
        "vs8r.v v24, (a1)",
        // Dirty or not, the registers stay this vCPU's: so does this one.
        "ld t0, 8(a0)",
        "csrw vstart, t0",
        "ret",
        ".option pop",
        vlenb = const csr::VLENB,
    )
}

/// # Safety
/// `state` is valid, and its `v` for reads of 32 registers; sstatus.VS is not off.
#[unsafe(naked)]
unsafe extern "C" fn load_vector(state: *const Vector) {
    naked_asm!(
        ".option push",
        ".option arch, +v",
        "ld a1, 0(a0)",
        "csrw vstart, zero",
        "csrr t1, {vlenb}",
        "slli t1, t1, 3",
        "vl8re8.v v0, (a1)",
        "add a1, a1, t1",
        "vl8re8.v v8, (a1)",
        "add a1, a1, t1",
        "vl8re8.v v16, (a1)",
        "add a1, a1, t1",
        "vl8re8.v v24, (a1)",
        // vl is at most what vtype allows, so it becomes what it was; with vill it is 0.
        "ld t0, 24(a0)",
        "ld t1, 32(a0)",
        "vsetvl zero, t0, t1",
        "ld t0, 16(a0)",
        "csrw vcsr, t0",
        "ld t0, 8(a0)",
        "csrw vstart, t0",
        "ret",
        ".option pop",
        vlenb = const csr::VLENB,
    )
}
