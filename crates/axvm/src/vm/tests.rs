use super::*;
use axdevice::{Access, AccessWidth, IrqSink};

struct Nowhere;

impl IrqSink for Nowhere {
    fn set_level(&self, _: u32, _: bool) {}

    fn pulse(&self, _: u32) {}
}

/// Both ends of a console are the same UART, of the kind that was asked for.
#[test]
fn a_console_is_the_architectures() {
    // Where the model has its transmitter's register, and a byte only it reads.
    for (model, data, (offset, id)) in [
        (ConsoleModel::Pl011, 0, (0xfe0, 0x11)),
        (ConsoleModel::Ns16550, 0, (5, 0x60)),
    ] {
        let line = IrqLine::new(Arc::new(Nowhere), 1);
        let (uart, port) = build_console(model, line);
        let at = |offset| Access {
            vcpu: 0,
            offset,
            width: AccessWidth::Byte,
        };
        assert_eq!(uart.read(at(offset)).map(|byte| byte & 0xff), Ok(id));
        uart.write(at(data), 0x41).unwrap();
        let mut buf = [0; 4];
        assert_eq!(port.drain_output(&mut buf), 1);
        assert_eq!(buf, [0x41, 0, 0, 0]);
    }
}
