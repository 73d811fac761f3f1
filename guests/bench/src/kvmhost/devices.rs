//! The board's devices, as much of them as the bench guest uses: a PLIC with 31 sources and QEMU's
//! contexts (two for each hart, S-mode's is the second), and a 16550 that sends at once.

use crate::VCPUS;
use crate::linux;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

const PLIC: u64 = 0x0c00_0000;
const PLIC_END: u64 = PLIC + 0x60_0000;
const UART: u64 = 0x1000_0000;
const UART_END: u64 = UART + 0x100;
/// The UART's source.
const SOURCE: usize = 10;
const SOURCES: usize = 32;
const CONTEXTS: usize = 2 * VCPUS;

/// Characters that are kept until a line is whole.
pub const ROOM: usize = 512;

/// The devices.
pub struct Board {
    priority: [u32; SOURCES],
    pending: u32,
    claimed: u32,
    enabled: [u32; CONTEXTS],
    threshold: [u32; CONTEXTS],
    /// Whether each hart is interrupted.
    out: [bool; VCPUS],
    ier: u8,
    lcr: u8,
    mcr: u8,
    text: [u8; ROOM],
    length: usize,
}

static BOARD: Shared = Shared {
    taken: AtomicBool::new(false),
    board: UnsafeCell::new(Board {
        priority: [0; SOURCES],
        pending: 0,
        claimed: 0,
        enabled: [0; CONTEXTS],
        threshold: [0; CONTEXTS],
        out: [false; VCPUS],
        ier: 0,
        lcr: 0,
        mcr: 0,
        text: [0; ROOM],
        length: 0,
    }),
};

struct Shared {
    taken: AtomicBool,
    board: UnsafeCell<Board>,
}

// SAFETY: `with` lets one thread at a time at the board.
unsafe impl Sync for Shared {}

/// Lets `work` at the devices, which both vCPUs' threads share.
pub fn with(work: impl FnOnce(&mut Board)) {
    while BOARD.taken.swap(true, Ordering::Acquire) {
        linux::give_way();
    }
    // SAFETY: whoever has set `taken` is the only one here until it is cleared.
    work(unsafe { &mut *BOARD.board.get() });
    BOARD.taken.store(false, Ordering::Release);
}

impl Board {
    /// What a device's register holds.
    pub fn read(&mut self, address: u64) -> u32 {
        match address {
            PLIC..PLIC_END => self.read_plic((address - PLIC) as usize),
            UART..UART_END => u32::from(match address - UART {
                1 => self.ier,
                // No interrupt pending, unless it is the transmitter's.
                2 if self.ier & 2 != 0 => 2,
                2 => 1,
                3 => self.lcr,
                4 => self.mcr,
                // THRE, TEMT.
                5 => 0x60,
                _ => 0,
            }),
            _ => 0,
        }
    }

    /// Writes a device's register; a line that the UART has sent whole.
    pub fn write(&mut self, address: u64, value: u32) -> Option<&[u8]> {
        match address {
            PLIC..PLIC_END => self.write_plic((address - PLIC) as usize, value),
            UART..UART_END => match address - UART {
                0 => return self.send(value as u8),
                1 => self.ier = value as u8,
                3 => self.lcr = value as u8,
                4 => self.mcr = value as u8,
                _ => {}
            },
            _ => {}
        }
        None
    }

    fn send(&mut self, byte: u8) -> Option<&[u8]> {
        self.text[self.length] = byte;
        self.length += 1;
        if byte != b'\n' && self.length < ROOM {
            return None;
        }
        let length = core::mem::take(&mut self.length);
        Some(&self.text[..length])
    }

    /// For each hart the level of its external interrupt, if that has changed.
    pub fn lines(&mut self) -> [Option<bool>; VCPUS] {
        let source = 1 << SOURCE;
        if self.ier & 2 != 0 && self.claimed & source == 0 {
            self.pending |= source;
        }
        core::array::from_fn(|hart| {
            let now = self.best(2 * hart + 1) != 0;
            let before = core::mem::replace(&mut self.out[hart], now);
            (now != before).then_some(now)
        })
    }

    /// The pending source that a context would claim, or 0.
    fn best(&self, context: usize) -> usize {
        let waiting = self.pending & self.enabled[context];
        let mut best = (self.threshold[context], 0);
        for source in 1..SOURCES {
            // The lowest of those with the highest priority.
            if waiting & 1 << source != 0 && self.priority[source] > best.0 {
                best = (self.priority[source], source);
            }
            if waiting >> source == 0 {
                break;
            }
        }
        best.1
    }

    fn read_plic(&mut self, offset: usize) -> u32 {
        match offset {
            0..0x80 => self.priority[offset / 4],
            0x1000 => self.pending,
            0x2000..0x20_0000 => match enable(offset) {
                Some(context) => self.enabled[context],
                None => 0,
            },
            _ => match context(offset) {
                Some((context, 0)) => self.threshold[context],
                Some((context, 4)) => {
                    let source = self.best(context);
                    let bit = if source == 0 { 0 } else { 1 << source };
                    self.pending &= !bit;
                    self.claimed |= bit;
                    source as u32
                }
                _ => 0,
            },
        }
    }

    fn write_plic(&mut self, offset: usize, value: u32) {
        match offset {
            0..0x80 => self.priority[offset / 4] = value & 7,
            0x2000..0x20_0000 => {
                if let Some(context) = enable(offset) {
                    self.enabled[context] = value;
                }
            }
            _ => match context(offset) {
                Some((context, 0)) => self.threshold[context] = value & 7,
                Some((_, 4)) => self.claimed &= !(1_u32.checked_shl(value).unwrap_or(0)),
                _ => {}
            },
        }
    }
}

/// The context whose first word of enable bits lies at `offset`.
fn enable(offset: usize) -> Option<usize> {
    let context = (offset - 0x2000) / 0x80;
    (context < CONTEXTS && offset.is_multiple_of(0x80)).then_some(context)
}

/// The context whose threshold and claim register lie about `offset`, and how far from there.
fn context(offset: usize) -> Option<(usize, usize)> {
    let context = offset.checked_sub(0x20_0000)? / 0x1000;
    (context < CONTEXTS).then_some((context, offset & 0xfff))
}
