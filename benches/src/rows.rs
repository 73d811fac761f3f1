//! What was measured: rows of values for each system.

use axhv_tests::Failure;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What a row says: instructions, unless its name ends with the unit it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The middle one of the runs.
    pub median: u64,
    /// The worst one.
    pub worst: u64,
}

/// The rows of one system, by their names.
pub type Rows = BTreeMap<String, Measured>;

/// The systems, by their names.
pub type Systems = BTreeMap<String, Rows>;

/// What figures depend on besides our own code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The package of the Linux kernel that boots.
    pub kernel: String,
    /// QEMU's version.
    pub qemu: String,
    /// QEMU's CPU model.
    pub cpu: String,
    /// The machine's firmware, where it does something for guests: its name and version.
    pub firmware: Option<String>,
}

impl Key {
    /// The name of the file that has the figures of this key.
    pub fn file(&self) -> String {
        let firmware = match &self.firmware {
            Some(firmware) => format!("_{firmware}"),
            None => String::new(),
        };
        let Self {
            kernel, qemu, cpu, ..
        } = self;
        format!("{kernel}_qemu-{qemu}{firmware}_{cpu}.json")
    }
}

/// A value that was measured once.
pub fn once(value: u64) -> Measured {
    Measured {
        median: value,
        worst: value,
    }
}

/// The rows that the bench guest printed in `log`, its last word included.
pub fn of_bench(log: &str) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    for line in log.lines() {
        // What the hypervisor puts before a guest's line is its own.
        let Some((_, row)) = line.split_once("BENCH ") else {
            continue;
        };
        let words: Vec<&str> = row.split_whitespace().collect();
        let number = |n: usize| words.get(n).and_then(|word| word.parse().ok());
        let (Some(name), Some(median), Some(worst), Some(runs), Some(faults)) =
            (words.first(), number(1), number(2), number(4), number(5))
        else {
            return Err(format!("not a row: {line:?}"));
        };
        if runs < 1000 {
            return Err(format!("too few runs: {line:?}"));
        }
        // A row about faults needs them, and all others must have none: or else the operation
        // isn't there on this system.
        let about_faults = name.starts_with("undef_") || name.starts_with("abort_");
        if if about_faults {
            faults >= runs
        } else {
            faults == 0
        } {
            rows.insert((*name).into(), Measured { median, worst });
        }
    }
    if !log.contains("BENCH-END") {
        return Err("the bench guest didn't come to its end".into());
    }
    Ok(rows)
}

/// The number behind `word` in `log`.
pub fn number_after(log: &str, word: &str) -> Option<u64> {
    let (_, rest) = log.split_once(word)?;
    let digits = rest.trim_start();
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// The figures of `key` as JSON.
pub fn to_json(key: &Key, systems: &Systems) -> String {
    let rows = |rows: &Rows| {
        rows.iter()
            .map(|(name, m)| (name.clone(), json!([m.median, m.worst])))
            .collect::<Map<_, _>>()
    };
    let systems: Map<_, _> = systems
        .iter()
        .map(|(name, list)| (name.clone(), Value::Object(rows(list))))
        .collect();
    let whole = json!({
        "kernel": key.kernel, "qemu": key.qemu, "cpu": key.cpu,
        "values": "[median, worst] of at least 1000 runs; instructions unless a row names a unit",
        "systems": systems,
    });
    // One row a line: a change is then seen in the difference of two versions.
    let mut text = String::new();
    for line in serde_json::to_string_pretty(&whole)
        .unwrap_or_default()
        .lines()
    {
        let inner = line.trim_start();
        if inner.starts_with(|c: char| c.is_ascii_digit()) || inner.starts_with(']') {
            text.push_str(inner);
        } else {
            text.push('\n');
            text.push_str(line);
        }
    }
    text.trim_start().to_string() + "\n"
}

/// The systems in the file at `path`; none if there is no file.
pub fn from_json(path: &Path) -> Result<Option<Systems>, Failure> {
    let bad = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(bad(&e)),
    };
    let value: Value = serde_json::from_str(&text).map_err(|e| bad(&e))?;
    let object = |value: &Value| value.as_object().cloned().ok_or_else(|| bad(&"no object"));
    let mut systems = Systems::new();
    for (system, list) in object(value.get("systems").unwrap_or(&Value::Null))? {
        let mut rows = Rows::new();
        for (name, pair) in object(&list)? {
            let get = |n: usize| pair.get(n).and_then(Value::as_u64);
            let (Some(median), Some(worst)) = (get(0), get(1)) else {
                return Err(bad(&format_args!("{name}: not [median, worst]")));
            };
            rows.insert(name, Measured { median, worst });
        }
        systems.insert(system, rows);
    }
    Ok(Some(systems))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_behind_whatever_precedes_them() {
        let log = "(XEN) DOM1: BENCH a 5 7 4 1000 0 1\r\nBENCH undef_b 3 3 3 1000 1100 2\r\n\
                   BENCH smc 9 9 9 1000 1100 3\nBENCH abort_c 0 0 0 1000 0 4\nBENCH-END";
        let rows = of_bench(log).unwrap();
        let names: Vec<_> = rows.keys().map(String::as_str).collect();
        assert_eq!(names, ["a", "undef_b"]);
        assert_eq!(
            rows["a"],
            Measured {
                median: 5,
                worst: 7
            }
        );
        assert!(of_bench("BENCH a 5 7 4 1000 0 1").is_err());
        assert!(of_bench("BENCH a 5 7 4 10 0 1\nBENCH-END").is_err());
    }

    #[test]
    fn json_there_and_back() {
        let key = Key {
            kernel: "k".into(),
            qemu: "1".into(),
            cpu: "c".into(),
            firmware: None,
        };
        assert_eq!(key.file(), "k_qemu-1_c.json");
        let with_firmware = Key {
            firmware: Some("opensbi-1.5".into()),
            ..key.clone()
        };
        assert_eq!(with_firmware.file(), "k_qemu-1_opensbi-1.5_c.json");
        let rows = Rows::from([
            (
                "r".into(),
                Measured {
                    median: 1,
                    worst: 2,
                },
            ),
            ("s".into(), once(3)),
        ]);
        let systems = Systems::from([("axhv".to_string(), rows)]);
        let text = to_json(&key, &systems);
        assert!(text.contains("\"r\": [1,2]"), "{text}");
        let path = std::env::temp_dir().join(format!("axhv-bench-{}.json", std::process::id()));
        std::fs::write(&path, text).unwrap();
        assert_eq!(from_json(&path), Ok(Some(systems)));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(from_json(&path), Ok(None));
    }
}
