//! The registers' behaviour, without locks and lines.

use super::regs::*;
use crate::ring::Ring;
use crate::serial::{FIFO, Model, Queues};

/// The divisor after power-on: 115200 baud of the 3.6864 MHz that guests' device trees name.
const DIVISOR: [u8; 2] = [2, 0];

/// The registers that hold what was written (reset values: table I), and those that interrupts
/// are made of.
struct Registers {
    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    scr: u8,
    divisor: [u8; 2],
    /// The four deltas of MSR.
    deltas: u8,
    /// Overrun, until LSR is read.
    overrun: bool,
    /// The interrupt of the empty transmitter is due: until IIR is read when it shows it, or the
    /// transmitter is written.
    thre: bool,
}

impl Registers {
    const RESET: Self = Self {
        ier: 0,
        fcr: 0,
        lcr: 0,
        mcr: 0,
        scr: 0,
        divisor: DIVISOR,
        deltas: 0,
        overrun: false,
        thre: true,
    };
}

/// The registers and FIFOs of a 16550A.
pub struct Uart {
    regs: Registers,
    /// The receive FIFO.
    fifo: Ring,
    queues: Queues,
}

impl Model for Uart {
    #[allow(private_interfaces)]
    #[inline]
    fn queues(&mut self) -> &mut Queues {
        &mut self.queues
    }

    #[inline]
    fn level(&self) -> bool {
        self.interrupt() != IIR_NONE
    }

    /// There is no switch for the receiver: it is on.
    fn listens(&self) -> bool {
        let takes = self.regs.ier & IER_RX != 0 || self.queues.polls_enough();
        self.queues.firmware || !self.loops_back() && takes
    }

    fn drain_output(&mut self, buf: &mut [u8]) -> usize {
        let before = self.queues.tx_level();
        let count = self.queues.drain(buf);
        if before > 0 && self.queues.tx_level() == 0 {
            self.regs.thre = true;
        }
        count
    }

    fn write_input(&mut self, data: &[u8]) -> usize {
        let accepted = self.queues.offer(data);
        self.refill();
        accepted
    }

    fn receive(&mut self) -> Option<u8> {
        if self.fifo.len() > 0 {
            return Some(self.read_data());
        }
        let byte = self.queues.next_input();
        self.queues.input_moved();
        byte
    }

    fn reset(&mut self) {
        self.regs = Registers::RESET;
        self.regs.thre = self.queues.tx_level() == 0;
        self.fifo.clear();
        self.queues.reset();
    }
}

impl Uart {
    pub(super) fn new() -> Self {
        Self {
            regs: Registers::RESET,
            fifo: Ring::new(FIFO.ilog2()),
            queues: Queues::new(),
        }
    }

    #[inline]
    pub(super) fn read(&mut self, register: u64) -> u8 {
        match (register, self.divisor_access()) {
            (RBR_THR, false) => self.read_data(),
            (RBR_THR, true) => self.regs.divisor[0],
            (IER, false) => self.regs.ier,
            (IER, true) => self.regs.divisor[1],
            (IIR_FCR, _) => self.identify(),
            (LCR, _) => self.regs.lcr,
            (MCR, _) => self.regs.mcr,
            (LSR, _) => self.read_line_status(),
            (MSR, _) => self.modem_lines() | core::mem::take(&mut self.regs.deltas),
            (SCR, _) => self.regs.scr,
            _ => 0,
        }
    }

    /// `false`: the transmitter is full, and nothing was done.
    #[inline]
    pub(super) fn write(&mut self, register: u64, value: u8) -> bool {
        match (register, self.divisor_access()) {
            (RBR_THR, false) => return self.send(value),
            (RBR_THR, true) => self.regs.divisor[0] = value,
            (IER, false) => self.may_begin_to_listen(|uart| uart.enable_interrupts(value)),
            (IER, true) => self.regs.divisor[1] = value,
            (IIR_FCR, _) => self.control_fifos(value),
            (LCR, _) => self.regs.lcr = value,
            (MCR, _) => {
                self.may_begin_to_listen(|uart| uart.control_modem(value & MCR_MASK));
                self.refill();
            }
            (SCR, _) => self.regs.scr = value,
            // LSR and MSR can be written "for factory testing" only.
            _ => {}
        }
        true
    }

    fn divisor_access(&self) -> bool {
        self.regs.lcr & LCR_DLAB != 0
    }

    fn fifos_enabled(&self) -> bool {
        self.regs.fcr & FCR_ENABLE != 0
    }

    fn loops_back(&self) -> bool {
        self.regs.mcr & MCR_LOOP != 0
    }

    /// Characters that a FIFO holds: without FIFOs one holding register.
    fn depth(&self) -> usize {
        if self.fifos_enabled() { FIFO } else { 1 }
    }

    /// So many characters in the receiver are an interrupt.
    fn rx_trigger(&self) -> usize {
        match self.regs.fcr >> FCR_TRIGGER_SHIFT {
            _ if !self.fifos_enabled() => 1,
            0 => 1,
            1 => 4,
            2 => 8,
            _ => 14,
        }
    }

    /// Which interrupt IIR shows: of those that are due and enabled the first in table III. The
    /// line falls silent after each piece of input, so that what stays below the trigger has timed
    /// out, and does so again after each character that is read.
    #[inline]
    fn interrupt(&self) -> u8 {
        let enabled = |bit| self.regs.ier & bit != 0;
        let received = self.fifo.len();
        if enabled(IER_LINE) && self.regs.overrun {
            IIR_LINE
        } else if enabled(IER_RX) && received >= self.rx_trigger() {
            IIR_DATA
        } else if enabled(IER_RX) && received > 0 {
            IIR_TIMEOUT
        } else if enabled(IER_THRE) && self.regs.thre {
            IIR_THRE
        } else if enabled(IER_MODEM) && self.regs.deltas != 0 {
            IIR_MODEM
        } else {
            IIR_NONE
        }
    }

    /// Reads IIR.
    fn identify(&mut self) -> u8 {
        let interrupt = self.interrupt();
        if interrupt == IIR_THRE {
            self.regs.thre = false;
        }
        let fifos = if self.fifos_enabled() { IIR_FIFOS } else { 0 };
        interrupt | fifos
    }

    /// Enabling the interrupt of a transmitter that is empty makes it due: drivers start sending
    /// so, and Linux's looks whether it does (`serial8250_THRE_test`).
    fn enable_interrupts(&mut self, value: u8) {
        let value = value & IER_MASK;
        let rising = value & !self.regs.ier;
        self.regs.ier = value;
        if rising & IER_THRE != 0 {
            self.regs.thre = self.queues.tx_level() == 0;
        }
    }

    /// Section 8.5: the other bits count only together with the enable bit, and switching it off
    /// empties the FIFOs. Switching it on would, too.
    fn control_fifos(&mut self, value: u8) {
        let off = self.fifos_enabled() && value & FCR_ENABLE == 0;
        self.regs.fcr = if value & FCR_ENABLE != 0 { value } else { 0 };
        if off || self.regs.fcr & FCR_CLEAR_RX != 0 {
            self.fifo.clear();
        }
        self.refill();
    }

    /// Section 8.6: a delta is set when its line changes; that of RI when it falls (the signal,
    /// which is low when active, rises).
    fn control_modem(&mut self, value: u8) {
        let before = self.modem_lines();
        self.regs.mcr = value;
        let now = self.modem_lines();
        let changed = (before ^ now) & !(now & MSR_RI);
        self.regs.deltas |= changed >> 4 & MSR_DELTAS;
    }

    /// The modem lines as MSR shows them. The console is always ready; in loopback they are the
    /// UART's own outputs (section 8.6, bit 4).
    fn modem_lines(&self) -> u8 {
        if !self.loops_back() {
            return MSR_CTS | MSR_DSR | MSR_DCD;
        }
        let line = |output, input| {
            if self.regs.mcr & output != 0 {
                input
            } else {
                0
            }
        };
        line(MCR_RTS, MSR_CTS)
            | line(MCR_DTR, MSR_DSR)
            | line(MCR_OUT1, MSR_RI)
            | line(MCR_OUT2, MSR_DCD)
    }

    #[inline]
    fn read_line_status(&mut self) -> u8 {
        let mut status = 0;
        if self.queues.tx_level() == 0 {
            status |= LSR_THRE | LSR_TEMT;
        }
        if core::mem::take(&mut self.regs.overrun) {
            status |= LSR_OE;
        }
        if self.fifo.len() > 0 {
            status |= LSR_DR;
        } else if status & LSR_THRE != 0 {
            // One that waits for the transmitter isn't waiting for input.
            self.note_poll();
        }
        status
    }

    fn send(&mut self, byte: u8) -> bool {
        self.queues.sends();
        if self.loops_back() {
            self.regs.thre = true;
            self.loop_back(byte);
            return true;
        }
        let sent = self.queues.push(byte, self.depth());
        if sent {
            // It comes when the transmitter gets empty, which it does at once unless the queue is
            // full.
            self.regs.thre = self.queues.tx_level() == 0;
        }
        sent
    }

    /// An overrun loses the new character with FIFOs, the old one without (section 8.4, bit 1).
    fn loop_back(&mut self, byte: u8) {
        if self.fifo.len() >= self.depth() {
            self.regs.overrun = true;
            if self.fifos_enabled() {
                return;
            }
            self.fifo.clear();
        }
        self.fifo.push(byte);
    }

    /// Moves input to the receive FIFO.
    fn refill(&mut self) {
        if self.loops_back() {
            return;
        }
        let mut any = false;
        while self.fifo.len() < self.depth() {
            let Some(byte) = self.queues.next_input() else {
                break;
            };
            self.fifo.push(byte);
            any = true;
        }
        if any {
            self.queues.input_moved();
        }
    }

    fn read_data(&mut self) -> u8 {
        let Some(byte) = self.fifo.pop() else {
            self.note_poll();
            return 0;
        };
        self.refill();
        byte
    }
}
