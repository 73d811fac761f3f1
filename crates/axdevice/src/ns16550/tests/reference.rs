//! Any sequence of accesses, against a reference that is written from the data sheet's tables.

use super::*;

/// What the queue to the console takes before the FIFO behind it begins to fill.
const BEFORE_FIFO: usize = OUTPUT - 16;
const INPUT: usize = 1024;

#[derive(Default)]
struct Reference {
    ier: u8,
    fifos: bool,
    trigger: usize,
    lcr: u8,
    mcr: u8,
    scr: u8,
    divisor: [u8; 2],
    deltas: u8,
    overrun: bool,
    thre_due: bool,
    received: VecDeque<u8>,
    /// On its way from the console, and to it.
    typed: VecDeque<u8>,
    sent: VecDeque<u8>,
}

impl Reference {
    fn new() -> Self {
        Self {
            trigger: 1,
            divisor: [2, 0],
            thre_due: true,
            ..Self::default()
        }
    }

    fn depth(&self) -> usize {
        if self.fifos { 16 } else { 1 }
    }

    fn loopback(&self) -> bool {
        self.mcr & 0x10 != 0
    }

    fn transmitter_empty(&self) -> bool {
        self.sent.len() <= BEFORE_FIFO
    }

    fn lines(&self) -> u8 {
        if !self.loopback() {
            return 0xb0;
        }
        let (dtr, rts) = (self.mcr & 1, self.mcr >> 1 & 1);
        let (out1, out2) = (self.mcr >> 2 & 1, self.mcr >> 3 & 1);
        rts << 4 | dtr << 5 | out1 << 6 | out2 << 7
    }

    /// Table III, from the top.
    fn iir(&self) -> u8 {
        let pending = [
            (4, self.overrun, 6),
            (1, self.received.len() >= self.trigger.max(1), 4),
            (1, self.fifos && !self.received.is_empty(), 12),
            (2, self.thre_due, 2),
            (8, self.deltas != 0, 0),
        ];
        let shown = pending
            .iter()
            .find(|(bit, due, _)| *due && self.ier & bit != 0);
        shown.map_or(1, |&(_, _, id)| id)
    }

    fn receive(&mut self) {
        while !self.loopback() && self.received.len() < self.depth() {
            match self.typed.pop_front() {
                Some(byte) => self.received.push_back(byte),
                None => break,
            }
        }
    }

    fn read(&mut self, register: u64) -> u8 {
        let dlab = self.lcr & 0x80 != 0;
        match register {
            0 | 1 if dlab => self.divisor[register as usize],
            0 => {
                let byte = self.received.pop_front().unwrap_or(0);
                self.receive();
                byte
            }
            1 => self.ier,
            2 => {
                let id = self.iir();
                self.thre_due &= id != 2;
                id | if self.fifos { 0xc0 } else { 0 }
            }
            3 => self.lcr,
            4 => self.mcr,
            5 => {
                let empty = if self.transmitter_empty() { 0x60 } else { 0 };
                let overrun = u8::from(std::mem::take(&mut self.overrun));
                empty | overrun << 1 | u8::from(!self.received.is_empty())
            }
            6 => self.lines() | std::mem::take(&mut self.deltas),
            7 => self.scr,
            _ => 0,
        }
    }

    /// Whether it was taken.
    fn write(&mut self, register: u64, value: u8) -> bool {
        let dlab = self.lcr & 0x80 != 0;
        match register {
            0 | 1 if dlab => self.divisor[register as usize] = value,
            0 if self.loopback() => {
                self.thre_due = true;
                if self.received.len() == self.depth() {
                    self.overrun = true;
                    if self.fifos {
                        return true;
                    }
                    self.received.clear();
                }
                self.received.push_back(value);
            }
            0 => {
                if self.sent.len() >= BEFORE_FIFO + self.depth() {
                    return false;
                }
                self.sent.push_back(value);
                self.thre_due = self.transmitter_empty();
            }
            1 => {
                if value & 2 != 0 && self.ier & 2 == 0 {
                    self.thre_due = self.transmitter_empty();
                }
                self.ier = value & 0xf;
            }
            2 => {
                let on = value & 1 != 0;
                if self.fifos && !on || on && value & 2 != 0 {
                    self.received.clear();
                }
                self.fifos = on;
                self.trigger = if on {
                    [1, 4, 8, 14][usize::from(value >> 6)]
                } else {
                    1
                };
                self.receive();
            }
            3 => self.lcr = value,
            4 => {
                let before = self.lines();
                self.mcr = value & 0x1f;
                let now = self.lines();
                for (line, rises_only) in [(4, false), (5, false), (6, true), (7, false)] {
                    let (before, now) = (before >> line & 1, now >> line & 1);
                    if before != now && !(rises_only && now == 1) {
                        self.deltas |= 1 << (line - 4);
                    }
                }
                self.receive();
            }
            7 => self.scr = value,
            _ => {}
        }
        true
    }

    fn input(&mut self, data: &[u8]) -> usize {
        let room = INPUT - self.typed.len();
        let accepted = room.min(data.len());
        self.typed.extend(&data[..accepted]);
        self.receive();
        accepted
    }

    fn output(&mut self, at_most: usize) -> Vec<u8> {
        let was_empty = self.transmitter_empty();
        let count = at_most.min(self.sent.len());
        let output = self.sent.drain(..count).collect();
        self.thre_due |= !was_empty && self.transmitter_empty();
        output
    }

    fn reset(&mut self) {
        *self = Self {
            sent: std::mem::take(&mut self.sent),
            ..Self::new()
        };
        self.thre_due = self.transmitter_empty();
    }
}

#[derive(Clone, Debug)]
enum Op {
    Read(u64),
    Write(u64, u8),
    Input(Vec<u8>),
    Output(usize),
    Reset,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (0u64..9).prop_map(Op::Read),
        20 => (0u64..9, any::<u8>()).prop_map(|(register, value)| Op::Write(register, value)),
        20 => any::<u8>().prop_map(|value| Op::Write(0, value)),
        // Neither divisor latch nor loopback for a while.
        4 => Just(Op::Write(3, 3)),
        4 => Just(Op::Write(4, 0)),
        4 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Op::Input),
        4 => (1usize..30).prop_map(Op::Output),
        1 => Just(Op::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn behaves_as_the_reference(
        before in prop_oneof![Just(0usize), OUTPUT - 40..OUTPUT - 10],
        ops in prop::collection::vec(op(), 1..300),
    ) {
        let b = Bench::new();
        let mut r = Reference::new();
        for _ in 0..before {
            b.set(0, 7);
            r.write(0, 7);
        }
        for op in ops {
            match op {
                Op::Read(register) => {
                    prop_assert_eq!(b.get(register), r.read(register), "register {}", register);
                }
                Op::Write(register, value) => {
                    prop_assert_eq!(b.set(register, value), r.write(register, value));
                }
                Op::Input(data) => prop_assert_eq!(b.input(&data), r.input(&data)),
                Op::Output(count) => prop_assert_eq!(b.output(count), r.output(count)),
                Op::Reset => {
                    b.uart.reset();
                    r.reset();
                }
            }
            prop_assert_eq!(b.line(), r.iir() != 1);
        }
    }
}
