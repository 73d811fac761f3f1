//! Says which functions the backtraces in a console log went through.
//! usage: symbolize ELF LOG

use axhv_tests::symbols::symbolize;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, elf, log] = args.as_slice() else {
        eprintln!("usage: symbolize ELF LOG");
        return ExitCode::from(2);
    };
    let text = match std::fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => {
            eprintln!("{log}: {e}");
            return ExitCode::from(2);
        }
    };
    match symbolize(Path::new(elf), &text) {
        Ok(names) => {
            print!("{names}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
