use std::{format, string::ToString};

use log::LevelFilter;
use proptest::prelude::*;

use crate::cmdline::{ConsoleChoice, MAX_UNKNOWN, WhenIdle, parse};

#[test]
fn nothing_said() {
    for line in ["", "   ", "\t\n"] {
        let options = parse(line).unwrap();
        assert_eq!(options.loglevel, None);
        assert_eq!(options.console, ConsoleChoice::Auto);
        assert_eq!(options.when_idle, WhenIdle::Poweroff);
        assert!(options.unknown.is_empty());
    }
}

#[test]
fn all_options() {
    let options = parse("loglevel=trace  console=linux\twhen-idle=stay").unwrap();
    assert_eq!(options.loglevel, Some(LevelFilter::Trace));
    assert_eq!(options.console, ConsoleChoice::Vm("linux"));
    assert_eq!(options.when_idle, WhenIdle::Stay);
    assert_eq!(options.unknown_count, 0);

    let options = parse("console=a console=all when-idle=poweroff loglevel=off").unwrap();
    assert_eq!(options.console, ConsoleChoice::All);
    assert_eq!(options.when_idle, WhenIdle::Poweroff);
    assert_eq!(options.loglevel, Some(LevelFilter::Off));
}

#[test]
fn every_level() {
    for level in LevelFilter::iter() {
        let line = format!("loglevel={}", level.to_string().to_lowercase());
        assert_eq!(parse(&line).unwrap().loglevel, Some(level));
    }
}

#[test]
fn unknown_words_are_told() {
    let options = parse("quiet loglevels=info root=/dev/vda Console=x").unwrap();
    assert_eq!(
        options.unknown[..],
        ["quiet", "loglevels=info", "root=/dev/vda", "Console=x"]
    );
    let many = "x ".repeat(40);
    let options = parse(&many).unwrap();
    assert_eq!(options.unknown.len(), MAX_UNKNOWN);
    assert_eq!(options.unknown_count, 40);
}

#[test]
fn wrong_values_are_told_with_their_place() {
    for (line, key, value, at) in [
        ("loglevel=verbose", "loglevel", "verbose", 9),
        ("  quiet loglevel=8", "loglevel", "8", 17),
        ("loglevel", "loglevel", "", 8),
        ("loglevel=", "loglevel", "", 9),
        ("console=", "console", "", 8),
        ("console=all when-idle=off", "when-idle", "off", 22),
        ("when-idle=Stay", "when-idle", "Stay", 10),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(
            (error.key, error.value, error.at),
            (key, value, at),
            "{line}"
        );
    }
    assert_eq!(
        parse("when-idle=off").unwrap_err().to_string(),
        "command line, byte 10: when-idle=off is not understood; write when-idle=poweroff|stay"
    );
}

proptest! {
    #[test]
    fn any_text(line in ".{0,200}") {
        if let Err(error) = parse(&line) {
            prop_assert!(line[error.at..].starts_with(error.value));
        }
    }
}
