//! The guest's timers, in the host's ticks. Pure.

/// CNTx_CTL_EL0 (DDI 0487, D24.10): the timer counts.
pub const CTL_ENABLE: u64 = 1 << 0;
/// Its interrupt is masked.
pub const CTL_IMASK: u64 = 1 << 1;

/// When a value of the guest's counter, which is `offset` behind the host's, is reached. A value
/// that is too far away for the host's counter never is: a limit of all ones is no past.
#[inline]
pub const fn host_ticks(guest: u64, offset: u64) -> u64 {
    guest.saturating_add(offset)
}

/// When a timer interrupts next, if it can.
#[inline]
pub const fn deadline(control: u64, value: u64, offset: u64) -> Option<u64> {
    if control & (CTL_ENABLE | CTL_IMASK) == CTL_ENABLE {
        Some(host_ticks(value, offset))
    } else {
        None
    }
}

/// The earlier one of two deadlines that may be none.
#[inline]
pub fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        _ => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_limit_is_not_the_past() {
        assert_eq!(host_ticks(!0, 1_000), !0);
        assert_eq!(host_ticks(!0 - 5, 1_000), !0);
        assert_eq!(host_ticks(7, 1_000), 1_007);
    }

    #[test]
    fn only_a_timer_that_may_interrupt_has_a_deadline() {
        assert_eq!(deadline(CTL_ENABLE, 7, 3), Some(10));
        assert_eq!(deadline(CTL_ENABLE | 1 << 2, !0, 3), Some(!0));
        assert_eq!(deadline(CTL_ENABLE | CTL_IMASK, 7, 3), None);
        assert_eq!(deadline(0, 7, 3), None);
    }

    #[test]
    fn no_deadline_is_later_than_any() {
        assert_eq!(earlier(Some(3), Some(2)), Some(2));
        assert_eq!(earlier(Some(3), None), Some(3));
        assert_eq!(earlier(None, Some(2)), Some(2));
        assert_eq!(earlier(None, None), None);
    }
}
