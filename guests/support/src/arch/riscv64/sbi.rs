//! The Supervisor Binary Interface (RISC-V SBI specification 2.0).

/// Base extension.
pub const BASE: u64 = 0x10;
/// Timer extension, "TIME".
pub const TIME: u64 = 0x5449_4d45;
/// Inter-processor interrupts, "sPI".
pub const IPI: u64 = 0x73_5049;
/// Remote fences, "RFNC".
pub const RFENCE: u64 = 0x5246_4e43;
/// Hart state management, "HSM".
pub const HSM: u64 = 0x48_534d;
/// System reset, "SRST".
pub const SRST: u64 = 0x5352_5354;
/// Performance monitoring, "PMU".
pub const PMU: u64 = 0x50_4d55;
/// Debug console, "DBCN".
pub const DBCN: u64 = 0x4442_434e;

/// SBI_SUCCESS.
pub const SUCCESS: i64 = 0;
/// SBI_ERR_FAILED.
pub const FAILED: i64 = -1;
/// SBI_ERR_NOT_SUPPORTED.
pub const NOT_SUPPORTED: i64 = -2;
/// SBI_ERR_INVALID_PARAM.
pub const INVALID_PARAM: i64 = -3;
/// SBI_ERR_INVALID_ADDRESS.
pub const INVALID_ADDRESS: i64 = -5;
/// SBI_ERR_ALREADY_AVAILABLE.
pub const ALREADY_AVAILABLE: i64 = -6;

/// `hart_start` of [`HSM`].
pub const HART_START: u64 = 0;
/// `hart_stop` of [`HSM`].
pub const HART_STOP: u64 = 1;
/// `hart_get_status` of [`HSM`].
pub const HART_STATUS: u64 = 2;
/// `hart_suspend` of [`HSM`].
pub const HART_SUSPEND: u64 = 3;

/// A hart's state: STARTED.
pub const STARTED: u64 = 0;
/// A hart's state: STOPPED.
pub const STOPPED: u64 = 1;
/// A hart's state: START_PENDING.
pub const START_PENDING: u64 = 2;
/// A hart's state: SUSPENDED.
pub const SUSPENDED: u64 = 4;

/// Reset type: shutdown.
pub const SHUTDOWN: u64 = 0;
/// Reset type: cold reboot.
pub const COLD_REBOOT: u64 = 1;
/// Reset reason: none.
pub const NO_REASON: u64 = 0;

/// Instead of a mask: all harts.
pub const ALL_HARTS: u64 = u64::MAX;

/// What a call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// SUCCESS or an error code.
    pub error: i64,
    /// The function's result, where it succeeded.
    pub value: u64,
}

/// Calls `function` of `extension`; arguments that aren't given are 0. No register changes but a0
/// and a1 (chapter 3).
#[inline]
pub fn call<const N: usize>(extension: u64, function: u64, args: [u64; N]) -> Answer {
    let arg = |n: usize| args.get(n).copied().unwrap_or(0);
    let (error, value);
    // SAFETY: the firmware changes a0 and a1 only, and the memory that the calls made here name is
    // code, stacks and buffers of this guest.
    unsafe {
        core::arch::asm!(
            "ecall",
            inout("a0") arg(0) => error,
            inout("a1") arg(1) => value,
            in("a2") arg(2),
            in("a3") arg(3),
            in("a4") arg(4),
            in("a5") arg(5),
            in("a6") function,
            in("a7") extension,
            options(nostack)
        );
    }
    Answer { error, value }
}

/// `set_timer` of the legacy extensions.
pub const LEGACY_SET_TIMER: u64 = 0;
/// `console_putchar`.
pub const LEGACY_PUT_CHARACTER: u64 = 1;
/// `console_getchar`.
pub const LEGACY_GET_CHARACTER: u64 = 2;
/// `clear_ipi`.
pub const LEGACY_CLEAR_IPI: u64 = 3;
/// `send_ipi`.
pub const LEGACY_SEND_IPI: u64 = 4;
/// `remote_fence_i`.
pub const LEGACY_FENCE_I: u64 = 5;
/// `remote_sfence_vma`.
pub const LEGACY_SFENCE_VMA: u64 = 6;
/// `remote_sfence_vma_asid`.
pub const LEGACY_SFENCE_VMA_ASID: u64 = 7;
/// `shutdown`.
pub const LEGACY_SHUTDOWN: u64 = 8;

/// Calls a legacy extension (chapter 5): what it left in a0; `None` if it changed another register
/// that holds an argument. They have no function number: whatever a6 holds is nothing to them.
pub fn legacy(extension: u64, args: [u64; 4]) -> Option<i64> {
    const A6: u64 = 0x1234;
    let [mut a0, mut a1, mut a2, mut a3] = args;
    let (mut a6, mut a7) = (A6, extension);
    // SAFETY: as for `call`; more registers than a0 do change where the firmware is wrong.
    unsafe {
        core::arch::asm!(
            "ecall",
            inout("a0") a0,
            inout("a1") a1,
            inout("a2") a2,
            inout("a3") a3,
            inout("a6") a6,
            inout("a7") a7,
            options(nostack)
        );
    }
    (args[1..] == [a1, a2, a3] && (a6, a7) == (A6, extension)).then_some(a0 as i64)
}

/// Whether the firmware has `extension`.
pub fn probe(extension: u64) -> bool {
    call(BASE, 3, [extension]).value != 0
}

/// Whether this is OpenSBI itself, and no hypervisor: its implementation id (chapter 4.9).
pub fn is_opensbi() -> bool {
    call(BASE, 1, []).value == 1
}
