//! The command line: what `/chosen/bootargs` says.

use guest_support::tree;

/// What to do.
pub struct Options {
    /// The class of actions.
    pub class: &'static str,
    /// Where the random numbers begin.
    pub seed: u64,
    /// For how long.
    pub milliseconds: u64,
}

impl Options {
    /// Reads them from the device tree; what isn't there has a default.
    pub fn read() -> Self {
        let line = tree::find("bootargs").map_or("", |property| property.text());
        let number = |key: &str| find(line, key).and_then(|value| value.parse().ok());
        Self {
            class: find(line, "chaos=").unwrap_or("all"),
            seed: number("seed=").unwrap_or(1),
            milliseconds: number("ms=").unwrap_or(3000),
        }
    }
}

fn find(line: &'static str, key: &str) -> Option<&'static str> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(key))
}
