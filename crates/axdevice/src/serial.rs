//! What the emulated UARTs have in common: queues to and from the hypervisor's console, what the
//! console is told, and the lock around a model of registers.
//!
//! The line to the console is infinitely fast: what the guest sends is in the console's queue at
//! once, so that its transmit FIFO passes from filled to empty between two of its accesses, until
//! that queue is full. Then the last 16 bytes of the queue are the FIFO the guest sees. Who writes to
//! that although it is full has to write again ([`WriteFault::Busy`](crate::WriteFault::Busy)) until
//! there is room, or nobody has taken anything for long. A chip would lose the character; a guest that
//! never looks (many small ones don't, and never lost any on an emulated board) goes as fast as its
//! console instead. Input waits in a queue of its own until there is room in the receive FIFO, so only
//! loopback can overrun it.

use alloc::sync::Arc;

use spin::{Mutex, Once};

use crate::ring::Ring;
use crate::{ConsoleHook, ConsolePort, IrqLine};

/// Depth of each FIFO.
pub(crate) const FIFO: usize = 16;
/// The queue to the console: 4 KiB, the FIFO included.
const OUTPUT_BITS: u32 = 12;
/// The queue from the console: 1 KiB.
const INPUT_BITS: u32 = 10;
/// So many looks at an empty receiver without sending in between mean that the guest waits for
/// input. One that sends looks once or twice for each character.
const POLLS: u32 = 16;

/// So often output is refused before it is lost: some tens of milliseconds, in which a console that
/// works has taken some.
const PATIENCE: u32 = 1 << 16;

/// What the console is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Events {
    /// There is output where there was none.
    pub output: bool,
    /// There is so much that it should be taken at once.
    pub pressing: bool,
    pub input: bool,
}

impl Events {
    const NONE: Self = Self {
        pressing: false,
        output: false,
        input: false,
    };
}

/// Both queues, and what the console is to know of them.
pub(crate) struct Queues {
    output: Ring,
    input: Ring,
    /// Looks at the empty receiver since the last character sent.
    polls: u32,
    /// The guest receives through its firmware.
    pub firmware: bool,
    /// The console has input that was refused.
    input_refused: bool,
    /// How often output was refused since the console took some.
    output_refused: u32,
    pub events: Events,
}

impl Queues {
    pub fn new() -> Self {
        Self {
            output: Ring::new(OUTPUT_BITS),
            input: Ring::new(INPUT_BITS),
            polls: 0,
            firmware: false,
            input_refused: false,
            output_refused: 0,
            events: Events::NONE,
        }
    }

    /// What was typed for one life of a VM is not the next one's; what was sent is on the wire.
    pub fn reset(&mut self) {
        self.input.clear();
        self.input_refused = false;
        self.polls = 0;
        self.firmware = false;
    }

    /// Characters in the transmit FIFO: what does not fit in the queue before it.
    #[inline]
    pub fn tx_level(&self) -> usize {
        self.output
            .len()
            .saturating_sub(self.output.capacity() - FIFO)
    }

    /// The guest uses its transmitter.
    #[inline]
    pub fn sends(&mut self) {
        self.polls = 0;
    }

    /// There is no room. Whether the guest is to try again: if nobody has taken anything for long, what
    /// it sends is lost, as with a chip. A console that is stuck, or busy with others, doesn't hold a
    /// guest up for ever.
    #[cold]
    fn refuse(&mut self) -> bool {
        let again = self.output_refused < PATIENCE;
        self.output_refused += u32::from(again);
        again
    }

    /// Sends a character by a FIFO of `depth`; `false`: it is full, and the guest is to try again.
    #[inline]
    pub fn push(&mut self, byte: u8, depth: usize) -> bool {
        if self.tx_level() >= depth {
            return !self.refuse();
        }
        self.output.push(byte);
        let len = self.output.len();
        self.events.output |= len == 1;
        self.events.pressing |= len == self.output.capacity() / 2;
        true
    }

    /// See [`ConsolePort::firmware_send`]. The FIFO's part of the queue is left alone, so that the
    /// registers see nothing of it.
    fn firmware_send(&mut self, data: &[u8]) -> usize {
        let before = self.output.len();
        let room = (self.output.capacity() - FIFO).saturating_sub(before);
        if room == 0 && !data.is_empty() {
            // The console has heard of it when it got full.
            return if self.refuse() { 0 } else { data.len() };
        }
        let sent = data
            .iter()
            .take(room)
            .take_while(|&&byte| self.output.push(byte))
            .count();
        let half = self.output.capacity() / 2;
        self.events.output |= before == 0 && sent > 0;
        self.events.pressing |= (before < half && before + sent >= half) || sent < data.len();
        sent
    }

    /// The next character of input.
    #[inline]
    pub fn next_input(&mut self) -> Option<u8> {
        self.input.pop()
    }

    /// Input has moved to the receive FIFO: there may be room for what was refused.
    pub fn input_moved(&mut self) {
        if self.input_refused && self.input.len() <= self.input.capacity() / 2 {
            self.input_refused = false;
            self.events.input = true;
        }
    }

    /// Queues input; how much of it there was room for.
    pub fn offer(&mut self, data: &[u8]) -> usize {
        let accepted = data
            .iter()
            .take_while(|&&byte| self.input.push(byte))
            .count();
        self.input_refused |= accepted < data.len();
        accepted
    }

    pub fn drain(&mut self, buf: &mut [u8]) -> usize {
        let taken = self.output.drain(buf);
        if taken > 0 {
            self.output_refused = 0;
        }
        taken
    }

    /// The guest has looked at the empty receiver so often that it must be waiting.
    #[inline]
    pub fn polls_enough(&self) -> bool {
        self.polls >= POLLS
    }
}

/// The registers of a UART, without locks and lines. Sealed: its module is private.
pub trait Model: Send {
    /// Its queues.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn queues(&mut self) -> &mut Queues;

    /// The level of its interrupt line.
    fn level(&self) -> bool;

    /// See [`ConsolePort::guest_listens`].
    fn listens(&self) -> bool;

    /// See [`ConsolePort::drain_output`].
    fn drain_output(&mut self, buf: &mut [u8]) -> usize;

    /// See [`ConsolePort::write_input`].
    fn write_input(&mut self, data: &[u8]) -> usize;

    /// Takes the next character that was received, from the FIFO or from behind it.
    fn receive(&mut self) -> Option<u8>;

    /// Back to the state after power-on.
    fn reset(&mut self);

    /// Does `f`, after which the guest may listen where it did not: then the console is told.
    #[inline]
    fn may_begin_to_listen(&mut self, f: impl FnOnce(&mut Self))
    where
        Self: Sized,
    {
        let listened = self.listens();
        f(self);
        let begins = self.listens() && !listened;
        self.queues().events.input |= begins;
    }

    /// The guest has looked at the empty receiver.
    #[inline]
    fn note_poll(&mut self)
    where
        Self: Sized,
    {
        // Only the step over the limit can change whether it listens.
        if !self.queues().polls_enough() {
            self.may_begin_to_listen(|uart| uart.queues().polls += 1);
        }
    }
}

/// An emulated UART: its registers, one level-triggered line, and the console.
pub struct Serial<M> {
    /// The registers, and the level that the line was told last.
    uart: Mutex<(M, bool)>,
    irq: IrqLine,
    hook: Once<Arc<dyn ConsoleHook>>,
}

impl<M: Model> Serial<M> {
    pub(crate) fn with_model(model: M, irq: IrqLine) -> Self {
        Self {
            uart: Mutex::new((model, false)),
            irq,
            hook: Once::new(),
        }
    }

    /// Runs `f` on the registers, then lets line and console follow what it has changed.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut M) -> R) -> R {
        let mut guard = self.uart.lock();
        let (uart, line) = &mut *guard;
        let result = f(uart);
        let level = uart.level();
        if core::mem::replace(line, level) != level {
            // Under the lock, so that changes reach the controller in their order.
            self.irq.set_level(level);
        }
        let events = core::mem::replace(&mut uart.queues().events, Events::NONE);
        drop(guard);
        if events != Events::NONE {
            self.notify(events);
        }
        result
    }

    #[cold]
    fn notify(&self, events: Events) {
        let Some(hook) = self.hook.get() else {
            // The wire ends nowhere: what was sent is gone, before it can fill the FIFO.
            if events.pressing {
                self.uart.lock().0.queues().output.clear();
            }
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

impl<M: Model> ConsolePort for Serial<M> {
    fn attach(&self, hook: Arc<dyn ConsoleHook>) {
        self.hook.call_once(|| hook);
    }

    fn drain_output(&self, buf: &mut [u8]) -> usize {
        self.with(|uart| uart.drain_output(buf))
    }

    fn write_input(&self, data: &[u8]) -> usize {
        self.with(|uart| uart.write_input(data))
    }

    fn firmware_send(&self, data: &[u8]) -> usize {
        self.with(|uart| uart.queues().firmware_send(data))
    }

    fn firmware_receive(&self, buf: &mut [u8]) -> usize {
        self.with(|uart| {
            uart.may_begin_to_listen(|uart| uart.queues().firmware = true);
            let received = core::iter::from_fn(|| uart.receive());
            buf.iter_mut()
                .zip(received)
                .map(|(slot, byte)| *slot = byte)
                .count()
        })
    }

    fn guest_listens(&self) -> bool {
        self.uart.lock().0.listens()
    }
}

#[cfg(test)]
pub mod bench;
