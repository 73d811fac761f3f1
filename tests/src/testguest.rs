//! The verdict of the test guest.

use crate::Failure;
use crate::machine::Running;
use std::time::Duration;

/// Waits for the test guest's summary: no case failed, and at least `passed` passed. It prints one
/// line for each case, and the counts of the lines must be those of the summary.
pub fn verdict(mut machine: Running, passed: usize) -> Result<(), Failure> {
    // The summary is the last line with these words; no case has them in its name.
    let lines = machine.expect_within(" skipped", Duration::from_secs(300))?;
    let summary = lines.rsplit("testguest: ").next().unwrap_or_default();
    let count = |word: &str| lines.lines().filter(|l| l.contains(word)).count();
    let [pass, fail, skip] = [count("PASS "), count("FAIL "), count("SKIP ")];
    if summary != format!("{pass} passed, {fail} failed, {skip}") {
        return Err(machine.failure(&format!("{pass} passed, {fail} failed, says {summary:?}")));
    }
    if fail != 0 || pass < passed {
        let failed: Vec<&str> = lines.lines().filter(|l| l.contains("FAIL ")).collect();
        return Err(machine.failure(&format!("{pass} passed; {}", failed.join("\n"))));
    }
    machine.finish(0).map(drop)
}
