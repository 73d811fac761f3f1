//! Names for the addresses of the hypervisor's backtraces.

use crate::{Failure, artifacts};
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

/// The address in a line `#N 0xADDRESS` of a backtrace, whatever is around it.
pub fn backtrace_address(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once('#')?;
    let (number, rest) = rest.split_once(' ')?;
    number.parse::<u32>().ok()?;
    let digits = rest.trim_start().strip_prefix("0x")?;
    let end = digits
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(digits.len());
    u64::from_str_radix(&digits[..end], 16).ok()
}

/// The build id of an ELF file: the description of its GNU note of type 3, as hexadecimal digits.
fn build_id(elf: &[u8]) -> Option<String> {
    const NOTE: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let at = elf.windows(NOTE.len()).position(|window| window == NOTE)? + NOTE.len();
    Some(
        elf.get(at..at + 20)?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    )
}

/// The backtrace lines of `log` with the functions and places that `elf` has for them. A function
/// that was inlined has a line of its own, before the one it went into.
pub fn symbolize(elf: &Path, log: &str) -> Result<String, Failure> {
    if !log.lines().any(|line| backtrace_address(line).is_some()) {
        return Ok(String::new());
    }
    let broken = |e: &dyn std::fmt::Display| format!("{}: {e}", elf.display());
    let id = build_id(&std::fs::read(elf).map_err(|e| broken(&e))?);
    let loader = addr2line::Loader::new(elf).map_err(|e| broken(&e))?;
    let mut text = String::new();
    for line in log.lines() {
        if let Some((_, logged)) = line.split_once("build-id ")
            && id.as_deref() != Some(logged.trim())
        {
            return Err(broken(&format_args!(
                "another build than that of the log, {logged}"
            )));
        }
        let Some(address) = backtrace_address(line) else {
            continue;
        };
        let _ = writeln!(text, "{}", line.trim_end());
        // A return address may belong to the next line already: look at the call before it.
        let call = if line.contains("#0 ") {
            address
        } else {
            address.saturating_sub(1)
        };
        for name in names(&loader, call) {
            let _ = writeln!(text, "      {name}");
        }
    }
    Ok(text)
}

/// The first address of `range`, in steps of 4, that belongs to the symbol `name` of `elf`.
pub fn find(elf: &Path, range: Range<u64>, name: &str) -> Result<u64, Failure> {
    let broken = |e: &dyn std::fmt::Display| format!("{}: {e}", elf.display());
    let loader = addr2line::Loader::new(elf).map_err(|e| broken(&e))?;
    let mut addresses = range.step_by(4);
    addresses
        .find(|&address| loader.find_symbol(address) == Some(name))
        .ok_or_else(|| broken(&format_args!("no {name}")))
}

/// The functions that `address` is in, the innermost one first.
fn names(loader: &addr2line::Loader, address: u64) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(mut frames) = loader.find_frames(address) {
        while let Ok(Some(frame)) = frames.next() {
            let Some(function) = frame.function.as_ref().and_then(|f| f.demangle().ok()) else {
                continue;
            };
            let place = frame
                .location
                .and_then(|l| Some((l.file?, l.line.unwrap_or(0))));
            names.push(match place {
                Some((file, line)) => format!("{function} ({}:{line})", shortened(file)),
                None => function.into_owned(),
            });
        }
    }
    // Assembly has no line table, but symbols.
    if names.is_empty()
        && let Some(symbol) = loader.find_symbol(address)
    {
        names.push(addr2line::demangle_auto(symbol.into(), None).into_owned());
    }
    names
}

/// A source file as seen from the top of the repository, or of the library's sources.
fn shortened(file: &str) -> &str {
    let root = artifacts::root().to_str().unwrap_or_default();
    match file.strip_prefix(root) {
        Some(inside) => inside.trim_start_matches('/'),
        None => file
            .split_once("/library/")
            .map_or(file, |(_, inside)| inside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_backtrace_lines_have_an_address() {
        assert_eq!(
            backtrace_address("  #0 0xffff000000001234"),
            Some(0xffff_0000_0000_1234)
        );
        assert_eq!(backtrace_address("[hv] #12  0x40 (?)\r"), Some(0x40));
        assert_eq!(backtrace_address("/ # 0x40"), None);
        assert_eq!(backtrace_address("issue #7 is old"), None);
    }
}
