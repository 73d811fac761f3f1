//! Interrupt lines: how a device reaches its VM's interrupt controller. A line is a number that is
//! unique in the VM; the architecture maps it to an INTID, a PLIC source or a vector.

use alloc::sync::Arc;

/// The interrupt controller's side of the lines. Implemented by each architecture's model.
pub trait IrqSink: Send + Sync {
    /// Drives a level-triggered line. Takes effect before it returns; setting the level it has
    /// already does nothing.
    fn set_level(&self, line: u32, asserted: bool);

    /// One edge on an edge-triggered line.
    fn pulse(&self, line: u32);
}

/// A device's end of one line.
#[derive(Clone)]
pub struct IrqLine {
    sink: Arc<dyn IrqSink>,
    line: u32,
}

impl IrqLine {
    /// Line number `line` of `sink`.
    pub fn new(sink: Arc<dyn IrqSink>, line: u32) -> Self {
        Self { sink, line }
    }

    /// Drives the line: see [`IrqSink::set_level`].
    pub fn set_level(&self, asserted: bool) {
        self.sink.set_level(self.line, asserted);
    }

    /// Sends one edge: see [`IrqSink::pulse`].
    pub fn pulse(&self) {
        self.sink.pulse(self.line);
    }

    /// The line's number in its VM.
    pub fn number(&self) -> u32 {
        self.line
    }
}
