//! The pages under `docs/` that are generated from the schema's and the codes' tables, so that they
//! can't drift. A test compares them; `axvmconfig reference` prints them.

use std::fmt::Write;

use super::help::help;
use crate::{
    Code, Severity,
    keys::{self, Fate, Key},
};

/// `docs/config-reference.md`.
pub fn schema_markdown() -> String {
    let mut out = String::from(
        "# The VM description: reference\n\n\
         Printed by `axvmconfig reference schema`; don't edit.\n\n\
         Integers may be decimal, hexadecimal (`0x`), octal or binary, with underscores. Addresses \
         and sizes may also be text with a unit: `\"512MiB\"`, `\"64 KiB\"`, `\"0x4000_0000\"`. \
         Unknown keys are errors. Keys marked *0.8* belong to the newer form of existing files, keys \
         marked *classic* to the older one; a file uses one of them.\n",
    );
    let tables: [(&str, &[Key]); 8] = [
        ("The file", keys::ROOT),
        ("`[base]`", keys::BASE),
        ("`[kernel]`", keys::KERNEL),
        ("An element of `kernel.memory_regions`", keys::REGION),
        ("`[devices]`", keys::DEVICES),
        ("An element of `devices.emu_devices`", keys::EMULATED),
        (
            "An element of `devices.passthrough_devices` and `devices.passthrough`",
            keys::PASSED,
        ),
        ("An element of `devices.disabled`", keys::DISABLED),
    ];
    for (title, table) in tables {
        // Writing to a string can't fail.
        let _ = writeln!(out, "\n## {title}\n\n| key | meaning |\n|---|---|");
        for key in table {
            let form = match key.fate {
                Fate::Known => String::new(),
                Fate::Classic => " (*classic*)".into(),
                Fate::Form08 => " (*0.8*)".into(),
                Fate::Refused(code) => format!(" (refused: {code})"),
            };
            let doc = key.doc.replace('|', "\\|");
            let _ = writeln!(out, "| `{}`{form} | {doc} |", key.name);
        }
    }
    out
}

/// `docs/config-errors.md`.
pub fn errors_markdown() -> String {
    let mut out = String::from(
        "# Codes of VM description errors\n\n\
         Printed by `axvmconfig reference errors`; don't edit. `axvmconfig explain CODE` shows one. \
         Codes from W0900 on are warnings.\n",
    );
    for code in Code::ALL {
        let help = help(*code);
        let kind = match code.severity() {
            Severity::Error => "",
            Severity::Warning => " (a warning)",
        };
        let _ = writeln!(out, "\n## {code}{kind}: {}\n", code.sentence());
        let _ = writeln!(out, "{}\n{}", help.note, help.fix);
        for (title, example) in [("Wrong", help.wrong), ("Right", help.right)] {
            if !example.is_empty() {
                let _ = writeln!(out, "\n{title}:\n```toml\n{example}\n```");
            }
        }
    }
    out
}
