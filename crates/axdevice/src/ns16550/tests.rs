use super::regs::*;
use super::*;
use crate::serial::bench::{Hook, LINE, Wire};
use crate::{AccessWidth, ConsolePort};
use core::sync::atomic::Ordering;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

mod reference;

const OUTPUT: usize = 4096;
/// FIFOs on, trigger at 8, as Linux's driver has it.
const FIFOS: u8 = 0x81;

struct Bench {
    uart: Ns16550,
    wire: Arc<Wire>,
    hook: Arc<Hook>,
}

impl Bench {
    fn new() -> Self {
        let wire = Arc::new(Wire::default());
        let hook = Arc::new(Hook::default());
        let uart = Ns16550::new(IrqLine::new(wire.clone(), LINE));
        uart.attach(hook.clone());
        Self { uart, wire, hook }
    }

    /// With FIFOs.
    fn running() -> Self {
        let bench = Self::new();
        bench.set(LCR, 3);
        bench.set(IIR_FCR, FIFOS);
        bench
    }

    fn access(offset: u64, width: AccessWidth) -> Access {
        Access {
            vcpu: 0,
            offset,
            width,
        }
    }

    fn get(&self, offset: u64) -> u8 {
        let access = Self::access(offset, AccessWidth::Byte);
        let value = self.uart.read(access).unwrap();
        self.check_line();
        u8::try_from(value).expect("a byte")
    }

    /// Whether it was taken.
    fn set(&self, offset: u64, value: u8) -> bool {
        let access = Self::access(offset, AccessWidth::Byte);
        let done = self.uart.write(access, value.into());
        assert_ne!(done, Err(WriteFault::Refused));
        self.check_line();
        done.is_ok()
    }

    /// The line is what the registers make it, after every step of every test.
    fn check_line(&self) {
        let expected = self.uart.with(|uart| uart.level());
        assert_eq!(self.line(), expected);
    }

    fn line(&self) -> bool {
        self.wire.level.load(Ordering::Relaxed)
    }

    fn input(&self, data: &[u8]) -> usize {
        let accepted = self.uart.write_input(data);
        self.check_line();
        accepted
    }

    fn output(&self, at_most: usize) -> Vec<u8> {
        let mut buf = vec![0; at_most];
        let count = self.uart.drain_output(&mut buf);
        self.check_line();
        buf.truncate(count);
        buf
    }

    fn wanted(&self) -> usize {
        self.hook.input.load(Ordering::Relaxed)
    }
}

/// Table I of the data sheet.
#[test]
fn registers_after_power_on_and_what_they_hold() {
    let b = Bench::new();
    for _ in 0..2 {
        assert_eq!((b.get(IER), b.get(IIR_FCR), b.get(LCR)), (0, IIR_NONE, 0));
        assert_eq!((b.get(MCR), b.get(LSR), b.get(SCR)), (0, 0x60, 0));
        assert_eq!(b.get(MSR), MSR_CTS | MSR_DSR | MSR_DCD);
        for (register, mask) in [(IER, 0xf), (MCR, 0x1f), (SCR, 0xff)] {
            b.set(register, 0xff);
            assert_eq!(b.get(register), mask, "register {register}");
            b.set(register, 0);
            assert_eq!(b.get(register), 0);
        }
        b.set(LSR, 0xff);
        b.set(MSR, 0xff);
        assert_eq!(b.get(LSR), 0x60);
        for beyond in [8, 9, 0x14, 0xff] {
            b.set(beyond, 0xff);
            assert_eq!(b.get(beyond), 0);
        }
        // The divisor's latches hide two registers.
        b.set(IER, 5);
        b.set(LCR, LCR_DLAB | 3);
        assert_eq!((b.get(0), b.get(1)), (2, 0));
        b.set(0, 0x34);
        b.set(1, 0x12);
        assert_eq!((b.get(0), b.get(1), b.get(LCR)), (0x34, 0x12, 0x83));
        b.set(LCR, 3);
        assert_eq!((b.get(0), b.get(IER)), (0, 5));
        assert_eq!(b.output(10), b"");
        b.set(IIR_FCR, FIFOS);
        assert_eq!(b.get(IIR_FCR), IIR_FIFOS | IIR_NONE);
        b.uart.reset();
        b.check_line();
    }
}

#[test]
fn any_width_is_an_access_to_one_register() {
    let b = Bench::new();
    b.set(SCR, 0xa5);
    b.set(IER, 3);
    for width in [AccessWidth::Half, AccessWidth::Word, AccessWidth::Double] {
        assert_eq!(b.uart.read(Bench::access(SCR, width)), Ok(0xa5));
        let stored = b.uart.write(Bench::access(RBR_THR, width), 0x1234_5641);
        assert_eq!(stored, Ok(()));
    }
    assert_eq!(b.output(10), b"AAA");
    assert_eq!((b.get(IER), b.get(LCR)), (3, 0));
}

#[test]
fn the_console_is_woken_at_the_first_byte_and_at_half() {
    let b = Bench::new();
    for i in 0..OUTPUT - 15 {
        b.set(RBR_THR, 0);
        let expected = 1 + usize::from(i + 1 >= OUTPUT / 2);
        assert_eq!(b.hook.output.load(Ordering::Relaxed), expected);
    }
    b.output(OUTPUT);
    b.set(RBR_THR, 0);
    assert_eq!(b.hook.output.load(Ordering::Relaxed), 3);
}

#[test]
fn a_full_queue_is_a_full_transmitter() {
    for fifos in [true, false] {
        let b = Bench::new();
        b.set(IIR_FCR, if fifos { FIFOS } else { 0 });
        let depth = if fifos { 16 } else { 1 };
        b.set(IER, IER_THRE);
        for _ in 0..OUTPUT - 16 {
            assert_eq!(b.get(LSR), LSR_THRE | LSR_TEMT);
            b.set(RBR_THR, 1);
            assert!(b.line());
        }
        for _ in 0..depth {
            assert!(b.set(RBR_THR, 2));
            assert_eq!(b.get(LSR), 0);
            assert!(!b.line());
        }
        assert!(!b.set(RBR_THR, 3));
        assert!(!b.set(RBR_THR, 3));
        assert_eq!(b.output(depth - 1).len(), depth - 1);
        assert!(!b.line(), "not before it is empty");
        assert_eq!(b.output(1).len(), 1);
        assert!(b.line());
        assert_eq!(b.get(LSR), LSR_THRE | LSR_TEMT);
        let rest = b.output(OUTPUT);
        assert_eq!(rest.len(), OUTPUT - 16);
        assert!(rest.ends_with(&vec![2; depth]));
    }
}

#[test]
fn the_transmit_interrupt_comes_and_goes() {
    let b = Bench::running();
    assert!(!b.line());
    b.set(IER, IER_THRE);
    assert!(b.line(), "empty when it is enabled");
    assert_eq!(b.get(IIR_FCR), IIR_FIFOS | IIR_THRE);
    assert!(!b.line(), "IIR was read");
    assert_eq!(b.get(IIR_FCR), IIR_FIFOS | IIR_NONE);
    b.set(RBR_THR, 0x41);
    assert!(b.line(), "sent, and empty again");
    b.set(IER, 0);
    assert!(!b.line());
    b.set(IER, IER_THRE);
    assert!(b.line());
    // Reading IIR when it shows something else leaves it due.
    b.set(IER, IER_THRE | IER_RX);
    b.input(b"x");
    assert_eq!(b.get(IIR_FCR), IIR_FIFOS | IIR_TIMEOUT);
    assert_eq!(b.get(RBR_THR), b'x');
    assert_eq!(b.get(IIR_FCR), IIR_FIFOS | IIR_THRE);
}

/// What drivers/tty/serial/8250 does to find out what it has before it.
#[test]
fn linux_probes() {
    let b = Bench::new();
    // autoconfig: does IER hold exactly four bits?
    b.set(IER, 0);
    assert_eq!(b.get(IER) & 0xf, 0);
    b.set(IER, 0xf);
    assert_eq!(b.get(IER) & 0xf, 0xf);
    b.set(IER, 0);
    // Loopback: OUT2 and RTS come back as DCD and CTS.
    b.set(MCR, MCR_LOOP | MCR_OUT2 | MCR_RTS);
    assert_eq!(b.get(MSR) & 0xf0, MSR_DCD | MSR_CTS);
    b.set(MCR, 0);
    // No enhanced features behind LCR = 0xbf, FIFOs that work.
    b.set(LCR, 0xbf);
    b.set(IIR_FCR, 0);
    b.set(LCR, 0);
    b.set(IIR_FCR, FCR_ENABLE);
    assert_eq!(b.get(IIR_FCR) >> 6, 3, "16550A");
    // autoconfig_16550a: neither a 16650 (EFR reads as 0)...
    b.set(LCR, LCR_DLAB);
    assert_ne!(b.get(IIR_FCR), 0);
    b.set(LCR, 0xbf);
    assert_ne!(b.get(IIR_FCR), 0);
    // ... nor a National SuperIO (bit 4 of EXCR1 follows that of MCR)...
    b.set(LCR, 0);
    let mcr = b.get(MCR);
    b.set(LCR, 0xe0);
    assert_eq!((b.get(IIR_FCR) ^ mcr) & MCR_LOOP, 0);
    b.set(LCR, 0);
    b.set(MCR, mcr ^ MCR_LOOP);
    b.set(LCR, 0xe0);
    let excr = b.get(IIR_FCR);
    b.set(LCR, 0);
    b.set(MCR, mcr);
    assert_eq!((excr ^ mcr) & MCR_LOOP, 0);
    // ... nor a 16750 (a FIFO of 64 bytes by bit 5, with DLAB)...
    b.set(LCR, LCR_DLAB);
    b.set(IIR_FCR, FCR_ENABLE | 0x20);
    assert_eq!(b.get(IIR_FCR) >> 5, 6);
    b.set(IIR_FCR, FCR_ENABLE);
    b.set(LCR, 0);
    // ... nor an XScale (bit 6 of IER).
    b.set(IER, 0x40);
    assert_eq!(b.get(IER), 0);
    // serial8250_clear_fifos.
    for value in [FCR_ENABLE, FCR_ENABLE | FCR_CLEAR_RX | 4, 0] {
        b.set(IIR_FCR, value);
    }
    assert_ne!(b.get(LSR), 0xff);
    for register in [LSR, RBR_THR, IIR_FCR, MSR] {
        b.get(register);
    }
    // serial8250_THRE_test: the interrupt comes again when it is enabled again.
    b.set(LCR, 3);
    for _ in 0..2 {
        b.set(IER, IER_THRE);
        assert_eq!(b.get(IIR_FCR) & IIR_NONE, 0);
        b.set(IER, 0);
    }
    // "quick test to see if we receive an interrupt when we enable the TX irq".
    b.set(IER, IER_THRE);
    assert_eq!(b.get(LSR) & LSR_TEMT, LSR_TEMT);
    assert_eq!(b.get(IIR_FCR) & IIR_NONE, 0);
    b.set(IER, 0);
    assert_eq!(b.output(10), b"");
}

#[test]
fn receive_levels_and_timeout() {
    for (select, level) in [(0, 1), (1, 4), (2, 8), (3, 14)] {
        let b = Bench::running();
        b.set(IIR_FCR, FCR_ENABLE | select << FCR_TRIGGER_SHIFT);
        b.set(IER, IER_RX);
        if level > 1 {
            b.input(&vec![0; level - 1]);
            assert_eq!(b.get(IIR_FCR), IIR_FIFOS | IIR_TIMEOUT);
        }
        b.input(&[0]);
        assert_eq!(b.get(IIR_FCR), IIR_FIFOS | IIR_DATA);
        for left in (0..level).rev() {
            b.get(RBR_THR);
            let expected = if left > 0 { IIR_TIMEOUT } else { IIR_NONE };
            assert_eq!(b.get(IIR_FCR), IIR_FIFOS | expected);
        }
        assert_eq!(b.get(LSR) & LSR_DR, 0);
    }
    // Without FIFOs each character is an interrupt.
    let b = Bench::new();
    b.set(IER, IER_RX);
    assert_eq!(b.input(b"abc"), 3);
    for byte in b"abc" {
        assert_eq!(b.get(IIR_FCR), IIR_DATA);
        assert_eq!(b.get(LSR) & LSR_DR, LSR_DR);
        assert_eq!(b.get(RBR_THR), *byte);
    }
    assert_eq!(b.get(IIR_FCR), IIR_NONE);
}

#[test]
fn clearing_the_receive_fifo_drops_what_is_in_it_only() {
    let b = Bench::running();
    b.input(b"0123456789abcdefghij");
    b.set(IIR_FCR, FIFOS | FCR_CLEAR_RX);
    let rest: Vec<u8> = (0..4).map(|_| b.get(RBR_THR)).collect();
    assert_eq!(rest, b"ghij");
    assert_eq!(b.get(LSR) & LSR_DR, 0);
    // Switching them off does so too; the other bits count with the enable bit only.
    b.input(b"k");
    b.set(IIR_FCR, 0);
    assert_eq!(b.get(LSR) & LSR_DR, 0);
    b.input(b"l");
    b.set(IIR_FCR, FCR_CLEAR_RX);
    assert_eq!(b.get(RBR_THR), b'l');
    // Switching them on leaves what waited, all of it.
    b.input(b"mno");
    b.set(IIR_FCR, FIFOS);
    let rest: Vec<u8> = (0..3).map(|_| b.get(RBR_THR)).collect();
    assert_eq!(rest, b"mno");
}

#[test]
fn what_was_sent_survives_a_reset_of_the_fifo() {
    let b = Bench::running();
    b.set(RBR_THR, b'A');
    b.set(IIR_FCR, FIFOS | 4);
    b.uart.reset();
    assert_eq!(b.output(10), b"A");
}

#[test]
fn loopback_overruns() {
    let b = Bench::running();
    b.set(MCR, MCR_LOOP);
    b.set(IER, IER_LINE);
    for byte in 0..17 {
        assert!(!b.line());
        b.set(RBR_THR, byte);
    }
    b.input(b"typed");
    assert_eq!(b.output(100), b"");
    assert_eq!(b.get(IIR_FCR), IIR_FIFOS | IIR_LINE);
    assert_eq!(b.get(LSR), LSR_OE | LSR_DR | LSR_THRE | LSR_TEMT);
    assert_eq!(b.get(LSR) & LSR_OE, 0, "read once");
    for byte in 0..16 {
        assert_eq!(b.get(RBR_THR), byte);
    }
    assert_eq!(b.get(LSR) & LSR_DR, 0, "input waits");
    b.set(MCR, 0);
    assert_eq!(b.get(RBR_THR), b't');
    // Without FIFOs the old character is lost.
    let b = Bench::new();
    b.set(MCR, MCR_LOOP);
    b.set(RBR_THR, 1);
    b.set(RBR_THR, 2);
    assert_eq!(b.get(LSR) & LSR_OE, LSR_OE);
    assert_eq!(b.get(RBR_THR), 2);
}

#[test]
fn modem_lines_and_their_changes() {
    let b = Bench::new();
    b.set(IER, IER_MODEM);
    b.set(MCR, MCR_LOOP | MCR_RTS | MCR_OUT1);
    // DSR and DCD have gone, CTS stays; RI has come, which is no delta.
    assert!(b.line());
    assert_eq!(b.get(IIR_FCR), IIR_MODEM);
    assert_eq!(b.get(MSR), MSR_CTS | MSR_RI | 0b1010);
    assert_eq!(b.get(MSR), MSR_CTS | MSR_RI);
    assert!(!b.line());
    b.set(MCR, MCR_LOOP | MCR_DTR | MCR_OUT2);
    assert_eq!(b.get(MSR), MSR_DSR | MSR_DCD | 0b1111);
}

#[test]
fn listening_is_receive_interrupts_or_polling() {
    let b = Bench::new();
    assert!(!b.uart.guest_listens());
    b.set(IER, IER_RX);
    assert!(b.uart.guest_listens());
    assert_eq!(b.wanted(), 1);
    b.set(MCR, MCR_LOOP);
    assert!(!b.uart.guest_listens());
    b.set(MCR, 0);
    assert_eq!(b.wanted(), 2);
    b.set(IER, IER_THRE);
    assert!(!b.uart.guest_listens());
    // Polled output looks at LSR all the time, and does not listen.
    for _ in 0..1000 {
        b.get(LSR);
        b.set(RBR_THR, 0x41);
        b.get(LSR);
    }
    assert!(!b.uart.guest_listens());
    for _ in 0..16 {
        b.get(LSR);
    }
    assert!(b.uart.guest_listens());
    assert_eq!(b.wanted(), 3);
    b.set(RBR_THR, 0x41);
    assert!(!b.uart.guest_listens());
    // Nor does one that waits for room.
    while b.get(LSR) & LSR_THRE != 0 {
        b.set(RBR_THR, 0x41);
    }
    for _ in 0..100 {
        b.get(LSR);
    }
    assert!(!b.uart.guest_listens());
}

/// What was typed for one life of a VM is not the next one's.
#[test]
fn reset_forgets_input() {
    let b = Bench::new();
    assert_eq!(b.input(&[b'x'; 2000]), 1024);
    b.set(IER, IER_RX);
    b.uart.reset();
    b.check_line();
    assert!(!b.line());
    let asked = b.wanted();
    b.set(IER, IER_RX);
    assert_eq!(b.get(LSR) & LSR_DR, 0);
    assert_eq!(b.wanted(), asked + 1);
}

#[test]
fn refused_input_is_asked_for_again() {
    let b = Bench::running();
    b.set(IER, IER_RX);
    let asked = b.wanted();
    // The receiver takes its 16 characters only when it looks at the queue again.
    let taken = b.input(&[1; 2000]);
    assert_eq!(taken, 1024);
    for _ in 0..512 {
        b.get(RBR_THR);
    }
    assert_eq!(b.wanted(), asked + 1);
    for _ in 0..512 {
        assert_eq!(b.get(RBR_THR), 1);
    }
    assert_eq!(b.wanted(), asked + 1);
    assert_eq!(b.input(&[2; 10]), 10);
}

/// A driver that works as Linux's does: it starts sending by enabling the interrupt of the empty
/// transmitter, fills the FIFO then, and takes input in the interrupt until there is none.
struct Driver {
    todo: VecDeque<u8>,
    got: Vec<u8>,
}

impl Driver {
    fn start(b: &Bench) {
        for value in [FCR_ENABLE, FCR_ENABLE | FCR_CLEAR_RX | 4, 0] {
            b.set(IIR_FCR, value);
        }
        for register in [LSR, RBR_THR, IIR_FCR, MSR] {
            b.get(register);
        }
        b.set(LCR, 3);
        b.set(MCR, MCR_OUT2);
        b.set(IER, IER_RX | IER_LINE);
        b.set(IIR_FCR, FIFOS);
    }

    fn start_tx(&mut self, b: &Bench) {
        let enabled = b.get(IER);
        b.set(IER, enabled | IER_THRE);
    }

    fn interrupt(&mut self, b: &Bench) {
        for _ in 0..512 {
            if b.get(IIR_FCR) & IIR_NONE != 0 {
                return;
            }
            let mut status = b.get(LSR);
            let seen = status;
            for _ in 0..256 {
                if status & LSR_DR == 0 {
                    break;
                }
                self.got.push(b.get(RBR_THR));
                status = b.get(LSR);
            }
            b.get(MSR);
            let enabled = b.get(IER);
            if seen & LSR_THRE != 0 && enabled & IER_THRE != 0 {
                for _ in 0..16 {
                    let Some(byte) = self.todo.pop_front() else {
                        break;
                    };
                    b.set(RBR_THR, byte);
                }
                if self.todo.is_empty() {
                    b.set(IER, enabled & !IER_THRE);
                }
            }
        }
        panic!("the interrupt never goes away");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Type(usize),
    Drain(usize),
    Interrupt,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1usize..3000).prop_map(Step::Send),
        (1usize..700).prop_map(Step::Type),
        (1usize..3000).prop_map(Step::Drain),
        Just(Step::Interrupt),
    ]
}

/// What a guest prints by calls of its firmware and by the registers is in order, and so is what
/// it reads.
#[test]
fn firmware_and_registers_share_the_console() {
    let b = Bench::running();
    assert_eq!(b.uart.firmware_send(b"one "), 4);
    b.set(RBR_THR, b't');
    assert_eq!(b.uart.firmware_send(b"wo"), 2);
    let mut sent = [0; 16];
    assert_eq!(b.uart.drain_output(&mut sent), 7);
    assert_eq!(&sent[..7], b"one two");
    assert_eq!(b.uart.firmware_send(&[b'x'; 2 * OUTPUT]), OUTPUT - 16);
    assert_eq!(b.get(LSR) & LSR_THRE, LSR_THRE);
    assert!(!b.uart.guest_listens());
    let mut got = [0; 32];
    assert_eq!(b.uart.firmware_receive(&mut got), 0);
    assert!(b.uart.guest_listens());
    b.uart.write_input(b"more than the FIFO holds");
    assert_eq!(b.get(RBR_THR), b'm');
    assert_eq!(b.uart.firmware_receive(&mut got), 23);
    assert_eq!(&got[..23], b"ore than the FIFO holds");
    assert_eq!(b.get(LSR) & LSR_DR, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    /// Whatever the order of things, a driver that works by interrupts loses nothing in either
    /// direction, and is never left waiting.
    #[test]
    fn a_driver_loses_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let b = Bench::new();
        let mut driver = Driver { todo: VecDeque::new(), got: Vec::new() };
        Driver::start(&b);
        let (mut sent, mut arrived, mut typed) = (Vec::new(), Vec::new(), Vec::new());
        let mut counter = 0u8;
        let mut next = || { counter = counter.wrapping_add(1); counter };
        for step in steps {
            match step {
                Step::Send(count) => {
                    let data: Vec<u8> = (0..count).map(|_| next()).collect();
                    sent.extend_from_slice(&data);
                    driver.todo.extend(data);
                    driver.start_tx(&b);
                }
                Step::Type(count) => {
                    let data: Vec<u8> = (0..count).map(|_| next()).collect();
                    let accepted = b.input(&data);
                    typed.extend_from_slice(&data[..accepted]);
                }
                Step::Drain(count) => arrived.extend(b.output(count)),
                Step::Interrupt if b.line() => driver.interrupt(&b),
                Step::Interrupt => {}
            }
        }
        // From here on the driver acts in interrupts only.
        for round in 0.. {
            prop_assert!(round < 1000, "the interrupt never goes away");
            let drained = b.output(1000);
            let idle = drained.is_empty();
            arrived.extend(drained);
            if b.line() {
                driver.interrupt(&b);
            } else if idle {
                break;
            }
        }
        prop_assert!(driver.todo.is_empty());
        prop_assert_eq!(arrived, sent);
        prop_assert_eq!(driver.got, typed);
    }
}
