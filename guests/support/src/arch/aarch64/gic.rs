//! GICv3 (Arm IHI 0069): the distributor, the CPUs' redistributors, and the CPU interface.

use super::cpu;
use crate::mmio::{read32, write32};

/// The distributor.
pub const GICD: usize = 0x0800_0000;
/// The first CPU's redistributor; the others follow.
pub const GICR: usize = 0x080a_0000;
/// From one redistributor to the next.
pub const GICR_STRIDE: usize = 0x2_0000;
/// From a redistributor to its SGI frame.
pub const SGI_FRAME: usize = 0x1_0000;

/// What an acknowledge returns when nothing is pending.
pub const SPURIOUS: u32 = 1023;

/// This CPU's redistributor.
pub fn redistributor() -> usize {
    GICR + cpu() * GICR_STRIDE
}

/// The registers that hold `intid`: in the distributor, or in this CPU's SGI frame.
pub fn frame(intid: u32) -> usize {
    if intid < 32 {
        redistributor() + SGI_FRAME
    } else {
        GICD
    }
}

/// The address of the register at `offset` that has one bit for each interrupt, and the bit.
fn bit(offset: usize, intid: u32) -> (usize, u32) {
    (
        frame(intid) + offset + (intid / 32 * 4) as usize,
        1 << (intid % 32),
    )
}

/// Register arrays with one bit for each interrupt; writing 1 sets or clears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Bits {
    /// IGROUPR.
    Group = 0x80,
    /// ISENABLER.
    SetEnable = 0x100,
    /// ICENABLER.
    ClearEnable = 0x180,
    /// ISPENDR.
    SetPending = 0x200,
    /// ICPENDR.
    ClearPending = 0x280,
    /// ISACTIVER.
    SetActive = 0x300,
    /// ICACTIVER.
    ClearActive = 0x380,
}

/// The bit of `intid` in `array`.
pub fn get(array: Bits, intid: u32) -> bool {
    let (address, mask) = bit(array as usize, intid);
    read32(address) & mask != 0
}

/// Writes 1 to the bit of `intid` in `array`, and 0 to the others; waits for clears (RWP).
pub fn set(array: Bits, intid: u32) {
    let (address, mask) = bit(array as usize, intid);
    write32(address, mask);
    if array == Bits::ClearEnable {
        let control = if intid < 32 { redistributor() } else { GICD };
        let rwp = if intid < 32 { 1 << 3 } else { 1 << 31 };
        while read32(control) & rwp != 0 {}
    }
}

/// Sets the priority of `intid`.
pub fn set_priority(intid: u32, priority: u8) {
    crate::mmio::write8(frame(intid) + 0x400 + intid as usize, priority);
}

/// Makes `intid` edge-triggered, or level-sensitive.
pub fn set_edge(intid: u32, edge: bool) {
    let address = frame(intid) + 0xc00 + (intid / 16 * 4) as usize;
    let shift = intid % 16 * 2;
    write32(
        address,
        read32(address) & !(3 << shift) | u32::from(edge) << (shift + 1),
    );
}

/// Routes the SPI `intid` to the CPU with affinity `mpidr`.
pub fn route(intid: u32, mpidr: u64) {
    crate::mmio::write64(GICD + 0x6000 + intid as usize * 8, mpidr & 0xff_00ff_ffff);
}

/// Switches the distributor on: affinity routing, both groups.
pub fn init_distributor() {
    // ARE, then the enable bits: with one security state they are bits 0 and 1 (GICD_CTLR).
    write32(GICD, 1 << 4);
    while read32(GICD) & (1 << 31) != 0 {}
    write32(GICD, 1 << 4 | 3);
    while read32(GICD) & (1 << 31) != 0 {}
}

/// Wakes this CPU's redistributor and switches its interface on: SGIs and all priorities pass.
pub fn init_cpu() {
    let base = redistributor();
    // GICR_WAKER: ProcessorSleep off, ChildrenAsleep follows.
    write32(base + 0x14, read32(base + 0x14) & !2);
    while read32(base + 0x14) & 4 != 0 {}
    // All SGIs and PPIs in group 1 at a middle priority; the SGIs enabled.
    write32(base + SGI_FRAME + Bits::Group as usize, u32::MAX);
    write32(base + SGI_FRAME + Bits::SetEnable as usize, 0xffff);
    for intid in 0..32 {
        set_priority(intid, 0xa0);
    }
    write_sysreg!("icc_sre_el1", read_sysreg!("icc_sre_el1") | 1);
    write_sysreg!("icc_pmr_el1", 0xff);
    write_sysreg!("icc_bpr1_el1", 0);
    write_sysreg!("icc_ctlr_el1", read_sysreg!("icc_ctlr_el1") & !2);
    write_sysreg!("icc_igrpen1_el1", 1);
}

/// Makes `intid` an enabled interrupt of group 1.
pub fn enable(intid: u32) {
    if intid >= 32 {
        let (address, mask) = bit(Bits::Group as usize, intid);
        write32(address, read32(address) | mask);
        set_priority(intid, 0xa0);
    }
    set(Bits::SetEnable, intid);
}

/// Acknowledges the highest pending interrupt of group 1.
pub fn acknowledge() -> u32 {
    read_sysreg!("icc_iar1_el1") as u32
}

/// Ends `intid`: drops the priority, and deactivates too unless EOImode is 1.
pub fn end(intid: u32) {
    write_sysreg!("icc_eoir1_el1", intid.into());
}

/// Deactivates `intid` (EOImode 1).
pub fn deactivate(intid: u32) {
    write_sysreg!("icc_dir_el1", intid.into());
}

/// Sends the SGI `intid` to the CPUs of `targets`, a mask of affinity level 0.
pub fn send_sgi(intid: u32, targets: u16) {
    // SAFETY: a barrier: what was written before is seen by who takes the interrupt.
    unsafe { core::arch::asm!("dsb ishst", options(nostack)) };
    write_sysreg!("icc_sgi1r_el1", u64::from(intid) << 24 | u64::from(targets));
}

/// Sends the SGI `intid` to all CPUs but this one.
pub fn send_sgi_to_others(intid: u32) {
    // SAFETY: a barrier, as above.
    unsafe { core::arch::asm!("dsb ishst", options(nostack)) };
    write_sysreg!("icc_sgi1r_el1", u64::from(intid) << 24 | 1 << 40);
}
