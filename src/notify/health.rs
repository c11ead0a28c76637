//! Whether an endpoint takes what it is sent, and when it is given rest until a person has looked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

/// What is known of an endpoint's answers. Kept in the store, so that neither a restart nor a second node forgets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// When the first failure came since the last success.
    pub failing_since: Option<Timestamp>,
    /// Failures since the last success.
    pub failures: u32,
    /// When it last took something.
    pub last_success_at: Option<Timestamp>,
    /// Until when the receiver asked for rest. Over once this time has passed; whoever dispatches begins with it.
    #[serde(default)]
    pub rests_until: Option<Timestamp>,
}

/// How one attempt ended, as far as the endpoint's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was taken.
    Taken,
    /// It was not.
    Failed,
    /// The receiver said that there is nothing any more (410): it wants no more of this.
    Gone,
}

/// Why an endpoint was paused by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PausedBecause {
    /// The receiver answered 410.
    Gone,
    /// For too long nothing was taken.
    NothingTaken,
}

/// A few failures are no proof, however far they are apart: a quiet endpoint may fail once a day.
const LEAST_FAILURES: u32 = 5;

/// No receiver is left alone for longer: what it asks for is capped at a day where it is read, and the clocks of two nodes may differ.
const LONGEST_REST: Duration = Duration::from_secs(25 * 3600);

impl Health {
    /// What is known after an attempt that ended at `at`, and whether the endpoint is to be paused. `pause_after` is how long
    /// nothing but failures may come; none never pauses for that.
    #[must_use]
    pub fn after(
        self,
        ended: Ended,
        at: Timestamp,
        pause_after: Option<Duration>,
    ) -> (Self, Option<PausedBecause>) {
        let known = Self {
            rests_until: self.rest(at),
            ..self
        };
        if ended == Ended::Taken {
            let health = Self {
                failing_since: None,
                failures: 0,
                last_success_at: Some(at),
                ..known
            };
            return (health, None);
        }
        let health = Self {
            // A clock that was ahead noted it later than it was.
            failing_since: Some(self.failing_since.map_or(at, |since| since.min(at))),
            failures: self.failures.saturating_add(1),
            ..known
        };
        let failing_for = health
            .failing_since
            .map_or(Duration::ZERO, |since| at.since(since));
        let pause = if ended == Ended::Gone {
            Some(PausedBecause::Gone)
        } else if health.failures >= LEAST_FAILURES && pause_after.is_some_and(|after| failing_for >= after) {
            Some(PausedBecause::NothingTaken)
        } else {
            None
        };
        (health, pause)
    }

    /// Until when the receiver wants rest, as it is known at `now`. What would last longer than any rest was noted by a clock that was
    /// ahead: nobody can tell when it ends, and it counts for nothing.
    pub fn rest(self, now: Timestamp) -> Option<Timestamp> {
        self.rests_until.filter(|until| *until <= now.plus(LONGEST_REST))
    }

    /// What is known once the receiver has asked for rest until then, if it has.
    #[must_use]
    pub fn resting(self, until: Option<Timestamp>) -> Self {
        Self {
            rests_until: self.rests_until.max(until),
            ..self
        }
    }

    /// What is known once a person has made it active again: it gets its full time anew, and rests no longer.
    #[must_use]
    pub fn resumed(self) -> Self {
        Self {
            failing_since: None,
            failures: 0,
            rests_until: None,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY: Option<Duration> = Some(Duration::from_secs(24 * 3600));

    /// Carries out attempts at these hours; the hour of the pause, if any.
    fn paused_at(attempts: &[(i64, Ended)], pause_after: Option<Duration>) -> Option<(i64, PausedBecause)> {
        let mut health = Health::default();
        for (hour, ended) in attempts {
            let (after, pause) = health.after(*ended, Timestamp::from_millis(hour * HOUR_MS), pause_after);
            if let Some(because) = pause {
                return Some((*hour, because));
            }
            health = after;
        }
        None
    }

    #[test]
    fn a_day_of_nothing_but_failures_pauses() {
        let failing: Vec<(i64, Ended)> = (0..48).map(|hour| (hour, Ended::Failed)).collect();
        assert_eq!(paused_at(&failing, DAY), Some((24, PausedBecause::NothingTaken)));
        assert_eq!(paused_at(&failing, None), None);
        let mut once = failing.clone();
        once[20] = (20, Ended::Taken);
        assert_eq!(paused_at(&once, DAY), Some((45, PausedBecause::NothingTaken)));
        let rare: Vec<(i64, Ended)> = (0..4).map(|day| (day * 48, Ended::Failed)).collect();
        assert_eq!(paused_at(&rare, DAY), None, "four are no proof");
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_put_the_pause_off() {
        let mut failing = vec![(1_000, Ended::Failed)];
        failing.extend((0..48).map(|hour| (hour, Ended::Failed)));
        assert_eq!(paused_at(&failing, DAY), Some((24, PausedBecause::NothingTaken)));
    }

    #[test]
    fn a_receiver_that_is_gone_pauses_at_once() {
        assert_eq!(
            paused_at(&[(3, Ended::Gone)], None),
            Some((3, PausedBecause::Gone))
        );
    }

    #[test]
    fn a_rest_lasts_until_it_is_over_or_somebody_ends_it() {
        let hour = |hour: i64| Timestamp::from_millis(hour * HOUR_MS);
        let resting = Health::default()
            .resting(Some(hour(3)))
            .resting(Some(hour(2)))
            .resting(None);
        assert_eq!(resting.rests_until, Some(hour(3)), "the longest one counts");
        // An answer to what was under way at the same time says nothing of it.
        let (health, _) = resting.after(Ended::Taken, hour(1), DAY);
        assert_eq!(health.rests_until, Some(hour(3)));
        assert_eq!(health.resumed().rests_until, None);
        let before = r#"{"failing_since":null,"failures":0,"last_success_at":null}"#;
        assert_eq!(serde_json::from_str::<Health>(before).unwrap(), Health::default());
    }

    #[test]
    fn a_rest_that_a_clock_noted_which_was_ahead_is_none() {
        let hour = |hour: i64| Timestamp::from_millis(hour * HOUR_MS);
        let ahead = Health::default().resting(Some(hour(1_000)));
        assert_eq!(ahead.rest(hour(999)), Some(hour(1_000)));
        assert_eq!(ahead.rest(hour(3)), None);
        // The next one counts, however short it is.
        for ended in [Ended::Failed, Ended::Taken] {
            let (health, _) = ahead.after(ended, hour(3), DAY);
            assert_eq!(health.resting(Some(hour(4))).rest(hour(3)), Some(hour(4)));
        }
    }

    #[test]
    fn whoever_is_resumed_gets_the_whole_time_again() {
        let (mut health, _) = Health::default().after(Ended::Failed, Timestamp::from_millis(0), DAY);
        health.failures = 100;
        let (_, pause) = health
            .resumed()
            .after(Ended::Failed, Timestamp::from_millis(100 * HOUR_MS), DAY);
        assert_eq!(pause, None);
    }
}
