//! What an exit path executes, besides how much: by a plugin of QEMU that counts each instruction
//! of the hypervisor, and the instructions themselves.

use crate::arch::bench;
use crate::qemu::Machine;
use crate::rows::{self, Rows};
use crate::systems::{self, built, file};
use axhv_tests::Failure;
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

/// The runs that the guest counts in a row.
const RUNS: f64 = 1000.0;

/// How often an instruction ran, by its address, and what it is.
type Counts = BTreeMap<u64, (u64, u32)>;

/// Counts for each row of the bench guest. The table, as in docs/costs.md; the profile by function
/// goes to build/bench/paths.txt.
pub fn run() -> Result<String, Failure> {
    let plugin = compile()?;
    let elf = built("bare/axhv.elf");
    let functions = Functions::read(&elf)?;
    let mut table = String::from("| path | instructions |");
    let (mut profile, mut masked) = (String::new(), String::new());
    for (kind, _) in bench().kinds {
        let _ = write!(table, " {kind} |");
    }
    let _ = writeln!(table, "\n|---|{}", "---:|".repeat(bench().kinds.len() + 1));
    for name in ["alone", "shared"] {
        let out = file(&format!("build/bench/paths-{name}.counts"));
        let arguments = functions.watch(&plugin, &out);
        let cpu = bench().arch.rich_cpu;
        let log = if name == "alone" {
            systems::alone(cpu, &arguments)?
        } else {
            systems::shared(cpu, &arguments)?
        };
        let Counted {
            rows: counts,
            masked: [begin, end, longest],
            ..
        } = read(&out)?;
        let [[begin, _], [end, _]] = [begin, end].map(|address| functions.names(address));
        let _ = writeln!(
            masked,
            "with interrupts masked ({name}): {longest}, from {begin} to {end}"
        );
        for (number, row) in numbered(&log) {
            let Some(counts) = counts.get(&number) else {
                continue;
            };
            add_row(&mut table, &row, counts);
            functions.profile(&mut profile, &row, counts);
        }
    }
    let path = file("build/bench/paths.txt");
    std::fs::write(&path, profile).map_err(|e| format!("{path}: {e}"))?;
    Ok(format!("{table}\n{masked}"))
}

/// Two vCPUs that share a CPU: what the bench guest says, and the longest that interrupts were masked,
/// in instructions. On one CPU: on several a lock is waited for as long as QEMU lets the others wait.
pub fn shared() -> Result<(String, u64), Failure> {
    let functions = Functions::read(&built("bare/axhv.elf"))?;
    let out = file("build/bench/masked.counts");
    let cpu = bench().arch.rich_cpu;
    let log = systems::shared(cpu, &functions.watch(&compile()?, &out))?;
    let [_, _, longest] = read(&out)?.masked;
    Ok((log, longest))
}

/// Counts the instructions of the machine's firmware in each row of the bench guest, where it does
/// something for guests: `run` runs a machine with arguments, for the system `name`, and gives what
/// the guest said. Its rows, and `NAME_firmware` for those in which firmware ran.
pub fn with_firmware(
    name: &str,
    run: impl FnOnce(&[String]) -> Result<String, Failure>,
) -> Result<(String, Rows), Failure> {
    let Some([from, end]) = bench().firmware else {
        let log = run(&[])?;
        let rows = rows::of_bench(&log)?;
        return Ok((log, rows));
    };
    let plugin = compile()?;
    let out = file(&format!("build/bench/firmware-{name}.counts"));
    // No hypervisor's instructions: the range is a page where nothing runs.
    let [nothing, behind] = [bench().image[1], bench().image[1] + 0x1000];
    let option = format!(
        "{plugin},lo={nothing:#x},hi={behind:#x},firmware={from:#x},end={end:#x},out={out}"
    );
    let log = run(&["-plugin".into(), option])?;
    let mut rows = rows::of_bench(&log)?;
    let counted = read(&out)?.firmware;
    for (number, row) in numbered(&log) {
        let each = (counted.get(&number).copied().unwrap_or(0) as f64 / RUNS).round() as u64;
        if each > 0 && rows.contains_key(&row) {
            rows.insert(format!("{row}_firmware"), rows::once(each));
        }
    }
    Ok((log, rows))
}

/// The plugin, compiled.
fn compile() -> Result<String, Failure> {
    // The directory of all measurements exists when one of them does.
    Machine::new(".", "max").dir()?;
    let plugin = file("build/bench/paths.so");
    let output = Command::new("cc")
        .args([
            "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", &plugin,
        ])
        .arg(file("benches/plugin/paths.c"))
        .output()
        .map_err(|e| format!("cc: {e}"))?;
    if output.status.success() {
        Ok(plugin)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// What the plugin counted.
#[derive(Debug)]
struct Counted {
    /// Instructions of the hypervisor, by row.
    rows: BTreeMap<u64, Counts>,
    /// How many instructions of the firmware, by row.
    firmware: BTreeMap<u64, u64>,
    /// Where the longest stretch with interrupts masked began and ended, and how long it was.
    masked: [u64; 3],
}

/// The plugin's file: lines `row address count opcode` and `firmware row count`, and the last one,
/// `masked begin end length`.
fn read(path: &str) -> Result<Counted, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let mut rows: BTreeMap<u64, Counts> = BTreeMap::new();
    let mut firmware = BTreeMap::new();
    let mut masked = None;
    let hex = |word| u64::from_str_radix(word, 16).ok();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let known = match words[..] {
            ["masked", begin, end, length] => (|| {
                masked = Some([hex(begin)?, hex(end)?, length.parse().ok()?]);
                Some(())
            })(),
            ["firmware", row, count] => (|| {
                firmware.insert(row.parse().ok()?, count.parse().ok()?);
                Some(())
            })(),
            [row, address, count, opcode] => (|| {
                let value = (count.parse().ok()?, u32::from_str_radix(opcode, 16).ok()?);
                let of_row = rows.entry(row.parse().ok()?).or_default();
                of_row.insert(hex(address)?, value);
                Some(())
            })(),
            _ => None,
        };
        known.ok_or_else(|| format!("{path}: {line:?}"))?;
    }
    let masked = masked.ok_or_else(|| format!("{path}: it has no end"))?;
    Ok(Counted {
        rows,
        firmware,
        masked,
    })
}

/// The numbers of the rows in the guest's log, with the name of each.
fn numbered(log: &str) -> BTreeMap<u64, String> {
    let mut names = BTreeMap::new();
    for line in log.lines() {
        let Some((_, row)) = line.split_once("BENCH ") else {
            continue;
        };
        let mut words = row.split_whitespace();
        let name = words.next().unwrap_or_default();
        if let Some(number) = words.last().and_then(|word| word.parse().ok()) {
            names.entry(number).or_insert_with(|| name.to_string());
        }
    }
    names
}

fn add_row(table: &mut String, row: &str, counts: &Counts) {
    let sum = |kind: &dyn Fn(u32) -> bool| {
        let all = counts.values().filter(|(_, op)| kind(*op));
        all.map(|(count, _)| *count as f64).sum::<f64>() / RUNS
    };
    let total = sum(&|_| true);
    // What happened beside a row that needs no hypervisor.
    if total < 5.0 {
        return;
    }
    let _ = write!(table, "| {row} | {total:.0} |");
    for (_, kind) in bench().kinds {
        let count = sum(&kind);
        let text = if count < 0.05 {
            String::new()
        } else {
            format!("{count:.1}")
        };
        let _ = write!(table, " {} |", text.trim_end_matches(".0"));
    }
    table.push('\n');
}

/// The functions of the image, by their addresses.
struct Functions {
    symbols: BTreeMap<u64, String>,
    loader: addr2line::Loader,
}

impl Functions {
    fn read(elf: &str) -> Result<Self, Failure> {
        let bytes = std::fs::read(elf).map_err(|e| format!("{elf}: {e}"))?;
        let file = object::File::parse(&*bytes).map_err(|e| format!("{elf}: {e}"))?;
        let symbols = file
            .symbols()
            .filter(|s| s.kind() != SymbolKind::Section && s.is_definition())
            .filter_map(|s| Some((s.address(), s.name().ok()?)))
            .filter(|(_, name)| !name.starts_with('$'))
            .map(|(address, name)| {
                let name = addr2line::demangle_auto(name.into(), None).into_owned();
                (address, without_hash(&name).to_string())
            })
            .collect();
        let loader = addr2line::Loader::new(elf).map_err(|e| format!("{elf}: {e}"))?;
        Ok(Self { symbols, loader })
    }

    /// Arguments for QEMU: the plugin watches the image, and writes to `out`.
    fn watch(&self, plugin: &str, out: &str) -> [String; 2] {
        let [lo, hi] = bench().image;
        let mut option = format!("{plugin},lo={lo:#x},hi={hi:#x},out={out}");
        for vectors in self.vectors() {
            let _ = write!(option, ",vectors={vectors:#x}");
        }
        ["-plugin".into(), option]
    }

    /// The exception vectors.
    fn vectors(&self) -> impl Iterator<Item = u64> {
        let named = |name: &String| bench().vectors.contains(&name.as_str());
        let found = self.symbols.iter().filter(move |(_, name)| named(name));
        found.map(|(address, _)| *address)
    }

    /// The function that stands at `address`, and the one inlined into it that this is of.
    fn names(&self, address: u64) -> [String; 2] {
        let outer = self.symbols.range(..=address).next_back();
        let outer = outer.map_or("?", |(_, name)| name).to_string();
        let frame = self.loader.find_frames(address).ok();
        let inner = frame
            .and_then(|mut frames| frames.next().ok().flatten())
            .and_then(|frame| Some(frame.function?.demangle().ok()?.into_owned()));
        let inner = inner.map_or(outer.clone(), |name| without_hash(&name).to_string());
        [outer, inner]
    }

    /// Instructions of one run by function, and by what was inlined into it.
    fn profile(&self, text: &mut String, row: &str, counts: &Counts) {
        let mut outer: BTreeMap<String, (f64, BTreeMap<String, f64>)> = BTreeMap::new();
        for (address, (count, _)) in counts {
            let [function, part] = self.names(*address);
            let count = *count as f64 / RUNS;
            let entry = outer.entry(function).or_default();
            entry.0 += count;
            *entry.1.entry(part).or_default() += count;
        }
        let total: f64 = outer.values().map(|(count, _)| count).sum();
        let _ = writeln!(text, "{row}: {total:.1}");
        let mut outer: Vec<_> = outer.into_iter().filter(|(_, (n, _))| *n >= 0.5).collect();
        outer.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
        for (function, (count, parts)) in outer {
            let _ = writeln!(text, "  {count:8.1}  {function}");
            let mut parts: Vec<_> = parts.into_iter().filter(|(_, n)| *n >= 4.0).collect();
            parts.sort_by(|a, b| b.1.total_cmp(&a.1));
            for (part, count) in parts {
                let _ = writeln!(text, "      {count:8.1}  {part}");
            }
        }
    }
}

/// A demangled name without the compiler's hash.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 => path,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_numbers() {
        let log = "BENCH a 1 2 1 1000 0 1\nx: BENCH b 1 2 1 1000 0 2\nBENCH b2 1 2 1 1000 0 2\n";
        let names: Vec<_> = numbered(log).into_values().collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn files_of_the_plugin() {
        let path = std::env::temp_dir().join(format!("axhv-paths-{}", std::process::id()));
        std::fs::write(
            &path,
            "1 10000000000 5000 d69f03e0\nfirmware 3 7\nmasked e 1f 20\n",
        )
        .unwrap();
        let counted = read(&path.display().to_string()).unwrap();
        assert_eq!(counted.masked, [0xe, 0x1f, 20]);
        assert_eq!(counted.rows[&1][&0x100_0000_0000], (5000, 0xd69f_03e0));
        assert_eq!(counted.firmware[&3], 7);
        std::fs::remove_file(&path).unwrap();
    }
}
