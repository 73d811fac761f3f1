//! The registers' behaviour, without locks and lines.

use super::regs::*;
use crate::ring::Ring;
use crate::serial::{FIFO, Model, Queues};

/// The registers that only hold what was written, and those that interrupts are made of.
struct Registers {
    rsr: u32,
    ilpr: u32,
    ibrd: u32,
    fbrd: u32,
    lcr_h: u32,
    cr: u32,
    ifls: u32,
    imsc: u32,
    ris: u32,
    dmacr: u32,
}

impl Registers {
    /// Reset values: DDI 0183 table 3-1.
    const RESET: Self = Self {
        rsr: 0,
        ilpr: 0,
        ibrd: 0,
        fbrd: 0,
        lcr_h: 0,
        cr: CR_RXE | CR_TXE,
        ifls: 0x12,
        imsc: 0,
        ris: 0,
        dmacr: 0,
    };
}

/// The registers and FIFOs of a PL011.
pub struct Uart {
    regs: Registers,
    /// The receive FIFO.
    fifo: Ring,
    queues: Queues,
    /// A character was dropped because the receive FIFO was full, and none was read since.
    overrun: bool,
    /// Receive interrupts whose cause came up by the guest's own reading: the next character
    /// moved up, or the timeout began anew. On a real line that takes the time of a character;
    /// here it is immediate, so a clear that a driver does after its read must not swallow it.
    renewed: u32,
}

impl Model for Uart {
    #[allow(private_interfaces)]
    #[inline]
    fn queues(&mut self) -> &mut Queues {
        &mut self.queues
    }

    #[inline]
    fn level(&self) -> bool {
        self.regs.ris & self.regs.imsc != 0
    }

    fn listens(&self) -> bool {
        let takes = self.regs.imsc & (INT_RX | INT_RT) != 0 || self.queues.polls_enough();
        self.queues.firmware || self.receives() && takes
    }

    fn drain_output(&mut self, buf: &mut [u8]) -> usize {
        let before = self.queues.tx_level();
        let count = self.queues.drain(buf);
        let after = self.queues.tx_level();
        if after < before && after <= self.tx_trigger() {
            self.regs.ris |= INT_TX;
        }
        count
    }

    fn write_input(&mut self, data: &[u8]) -> usize {
        let accepted = self.queues.offer(data);
        let timed_out = self.regs.ris & INT_RT;
        if self.refill() {
            // Reception restarts a timeout that has not been served.
            self.renewed |= timed_out;
        }
        accepted
    }

    fn receive(&mut self) -> Option<u8> {
        if self.fifo.len() > 0 {
            return Some(self.read_data() as u8);
        }
        let byte = self.queues.next_input();
        self.queues.input_moved();
        byte
    }

    fn reset(&mut self) {
        self.regs = Registers::RESET;
        self.fifo.clear();
        self.queues.reset();
        self.overrun = false;
        self.renewed = 0;
    }
}

impl Uart {
    pub(super) fn new() -> Self {
        Self {
            regs: Registers::RESET,
            fifo: Ring::new(FIFO.ilog2()),
            queues: Queues::new(),
            overrun: false,
            renewed: 0,
        }
    }

    #[inline]
    pub(super) fn read(&mut self, register: u64) -> u32 {
        match register {
            DR => self.read_data(),
            RSR_ECR => self.regs.rsr,
            FR => self.read_flags(),
            ILPR => self.regs.ilpr,
            IBRD => self.regs.ibrd,
            FBRD => self.regs.fbrd,
            LCR_H => self.regs.lcr_h,
            CR => self.regs.cr,
            IFLS => self.regs.ifls,
            IMSC => self.regs.imsc,
            RIS => self.regs.ris,
            MIS => self.regs.ris & self.regs.imsc,
            DMACR => self.regs.dmacr,
            id => {
                let index = id.wrapping_sub(ID) / 4;
                let byte = usize::try_from(index).ok().and_then(|i| ID_BYTES.get(i));
                byte.copied().map_or(0, u32::from)
            }
        }
    }

    /// `false`: the transmitter is full, and nothing was done.
    #[inline]
    pub(super) fn write(&mut self, register: u64, value: u32) -> bool {
        match register {
            DR => return self.send(value as u8),
            RSR_ECR => self.regs.rsr = 0,
            ILPR => self.regs.ilpr = value & 0xff,
            IBRD => self.regs.ibrd = value & 0xffff,
            FBRD => self.regs.fbrd = value & 0x3f,
            IFLS => self.regs.ifls = value & 0x3f,
            DMACR => self.regs.dmacr = value & 7,
            ICR => self.clear_interrupts(value),
            LCR_H | CR | IMSC => self.configure(register, value),
            _ => {}
        }
        true
    }

    /// Writes that may start or stop the receiver, or begin listening.
    fn configure(&mut self, register: u64, value: u32) {
        self.may_begin_to_listen(|uart| match register {
            LCR_H => uart.set_line_control(value & 0xff),
            IMSC => uart.regs.imsc = value & INT_MASK,
            _ => uart.set_control(value & CR_MASK),
        });
        self.refill();
    }

    fn set_control(&mut self, value: u32) {
        let before = self.modem_lines();
        self.regs.cr = value;
        let changed = before ^ self.modem_lines();
        for (line, interrupt) in [
            (FR_RI, INT_RI),
            (FR_CTS, INT_CTS),
            (FR_DCD, INT_DCD),
            (FR_DSR, INT_DSR),
        ] {
            if changed & line != 0 {
                self.regs.ris |= interrupt;
            }
        }
    }

    /// Switching the FIFOs on or off loses nothing here, but moves the receive trigger.
    fn set_line_control(&mut self, value: u32) {
        let switched = (self.regs.lcr_h ^ value) & LCR_H_FEN != 0;
        self.regs.lcr_h = value;
        if switched && self.fifo.len() >= self.rx_trigger() {
            self.regs.ris |= INT_RX;
        }
    }

    fn fifos_enabled(&self) -> bool {
        self.regs.lcr_h & LCR_H_FEN != 0
    }

    /// Characters that a FIFO holds: without FIFOs one holding register.
    fn depth(&self) -> usize {
        if self.fifos_enabled() { FIFO } else { 1 }
    }

    /// The fill level that a 3-bit field of IFLS selects: 1/8, 1/4, 1/2, 3/4 and 7/8. The
    /// reserved values act as the last.
    fn level(select: u32) -> usize {
        match select & 7 {
            0 => FIFO / 8,
            1 => FIFO / 4,
            2 => FIFO / 2,
            3 => FIFO * 3 / 4,
            _ => FIFO * 7 / 8,
        }
    }

    /// The transmit interrupt comes when the FIFO gets this empty.
    fn tx_trigger(&self) -> usize {
        if self.fifos_enabled() {
            Self::level(self.regs.ifls)
        } else {
            0
        }
    }

    /// The receive interrupt comes when the FIFO gets this full.
    fn rx_trigger(&self) -> usize {
        if self.fifos_enabled() {
            Self::level(self.regs.ifls >> 3)
        } else {
            1
        }
    }

    fn receives(&self) -> bool {
        let enabled = CR_UARTEN | CR_RXE;
        self.regs.cr & enabled == enabled
    }

    fn loops_back(&self) -> bool {
        self.regs.cr & CR_LBE != 0
    }

    /// The modem lines as FR shows them. The console is always ready; in loopback they are the
    /// UART's own outputs (DDI 0183, UARTCR, LBE).
    fn modem_lines(&self) -> u32 {
        if !self.loops_back() {
            return FR_CTS | FR_DSR | FR_DCD;
        }
        let line = |output, input| if self.regs.cr & output != 0 { input } else { 0 };
        line(CR_RTS, FR_CTS) | line(CR_DTR, FR_DSR) | line(CR_OUT1, FR_DCD) | line(CR_OUT2, FR_RI)
    }

    fn read_flags(&mut self) -> u32 {
        let mut flags = self.modem_lines();
        match self.queues.tx_level() {
            0 => flags |= FR_TXFE,
            level if level >= self.depth() => flags |= FR_TXFF | FR_BUSY,
            _ => flags |= FR_BUSY,
        }
        match self.fifo.len() {
            0 => {
                flags |= FR_RXFE;
                self.note_poll();
            }
            level if level >= self.depth() => flags |= FR_RXFF,
            _ => {}
        }
        flags
    }

    fn send(&mut self, byte: u8) -> bool {
        self.queues.sends();
        if self.loops_back() {
            self.regs.ris |= INT_TX;
            if self.receives() {
                self.loop_back(byte);
            }
            return true;
        }
        if !self.queues.push(byte, self.depth()) {
            return false;
        }
        // DDI 0183, UARTTXINTR: it comes when the level passes the trigger on its way down. It
        // does so at once unless the queue is full, and filling above the trigger takes it back.
        if self.queues.tx_level() <= self.tx_trigger() {
            self.regs.ris |= INT_TX;
        } else {
            self.regs.ris &= !INT_TX;
        }
        true
    }

    fn loop_back(&mut self, byte: u8) {
        if self.fifo.len() < self.depth() {
            self.receive(byte);
            self.regs.ris |= INT_RT;
        } else {
            self.overrun = true;
            self.regs.rsr |= RSR_OE;
            self.regs.ris |= INT_OE;
        }
    }

    /// Puts a character in the receive FIFO, where there is room for it.
    fn receive(&mut self, byte: u8) {
        self.fifo.push(byte);
        if self.fifo.len() == self.rx_trigger() {
            self.regs.ris |= INT_RX;
        }
    }

    /// Moves input to the receive FIFO; whether there was any. The line falls silent then, and
    /// the receive timeout runs out at once.
    fn refill(&mut self) -> bool {
        let mut any = false;
        if self.receives() && !self.loops_back() {
            while self.fifo.len() < self.depth() {
                let Some(byte) = self.queues.next_input() else {
                    break;
                };
                self.receive(byte);
                any = true;
            }
        }
        if any {
            self.regs.ris |= INT_RT;
            self.queues.input_moved();
        }
        any
    }

    fn read_data(&mut self) -> u32 {
        let Some(byte) = self.fifo.pop() else {
            self.note_poll();
            return 0;
        };
        let overrun = if core::mem::take(&mut self.overrun) {
            DR_OE
        } else {
            0
        };
        if self.fifo.len() < self.rx_trigger() {
            self.regs.ris &= !INT_RX;
        }
        self.renewed = 0;
        let before = self.regs.ris;
        self.refill();
        if self.fifo.len() == 0 {
            self.regs.ris &= !INT_RT;
        } else {
            self.regs.ris |= INT_RT;
            self.renewed = INT_RT | self.regs.ris & !before & INT_RX;
        }
        u32::from(byte) | overrun
    }

    fn clear_interrupts(&mut self, bits: u32) {
        self.regs.ris &= !bits | self.renewed;
        self.renewed &= !bits;
    }
}
