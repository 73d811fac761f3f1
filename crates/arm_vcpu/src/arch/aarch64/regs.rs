//! System-register access. The only place with `mrs` and `msr`.

/// Reads a system register by its assembler name.
macro_rules! read {
    ($($reg:tt)*) => {{
        let value: u64;
        // SAFETY: reading a system register that this exception level may read changes no memory
        // and no other register. Each use names one that exists on every CPU this code runs on, or
        // stands behind the check of its feature.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $($reg)*), out(reg) value, options(nomem, nostack, preserves_flags))
        };
        value
    }};
}

/// Writes a system register by its assembler name. Only registers that take effect on the guest
/// (its EL1 state, its virtual interrupts, its traps), or only after an ISB or ERET.
macro_rules! write {
    ($reg:expr, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: registers of the guest's context and of its traps do not affect the hypervisor's
        // own execution or memory: the hypervisor runs at EL2 with E2H=0, under TTBR0_EL2.
        unsafe {
            core::arch::asm!(concat!("msr ", $reg, ", {}"), in(reg) value, options(nomem, nostack, preserves_flags))
        };
    }};
}

/// Context synchronization: later instructions see earlier register writes.
#[inline(always)]
pub fn isb() {
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb", options(nostack, preserves_flags)) };
}

/// A hint or barrier instruction by its text.
macro_rules! barrier {
    ($text:literal) => {{
        // SAFETY: barriers and TLB/instruction-cache invalidation only slow things down; the
        // translations they drop are read again from the tables.
        unsafe { core::arch::asm!($text, options(nostack, preserves_flags)) };
    }};
}

pub(crate) use {barrier, read, write};
