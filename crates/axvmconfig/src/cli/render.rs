//! Diagnostics as a compiler shows them, and as JSON.

use std::fmt::Write;

use super::help::help;
use crate::{Diagnostic, Position, Severity, Span};

/// One diagnostic with the lines concerned, the place underlined, why it is refused and what to
/// write instead.
pub fn render(file: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let mut out = String::new();
    let code = diagnostic.code;
    let sentence = diagnostic.sentence(text);
    let position = diagnostic.span.position(text);
    let Position { line, column } = position;
    let other = diagnostic.other.map(|span| (span, span.position(text)));
    let widest = other.map_or(line, |(_, other)| other.line.max(line));
    let width = widest.to_string().len();
    let pad = " ".repeat(width);
    // Writing to a string can't fail.
    let _ = writeln!(out, "{}[{code}]: {sentence}", severity(diagnostic));
    let _ = writeln!(out, "{pad}--> {file}:{line}:{column}");
    let _ = writeln!(out, "{pad} |");
    snippet(&mut out, text, diagnostic.span, position, width, '^');
    if let Some((span, position)) = other.filter(|(span, _)| *span != Span::default()) {
        let _ = writeln!(out, "{pad} | the other one:");
        snippet(&mut out, text, span, position, width, '-');
    }
    let help = help(code);
    let _ = writeln!(out, "{pad} = note: {}", help.note);
    let _ = writeln!(out, "{pad} = help: {}", help.fix);
    out
}

fn severity(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The line at `position`, with `span` underlined as far as it is on that line.
fn snippet(out: &mut String, text: &str, span: Span, at: Position, width: usize, mark: char) {
    let line = text.lines().nth(at.line - 1).unwrap_or("");
    let length = span.of(text).lines().next().unwrap_or("").chars().count();
    let length = length.max(1);
    // Tabs stay tabs, so that the mark stands under what it means.
    let tab = |c| if c == '\t' { '\t' } else { ' ' };
    let indent: String = line.chars().take(at.column - 1).map(tab).collect();
    let marks: String = std::iter::repeat_n(mark, length).collect();
    let _ = writeln!(out, "{:width$} | {line}", at.line);
    let _ = writeln!(out, "{:width$} | {indent}{marks}", "");
}

/// One diagnostic as a JSON object. Lines and columns count from one, offsets are bytes.
pub fn json(file: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let Position { line, column } = diagnostic.span.position(text);
    let help = help(diagnostic.code);
    format!(
        "{{\"file\":{},\"line\":{line},\"column\":{column},\"start\":{},\"end\":{},\
         \"severity\":\"{}\",\"code\":\"{}\",\"message\":{},\"note\":{},\"help\":{}}}",
        quoted(file),
        diagnostic.span.start,
        diagnostic.span.end,
        severity(diagnostic),
        diagnostic.code,
        quoted(&diagnostic.sentence(text).to_string()),
        quoted(help.note),
        quoted(help.fix),
    )
}

/// Text as a JSON string; also a TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
