//! Who has which interrupt line, while a VM is built.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use axerrno::AxError;

use crate::{IrqLine, IrqSink};

/// The line belongs to another device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTaken(
    /// The line.
    pub u32,
);

impl From<LineTaken> for AxError {
    fn from(_: LineTaken) -> Self {
        Self::AlreadyExists
    }
}

/// Hands out the lines of one VM, each once.
pub struct IrqLines {
    sink: Arc<dyn IrqSink>,
    taken: BTreeSet<u32>,
}

impl IrqLines {
    /// All lines of `sink`, none of them taken.
    pub fn new(sink: Arc<dyn IrqSink>) -> Self {
        Self {
            sink,
            taken: BTreeSet::new(),
        }
    }

    /// Line number `line`, which nobody has.
    pub fn take(&mut self, line: u32) -> Result<IrqLine, LineTaken> {
        if !self.taken.insert(line) {
            return Err(LineTaken(line));
        }
        Ok(IrqLine::new(self.sink.clone(), line))
    }
}
