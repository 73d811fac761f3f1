//! What an exit path executes, besides how much: by a plugin of QEMU that counts each instruction
//! of the hypervisor, and the instructions themselves.

use crate::qemu::Machine;
use crate::systems::{self, file};
use axhv_tests::Failure;
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

/// Where the image is linked (linker/aarch64.ld), and the end of what its tables map.
const IMAGE: [u64; 2] = [0x100_0000_0000, 0x100_0080_0000];

/// The runs that the guest counts in a row.
const RUNS: f64 = 1000.0;

/// Whether an instruction is of a kind.
type Kind = fn(u32) -> bool;

/// The kinds of instructions that cost a board more than an emulator shows.
const KINDS: [(&str, Kind); 9] = [
    ("mrs", |op| op & 0xfff0_0000 == 0xd530_0000),
    ("msr", |op| {
        op & 0xfff0_0000 == 0xd510_0000 || is_msr_immediate(op)
    }),
    ("dmb", |op| op & 0xffff_f0ff == 0xd503_30bf),
    ("dsb", |op| op & 0xffff_f0ff == 0xd503_309f),
    ("isb", |op| op & 0xffff_f0ff == 0xd503_30df),
    // SYS with CRn 8 and 9; with 7.
    ("tlbi", |op| op & 0xfff8_e000 == 0xd508_8000),
    ("ic/dc/at", |op| op & 0xfff8_f000 == 0xd508_7000),
    ("atomic", is_atomic),
    ("eret", |op| op == 0xd69f_03e0),
];

/// MSR (immediate): DAIFSet, DAIFClr, SPSel and the like.
fn is_msr_immediate(op: u32) -> bool {
    op & 0xfff8_f01f == 0xd500_401f
}

/// Exclusive loads and stores, compare-and-swap, and the atomics of FEAT_LSE. Loads and stores
/// that only order are none.
fn is_atomic(op: u32) -> bool {
    let exclusive = op & 0x3f80_0000 == 0x0800_0000 && op & 0x0020_0000 == 0;
    let compare_and_swap = op & 0x3fa0_7c00 == 0x08a0_7c00;
    let lse = op & 0x3b20_0c00 == 0x3820_0000;
    exclusive || compare_and_swap || lse
}

/// How often an instruction ran, by its address, and what it is.
type Counts = BTreeMap<u64, (u64, u32)>;

/// Counts for each row of the bench guest. The table, as in docs/costs.md; the profile by function
/// goes to build/bench/paths.txt.
pub fn run() -> Result<String, Failure> {
    let plugin = compile()?;
    let elf = file("build/aarch64/bare/axhv.elf");
    let functions = Functions::read(&elf)?;
    let mut table = String::from("| path | instructions |");
    let (mut profile, mut masked) = (String::new(), String::new());
    for (kind, _) in KINDS {
        let _ = write!(table, " {kind} |");
    }
    let _ = writeln!(table, "\n|---|{}", "---:|".repeat(KINDS.len() + 1));
    for name in ["alone", "shared"] {
        let out = file(&format!("build/bench/paths-{name}.counts"));
        let arguments = functions.watch(&plugin, &out);
        let log = if name == "alone" {
            systems::alone("max", &arguments)?
        } else {
            systems::shared("max", &arguments)?
        };
        let (counts, [begin, end, longest]) = read(&out)?;
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
    let functions = Functions::read(&file("build/aarch64/bare/axhv.elf"))?;
    let out = file("build/bench/masked.counts");
    let log = systems::shared("max", &functions.watch(&compile()?, &out))?;
    let (_, [_, _, longest]) = read(&out)?;
    Ok((log, longest))
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

/// The plugin's file: lines `row address count opcode`, by row, and the last one: where the longest
/// stretch with interrupts masked began and ended, and how long it was.
fn read(path: &str) -> Result<(BTreeMap<u64, Counts>, [u64; 3]), Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let mut rows: BTreeMap<u64, Counts> = BTreeMap::new();
    let mut masked = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let &["masked", begin, end, length] = &words[..] {
            let hex = |word| u64::from_str_radix(word, 16).ok();
            masked = hex(begin).zip(hex(end)).zip(length.parse().ok());
            continue;
        }
        let &[row, address, count, opcode] = &words[..] else {
            return Err(format!("{path}: {line:?}"));
        };
        let parsed = (|| {
            let row = row.parse().ok()?;
            let address = u64::from_str_radix(address, 16).ok()?;
            let value = (count.parse().ok()?, u32::from_str_radix(opcode, 16).ok()?);
            Some((row, address, value))
        })();
        let (row, address, value) = parsed.ok_or_else(|| format!("{path}: {line:?}"))?;
        rows.entry(row).or_default().insert(address, value);
    }
    let ((begin, end), length) = masked.ok_or_else(|| format!("{path}: it has no end"))?;
    Ok((rows, [begin, end, length]))
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
    for (_, kind) in KINDS {
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
        let [lo, hi] = IMAGE;
        let mut option = format!("{plugin},lo={lo:#x},hi={hi:#x},out={out}");
        for vectors in self.vectors() {
            let _ = write!(option, ",vectors={vectors:#x}");
        }
        ["-plugin".into(), option]
    }

    /// The exception vectors.
    fn vectors(&self) -> impl Iterator<Item = u64> {
        let named = |name: &str| name.ends_with("_vectors") || name == "vectors";
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

    /// The kinds that `op` counts as.
    fn kinds(op: u32) -> Vec<&'static str> {
        let found = KINDS.iter().filter(|(_, kind)| kind(op));
        found.map(|(name, _)| *name).collect()
    }

    #[test]
    fn opcodes_as_an_assembler_makes_them() {
        for (op, expected) in [
            (0xd53c_d048, "mrs"),      // mrs x8, tpidr_el2
            (0xd51c_1100, "msr"),      // msr hcr_el2, x0
            (0xd503_42ff, "msr"),      // msr daifclr, #2
            (0xd503_3f9f, "dsb"),      // dsb sy
            (0xd503_3bbf, "dmb"),      // dmb ish
            (0xd503_3fdf, "isb"),      // isb
            (0xd508_831f, "tlbi"),     // tlbi vmalle1is
            (0xd50c_83df, "tlbi"),     // tlbi vmalls12e1is
            (0xd50b_7e21, "ic/dc/at"), // dc civac, x1
            (0xd508_7800, "ic/dc/at"), // at s1e1r, x0
            (0xd508_751f, "ic/dc/at"), // ic iallu
            (0x885f_fc01, "atomic"),   // ldaxr w1, [x0]
            (0x0802_7c01, "atomic"),   // stxrb w2, w1, [x0]
            (0xc8e0_fc41, "atomic"),   // casal x0, x1, [x2]
            (0xb8e1_0002, "atomic"),   // ldaddal w1, w2, [x0]
            (0xd69f_03e0, "eret"),
        ] {
            assert_eq!(kinds(op), [expected], "{op:#x}");
        }
        // ldar, stlr, ldr, add, nop, the bench's mark
        for op in [
            0x88df_fc01,
            0x889f_fc01,
            0xf940_0001,
            0x9100_0400,
            0xd503_201f,
            0xd503_2c9f,
        ] {
            assert!(kinds(op).is_empty(), "{op:#x}");
        }
    }

    #[test]
    fn rows_have_numbers() {
        let log = "BENCH a 1 2 1 1000 0 1\nx: BENCH b 1 2 1 1000 0 2\nBENCH b2 1 2 1 1000 0 2\n";
        let names: Vec<_> = numbered(log).into_values().collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn files_of_the_plugin() {
        let path = std::env::temp_dir().join(format!("axhv-paths-{}", std::process::id()));
        std::fs::write(&path, "1 10000000000 5000 d69f03e0\nmasked e 1f 20\n").unwrap();
        let (rows, masked) = read(&path.display().to_string()).unwrap();
        assert_eq!(masked, [0xe, 0x1f, 20]);
        assert_eq!(rows[&1][&IMAGE[0]], (5000, 0xd69f_03e0));
        std::fs::remove_file(&path).unwrap();
    }
}
