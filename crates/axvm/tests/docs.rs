//! What the quick start says of this crate, in both languages: the example is the example's text,
//! no public method of a VM is missing, and the exit reasons are those there are.

use std::collections::BTreeSet;

const BOOKS: [&str; 2] = [
    include_str!("../../../docs/quick-start.md"),
    include_str!("../../../docs/zh/quick-start.md"),
];
const EXAMPLE: &str = include_str!("../examples/life.rs");
const SOURCES: [&str; 4] = [
    include_str!("../src/vm.rs"),
    include_str!("../src/life.rs"),
    include_str!("../src/run.rs"),
    include_str!("../src/hal.rs"),
];

/// The names of public functions, and of those of a trait.
fn functions() -> impl Iterator<Item = &'static str> {
    let lines = SOURCES.iter().flat_map(|source| source.lines());
    lines.filter_map(|line| {
        let line = line.strip_prefix("    ")?;
        let rest = line.strip_prefix("pub fn ").or(line.strip_prefix("fn "))?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        Some(&rest[..end])
    })
}

/// Private helpers and implementations of other crates' traits.
const OTHERS: [&str; 4] = ["step", "request", "unclaimed", "read"];

#[test]
fn the_example_is_the_one_that_is_compiled() {
    for book in BOOKS {
        assert!(book.contains(EXAMPLE));
    }
}

#[test]
fn every_method_is_in_the_quick_start() {
    let names: Vec<_> = functions().filter(|name| !OTHERS.contains(name)).collect();
    assert!(names.len() > 30, "{names:?}");
    for book in BOOKS {
        for name in &names {
            assert!(book.contains(&format!("{name}(")), "{name} is missing");
        }
    }
}

/// The table of exit reasons, and the reasons themselves.
#[test]
fn every_exit_reason_is_in_the_quick_start_and_no_other() {
    let source = include_str!("../../axvcpu/src/exit.rs");
    let (_, body) = source.split_once("pub enum AxVCpuExitReason {").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let variants: BTreeSet<_> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .filter_map(|line| line.split(|c: char| !c.is_alphanumeric()).next())
        .collect();
    assert!(variants.len() > 10, "{variants:?}");
    for (book, heading) in BOOKS.iter().zip(["### Exit reasons", "### 退出原因"]) {
        let (_, section) = book.split_once(heading).unwrap();
        let rows = section
            .lines()
            .skip(4)
            .take_while(|line| line.starts_with('|'));
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        // Every second piece is between backticks.
        let named: BTreeSet<_> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .filter_map(|code| code.split(|c: char| !c.is_alphanumeric()).next())
            .collect();
        assert_eq!(named, variants);
    }
}
