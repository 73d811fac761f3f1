//! PSCI (Arm DEN 0022) by either conduit of the SMC calling convention (DEN 0028).

use core::arch::asm;

/// PSCI_VERSION.
pub const VERSION: u64 = 0x8400_0000;
/// CPU_SUSPEND, 64 bits.
pub const CPU_SUSPEND: u64 = 0xc400_0001;
/// CPU_OFF.
pub const CPU_OFF: u64 = 0x8400_0002;
/// CPU_ON, 64 bits.
pub const CPU_ON: u64 = 0xc400_0003;
/// CPU_ON, 32 bits.
pub const CPU_ON_32: u64 = 0x8400_0003;
/// AFFINITY_INFO, 64 bits.
pub const AFFINITY_INFO: u64 = 0xc400_0004;
/// AFFINITY_INFO, 32 bits.
pub const AFFINITY_INFO_32: u64 = 0x8400_0004;
/// MIGRATE_INFO_TYPE.
pub const MIGRATE_INFO_TYPE: u64 = 0x8400_0006;
/// SYSTEM_OFF.
pub const SYSTEM_OFF: u64 = 0x8400_0008;
/// SYSTEM_RESET.
pub const SYSTEM_RESET: u64 = 0x8400_0009;
/// PSCI_FEATURES.
pub const FEATURES: u64 = 0x8400_000a;

/// SUCCESS.
pub const SUCCESS: i64 = 0;
/// NOT_SUPPORTED.
pub const NOT_SUPPORTED: i64 = -1;
/// INVALID_PARAMETERS.
pub const INVALID_PARAMETERS: i64 = -2;
/// ALREADY_ON.
pub const ALREADY_ON: i64 = -4;
/// INVALID_ADDRESS.
pub const INVALID_ADDRESS: i64 = -9;

/// How a call reaches what answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// By HVC.
    Hvc,
    /// By SMC.
    Smc,
}

/// Calls `function` with three arguments; gives x0 to x3.
pub fn call4(conduit: Conduit, function: u64, args: [u64; 3]) -> [u64; 4] {
    let [mut x0, mut x1, mut x2, mut x3] = [function, args[0], args[1], args[2]];
    macro_rules! call {
        ($instruction:literal) => {
            // SAFETY: the callee keeps the calling convention: it may change x0 to x17 only, and
            // the memory that the calls made here name is code and stacks of this guest.
            unsafe {
                asm!($instruction, inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3,
                     out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _,
                     out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _,
                     out("x15") _, out("x16") _, out("x17") _, options(nostack));
            }
        };
    }
    match conduit {
        Conduit::Hvc => call!(".inst 0xd4000002"),
        Conduit::Smc => call!(".inst 0xd4000003"),
    }
    [x0, x1, x2, x3]
}

/// Calls `function` by HVC. The result is signed: of 32 bits for the 32-bit functions.
pub fn call(function: u64, args: [u64; 3]) -> i64 {
    let result = call4(Conduit::Hvc, function, args)[0];
    if function & 0x4000_0000 == 0 {
        i64::from(result as i32)
    } else {
        result as i64
    }
}
