//! Diagnostics: a code, a place, and the few values that matter. Nothing is a formatted string
//! before it is shown.

use alloc::vec::Vec;
use core::fmt;

use crate::{Code, Severity};

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl From<core::ops::Range<usize>> for Span {
    fn from(range: core::ops::Range<usize>) -> Self {
        // Texts are limited to MAX_TEXT bytes, so both fit.
        let clamp = |v| u32::try_from(v).unwrap_or(u32::MAX);
        Self {
            start: clamp(range.start),
            end: clamp(range.end),
        }
    }
}

impl Span {
    /// The text at this place, empty if it isn't one of `text`.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or("")
    }

    /// The line and column where it starts.
    pub fn position(self, text: &str) -> Position {
        let mut before = self.start as usize;
        while !text.is_char_boundary(before) {
            before = before.saturating_sub(1).min(text.len());
        }
        let before = text.get(..before).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
            column: 1 + before[line_start..].chars().count(),
        }
    }
}

/// A line and a column, both counted from one; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// A value and its place in the file. A value that was filled in has the place of the table it
/// belongs to. Two are equal if their values are.
#[derive(Clone, Copy, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> At<T> {
    /// `value` at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// The values that belong to a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// None.
    None,
    /// The name that was probably meant.
    Near(&'static str),
    /// What is wanted instead.
    Want(&'static str),
    /// The limits of a number, both included.
    Limits(usize, usize),
    /// A number that is wanted.
    Number(usize),
    /// An address range: start, size.
    Range(usize, usize),
    /// Two address ranges that meet: start, size of each.
    Ranges((usize, usize), (usize, usize)),
    /// A shared peripheral interrupt.
    Spi(u32),
    /// A source of a PLIC.
    Source(u32),
}

/// One thing that is wrong, or deserves a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What.
    pub code: Code,
    /// Where.
    pub span: Span,
    /// Another place that has to do with it.
    pub other: Option<Span>,
    /// With which values.
    pub data: Data,
}

impl Diagnostic {
    /// A diagnostic without values.
    pub fn new(code: Code, span: Span) -> Self {
        Self {
            code,
            span,
            other: None,
            data: Data::None,
        }
    }

    /// With values.
    pub fn with(mut self, data: Data) -> Self {
        self.data = data;
        self
    }

    /// With a second place.
    pub fn and(mut self, other: Span) -> Self {
        self.other = Some(other);
        self
    }

    /// Error or warning.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Code, place, one sentence: what the image prints. `text` is the file's.
    pub fn line<'a>(&'a self, file: &'a str, text: &'a str) -> impl fmt::Display + 'a {
        Line {
            diagnostic: self,
            file,
            text,
        }
    }

    /// The sentence alone. `text` is the file's.
    pub fn sentence<'a>(&'a self, text: &'a str) -> impl fmt::Display + 'a {
        Sentence {
            diagnostic: self,
            text,
        }
    }
}

struct Line<'a> {
    diagnostic: &'a Diagnostic,
    file: &'a str,
    text: &'a str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.diagnostic.span.position(self.text);
        let sentence = self.diagnostic.sentence(self.text);
        let code = self.diagnostic.code;
        write!(f, "{code} {}:{line}:{column}: {sentence}", self.file)
    }
}

struct Sentence<'a> {
    diagnostic: &'a Diagnostic,
    text: &'a str,
}

/// The most characters of a file that a sentence repeats.
const SHOWN: usize = 48;

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.diagnostic.code.sentence())?;
        let shown = self.diagnostic.span.of(self.text);
        let one_line = !shown.contains(|c: char| c.is_control());
        if !shown.is_empty() && shown.len() <= SHOWN && one_line {
            write!(f, ": `{shown}`")?;
        }
        match &self.diagnostic.data {
            Data::None if self.diagnostic.code == Code::Syntax => {
                crate::read::syntax_message(self.text, self.diagnostic.span, f)
            }
            Data::None => Ok(()),
            Data::Near(name) => write!(f, "; did you mean `{name}`?"),
            Data::Want(what) => write!(f, "; wanted: {what}"),
            Data::Limits(min, max) => write!(f, "; wanted: {min} to {max}"),
            Data::Number(number) => write!(f, "; wanted: {number:#x} ({number})"),
            Data::Range(start, size) => write!(f, "; {}", Extent(*start, *size)),
            Data::Ranges(a, b) => {
                write!(f, "; {} and {}", Extent(a.0, a.1), Extent(b.0, b.1))
            }
            Data::Spi(number) => write!(f, "; SPI {number} (INTID {})", number.saturating_add(32)),
            Data::Source(number) => write!(f, "; PLIC source {number}"),
        }
    }
}

/// An address range as people write it: both ends included.
struct Extent(usize, usize);

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.saturating_add(self.1.saturating_sub(1));
        write!(f, "[{:#x}..{last:#x}]", self.0)
    }
}

/// All that is wrong with a file, in the order of the file. Not empty when it is an `Err`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// The most diagnostics of one file that are kept.
const MAX_DIAGNOSTICS: usize = 100;

impl Diagnostics {
    /// Adds one where it belongs by its place, unless it is there already.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let key = |d: &Diagnostic| (d.span, d.code);
        let later = |d: &Diagnostic| key(d) > key(&diagnostic);
        let at = self.0.iter().rposition(|d| !later(d)).map_or(0, |n| n + 1);
        if self.0.len() < MAX_DIAGNOSTICS && !self.0.contains(&diagnostic) {
            self.0.insert(at, diagnostic);
        }
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity() == Severity::Error)
    }
}
