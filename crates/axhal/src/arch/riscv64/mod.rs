//! RISC-V in HS-mode: RV64 with the hypervisor extension, under an SBI firmware.
//!
//! # Who owns which register
//!
//! This crate shares a hart with the code that enters and leaves guests. The rules between the two:
//!
//! | register | in the hypervisor | while a guest runs |
//! |---|---|---|
//! | `tp` | the address of this hart's [`PerCpu`](crate::cpu::PerCpu), always | the guest's |
//! | `stvec` | `axhal_trap_vector`, direct mode | the guest code's own vector |
//! | `sscratch` | free: this crate never reads or writes it after boot | the guest code's |
//! | `gp` | unused | the guest's |
//! | `sepc`, `scause`, `stval`, `htval`, `htinst`, `sstatus.{SPP,SPIE}`, `hstatus.{SPV,SPVP,GVA}` | lost with every trap of the hypervisor itself, which can come wherever interrupts are open ([`irq::preemptible`](crate::irq::preemptible), the idle task) | the guest's exit |
//! | `sstatus.SIE` | the interrupt mask: 0 but where interrupts are open | of no effect: HS-level interrupts are taken from VS- and VU-mode whatever it is |
//! | `sie` | SSIE, STIE, SEIE set by [`intc::init_cpu`](crate::drivers::intc::init_cpu), never changed | the same |
//! | `satp` | the hypervisor's Sv39 tables, ASID 0, the same on all harts | the same |
//! | `sstatus.{FS,VS}` | off from boot on; belong to the code that switches guests | the same |
//! | `sstatus.{SUM,MXR}`, `hstatus.HU` | 0 | 0 |
//! | `hgatp`, `hedeleg`, `hideleg`, `hcounteren`, `henvcfg`, `hstateen*`, `hvip`, `hie`, `vs*` | not used by this crate; boot code sets `hgatp`, `hedeleg`, `hideleg`, `hie` and `hvip` to 0 | the guest code's |
//!
//! A trap is taken to this crate's vector whenever `stvec` points at it, and that vector needs a
//! good `tp`: it saves through it, because the stack may be the cause. So, around a guest:
//!
//! - *Entry* (interrupts masked): save the hypervisor's `tp`, `sp`, `ra` and callee-saved registers;
//!   put the address of the frame into `sscratch`; set `stvec` to the guest vector; only then load the
//!   guest's registers, `tp` among them. Set `sepc`, `sstatus.SPP`, `sstatus.SPIE` and `hstatus.SPV`,
//!   `SPVP` at every entry that doesn't directly follow an exit.
//! - *Exit*: swap a register with `sscratch`, save the guest's registers, load the hypervisor's `tp`
//!   and `sp`, and *then* set `stvec` back to [`trap::vector`]'s address, before any Rust runs. What
//!   the trap left in `scause`, `stval`, `htval`, `htinst` and `sepc` has to be read before interrupts
//!   are opened.
//! - *Accesses that may fault* (HLV, HLVX, HSV): with interrupts masked, swap `stvec` for a handler
//!   of one's own around the instruction, and put it back. This crate's vector takes any exception
//!   for a fault of the hypervisor, and stops the machine.
//! - A task switch ([`context`]) keeps `ra`, `sp` and `s0` to `s11`; no CSR, and not `tp`, which is the
//!   hart's. A task may go on on another hart.
//!
//! What this crate's vector does: an interrupt (it can come with `sstatus.SIE` = 1 only) saves what
//! a call may change, and `sepc`, on the interrupted stack, calls the hypervisor's `irq` function, which
//! may switch tasks, and returns by SRET with SPP = SPIE = 1 and `hstatus.SPV` = 0. An exception
//! is reported, on the hart's emergency stack, and ends it.

pub mod boot;
pub mod context;
pub mod cpu;
pub mod firmware;
pub mod irq;
pub mod layout;
pub mod mem;
pub mod pte;
pub mod regs;
pub mod remote;
pub mod tlb;
pub mod trap;

use crate::machine::{Architecture, Machine};

/// What this image runs on.
pub const ARCHITECTURE: Architecture = Architecture::Riscv;

/// What is made ready once the machine is known.
pub fn configure(machine: &Machine) {
    mem::configure(machine);
    tlb::configure(machine);
}

/// Interrupts all other harts, so that they see that the hypervisor stops.
pub fn stop_others() {
    remote::send_ipi(remote::others());
}
