//! Arm PrimeCell UART, PL011 (technical reference manual DDI 0183, revision r1p4: 16-byte FIFOs).
//!
//! The line to the hypervisor's console is infinitely fast: what the guest sends is in the
//! console's queue at once, so that its transmit FIFO passes from filled to empty between two of
//! its accesses, until that queue is full. Then the last 16 bytes of the queue are the FIFO the
//! guest sees. Input waits in a queue of its own until there is room in the receive FIFO, so only
//! loopback can overrun it.
//!
//! One deliberate leniency: characters are sent whether or not the UART is enabled. Guests that
//! rely on their firmware to have done that (early consoles) have no firmware here.

mod regs;
mod uart;

use alloc::sync::Arc;

use spin::{Mutex, Once};

use crate::{Access, AccessWidth, BusFault, ConsoleHook, ConsolePort, IrqLine, MmioDevice};
use uart::{Events, Uart};

/// An emulated PL011: 4 KiB of registers and one level-triggered line.
pub struct Pl011 {
    uart: Mutex<Uart>,
    irq: IrqLine,
    hook: Once<Arc<dyn ConsoleHook>>,
}

impl Pl011 {
    /// Bytes of its register region.
    pub const SIZE: usize = 0x1000;

    /// A UART after power-on, with its combined interrupt (UARTINTR) on `irq`.
    pub fn new(irq: IrqLine) -> Self {
        Self {
            uart: Mutex::new(Uart::new()),
            irq,
            hook: Once::new(),
        }
    }

    /// Runs `f` on the registers, then lets line and console follow what it has changed.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut Uart) -> R) -> R {
        let mut uart = self.uart.lock();
        let result = f(&mut uart);
        if let Some(level) = uart.line_change() {
            // Under the lock, so that changes reach the controller in their order.
            self.irq.set_level(level);
        }
        let events = uart.take_events();
        drop(uart);
        if events != Events::NONE {
            self.notify(events);
        }
        result
    }

    #[cold]
    fn notify(&self, events: Events) {
        let Some(hook) = self.hook.get() else {
            return;
        };
        if events.pressing {
            hook.output_pressing();
        } else if events.output {
            hook.output_ready();
        }
        if events.input {
            hook.input_wanted();
        }
    }
}

/// The register an access is for, and the bits by which it lies inside it; `None` if it is not
/// inside one.
#[inline]
fn register(access: Access) -> Option<(u64, u32)> {
    let lane = (access.offset & 3) as usize;
    (lane + access.width.bytes() <= 4).then_some((access.offset & !3, 8 * lane as u32))
}

/// The APB carries 32 bits: the bridge in front of it makes two accesses of an aligned one of 64.
#[cold]
fn halves(access: Access) -> Result<[Access; 2], BusFault> {
    if access.width != AccessWidth::Double || access.offset & 3 != 0 {
        return Err(BusFault);
    }
    let half = |offset| Access {
        offset,
        width: AccessWidth::Word,
        ..access
    };
    Ok([half(access.offset), half(access.offset + 4)])
}

impl MmioDevice for Pl011 {
    #[inline]
    fn read(&self, access: Access) -> Result<u64, BusFault> {
        let Some((register, shift)) = register(access) else {
            let [low, high] = halves(access)?;
            return Ok(self.read(low)? | self.read(high)? << 32);
        };
        Ok(u64::from(self.with(|uart| uart.read(register)) >> shift))
    }

    /// A write to a register's upper bytes only is ignored: the APB has no byte enables.
    #[inline]
    fn write(&self, access: Access, value: u64) -> Result<(), BusFault> {
        let Some((register, shift)) = register(access) else {
            let [low, high] = halves(access)?;
            self.write(low, value & u64::from(u32::MAX))?;
            return self.write(high, value >> 32);
        };
        if shift == 0 {
            self.with(|uart| uart.write(register, value as u32));
        }
        Ok(())
    }

    /// What is in the queues to and from the console stays: it is on the wire already.
    fn reset(&self) {
        self.with(Uart::reset);
    }
}

impl ConsolePort for Pl011 {
    fn attach(&self, hook: Arc<dyn ConsoleHook>) {
        self.hook.call_once(|| hook);
    }

    fn drain_output(&self, buf: &mut [u8]) -> usize {
        self.with(|uart| uart.drain_output(buf))
    }

    fn write_input(&self, data: &[u8]) -> usize {
        self.with(|uart| uart.write_input(data))
    }

    fn guest_listens(&self) -> bool {
        self.uart.lock().listens()
    }

    fn lost_output(&self) -> u64 {
        self.uart.lock().lost_output()
    }
}

#[cfg(test)]
mod tests;
