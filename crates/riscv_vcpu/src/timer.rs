//! The guest's timer, in the host's ticks. Pure.

/// When a timer fires that the guest has set to `value` of its own clock; `guest_now` and
/// `host_now` are the same moment by either clock. `None`: it is switched off.
///
/// All ones switches a timer off: "if the supervisor wishes to clear the timer interrupt without
/// scheduling the next timer event, it can request a timer interrupt infinitely far into the future"
/// (SBI, "Set Timer"). A time that is past by the guest's clock is due now, whatever the two
/// clocks' difference.
#[inline]
pub const fn deadline(value: u64, guest_now: u64, host_now: u64) -> Option<u64> {
    if value == u64::MAX {
        return None;
    }
    Some(host_now.saturating_add(value.saturating_sub(guest_now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn off_past_and_far() {
        assert_eq!(deadline(u64::MAX, 5, 1_000), None);
        assert_eq!(deadline(5, 5, 1_000), Some(1_000));
        assert_eq!(deadline(0, 5, 1_000), Some(1_000));
        assert_eq!(deadline(7, 5, 1_000), Some(1_002));
        assert_eq!(deadline(u64::MAX - 1, 5, 1_000), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn never_in_the_past(value: u64, guest: u64, host: u64) {
            if let Some(at) = deadline(value, guest, host) {
                prop_assert!(at >= host);
                prop_assert_eq!(at == host, value <= guest || host == u64::MAX);
            }
        }
    }
}
