//! When a model is due.

use std::time::Duration;

use crate::domain::Timestamp;

/// When a hinted model is looked at again: before version 19 Odoo gives the hint before it commits.
const AGAIN_AFTER_HINT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// What is known of a model's polls.
#[derive(Default)]
pub(super) struct ModelPolls {
    /// When it is polled next.
    next_at: Timestamp,
    /// How long that was away when it was said.
    waits: Duration,
    /// When it is polled besides, after a hint.
    pub(super) again: Vec<Timestamp>,
    /// Failures in a row.
    pub(super) failed: u32,
    /// When the last poll of this process that succeeded began.
    pub(super) succeeded_at: Option<Timestamp>,
    /// Whether a problem about it that an earlier process left is closed.
    pub(super) is_clean: bool,
    /// When all its ids are listed next.
    pub(super) sweep_at: Option<Timestamp>,
    /// Whether so many were gone that a person was asked.
    pub(super) is_held: bool,
}

impl ModelPolls {
    pub(super) fn hint(&mut self, now: Timestamp) {
        if self.failed == 0 {
            self.again = std::iter::once(now)
                .chain(AGAIN_AFTER_HINT.map(|wait| now.plus(wait)))
                .collect();
        }
    }

    /// Not before so long.
    pub(super) fn rest(&mut self, now: Timestamp, wait: Duration) {
        self.next_at = now.plus(wait);
        self.waits = wait;
    }

    /// Whether a poll is due. One that a hint asked for is used up by that.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let waiting = self.again.len();
        self.again.retain(|at| *at > now);
        // A clock that was set back must not keep it waiting.
        self.next_at <= now || self.next_at.since(now) > self.waits || self.again.len() < waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_due_at_its_time_after_a_hint_and_when_the_clock_was_set_back() {
        let start = Timestamp::from_millis(1_795_514_400_000);
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let hour = Duration::from_secs(3_600);
        let mut polls = ModelPolls::default();
        assert!(polls.is_due(start), "the first time");
        polls.rest(start, hour);
        assert!(!polls.is_due(start) && !polls.is_due(at(3_599)));
        assert!(polls.is_due(at(3_600)));
        assert!(polls.is_due(start.minus(hour)), "set back");

        polls.hint(at(10));
        for (seconds, due) in [
            (10, true),
            (10, false),
            (11, true),
            (12, false),
            (13, true),
            (14, false),
        ] {
            assert_eq!(polls.is_due(at(seconds)), due, "{seconds} s");
        }
        // An ERP that does not answer is left alone.
        polls.failed = 1;
        polls.hint(at(20));
        assert!(!polls.is_due(at(20)));
    }
}
