//! The machine as its device tree describes it: enough of it to find the UART, the interrupt
//! controller, a clock with an alarm, and the command line. The bench trusts whoever started it.

/// What the bench uses.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// The registers of the first PL011, or of Xen's model of it.
    uart: Option<usize>,
    /// The distributor's registers.
    pub gicd: usize,
    /// The first redistributor's registers.
    pub gicr: usize,
    /// The registers of a PL031, and its interrupt.
    pub rtc: Option<(usize, u32)>,
    /// The command line.
    pub args: &'static str,
}

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;

/// The devices of one node as they are gathered.
#[derive(Clone, Copy, Default)]
struct Node {
    kind: Option<Kind>,
    reg: Option<[usize; 2]>,
    spi: Option<u32>,
}

#[derive(Clone, Copy)]
enum Kind {
    Uart,
    Gic,
    Rtc,
}

/// Reads the device tree at `blob` (Devicetree Specification, chapter 5).
pub fn read(blob: usize) -> Machine {
    let mut machine = Machine {
        uart: None,
        gicd: 0x0800_0000,
        gicr: 0x080a_0000,
        rtc: None,
        args: "",
    };
    if blob == 0 || be32(blob) != 0xd00d_feed {
        return machine;
    }
    let strings = blob + be32(blob + 12) as usize;
    let mut at = blob + be32(blob + 8) as usize;
    let (mut depth, mut chosen, mut cells) = (0, false, (2, 1));
    let mut node = Node::default();
    loop {
        let token = be32(at);
        at += 4;
        match token {
            BEGIN_NODE => {
                let name = text(at);
                depth += 1;
                chosen = depth == 2 && name == "chosen";
                node = Node::default();
                at = (at + name.len() + 4) & !3;
            }
            END_NODE => {
                machine.note(node);
                node = Node::default();
                depth -= 1;
            }
            PROP => {
                let (length, name) = (be32(at) as usize, text(strings + be32(at + 4) as usize));
                let value = at + 8;
                at = (value + length + 3) & !3;
                match name {
                    "#address-cells" if depth == 1 => cells.0 = be32(value) as usize,
                    "#size-cells" if depth == 1 => cells.1 = be32(value) as usize,
                    "bootargs" if chosen => machine.args = text(value),
                    "compatible" => node.kind = kind(value, length),
                    "reg" if depth == 2 => {
                        let pair = cells.0 + cells.1;
                        let second = (length >= (pair + cells.0) * 4)
                            .then(|| number(value + pair * 4, cells.0));
                        node.reg = Some([number(value, cells.0), second.unwrap_or(0)]);
                    }
                    "interrupts" if length >= 12 && be32(value) == 0 => {
                        node.spi = Some(32 + be32(value + 4));
                    }
                    _ => {}
                }
                // A child ends the properties of its parent, which come before it.
            }
            NOP => {}
            _ => return machine,
        }
        if token == BEGIN_NODE && depth > 2 {
            node = Node::default();
        } else if token == PROP {
            machine.note(node);
        }
    }
}

impl Machine {
    /// The console's registers; the board's where no tree tells.
    pub fn uart(&self) -> usize {
        self.uart.unwrap_or(0x0900_0000)
    }

    fn note(&mut self, node: Node) {
        let (Some(kind), Some([first, second])) = (node.kind, node.reg) else {
            return;
        };
        match kind {
            Kind::Uart => self.uart = self.uart.or(Some(first)),
            Kind::Gic => (self.gicd, self.gicr) = (first, second),
            Kind::Rtc => self.rtc = node.spi.map(|spi| (first, spi)),
        }
    }
}

fn kind(value: usize, length: usize) -> Option<Kind> {
    let mut at = value;
    while at < value + length {
        let name = text(at);
        match name {
            "arm,pl011" | "arm,sbsa-uart" => return Some(Kind::Uart),
            "arm,gic-v3" => return Some(Kind::Gic),
            "arm,pl031" => return Some(Kind::Rtc),
            _ => at += name.len() + 1,
        }
    }
    None
}

fn be32(address: usize) -> u32 {
    // SAFETY: the caller walks the device tree, which lies in RAM that nobody writes.
    u32::from_be(unsafe { (address as *const u32).read() })
}

fn number(address: usize, cells: usize) -> usize {
    (0..cells).fold(0, |n, cell| n << 32 | be32(address + cell * 4) as usize)
}

fn text(address: usize) -> &'static str {
    // SAFETY: strings in a device tree end with 0 and stay where they are.
    let bytes = unsafe { core::ffi::CStr::from_ptr(address as *const _) };
    bytes.to_str().unwrap_or("")
}
