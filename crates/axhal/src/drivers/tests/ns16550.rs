use super::Memory;
use crate::drivers::{
    arch::{OPS, Op},
    mmio::Mmio,
    ns16550::Ns16550,
};

const DATA: usize = 0;
const IER: usize = 1;
const FCR: usize = 2;
const LCR: usize = 3;
const LSR: usize = 5;
const EMPTY: u8 = 0x60;
const FIFOS: u8 = 0xc0;

fn uart(memory: &mut Memory) -> (Ns16550, Mmio) {
    let regs = memory.regs();
    (Ns16550::new(regs, 0, 1).unwrap(), regs)
}

#[test]
fn registers_of_all_shapes() {
    for (shift, width, len) in [(0, 1, 8), (2, 1, 32), (2, 4, 32), (3, 4, 64)] {
        let mut memory = Memory::new(len);
        let regs = memory.regs();
        let uart = Ns16550::new(regs, shift, width).unwrap();
        regs.write8(LSR << shift, EMPTY);
        assert!(uart.try_putc(b'x'));
        assert_eq!(regs.read8(0), b'x');
        uart.enable_rx_interrupts();
        assert_eq!(regs.read8(IER << shift), 5);
        let mut memory = Memory::new(len - 8);
        assert!(Ns16550::new(memory.regs(), shift, width).is_none());
    }
    for (shift, width) in [(0, 4), (1, 4), (0, 2), (0, 8), (64, 1)] {
        let mut memory = Memory::new(256);
        assert!(Ns16550::new(memory.regs(), shift, width).is_none());
    }
}

#[test]
fn init_sets_the_line_and_no_interrupts() {
    let mut memory = Memory::new(0x100);
    let (uart, regs) = uart(&mut memory);
    regs.write8(IER, 0xf);
    regs.write8(LCR, 0x80);
    regs.write8(LSR, EMPTY);
    uart.init();
    assert_eq!(regs.read8(IER), 0);
    assert_eq!(regs.read8(LCR), 3, "8 bits, and no divisor");
    assert_eq!(regs.read8(FCR), 1, "FIFOs on, and not emptied");
    assert_eq!(regs.read8(4), 0xb);
}

/// Nothing is read, and no FIFO is switched, which would empty it.
#[test]
fn init_keeps_what_was_typed() {
    for (fifos, after) in [(0, 0), (FIFOS, 1)] {
        let mut memory = Memory::new(0x100);
        let (uart, regs) = uart(&mut memory);
        regs.write8(FCR, fifos);
        regs.write8(LSR, EMPTY | 1);
        uart.init();
        assert_eq!(regs.read8(FCR), after);
        assert_eq!(uart.try_getc(), Some(0));
    }
}

/// When it is empty it takes as many bytes as it holds, without another look.
#[test]
fn writes_only_when_there_is_room() {
    let mut memory = Memory::new(0x100);
    let (uart, regs) = uart(&mut memory);
    assert!(!uart.write_available() && !uart.try_putc(b'a'));
    regs.write8(LSR, EMPTY);
    assert!(uart.try_putc(b'a'));
    regs.write8(LSR, 0);
    assert!(!uart.try_putc(b'b'), "as a 16450, until it is known better");
    assert_eq!(regs.read8(DATA), b'a');

    // The register that identifies interrupts tells of FIFOs, and what is written there is lost.
    regs.write8(LSR, EMPTY | 1);
    regs.write8(FCR, FIFOS);
    uart.init();
    regs.write8(FCR, FIFOS);
    let (uart, regs) = (uart, regs);
    uart.init();
    regs.write8(LSR, EMPTY);
    // A UART that is stuck does not hold up a panic.
    regs.write8(LSR, 0);
    uart.emergency_write(b"never\n");
    assert_eq!(regs.read8(DATA), b'a');
    regs.write8(LSR, EMPTY);
    uart.emergency_write(b"abc");
    assert_eq!(regs.read8(DATA), b'c');
}

#[test]
fn reads_good_bytes_only() {
    let mut memory = Memory::new(0x100);
    let (uart, regs) = uart(&mut memory);
    regs.write8(DATA, b'q');
    for (status, byte, empty) in [
        (EMPTY, None, true),
        (EMPTY | 1, Some(b'q'), false),
        (EMPTY | 3, Some(b'q'), false),
        (EMPTY | 5, None, false),
        (EMPTY | 9, None, false),
        (EMPTY | 0x11, None, false),
    ] {
        regs.write8(LSR, status);
        assert_eq!(
            (uart.try_getc(), uart.rx_empty()),
            (byte, empty),
            "{status:#x}"
        );
    }
}

#[test]
fn interrupts() {
    let mut memory = Memory::new(0x100);
    let (uart, regs) = uart(&mut memory);
    uart.enable_rx_interrupts();
    assert_eq!(regs.read8(IER), 5);
    uart.set_tx_interrupt(true);
    assert_eq!(regs.read8(IER), 7);
    uart.set_tx_interrupt(false);
    assert_eq!(regs.read8(IER), 5);

    // Whatever doesn't go away does not hold it up.
    OPS.take();
    for (signalled, transmitter) in [(0x1, false), (0xc1, false), (0xc2, true), (0x4, false)] {
        regs.write8(FCR, signalled);
        assert_eq!(uart.clear_interrupts(), transmitter, "{signalled:#x}");
        assert_eq!(OPS.take(), [Op::FullBarrier]);
    }
}
