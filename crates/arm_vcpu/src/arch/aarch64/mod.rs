//! The vCPU in this CPU's registers.

mod context;
mod cpu;
mod debug;
mod exit;
mod fp;
mod ich;
mod irq;
mod regs;
mod switch;
mod sysreg;
mod tlb;
mod translate;
mod undecoded;
mod vcpu;

pub use cpu::{counter, features, init_cpu, stage2_format};
pub use ich::Ich;
pub use tlb::flush_stage2;
pub use vcpu::ArmVCpu;
