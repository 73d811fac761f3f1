//! Mistakes made by chance: one word of a good description becomes another. Used by the tests of
//! `axvm` too, which build VMs from what passes.

use std::{ops::Range, path::Path};

use axvmconfig::{Arch, Code, Diagnostics, Span};
use proptest::prelude::*;

/// A description and what it is for.
pub type Text = (Arch, String);

/// The files under `configs/vms`.
pub fn configs() -> Vec<Text> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/vms");
    let mut out = Vec::new();
    for arch in Arch::ALL {
        let Ok(files) = std::fs::read_dir(Path::new(folder).join(arch.name())) else {
            continue;
        };
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        files.sort();
        let read = |path| (*arch, std::fs::read_to_string(path).unwrap());
        out.extend(files.into_iter().map(read));
    }
    assert!(out.len() >= 5);
    out
}

/// `text` with one of its tokens replaced, and where the new one is.
pub fn mutated(text: &str, token: prop::sample::Index, new: &str) -> (String, Range<usize>) {
    let tokens = tokens(text);
    let token = token.get(&tokens).clone();
    let mutated = format!("{}{new}{}", &text[..token.start], &text[token.end..]);
    (mutated, token.start..token.start + new.len())
}

/// Whether no two have anything in common.
pub fn disjoint(mut ranges: Vec<Range<usize>>) -> bool {
    ranges.sort_by_key(|range| range.start);
    ranges.windows(2).all(|pair| pair[0].end <= pair[1].start)
}

/// Words, numbers, texts and signs, as places in `text`; no space, no comment.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at += 1;
        match bytes[start] {
            b'#' => {
                at = text[start..].find('\n').map_or(bytes.len(), |n| start + n);
                continue;
            }
            b'"' => {
                while bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            c if word(c) => {
                while bytes.get(at).is_some_and(|c| word(*c)) {
                    at += 1;
                }
            }
            c if c.is_ascii_whitespace() => continue,
            _ => {}
        }
        out.push(start..at);
    }
    out
}

/// What a token is replaced by. (Not by a comment, which would take the rest of the line along.)
pub fn replacement() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        prop::sample::select(vec![
            "0",
            "1",
            "-1",
            "7",
            "8",
            "9",
            "64",
            "0x1000",
            "0x4000_0000",
            "0x0900_0000",
            "1.5",
            "18446744073709551615",
            "99999999999999999999",
            "\"\"",
            "\"/\"",
            "\"x\"",
            "\"512MB\"",
            "\"4KiB\"",
            "\"none\"",
            "\"passthrough\"",
            "true",
            "[]",
            "{}",
            "[",
            "]",
            "{",
            "}",
            "=",
            ",",
            "\"",
            "name",
            "cpu_num",
            "size",
            "gpa",
            "kernel",
            "\n",
            "é",
        ])
        .prop_map(String::from),
        "[a-z_]{1,12}",
        (0u64..1 << 50).prop_map(|n| n.to_string()),
    ]
}

/// Whether what is wrong with `text` is said of its mutated token.
pub fn points_at(text: &str, errors: &Diagnostics, token: &Range<usize>) -> bool {
    touches(errors, token) || said_elsewhere(text, errors, token)
}

/// Whether a diagnostic's place, or the other one it names, is the mutated token or contains it. A
/// place right beside it counts: a token may be gone.
fn touches(errors: &Diagnostics, token: &Range<usize>) -> bool {
    let touches =
        |span: Span| span.start as usize <= token.end + 1 && token.start <= span.end as usize + 1;
    errors
        .0
        .iter()
        .any(|d| touches(d.span) || d.other.is_some_and(touches))
}

/// The mistakes whose place is not the token itself: syntax that only shows further on (a bracket
/// that isn't closed, say), and a key that became another key (its value is wrong then).
fn said_elsewhere(text: &str, errors: &Diagnostics, token: &Range<usize>) -> bool {
    let line = |at: usize| text[..at].matches('\n').count();
    errors.0.iter().any(|d| match d.code {
        Code::Syntax => d.span.end as usize + 1 >= token.start,
        // Of a region that moved: the one named with it may be another now.
        Code::EntryOutside | Code::LoadOutside => true,
        _ => line(d.span.start as usize) == line(token.start),
    })
}
