//! The table for people, and the comparison with the reference.

use crate::arch::bench;
use crate::rows::{Measured, Rows, Systems};
use std::fmt::Write;

/// How much worse than the reference is too much, in percent.
const TOLERANCE: u64 = 2;
/// The same for the rows that an architecture names because they move with what has no part in them.
const LOOSE: u64 = 6;

/// A value as the table shows it.
fn cell(measured: Option<&Measured>) -> String {
    match measured {
        None => "-".into(),
        Some(m) if m.median == m.worst => m.median.to_string(),
        Some(m) => format!("{}/{}", m.median, m.worst),
    }
}

fn target(row: &str) -> Option<u64> {
    bench()
        .targets
        .iter()
        .find(|(name, _)| *name == row)
        .map(|(_, target)| *target)
}

/// The rows of `system` beside those of the others and of the reference. Where the median and the
/// worst run differ, both are shown.
pub fn table(system: &str, now: &Systems, reference: Option<&Systems>) -> String {
    let empty = Rows::new();
    let ours = now.get(system).unwrap_or(&empty);
    let before = reference.and_then(|r| r.get(system)).unwrap_or(&empty);
    let others: Vec<_> = now.iter().filter(|(name, _)| *name != system).collect();
    let mut text = format!("{:<32}", "row");
    for (name, _) in &others {
        let _ = write!(text, "{name:>18}");
    }
    let _ = writeln!(text, "{:>18}{system:>18}{:>12}", "reference", "target");
    for (row, measured) in ours {
        let _ = write!(text, "{row:<32}");
        for (_, rows) in &others {
            let _ = write!(text, "{:>18}", cell(rows.get(row)));
        }
        let (goal, verdict) = match target(row) {
            None => (String::new(), ""),
            Some(goal) => (
                goal.to_string(),
                if measured.median <= goal {
                    ""
                } else {
                    "  not yet"
                },
            ),
        };
        let _ = writeln!(
            text,
            "{:>18}{:>18}{goal:>12}{verdict}",
            cell(before.get(row)),
            cell(Some(measured)),
        );
    }
    text
}

/// Each row whose median is worse than in `reference` by more than the tolerance, or that is gone,
/// and each that is better by more. The worst run is shown and kept, but not compared: which row
/// meets the hypervisor's own work for the console is chance. A `tick` of the counter is let pass, too.
pub fn compare(
    system: &str,
    now: &Systems,
    reference: &Systems,
    tick: u64,
) -> (Vec<String>, Vec<String>) {
    let empty = Rows::new();
    let ours = now.get(system).unwrap_or(&empty);
    let (mut worse, mut better) = (Vec::new(), Vec::new());
    for (row, before) in reference.get(system).unwrap_or(&empty) {
        let Some(measured) = ours.get(row) else {
            worse.push(format!("{row}: not measured any more"));
            continue;
        };
        let line = format!("{row}: {} before, {} now", before.median, measured.median);
        let loose = bench().loose.iter().any(|start| row.starts_with(start));
        let percent = if loose { LOOSE } else { TOLERANCE };
        let allowed = tick * 100 + before.median * percent;
        if measured.median.saturating_sub(before.median) * 100 > allowed {
            worse.push(line);
        } else if before.median.saturating_sub(measured.median) * 100 > allowed {
            better.push(line);
        }
    }
    (worse, better)
}

/// How often each value of `system` goes into those of the others.
pub fn ratios(system: &str, now: &Systems) -> String {
    let empty = Rows::new();
    let ours = now.get(system).unwrap_or(&empty);
    let others: Vec<_> = now.iter().filter(|(name, _)| *name != system).collect();
    let mut text = format!("{:<32}{system:>18}", "row");
    for (name, _) in &others {
        let _ = write!(text, "{name:>26}");
    }
    text.push('\n');
    for (row, measured) in ours {
        let _ = write!(text, "{row:<32}{:>18}", cell(Some(measured)));
        for (_, rows) in &others {
            let value = rows.get(row);
            let ratio = value.map_or(String::new(), |v| {
                format!(" {:>6.2}x", v.median as f64 / measured.median.max(1) as f64)
            });
            let _ = write!(text, "{:>18}{ratio:>8}", cell(value));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::once;

    fn systems(value: u64) -> Systems {
        Systems::from([("axhv".into(), Rows::from([("r".into(), once(value))]))])
    }

    #[test]
    fn two_percent_are_let_pass() {
        for (value, worse, better) in [
            (100, 0, 0),
            (102, 0, 0),
            (103, 1, 0),
            (98, 0, 0),
            (97, 0, 1),
        ] {
            let (w, b) = compare("axhv", &systems(value), &systems(100), 0);
            assert_eq!((w.len(), b.len()), (worse, better), "{value}");
        }
        let (worse, _) = compare("axhv", &Systems::new(), &systems(1), 0);
        assert_eq!(worse, ["r: not measured any more"]);
        let (worse, _) = compare("axhv", &systems(116), &systems(100), 16);
        assert!(worse.is_empty());
    }
}
