//! What a console log says about how a run went.

use crate::symbols::backtrace_address;

/// What a hypervisor or a guest prints only when it is broken.
const ALARMS: &[&str] = &[
    "axhv: panic",
    "panicked at",
    "GUEST PANIC",
    "GUEST FAULT",
    "Internal error:",
    "Oops",
    "BUG:",
    "WARNING: CPU",
    "WARNING: at",
    "cut here ]",
    "Kernel panic",
    "rcu_sched self-detected stall",
    "rcu: INFO:",
    "soft lockup",
    "Unhandled fault",
    "spurious interrupt",
];

/// The first line of `log` that no healthy run has.
pub fn alarm(log: &str) -> Option<&str> {
    log.lines()
        .find(|line| ALARMS.iter().any(|a| line.contains(a)) || backtrace_address(line).is_some())
}

/// The status of the hypervisor's final line, which must be the last one of `log`.
pub fn final_status(log: &str) -> Option<u32> {
    log.trim_end()
        .lines()
        .last()?
        .trim_end()
        .strip_prefix("axhv: status ")?
        .parse()
        .ok()
}

/// The last `count` lines of `log`.
pub fn tail(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_line_is_the_last_one() {
        assert_eq!(final_status("x\r\naxhv: status 0\r\n"), Some(0));
        assert_eq!(final_status("axhv: status 3"), Some(3));
        assert_eq!(final_status("axhv: status 0\nmore"), None);
        assert_eq!(final_status("say axhv: status 0"), None);
        assert_eq!(final_status(""), None);
    }

    #[test]
    fn broken_guests_and_hypervisors_raise_an_alarm() {
        assert_eq!(alarm("all is well\n# ls\n"), None);
        assert!(alarm("x\n[  1.0] Internal error: synchronous external abort").is_some());
        assert!(alarm("x\nCPU 0 panicked at src/main.rs:1\n").is_some());
        assert!(alarm("  #0 0x1234").is_some());
    }
}
