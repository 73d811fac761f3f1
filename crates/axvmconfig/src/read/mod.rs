//! From TOML to [`AxVMCrateConfig`]: the tree is walked by hand, so that every value keeps its
//! place and all errors of a file are found in one run.

mod base;
mod devices;
mod emulated;
mod kernel;
mod memory;
mod passed;
mod value;

use alloc::vec::Vec;
use core::fmt;

use toml::de::DeTable;
use toml_parser::{Source, lexer::TokenKind};

use crate::{
    Arch, AxVMCrateConfig, Code, Data, Diagnostic, Diagnostics, Span,
    check::{Sound, check_alone},
    keys::ROOT,
};
#[cfg(feature = "cli")]
pub(crate) use emulated::kind_name;
use value::{Reader, Table, span};

/// The longest text that is read, in bytes. It bounds the heap that reading takes: about 100 bytes
/// for each byte of the worst text.
pub const MAX_TEXT: usize = 32 << 10;

/// How deep lists and tables in brackets may be nested; the schema needs four levels.
const MAX_DEPTH: usize = 8;

/// How many dots a key may have; the schema needs one.
const MAX_DOTS: usize = 4;

/// The newest `format` there is.
const FORMAT: usize = 1;

/// Reads one VM description for `arch`, fills in what it leaves out, and makes every check that
/// needs no knowledge of the board. The error holds everything that is wrong with it, warnings
/// included; the warnings of a good file are in [`AxVMCrateConfig::warnings`].
pub fn parse(text: &str, arch: Arch) -> Result<AxVMCrateConfig, Diagnostics> {
    let mut reader = Reader::new(arch);
    if text.len() > MAX_TEXT {
        reader.wrong(Code::TooLong, Span::default(), Data::Limits(0, MAX_TEXT));
        return Err(reader.out);
    }
    if let Some(bracket) = too_deep(text) {
        reader.say(Diagnostic::new(Code::TooDeep, bracket));
        return Err(reader.out);
    }
    let Ok(root) = DeTable::parse(text) else {
        return Err(syntax(text, arch));
    };
    let mut config = walk(&mut reader, root.get_ref());
    if reader.out.has_errors() {
        return Err(reader.out);
    }
    config.warnings = reader.out.0;
    Ok(config)
}

/// The first bracket that opens a level more than [`MAX_DEPTH`], or the first dot of a key that has
/// more than [`MAX_DOTS`]. The TOML parser, and the end of what it made, recurse for each level:
/// with its own limits that takes a hundred KiB of stack.
fn too_deep(text: &str) -> Option<Span> {
    let mut open = [TokenKind::Eof; MAX_DEPTH];
    let mut depth = 0usize;
    let mut dots = 0;
    for token in Source::new(text).lex() {
        let here: Span = (token.span().start()..token.span().end()).into();
        dots = match token.kind() {
            TokenKind::Dot if dots == MAX_DOTS => return Some(here),
            TokenKind::Dot => dots + 1,
            TokenKind::Equals | TokenKind::Comma | TokenKind::Newline => 0,
            _ => dots,
        };
        let close = match token.kind() {
            TokenKind::LeftSquareBracket => TokenKind::RightSquareBracket,
            TokenKind::LeftCurlyBracket => TokenKind::RightCurlyBracket,
            kind => {
                // One that closes nothing is an error later on, and closes nothing there either.
                let last = depth.checked_sub(1);
                if last.is_some_and(|last| open.get(last) == Some(&kind)) {
                    depth -= 1;
                }
                continue;
            }
        };
        match open.get_mut(depth) {
            Some(level) => *level = close,
            None => return Some(here),
        }
        depth += 1;
    }
    None
}

fn walk(reader: &mut Reader, root: &DeTable<'_>) -> AxVMCrateConfig {
    // What concerns the whole file is said of its first byte.
    let top = reader.root(root, ROOT, Span::default());
    if let Some(format) = top.get("format").and_then(|v| reader.number(v))
        && format.value != FORMAT
    {
        reader.wrong(Code::NewerFormat, format.span, Data::Limits(1, FORMAT));
    }

    let table = section(reader, &top, "base", crate::keys::BASE, true);
    let mut seen = 0;
    let base = base::read(reader, &table);
    let cpus = sound(reader, &mut seen);
    let table = section(reader, &top, "kernel", crate::keys::KERNEL, true);
    let mut kernel = kernel::read(reader, &table);
    let images = sound(reader, &mut seen);
    let table = section(reader, &top, "devices", crate::keys::DEVICES, false);
    let devices = devices::read(reader, &table, &base);
    let devices_sound = sound(reader, &mut seen);
    base::forms(reader, &top);
    let memory = memory::read(reader, &top, &devices, &mut kernel);
    let sound = Sound {
        cpus,
        memory: memory && images,
        devices: devices_sound,
    };

    let config = AxVMCrateConfig {
        arch: reader.arch,
        base,
        kernel,
        devices,
        warnings: Vec::new(),
    };
    check_alone(&config, sound, &mut |d| reader.say(d));
    config
}

/// Whether no error came up since the last call.
fn sound(reader: &Reader, seen: &mut usize) -> bool {
    let before = core::mem::replace(seen, reader.errors());
    before == reader.errors()
}

/// The table `name` of the file; an empty one if it is missing or no table.
fn section<'v, 'i>(
    reader: &mut Reader,
    top: &Table<'v, 'i>,
    name: &'static str,
    keys: &'static [crate::keys::Key],
    required: bool,
) -> Table<'v, 'i> {
    let Some(value) = top.get(name) else {
        if required {
            reader.missing(top, name);
        }
        return Table::absent(Span::default());
    };
    let table = reader.table(value, keys);
    table.unwrap_or_else(|| Table::absent(span(value)))
}

fn syntax_error(error: &toml::de::Error) -> Diagnostic {
    let span = error.span().map_or_else(Span::default, Span::from);
    Diagnostic::new(Code::Syntax, span)
}

/// What the TOML parser says about the place `span` of `text`: asked again when it is shown.
pub(crate) fn syntax_message(text: &str, span: Span, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let errors = syntax_errors(text);
    match errors.iter().find(|e| syntax_error(e).span == span) {
        Some(error) => write!(f, ": {}", error.message()),
        None => Ok(()),
    }
}

/// The image reports the first syntax error only: a list of all is as long as a bad file is.
#[cfg(not(any(test, feature = "cli")))]
fn syntax_errors(text: &str) -> Vec<toml::de::Error> {
    DeTable::parse(text).err().into_iter().collect()
}

/// All syntax errors.
#[cfg(any(test, feature = "cli"))]
fn syntax_errors(text: &str) -> Vec<toml::de::Error> {
    DeTable::parse_recoverable(text).1
}

fn syntax(text: &str, arch: Arch) -> Diagnostics {
    let mut out = Diagnostics::default();
    for error in syntax_errors(text) {
        out.push(syntax_error(&error));
    }
    others(text, arch, &mut out);
    out
}

#[cfg(not(any(test, feature = "cli")))]
fn others(_text: &str, _arch: Arch, _out: &mut Diagnostics) {}

/// Adds what else is wrong in a file with syntax errors: a line the parser tripped over gets no
/// other message, and only what a single key or value says about itself is certain.
#[cfg(any(test, feature = "cli"))]
fn others(text: &str, arch: Arch, out: &mut Diagnostics) {
    let (root, _) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(arch);
    walk(&mut reader, root.get_ref());
    let line = |span: Span| span.position(text).line;
    let broken: Vec<usize> = out.0.iter().map(|d| line(d.span)).collect();
    // With a broken header keys end up in another table: only a near name makes them wrong.
    let certain = |d: &Diagnostic| match d.code {
        Code::UnknownKey => matches!(d.data, Data::Near(_)),
        code => (Code::WrongType..=Code::OutOfLimits).contains(&code),
    };
    for diagnostic in reader.out.0 {
        if certain(&diagnostic) && !broken.contains(&line(diagnostic.span)) {
            out.push(diagnostic);
        }
    }
}
