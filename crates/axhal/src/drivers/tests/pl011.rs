use super::Memory;
use crate::drivers::{
    arch::{OPS, Op},
    mmio::Mmio,
    pl011::{MIN_LEN, Pl011},
};

const DR: usize = 0x00;
const FR: usize = 0x18;
const LCR_H: usize = 0x2c;
const IMSC: usize = 0x38;
const MIS: usize = 0x40;
const ICR: usize = 0x44;
const TX_FULL: u32 = 1 << 5;
const RX_EMPTY: u32 = 1 << 4;

fn uart(memory: &mut Memory) -> (Pl011, Mmio) {
    let regs = memory.regs();
    (Pl011::new(regs).unwrap(), regs)
}

#[test]
fn init_keeps_the_baud_rate() {
    let mut memory = Memory::new(0x1000);
    let (uart, regs) = uart(&mut memory);
    regs.write32(0x24, 13);
    regs.write32(0x28, 1);
    regs.write32(IMSC, 0x7ff);
    regs.write32(FR, RX_EMPTY);
    uart.init();
    assert_eq!((regs.read32(0x24), regs.read32(0x28)), (13, 1));
    assert_eq!(regs.read32(0x2c), 0x70, "8 bits, FIFOs");
    assert_eq!(regs.read32(0x30), 0x301, "UART, TX, RX on");
    assert_eq!(regs.read32(IMSC), 0);
    assert_eq!(regs.read32(0x48), 0, "no DMA");
}

/// Nothing is read, no FIFO is switched, and what announces it isn't cleared.
#[test]
fn init_keeps_what_was_typed() {
    for fifos in [0, 0x10] {
        let mut memory = Memory::new(0x1000);
        let (uart, regs) = uart(&mut memory);
        regs.write32(LCR_H, fifos);
        uart.init();
        assert_eq!(regs.read32(LCR_H), 0x60 | fifos);
        assert_eq!(regs.read32(ICR) & 0x50, 0);
        assert_eq!(uart.try_getc(), Some(0));
    }
}

#[test]
fn writes_only_when_there_is_room() {
    let mut memory = Memory::new(0x1000);
    let (uart, regs) = uart(&mut memory);
    assert!(uart.try_putc(b'x'));
    assert_eq!(regs.read32(DR), b'x'.into());
    regs.write32(FR, TX_FULL);
    assert!(!uart.write_available());
    assert!(!uart.try_putc(b'y'));
    assert_eq!(regs.read32(DR), b'x'.into());
    // A UART that is stuck does not hold up a panic.
    uart.emergency_write(b"never\n");
    assert_eq!(regs.read32(DR), b'x'.into());
    regs.write32(FR, 0);
    uart.emergency_write(b"abc");
    assert_eq!(regs.read32(DR), b'c'.into());
}

#[test]
fn reads_good_bytes_only() {
    let mut memory = Memory::new(0x1000);
    let (uart, regs) = uart(&mut memory);
    regs.write32(FR, RX_EMPTY);
    assert_eq!(uart.try_getc(), None);
    regs.write32(FR, 0);
    for (data, byte) in [
        (0x41, Some(0x41)),
        (0xff, Some(0xff)),
        (0x841, Some(0x41)),
        (0x141, None),
        (0x241, None),
        (0x400, None),
    ] {
        regs.write32(DR, data);
        assert_eq!(uart.try_getc(), byte, "{data:#x}");
    }
}

#[test]
fn interrupts() {
    let mut memory = Memory::new(0x1000);
    let (uart, regs) = uart(&mut memory);
    uart.enable_rx_interrupts();
    assert_eq!(regs.read32(IMSC), 1 << 4 | 1 << 6 | 1 << 10);
    uart.set_tx_interrupt(true);
    assert_eq!(regs.read32(IMSC), 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10);
    uart.set_tx_interrupt(false);
    assert_eq!(regs.read32(IMSC), 1 << 4 | 1 << 6 | 1 << 10);

    regs.write32(MIS, 1 << 4 | 1 << 5);
    OPS.take();
    assert!(uart.clear_interrupts());
    assert_eq!(regs.read32(ICR), 1 << 4 | 1 << 5);
    assert_eq!(OPS.take(), [Op::FullBarrier]);
    regs.write32(MIS, 1 << 6);
    assert!(!uart.clear_interrupts());
}

#[test]
fn too_few_registers() {
    let mut memory = Memory::new(MIN_LEN - 4);
    assert!(Pl011::new(memory.regs()).is_none());
}
