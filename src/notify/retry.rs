//! When a delivery that failed is tried again, and when it is given up.

use std::time::Duration;

use crate::domain::{RetryPolicy, Timestamp};

/// What follows a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is tried again then.
    At(Timestamp),
    /// It stays failed until somebody asks for it again.
    GivenUp,
}

/// What follows the try that ended `now` as a failure. `tries` counts it, and those before; `retry_after` is how long the
/// receiver asked to wait, and `unit` is drawn evenly from `0.0..1.0`: it spreads what failed together.
///
/// A receiver's wish lengthens a wait and never shortens it; how far is capped where it is read
/// ([`parse_retry_after`](crate::transport::parse_retry_after): a day).
pub fn after(
    policy: &RetryPolicy,
    tries: u32,
    retry_after: Option<Duration>,
    now: Timestamp,
    unit: f64,
) -> Next {
    if policy.is_exhausted(tries) {
        Next::GivenUp
    } else {
        Next::At(now.plus(policy.wait(tries, unit, retry_after)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    /// The times of all tries of a receiver that never takes anything.
    fn tries(unit: f64) -> Vec<Timestamp> {
        let policy = RetryPolicy::default();
        let mut times = vec![START];
        while let Next::At(next) = after(
            &policy,
            u32::try_from(times.len()).unwrap(),
            None,
            *times.last().unwrap(),
            unit,
        ) {
            times.push(next);
        }
        times
    }

    #[test]
    fn ten_tries_are_spread_over_about_a_day() {
        let times = tries(0.5);
        assert_eq!(times.len(), 10);
        let hours = times[9].since(times[0]).as_secs() / 3600;
        assert!((8..36).contains(&hours), "{hours}");
        assert!(
            times[1].since(times[0]) < Duration::from_secs(60),
            "the first comes soon"
        );
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_and_not_for_more_tries() {
        let policy = RetryPolicy::default();
        let hour = Duration::from_secs(3600);
        assert_eq!(
            after(&policy, 1, Some(hour), START, 0.0),
            Next::At(START.plus(hour))
        );
        let soon = after(&policy, 5, Some(Duration::ZERO), START, 0.5);
        assert_eq!(soon, after(&policy, 5, None, START, 0.5));
        assert_eq!(after(&policy, 10, Some(hour), START, 0.0), Next::GivenUp);
    }

    proptest! {
        #[test]
        fn each_try_comes_after_the_one_before(unit in 0.0_f64..1.0) {
            let times = tries(unit);
            prop_assert_eq!(times.len(), 10);
            for pair in times.windows(2) {
                prop_assert!(pair[0] < pair[1]);
            }
        }
    }
}
