//! Names for the addresses of the hypervisor's backtraces.

use crate::Failure;
use std::fmt::Write;
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

/// The backtrace lines of `log` with the functions and places that `elf` has for them. A function
/// that was inlined has a line of its own, before the one it went into.
pub fn symbolize(elf: &Path, log: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let mut loader = None;
    for line in log.lines() {
        let Some(address) = backtrace_address(line) else {
            continue;
        };
        let loader = match &mut loader {
            Some(loader) => loader,
            empty => empty.insert(
                addr2line::Loader::new(elf).map_err(|e| format!("{}: {e}", elf.display()))?,
            ),
        };
        let _ = writeln!(text, "{}", line.trim_end());
        // A return address may belong to the next line already: look up the call before it.
        let call = if line.contains("#0 ") {
            address
        } else {
            address.saturating_sub(4)
        };
        let mut named = false;
        if let Ok(mut frames) = loader.find_frames(call) {
            while let Ok(Some(frame)) = frames.next() {
                let function = frame.function.as_ref().and_then(|f| f.demangle().ok());
                let place = frame
                    .location
                    .and_then(|l| Some((l.file?, l.line.unwrap_or(0))));
                if let Some(function) = function {
                    named = true;
                    let _ = match place {
                        Some((file, line)) => writeln!(text, "      {function} ({file}:{line})"),
                        None => writeln!(text, "      {function}"),
                    };
                }
            }
        }
        // Assembly has no line table, but symbols.
        if !named && let Some(symbol) = loader.find_symbol(call) {
            let _ = writeln!(text, "      {symbol}");
        }
    }
    Ok(text)
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
