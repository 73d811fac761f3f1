//! The vCPU in this hart's registers.

mod context;
mod cpu;
mod exit;
mod fetch;
mod fp;
mod legacy;
mod regs;
mod sbi;
mod switch;
mod tlb;
mod vcpu;

pub use cpu::{features, init_cpu, stage2_format};
pub use tlb::flush_stage2;
pub use vcpu::RiscvVCpu;
