//! The hypervisor's options on the command line.

use core::fmt;

use arrayvec::ArrayVec;
use log::LevelFilter;

/// The most unknown words that are kept for a warning.
pub const MAX_UNKNOWN: usize = 16;

/// Which guests' output goes to the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsoleChoice<'a> {
    /// Not said: that of the only VM, or of all.
    #[default]
    Auto,
    /// All VMs', each line with the VM's name.
    All,
    /// The VM of this name.
    Vm(&'a str),
}

/// What happens when the last VM has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenIdle {
    /// The machine is powered off.
    #[default]
    Poweroff,
    /// The hypervisor stays.
    Stay,
}

/// The options. A key given twice: the last one wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// `loglevel=off|error|warn|info|debug|trace`. `None` if not said.
    pub loglevel: Option<LevelFilter>,
    /// `console=all` or `console=<name of a VM>`.
    pub console: ConsoleChoice<'a>,
    /// `when-idle=poweroff|stay`.
    pub when_idle: WhenIdle,
    /// The first [`MAX_UNKNOWN`] words that are no option of ours.
    pub unknown: ArrayVec<&'a str, MAX_UNKNOWN>,
    /// How many such words there are.
    pub unknown_count: usize,
}

/// An option has a value that it can't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadValue<'a> {
    /// The option.
    pub key: &'static str,
    /// The value.
    pub value: &'a str,
    /// Where the value begins: bytes from the command line's start.
    pub at: usize,
    /// What it can be.
    pub expected: &'static str,
}

impl fmt::Display for BadValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            value,
            at,
            expected,
        } = self;
        write!(
            f,
            "command line, byte {at}: {key}={value} is not understood; write {key}={expected}"
        )
    }
}

impl core::error::Error for BadValue<'_> {}

/// Reads a command line: words separated by white space.
pub fn parse(line: &str) -> Result<Options<'_>, BadValue<'_>> {
    let mut options = Options {
        loglevel: None,
        console: ConsoleChoice::default(),
        when_idle: WhenIdle::default(),
        unknown: ArrayVec::new(),
        unknown_count: 0,
    };
    for (start, word) in words(line) {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let bad = |key, expected| BadValue {
            key,
            value,
            at: start + (key.len() + 1).min(word.len()),
            expected,
        };
        match key {
            "loglevel" => {
                let level = level(value);
                let expected = "off|error|warn|info|debug|trace";
                options.loglevel = Some(level.ok_or(bad("loglevel", expected))?);
            }
            "console" => {
                options.console = match value {
                    "" => return Err(bad("console", "all or the name of a VM")),
                    "all" => ConsoleChoice::All,
                    name => ConsoleChoice::Vm(name),
                }
            }
            "when-idle" => {
                options.when_idle = match value {
                    "poweroff" => WhenIdle::Poweroff,
                    "stay" => WhenIdle::Stay,
                    _ => return Err(bad("when-idle", "poweroff|stay")),
                }
            }
            _ => {
                options.unknown_count += 1;
                let _ = options.unknown.try_push(word);
            }
        }
    }
    Ok(options)
}

/// The words of a line, with the byte each begins at.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = line.as_ptr().addr();
    line.split_ascii_whitespace()
        .map(move |word| (word.as_ptr().addr() - start, word))
}

fn level(name: &str) -> Option<LevelFilter> {
    Some(match name {
        "off" => LevelFilter::Off,
        "error" => LevelFilter::Error,
        "warn" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        "trace" => LevelFilter::Trace,
        _ => return None,
    })
}
