//! Both ends of a UART, for its tests.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::{ConsoleHook, IrqSink};

pub const LINE: u32 = 33;

/// The interrupt controller.
#[derive(Default)]
pub struct Wire {
    pub level: AtomicBool,
}

impl IrqSink for Wire {
    fn set_level(&self, line: u32, asserted: bool) {
        assert_eq!(line, LINE);
        let before = self.level.swap(asserted, Ordering::Relaxed);
        assert_ne!(before, asserted, "the line is touched when it changes only");
    }

    fn pulse(&self, _: u32) {
        panic!("level-triggered");
    }
}

/// The console.
#[derive(Default)]
pub struct Hook {
    pub output: AtomicUsize,
    pub input: AtomicUsize,
}

impl ConsoleHook for Hook {
    fn output_ready(&self) {
        self.output.fetch_add(1, Ordering::Relaxed);
    }

    fn output_pressing(&self) {
        self.output.fetch_add(1, Ordering::Relaxed);
    }

    fn input_wanted(&self) {
        self.input.fetch_add(1, Ordering::Relaxed);
    }
}
