//! The virtual CPU interface of this CPU (ICH_*_EL2), and the physical side of linked interrupts.

use core::marker::PhantomData;

use arm_vgic::CpuInterface;

use super::regs::{read, write};
use crate::ArmHost;

/// [`CpuInterface`] by the ICH_* registers, and by the host for what is physical.
pub struct Ich<H>(PhantomData<H>);

/// Reads or writes one of a row of registers by number.
macro_rules! by_number {
    (read $n:expr, $($i:literal => $reg:literal),*) => {
        match $n { $($i => read!($reg),)* _ => 0 }
    };
    (write $n:expr, $value:expr, $($i:literal => $reg:literal),*) => {
        match $n { $($i => write!($reg, $value),)* _ => {} }
    };
}

/// ICH_VTR_EL2 (IHI 0069, 12.4.12).
fn vtr() -> u64 {
    read!("S3_4_C12_C11_1")
}

impl<H: ArmHost> CpuInterface for Ich<H> {
    fn lr_count() -> usize {
        (vtr() & 0x1f) as usize + 1
    }

    fn pri_bits() -> u32 {
        (vtr() >> 29 & 7) as u32 + 1
    }

    fn pre_bits() -> u32 {
        (vtr() >> 26 & 7) as u32 + 1
    }

    fn has_tdir() -> bool {
        vtr() >> 19 & 1 != 0
    }

    #[inline]
    fn read_lr(i: usize) -> u64 {
        by_number!(read i,
            0 => "S3_4_C12_C12_0", 1 => "S3_4_C12_C12_1", 2 => "S3_4_C12_C12_2", 3 => "S3_4_C12_C12_3",
            4 => "S3_4_C12_C12_4", 5 => "S3_4_C12_C12_5", 6 => "S3_4_C12_C12_6", 7 => "S3_4_C12_C12_7",
            8 => "S3_4_C12_C13_0", 9 => "S3_4_C12_C13_1", 10 => "S3_4_C12_C13_2", 11 => "S3_4_C12_C13_3",
            12 => "S3_4_C12_C13_4", 13 => "S3_4_C12_C13_5", 14 => "S3_4_C12_C13_6", 15 => "S3_4_C12_C13_7")
    }

    #[inline]
    fn write_lr(i: usize, value: u64) {
        by_number!(write i, value,
            0 => "S3_4_C12_C12_0", 1 => "S3_4_C12_C12_1", 2 => "S3_4_C12_C12_2", 3 => "S3_4_C12_C12_3",
            4 => "S3_4_C12_C12_4", 5 => "S3_4_C12_C12_5", 6 => "S3_4_C12_C12_6", 7 => "S3_4_C12_C12_7",
            8 => "S3_4_C12_C13_0", 9 => "S3_4_C12_C13_1", 10 => "S3_4_C12_C13_2", 11 => "S3_4_C12_C13_3",
            12 => "S3_4_C12_C13_4", 13 => "S3_4_C12_C13_5", 14 => "S3_4_C12_C13_6", 15 => "S3_4_C12_C13_7")
    }

    #[inline]
    fn elrsr() -> u32 {
        read!("S3_4_C12_C11_5") as u32
    }

    #[inline]
    fn eisr() -> u32 {
        read!("S3_4_C12_C11_3") as u32
    }

    #[inline]
    fn misr() -> u32 {
        read!("S3_4_C12_C11_2") as u32
    }

    #[inline]
    fn read_hcr() -> u64 {
        read!("S3_4_C12_C11_0")
    }

    #[inline]
    fn write_hcr(value: u64) {
        write!("S3_4_C12_C11_0", value);
    }

    #[inline]
    fn read_vmcr() -> u64 {
        read!("S3_4_C12_C11_7")
    }

    fn write_vmcr(value: u64) {
        write!("S3_4_C12_C11_7", value);
    }

    fn read_ap0r(n: usize) -> u32 {
        by_number!(read n, 0 => "S3_4_C12_C8_0", 1 => "S3_4_C12_C8_1", 2 => "S3_4_C12_C8_2", 3 => "S3_4_C12_C8_3")
            as u32
    }

    fn write_ap0r(n: usize, value: u32) {
        by_number!(write n, value.into(), 0 => "S3_4_C12_C8_0", 1 => "S3_4_C12_C8_1", 2 => "S3_4_C12_C8_2", 3 => "S3_4_C12_C8_3");
    }

    fn read_ap1r(n: usize) -> u32 {
        by_number!(read n, 0 => "S3_4_C12_C9_0", 1 => "S3_4_C12_C9_1", 2 => "S3_4_C12_C9_2", 3 => "S3_4_C12_C9_3")
            as u32
    }

    fn write_ap1r(n: usize, value: u32) {
        by_number!(write n, value.into(), 0 => "S3_4_C12_C9_0", 1 => "S3_4_C12_C9_1", 2 => "S3_4_C12_C9_2", 3 => "S3_4_C12_C9_3");
    }

    fn phys_set_active(intid: u32, active: bool) {
        H::set_active(intid, active);
    }

    fn phys_set_pending(intid: u32, pending: bool) {
        H::set_pending(intid, pending);
    }

    fn phys_is_pending(intid: u32) -> bool {
        // A timer's line is its own status: enabled, not masked, condition met (DDI 0487,
        // D11.2.4). Cheaper than asking the redistributor.
        const FIRING: u64 = 0b101;
        const MASK: u64 = 0b111;
        if intid == H::virtual_timer_intid() {
            read!("CNTV_CTL_EL0") & MASK == FIRING
        } else if intid == H::physical_timer_intid() {
            read!("CNTP_CTL_EL0") & MASK == FIRING
        } else {
            H::is_pending(intid)
        }
    }

    fn phys_enable(spi: u32, enabled: bool) {
        H::set_enabled(spi, enabled);
    }

    fn phys_set_edge(spi: u32, edge: bool) {
        H::set_edge(spi, edge);
    }

    fn phys_route(spi: u32, cpu: usize) {
        H::route(spi, cpu);
    }

    #[inline]
    fn cpu() -> usize {
        H::cpu()
    }
}
