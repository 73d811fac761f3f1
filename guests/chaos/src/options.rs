//! The command line: what `/chosen/bootargs` says, wherever it is in the device tree.

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
    /// Reads them from the device tree at `tree`; what isn't there has a default.
    pub fn read(tree: usize) -> Self {
        let line = line(tree).unwrap_or_default();
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

fn line(tree: usize) -> Option<&'static str> {
    const MAGIC: u32 = 0xd00d_feed;
    let size = |word: usize| {
        // SAFETY: the boot protocol puts a device tree there; whether it did is looked at first.
        u32::from_be(unsafe { (tree as *const u32).add(word).read() })
    };
    if tree == 0 || !tree.is_multiple_of(8) || size(0) != MAGIC {
        return None;
    }
    // SAFETY: as above; its header says how long it is, and nobody changes it.
    let tree = unsafe { core::slice::from_raw_parts(tree as *const u8, size(1) as usize) };
    let begin = tree.windows(6).position(|window| window == b"chaos=")?;
    let text = tree.get(begin..)?.split(|&byte| byte == 0).next()?;
    core::str::from_utf8(text).ok()
}
