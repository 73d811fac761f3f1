use std::{cell::RefCell, vec, vec::Vec};

use crate::drivers::uart::{Received, Receiver, receive};

/// A receiver to which things happen at given moments. Its interrupt is signalled once for what
/// arrives, and is gone when it is cleared.
#[derive(Default)]
struct Fake {
    /// What waits; `None` is something damaged.
    fifo: RefCell<Vec<Option<u8>>>,
    /// What arrives just before the interrupts are cleared: after a look that found nothing.
    before_clear: RefCell<Vec<Option<u8>>>,
    /// What arrives right behind that.
    after_clear: RefCell<Vec<Option<u8>>>,
    signalled: RefCell<bool>,
}

impl Fake {
    fn arrive(&self, what: &RefCell<Vec<Option<u8>>>) {
        let mut what = what.borrow_mut();
        if !what.is_empty() {
            self.fifo.borrow_mut().append(&mut what);
            self.signalled.replace(true);
        }
    }
}

impl Receiver for Fake {
    fn rx_empty(&self) -> bool {
        self.fifo.borrow().is_empty()
    }

    fn try_getc(&self) -> Option<u8> {
        let mut fifo = self.fifo.borrow_mut();
        if fifo.is_empty() {
            None
        } else {
            fifo.remove(0)
        }
    }

    fn clear_interrupts(&self) -> bool {
        self.arrive(&self.before_clear);
        self.signalled.replace(false);
        self.arrive(&self.after_clear);
        false
    }
}

/// Takes all there is, as the console's task does.
fn take_all(uart: &Fake) -> Vec<Received> {
    let mut taken = vec![];
    loop {
        match receive(uart) {
            Received::Nothing => return taken,
            other => taken.push(other),
        }
    }
}

#[test]
fn what_arrives_while_interrupts_are_cleared_is_taken() {
    use Received::{Byte, Damaged};
    let uart = Fake::default();
    uart.fifo.borrow_mut().push(Some(b'a'));
    uart.before_clear.borrow_mut().push(Some(b'b'));
    uart.after_clear.borrow_mut().extend([None, Some(b'c')]);
    assert_eq!(
        take_all(&uart),
        [Byte(b'a'), Byte(b'b'), Damaged, Byte(b'c')]
    );
    assert!(uart.rx_empty() && !*uart.signalled.borrow());
}

/// The invariant: when it says that there is nothing, nothing is there that doesn't interrupt.
#[test]
fn nothing_is_left_without_an_interrupt() {
    for early in 0..3 {
        for late in 0..3 {
            let uart = Fake::default();
            *uart.before_clear.borrow_mut() = vec![Some(b'x'); early];
            *uart.after_clear.borrow_mut() = vec![Some(b'y'); late];
            let taken = take_all(&uart);
            assert_eq!(taken.len(), early + late);
            assert!(uart.rx_empty() || *uart.signalled.borrow());
        }
    }
}
