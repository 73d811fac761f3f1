//! How a case ends.

use core::fmt::{self, Display, Write};
use guest_support::sync::Lock;

/// A text of limited length; there is no heap.
struct Text {
    bytes: [u8; 400],
    len: usize,
}

impl Text {
    /// Formats; what doesn't fit is cut off.
    fn new(text: fmt::Arguments<'_>) -> Self {
        let mut this = Self {
            bytes: [0; 400],
            len: 0,
        };
        // Cutting off is the only way to fail, and wanted.
        let _ = this.write_fmt(text);
        this
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            let slot = self.bytes.get_mut(self.len).ok_or(fmt::Error)?;
            *slot = byte;
            self.len += 1;
        }
        Ok(())
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?"))
    }
}

/// Why the last case failed.
static WHY: Lock<Text> = Lock::new(Text {
    bytes: [0; 400],
    len: 0,
});

/// Why a case did not pass.
#[derive(Clone, Copy)]
pub enum Stop {
    /// It doesn't apply here.
    Skip(&'static str),
    /// [`why`] tells what was seen instead.
    Fail,
}

/// Keeps what was seen for [`why`].
pub fn fail(seen: fmt::Arguments<'_>) -> Stop {
    *WHY.lock() = Text::new(seen);
    Stop::Fail
}

/// What the last case saw that failed.
pub fn why() -> impl Display {
    let text = WHY.lock();
    Text {
        bytes: text.bytes,
        len: text.len,
    }
}

/// How a case ends.
pub type Outcome = Result<(), Stop>;

/// Fails the case unless the condition holds, with the values that tell why.
macro_rules! check {
    ($condition:expr $(, $name:ident = $value:expr)* $(,)?) => {
        if !$condition {
            return Err($crate::outcome::fail(format_args!(
                concat!("{}:{}: {}" $(, "; ", stringify!($name), " = {:#x?}")*),
                file!(), line!(), stringify!($condition) $(, $value)*
            )));
        }
    };
}

/// Ends the case without a verdict.
macro_rules! skip {
    ($condition:expr, $why:literal) => {
        if $condition {
            return Err($crate::outcome::Stop::Skip($why));
        }
    };
}

/// Ends the case on the board without a hypervisor.
macro_rules! skip_on_board {
    ($why:literal) => {
        skip!($crate::on_board(), $why)
    };
}
