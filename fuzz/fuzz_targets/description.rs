//! Any text is a good description or is refused with something to say, and takes little heap. A
//! good one prints as itself.
#![no_main]

mod heap;

use axvmconfig::{Arch, AxVMConfig, MAX_TEXT, Severity, cli, parse};
use libfuzzer_sys::fuzz_target;

/// What reading may take: see `MAX_TEXT`.
fn limit(text: &str) -> usize {
    (64 << 10) + 160 * text.len().min(MAX_TEXT)
}

fuzz_target!(|text: &str| {
    for arch in Arch::ALL {
        match heap::bounded(limit(text), || parse(text, *arch)) {
            Ok(config) => {
                let warning = |d: &axvmconfig::Diagnostic| d.severity() == Severity::Warning;
                assert!(config.warnings.iter().all(warning));
                let printed = cli::to_toml(&config);
                let again = parse(&printed, *arch).expect("what is printed is good");
                assert_eq!(again.warnings, []);
                let mut same = config.clone();
                same.warnings.clear();
                assert_eq!(again, same, "{printed}");
                cli::memory_map(&config);
                let _ = AxVMConfig::from(config);
            }
            Err(errors) => {
                assert!(errors.has_errors());
                for diagnostic in errors.0.iter().take(8) {
                    assert!(diagnostic.span.end as usize <= text.len().min(MAX_TEXT));
                    heap::bounded(limit(text), || diagnostic.line("f", text).to_string());
                    cli::render("f", text, diagnostic);
                    cli::json("f", text, diagnostic);
                }
            }
        }
    }
});
