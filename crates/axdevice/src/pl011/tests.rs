use super::regs::*;
use super::*;
use crate::serial::bench::{Hook, LINE, Wire};
use crate::{AccessWidth, ConsolePort};
use core::sync::atomic::Ordering;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

const OUTPUT: usize = 4096;

struct Bench {
    uart: Pl011,
    wire: Arc<Wire>,
    hook: Arc<Hook>,
}

impl Bench {
    fn new() -> Self {
        let wire = Arc::new(Wire::default());
        let hook = Arc::new(Hook::default());
        let uart = Pl011::new(IrqLine::new(wire.clone(), LINE));
        uart.attach(hook.clone());
        Self { uart, wire, hook }
    }

    /// FIFOs on, everything enabled, as Linux's driver leaves it.
    fn running() -> Self {
        let bench = Self::new();
        bench.set(LCR_H, 0x70);
        bench.set(CR, CR_UARTEN | CR_TXE | CR_RXE);
        bench
    }

    fn get(&self, offset: u64) -> u32 {
        let width = AccessWidth::Word;
        let value = self
            .uart
            .read(Access {
                vcpu: 0,
                offset,
                width,
            })
            .unwrap() as u32;
        self.check_line();
        value
    }

    /// Whether it was taken.
    fn set(&self, offset: u64, value: u32) -> bool {
        let width = AccessWidth::Word;
        let access = Access {
            vcpu: 0,
            offset,
            width,
        };
        let done = self.uart.write(access, value.into());
        assert_ne!(done, Err(WriteFault::Refused));
        self.check_line();
        done.is_ok()
    }

    /// The line is what RIS and IMSC make it, after every step of every test.
    fn check_line(&self) {
        let word = |offset| {
            let width = AccessWidth::Word;
            self.uart
                .read(Access {
                    vcpu: 0,
                    offset,
                    width,
                })
                .unwrap()
        };
        let expected = word(RIS) & word(IMSC) != 0;
        assert_eq!(word(MIS), word(RIS) & word(IMSC));
        assert_eq!(self.wire.level.load(Ordering::Relaxed), expected);
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
}

#[test]
fn registers_after_power_on_and_what_they_hold() {
    let b = Bench::new();
    assert_eq!(b.get(FR), FR_TXFE | FR_RXFE | FR_CTS | FR_DSR | FR_DCD);
    assert_eq!((b.get(CR), b.get(IFLS), b.get(RIS)), (0x300, 0x12, 0));
    for (register, mask) in [
        (ILPR, 0xff),
        (IBRD, 0xffff),
        (FBRD, 0x3f),
        (LCR_H, 0xff),
        (CR, 0xff87),
        (IFLS, 0x3f),
        (IMSC, 0x7ff),
        (DMACR, 7),
    ] {
        b.set(register, 0xffff_ffff);
        assert_eq!(b.get(register), mask, "register {register:#x}");
    }
    for reserved in [0x008, 0x014, 0x01c, 0x04c, 0x080, 0xfdc, 0x1000] {
        b.set(reserved, 0xffff_ffff);
        assert_eq!(b.get(reserved), 0);
    }
    let id: Vec<u32> = (0..8).map(|i| b.get(0xfe0 + 4 * i)).collect();
    assert_eq!(id, [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1]);
    b.uart.reset();
    b.check_line();
    assert_eq!((b.get(CR), b.get(IFLS), b.get(IMSC)), (0x300, 0x12, 0));
}

#[test]
fn widths_and_lanes() {
    let b = Bench::new();
    b.set(IBRD, 0xabcd);
    let at = |offset, width| {
        b.uart.read(Access {
            vcpu: 0,
            offset,
            width,
        })
    };
    assert_eq!(at(IBRD, AccessWidth::Half), Ok(0xabcd));
    assert_eq!(at(IBRD + 1, AccessWidth::Byte), Ok(0xab));
    assert_eq!(at(IBRD + 2, AccessWidth::Half), Ok(0));
    b.set(FBRD, 0x15);
    assert_eq!(at(IBRD, AccessWidth::Double), Ok(0x15_0000_abcd));
    assert_eq!(at(IBRD + 2, AccessWidth::Double), Err(BusFault));
    assert_eq!(at(IBRD + 3, AccessWidth::Half), Err(BusFault));
    let put = |offset, width, value| {
        b.uart.write(
            Access {
                vcpu: 0,
                offset,
                width,
            },
            value,
        )
    };
    assert_eq!(put(IBRD + 1, AccessWidth::Byte, 0x11), Ok(()));
    assert_eq!(b.get(IBRD), 0xabcd);
    assert_eq!(put(IBRD, AccessWidth::Double, 0x2a_0000_1234), Ok(()));
    assert_eq!((b.get(IBRD), b.get(FBRD)), (0x1234, 0x2a));
    assert_eq!(put(DR, AccessWidth::Byte, 0x41), Ok(()));
    assert_eq!(b.output(10), b"A");
}

#[test]
fn sends_although_nobody_enabled_it() {
    let b = Bench::new();
    for byte in *b"early" {
        b.set(DR, byte.into());
    }
    assert_eq!(b.output(100), b"early");
}

#[test]
fn the_console_is_woken_at_the_first_byte_and_at_half() {
    let b = Bench::new();
    for i in 0..OUTPUT {
        b.set(DR, 0);
        let expected = 1 + usize::from(i + 1 >= OUTPUT / 2);
        assert_eq!(b.hook.output.load(Ordering::Relaxed), expected);
    }
    b.output(OUTPUT);
    b.set(DR, 0);
    assert_eq!(b.hook.output.load(Ordering::Relaxed), 3);
}

#[test]
fn a_full_queue_is_a_full_fifo() {
    let b = Bench::running();
    for _ in 0..OUTPUT - 16 {
        b.set(DR, 1);
    }
    assert_eq!(b.get(FR) & (FR_TXFE | FR_TXFF | FR_BUSY), FR_TXFE);
    for level in 1..=16 {
        b.set(DR, 2);
        let full = if level == 16 { FR_TXFF } else { 0 };
        assert_eq!(b.get(FR) & (FR_TXFE | FR_TXFF | FR_BUSY), FR_BUSY | full);
        // Trigger at half: 8.
        assert_eq!(b.get(RIS) & INT_TX != 0, level <= 8);
    }
    assert!(!b.set(DR, 3));
    assert!(!b.set(DR, 3));
    let access = Access {
        vcpu: 0,
        offset: DR,
        width: AccessWidth::Double,
    };
    assert_eq!(b.uart.write(access, 0x1_0000_0003), Err(WriteFault::Busy));
    b.set(IMSC, INT_TX);
    assert_eq!(b.output(7).len(), 7);
    assert_eq!(b.get(MIS), 0);
    assert_eq!(b.output(1).len(), 1);
    assert_eq!(b.get(MIS), INT_TX);
    let rest = b.output(OUTPUT);
    assert_eq!(rest.len(), OUTPUT - 8);
    assert!(rest.ends_with(&[2; 16]));
}

#[test]
fn without_fifos_one_character_fills_it() {
    let b = Bench::new();
    for _ in 0..OUTPUT - 16 {
        b.set(DR, 1);
    }
    assert_eq!(b.get(RIS), INT_TX);
    b.set(DR, 2);
    assert_eq!(b.get(FR) & (FR_TXFE | FR_TXFF), FR_TXFF);
    assert_eq!(b.get(RIS), 0);
    assert!(!b.set(DR, 3));
    b.output(1);
    assert_eq!(b.get(FR) & (FR_TXFE | FR_TXFF), FR_TXFE);
    assert_eq!(b.get(RIS), INT_TX);
}

#[test]
fn transmit_interrupt_comes_by_sending_and_goes_by_clearing() {
    let b = Bench::running();
    b.set(IMSC, INT_TX);
    assert_eq!(b.get(MIS), 0);
    b.set(DR, 0x41);
    assert_eq!(b.get(MIS), INT_TX);
    b.set(ICR, INT_TX);
    assert_eq!(b.get(MIS), 0);
}

#[test]
fn receive_levels_and_timeout() {
    let b = Bench::running();
    b.input(b"1234567");
    assert_eq!(b.get(RIS), INT_RT);
    b.input(b"8");
    assert_eq!(b.get(RIS), INT_RT | INT_RX);
    assert_eq!(b.get(DR), u32::from(b'1'));
    assert_eq!(b.get(RIS), INT_RT, "below the trigger again");
    for byte in b"2345678" {
        assert_eq!(b.get(DR), u32::from(*byte));
    }
    assert_eq!(b.get(RIS), 0);
    assert_eq!(b.get(FR) & FR_RXFE, FR_RXFE);
    b.input(&[7; 17]);
    assert_eq!(b.get(FR) & (FR_RXFE | FR_RXFF), FR_RXFF);
    for select in 0..5 {
        let b = Bench::running();
        b.set(IFLS, select << 3);
        let level = [2, 4, 8, 12, 14][select as usize];
        b.input(&vec![0; level - 1]);
        assert_eq!(b.get(RIS), INT_RT);
        b.input(&[0]);
        assert_eq!(b.get(RIS), INT_RT | INT_RX);
    }
}

#[test]
fn clearing_before_and_after_the_read_both_keep_the_rest_announced() {
    // FIFOs off, one character an interrupt, cleared after the read.
    let b = Bench::new();
    b.set(CR, CR_UARTEN | CR_RXE);
    b.set(IMSC, INT_RX);
    b.input(b"abc");
    for byte in b"abc" {
        assert_eq!(b.get(MIS), INT_RX);
        assert_eq!(b.get(DR), u32::from(*byte));
        b.set(ICR, INT_RX);
    }
    assert_eq!(b.get(RIS) & INT_RX, 0);
    // FIFOs on, in both orders.
    for after in [false, true] {
        let b = Bench::running();
        b.set(IMSC, INT_RX | INT_RT);
        b.input(b"abc");
        for byte in b"abc" {
            assert_eq!(b.get(MIS), INT_RT);
            if !after {
                b.set(ICR, INT_RX | INT_RT);
                // A timeout that has begun anew by the driver's own read is still to come.
                assert_eq!(b.get(MIS) == 0, *byte == b'a');
            }
            assert_eq!(b.get(DR), u32::from(*byte));
            if after {
                b.set(ICR, INT_RX | INT_RT);
            }
        }
        assert_eq!(b.get(MIS), 0);
    }
}

#[test]
fn input_waits_until_the_receiver_is_on() {
    let b = Bench::new();
    assert_eq!(b.input(b"typed"), 5);
    assert_eq!((b.get(FR) & FR_RXFE, b.get(RIS)), (FR_RXFE, 0));
    b.set(CR, CR_UARTEN | CR_RXE);
    assert_eq!(b.get(FR) & FR_RXFE, 0);
    b.set(LCR_H, LCR_H_FEN);
    let got: Vec<u32> = (0..5).map(|_| b.get(DR)).collect();
    assert_eq!(got, b"typed".map(u32::from));
}

#[test]
fn listening_is_receive_interrupts_or_polling() {
    let b = Bench::new();
    b.set(IMSC, INT_RX);
    assert!(!b.uart.guest_listens(), "not enabled");
    b.set(CR, CR_UARTEN | CR_RXE);
    assert!(b.uart.guest_listens());
    assert_eq!(b.hook.input.load(Ordering::Relaxed), 1);
    b.set(IMSC, INT_TX);
    assert!(!b.uart.guest_listens());
    // Polled output looks at FR all the time, and does not listen.
    for _ in 0..1000 {
        b.get(FR);
        b.set(DR, 0x41);
        b.get(FR);
    }
    assert!(!b.uart.guest_listens());
    for _ in 0..16 {
        b.get(FR);
    }
    assert!(b.uart.guest_listens());
    assert_eq!(b.hook.input.load(Ordering::Relaxed), 2);
    b.set(DR, 0x41);
    assert!(!b.uart.guest_listens());
}

/// What was typed for one life of a VM is not the next one's.
#[test]
fn reset_forgets_input() {
    let b = Bench::new();
    assert_eq!(b.input(&[b'x'; 2000]), 1024);
    b.uart.reset();
    b.check_line();
    let asked = b.hook.input.load(Ordering::Relaxed);
    b.set(IMSC, INT_RX | INT_RT);
    b.set(CR, CR_UARTEN | CR_RXE);
    assert_ne!(b.get(FR) & FR_RXFE, 0);
    assert_eq!(b.get(MIS), 0);
    assert_eq!(b.hook.input.load(Ordering::Relaxed), asked + 1);
}

#[test]
fn refused_input_is_asked_for_again() {
    let b = Bench::running();
    b.set(IMSC, INT_RX | INT_RT);
    let asked = b.hook.input.load(Ordering::Relaxed);
    assert_eq!(b.input(&[1; 2000]), 1024);
    for _ in 0..512 {
        b.get(DR);
    }
    assert!(b.hook.input.load(Ordering::Relaxed) <= asked + 1);
    for _ in 0..512 {
        b.get(DR);
    }
    assert_eq!(b.hook.input.load(Ordering::Relaxed), asked + 1);
    assert_eq!(b.input(&[2; 10]), 10);
}

#[test]
fn loopback_overruns() {
    let b = Bench::running();
    b.set(CR, CR_UARTEN | CR_TXE | CR_RXE | CR_LBE);
    for byte in 0..17u32 {
        b.set(DR, byte);
    }
    assert_eq!(b.output(100), b"");
    assert_eq!(b.get(RIS) & INT_OE, INT_OE);
    assert_eq!(b.get(RSR_ECR), RSR_OE);
    b.set(RSR_ECR, 0);
    assert_eq!(b.get(RSR_ECR), 0);
    assert_eq!(b.get(DR), DR_OE);
    for byte in 1..16u32 {
        assert_eq!(b.get(DR), byte);
    }
    assert_eq!(b.get(FR) & FR_RXFE, FR_RXFE);
    b.set(ICR, INT_OE);
    assert_eq!(b.get(RIS) & INT_OE, 0);
}

#[test]
fn modem_lines_in_loopback() {
    let b = Bench::running();
    b.set(CR, CR_LBE | CR_RTS | CR_OUT2);
    assert_eq!(
        b.get(FR) & (FR_CTS | FR_DSR | FR_DCD | FR_RI),
        FR_CTS | FR_RI
    );
    assert_eq!(b.get(RIS), INT_RI | INT_DCD | INT_DSR);
}

/// A driver that works as Linux's does: it fills the FIFO until it is full and then waits for the
/// transmit interrupt, in which it sends half a FIFO without looking; it takes input in the
/// receive and timeout interrupts.
struct Driver {
    todo: VecDeque<u8>,
    got: Vec<u8>,
}

impl Driver {
    fn start(b: &Bench) {
        b.set(ICR, 0x7ff);
        b.set(IFLS, 0x12);
        b.set(IBRD, 13);
        b.set(FBRD, 1);
        b.set(LCR_H, 0x70);
        b.set(CR, CR_UARTEN | CR_RXE | CR_TXE);
        b.set(ICR, INT_RT | INT_RX);
        for _ in 0..32 {
            if b.get(FR) & FR_RXFE != 0 {
                break;
            }
            b.get(DR);
        }
        b.set(IMSC, INT_RX | INT_RT);
    }

    fn start_tx(&mut self, b: &Bench) {
        while let Some(&byte) = self.todo.front() {
            if b.get(FR) & FR_TXFF != 0 {
                let mask = b.get(IMSC);
                b.set(IMSC, mask | INT_TX);
                return;
            }
            b.set(DR, byte.into());
            self.todo.pop_front();
        }
    }

    fn interrupt(&mut self, b: &Bench) {
        for _ in 0..256 {
            let status = b.get(MIS);
            if status == 0 {
                return;
            }
            b.set(ICR, status & !(INT_TX | INT_RT | INT_RX));
            if status & (INT_RX | INT_RT) != 0 {
                while b.get(FR) & FR_RXFE == 0 {
                    self.got.push(b.get(DR) as u8);
                }
            }
            if status & INT_TX != 0 {
                for byte in self.todo.drain(..self.todo.len().min(8)) {
                    b.set(DR, byte.into());
                }
                if self.todo.is_empty() {
                    let mask = b.get(IMSC);
                    b.set(IMSC, mask & !INT_TX);
                }
            }
        }
        // As the real one it gives up here; the level brings it back.
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
        (1usize..600).prop_map(Step::Type),
        (1usize..5000).prop_map(Step::Drain),
        Just(Step::Interrupt),
    ]
}

/// A guest waits for a console that takes its time, not for one that never comes.
#[test]
fn patience_ends() {
    let b = Bench::running();
    let refused = |b: &Bench| (0..1 << 20).position(|_| b.set(DR, b'x'.into()));
    assert_eq!(refused(&b), Some(0), "there is room");
    while b.set(DR, b'x'.into()) {}
    // Minus the one that has just been refused.
    assert_eq!(refused(&b), Some((1 << 16) - 1));
    assert!(b.set(DR, b'y'.into()), "lost at once");
    assert_eq!(b.uart.firmware_send(b"yy"), 2, "lost, too");
    assert_eq!(b.output(1), b"x");
    assert!(b.set(DR, b'z'.into()));
    assert!(!b.set(DR, b'z'.into()), "it waits again");
    let rest = b.output(2 * OUTPUT);
    assert!(rest.ends_with(b"xz") && !rest.contains(&b'y'));
}

#[test]
fn firmware_sends_past_the_registers() {
    let b = Bench::running();
    assert_eq!(b.uart.firmware_send(b"one "), 4);
    b.set(DR, b't'.into());
    assert_eq!(b.uart.firmware_send(b"wo"), 2);
    assert!(b.hook.output.load(Ordering::Relaxed) > 0);
    let mut sent = [0; 16];
    assert_eq!(b.uart.drain_output(&mut sent), 7);
    assert_eq!(&sent[..7], b"one two");
    // The FIFO's part of the queue is the UART's.
    let hooked = b.hook.output.load(Ordering::Relaxed);
    assert_eq!(b.uart.firmware_send(&[b'x'; 2 * OUTPUT]), OUTPUT - 16);
    assert_eq!(b.uart.firmware_send(b"x"), 0);
    assert_eq!(b.uart.firmware_send(b""), 0);
    assert!(b.hook.output.load(Ordering::Relaxed) > hooked);
    assert_eq!(b.get(FR) & FR_TXFE, FR_TXFE);
}

#[test]
fn firmware_receives_what_the_uart_would() {
    let b = Bench::running();
    assert!(!b.uart.guest_listens());
    let mut got = [0; 32];
    assert_eq!(b.uart.firmware_receive(&mut got), 0);
    // That it asks means that it listens.
    assert!(b.uart.guest_listens());
    assert_eq!(b.hook.input.load(Ordering::Relaxed), 1);
    b.set(IMSC, INT_RX | INT_RT);
    b.input(b"more than the FIFO holds");
    assert!(b.wire.level.load(Ordering::Relaxed));
    assert_eq!(b.uart.firmware_receive(&mut got[..5]), 5);
    assert_eq!(&got[..5], b"more ");
    assert!(b.wire.level.load(Ordering::Relaxed));
    assert_eq!(b.uart.firmware_receive(&mut got), 19);
    assert_eq!(&got[..19], b"than the FIFO holds");
    assert!(!b.wire.level.load(Ordering::Relaxed));
    b.uart.reset();
    assert!(!b.uart.guest_listens());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing is lost, doubled or reordered either way, whoever is slow; and a driver that waits
    /// for an interrupt gets it.
    #[test]
    fn streams_arrive(steps in prop::collection::vec(step(), 1..60)) {
        let b = Bench::new();
        Driver::start(&b);
        let mut driver = Driver { todo: VecDeque::new(), got: Vec::new() };
        let (mut sent, mut typed, mut arrived) = (Vec::new(), Vec::new(), Vec::new());
        let mut byte = 0u8;
        let mut next = || { byte = byte.wrapping_mul(5).wrapping_add(3); byte };
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
                Step::Interrupt if b.wire.level.load(Ordering::Relaxed) => driver.interrupt(&b),
                Step::Interrupt => {}
            }
        }
        // From here on the driver acts in interrupts only.
        for round in 0.. {
            prop_assert!(round < 1000, "the interrupt never goes away");
            let drained = b.output(1000);
            let idle = drained.is_empty();
            arrived.extend(drained);
            if b.wire.level.load(Ordering::Relaxed) {
                driver.interrupt(&b);
            } else if idle {
                break;
            }
        }
        prop_assert!(driver.todo.is_empty());
        prop_assert_eq!(arrived, sent);
        prop_assert_eq!(driver.got, typed);
    }

    /// Arbitrary accesses leave the line equal to RIS & IMSC (checked at each step) and break
    /// nothing.
    #[test]
    fn line_follows_the_registers(
        accesses in prop::collection::vec((0u64..0x13, any::<u32>(), 0u8..5), 1..300),
    ) {
        let b = Bench::new();
        for (register, value, kind) in accesses {
            match kind {
                0 => { b.get(register * 4); }
                1 => { b.input(&value.to_le_bytes()); }
                2 => { b.output((value % 64) as usize); }
                _ => { b.set(register * 4, value); }
            }
        }
    }
}
