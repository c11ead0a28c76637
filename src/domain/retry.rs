//! When a failed job is tried again: exponential backoff with full jitter.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a call may still take effect on the other side after nobody waits for its answer any more: the longest request
/// (120 s), and some.
pub const LONGEST_CALL: Duration = Duration::from_secs(130);

/// A delivery waits no longer than that for its next try: what seems to was put off by a clock that was ahead.
pub const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How often and how patiently a job is retried. The defaults spread 10 attempts over about a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Attempts before the job becomes a problem. Attempts that failed because a whole system was down do not count.
    pub max_attempts: u32,
    /// The upper bound of the first wait, in seconds; it doubles (see `factor`) with each attempt.
    pub first_wait_s: u64,
    /// What each wait's upper bound is multiplied by for the next.
    pub factor: u32,
    /// No wait is longer than this, in seconds.
    pub longest_wait_s: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            first_wait_s: 20,
            factor: 4,
            longest_wait_s: 6 * 3600,
        }
    }
}

impl RetryPolicy {
    /// The wait before the next try after `failed` counted attempts (at least 1): evenly drawn from a tenth of the
    /// bound up to the bound (`unit` is from `0.0..1.0`), never less than what the other side asked for.
    pub fn wait(&self, failed: u32, unit: f64, retry_after: Option<Duration>) -> Duration {
        let doublings = failed.saturating_sub(1).min(32);
        let bound_s = u64::from(self.factor)
            .checked_pow(doublings)
            .and_then(|times| times.checked_mul(self.first_wait_s))
            .unwrap_or(u64::MAX)
            .clamp(1, self.longest_wait_s.max(1));
        let bound = Duration::from_secs(bound_s);
        let drawn = bound.mul_f64(0.1 + 0.9 * unit.clamp(0.0, 1.0));
        retry_after.map_or(drawn, |asked| drawn.max(asked))
    }

    /// How long a wait between two tries can get.
    pub fn longest(&self) -> Duration {
        if self.max_attempts < 2 {
            return Duration::ZERO;
        }
        self.wait(self.max_attempts - 1, 1.0, None)
    }

    /// Whether `failed` counted attempts are all that the policy allows.
    pub fn is_exhausted(&self, failed: u32) -> bool {
        failed >= self.max_attempts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_attempts_take_about_a_day() {
        let policy = RetryPolicy::default();
        let total: Duration = (1..policy.max_attempts).map(|n| policy.wait(n, 0.5, None)).sum();
        assert!((8..48).contains(&(total.as_secs() / 3600)), "{total:?}");
    }

    #[test]
    fn waits_grow_and_are_spread_over_nine_tenths_of_their_bound() {
        let policy = RetryPolicy::default();
        let secs = |failed, unit| policy.wait(failed, unit, None).as_secs_f64();
        for (failed, bound) in [
            (1, 20.0),
            (2, 80.0),
            (3, 320.0),
            (6, 20_480.0),
            (7, 21_600.0),
            (50, 21_600.0),
        ] {
            for (unit, share) in [(0.0, 0.1), (0.5, 0.55), (1.0, 1.0)] {
                let (found, expected) = (secs(failed, unit), bound * share);
                assert!((found - expected).abs() < 0.001, "{failed} {unit}: {found}");
            }
        }
        assert!(!policy.is_exhausted(9) && policy.is_exhausted(10));
    }

    proptest! {
        #[test]
        fn a_wait_stays_in_its_bounds(failed in 0_u32..1000, unit in 0.0_f64..1.0, asked in proptest::option::of(0_u64..100_000)) {
            let policy = RetryPolicy::default();
            let wait = policy.wait(failed, unit, asked.map(Duration::from_secs));
            let longest = Duration::from_secs(policy.longest_wait_s.max(asked.unwrap_or(0)));
            prop_assert!(wait <= longest);
            prop_assert!(wait >= Duration::from_secs(asked.unwrap_or(0)).max(Duration::from_millis(100)));
        }
    }
}
