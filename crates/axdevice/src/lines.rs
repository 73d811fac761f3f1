//! Who has which interrupt line, while a VM is built.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use axerrno::AxError;

use crate::{IrqLine, IrqSink};

/// The line belongs to another device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTaken(
    /// The line.
    pub u32,
);

impl fmt::Display for LineTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupt line {} is used twice", self.0)
    }
}

impl From<LineTaken> for AxError {
    fn from(_: LineTaken) -> Self {
        Self::AlreadyExists
    }
}

/// Hands out the lines of one VM, each once.
pub struct IrqLines {
    sink: Arc<dyn IrqSink>,
    taken: Vec<u32>,
}

impl IrqLines {
    /// All lines of `sink`, none of them taken.
    pub fn new(sink: Arc<dyn IrqSink>) -> Self {
        Self {
            sink,
            taken: Vec::new(),
        }
    }

    /// Line number `line`, which nobody has.
    pub fn take(&mut self, line: u32) -> Result<IrqLine, LineTaken> {
        if self.taken.contains(&line) {
            return Err(LineTaken(line));
        }
        self.taken.push(line);
        Ok(IrqLine::new(self.sink.clone(), line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spin::Mutex;

    #[derive(Default)]
    struct Log(Mutex<Vec<(u32, bool)>>);

    impl IrqSink for Log {
        fn set_level(&self, line: u32, asserted: bool) {
            self.0.lock().push((line, asserted));
        }

        fn pulse(&self, _: u32) {}
    }

    #[test]
    fn a_line_has_one_owner() {
        let log = Arc::new(Log::default());
        let mut lines = IrqLines::new(log.clone());
        let uart = lines.take(33).unwrap();
        assert_eq!(lines.take(33).err(), Some(LineTaken(33)));
        let other = lines.take(34).unwrap();
        other.set_level(true);
        uart.set_level(false);
        assert_eq!(*log.0.lock(), [(34, true), (33, false)]);
    }
}
