//! For how long a shop may be silent before that is strange.
//!
//! It is reckoned from the hours in which deliveries came during the last four weeks. For each of the last four weeks one
//! looks at the same time of the week: how long was the silence that this moment lay in? The longest of the four, times
//! three, is what is waited for, and two hours at least. So a shop that sleeps at night and at weekends wakes nobody then. While
//! less than two weeks are known there is no such time to look at: then the longest silence of all counts, and a day at least.
//!
//! Counts are by the hour, so every silence is known to about an hour: it is taken from the end of one hour with deliveries to
//! the beginning of the next.

use std::time::Duration;

use crate::domain::Timestamp;

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const LEAST: Duration = Duration::from_secs(2 * 3600);
const LEAST_OF_THE_YOUNG: Duration = Duration::from_secs(24 * 3600);

/// How many weeks are looked at.
const WEEKS: u32 = 4;

/// How far back hours are needed.
pub(super) const LOOKS_BACK: Duration = Duration::from_secs(29 * 24 * 3600);

/// For how long nothing may come before that is strange; none where nothing ever came. `hours` are the starts of the hours
/// with deliveries, oldest first.
pub(super) fn usual_silence(hours: &[Timestamp], now: Timestamp) -> Option<Duration> {
    let first = *hours.first()?;
    let longest = if now.since(first) < WEEK * 2 {
        return Some(LEAST_OF_THE_YOUNG.max(longest_of_all(hours) * 3));
    } else {
        (1..=WEEKS)
            .map(|weeks| now.minus(WEEK * weeks))
            .filter(|moment| *moment >= first)
            .filter_map(|moment| silence_around(hours, moment))
            .max()
            .unwrap_or_default()
    };
    Some(LEAST.max(longest * 3))
}

/// The silence that a moment lies in; none at all within an hour with deliveries. A silence that has not ended tells nothing.
fn silence_around(hours: &[Timestamp], moment: Timestamp) -> Option<Duration> {
    let next = hours.partition_point(|hour| *hour <= moment);
    let before = hours.get(next.checked_sub(1)?)?.plus(HOUR);
    if before > moment {
        return Some(Duration::ZERO);
    }
    Some(hours.get(next)?.since(before))
}

fn longest_of_all(hours: &[Timestamp]) -> Duration {
    hours
        .windows(2)
        .map(|pair| pair[1].since(pair[0].plus(HOUR)))
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wednesday, 2026-11-25T12:00:00Z.
    const NOON: Timestamp = Timestamp::from_millis(1_795_608_000_000);

    fn hours(count: u64) -> Duration {
        HOUR * u32::try_from(count).unwrap()
    }

    /// Hours of the last `days` days in which something came, by the hour of the day.
    fn by_day(days: u64, is_open: impl Fn(u64) -> bool) -> Vec<Timestamp> {
        let start = NOON.minus(hours(days * 24));
        (0..days * 24)
            .filter(|n| is_open((n + 12) % 24))
            .map(|n| start.plus(hours(n)))
            .collect()
    }

    #[test]
    fn silence_is_measured_by_the_same_time_of_the_last_weeks() {
        let always = by_day(28, |_| true);
        let by_day_only = by_day(28, |hour| (8..20).contains(&hour));
        let midnight = NOON.minus(hours(12));
        for (name, hours_seen, now, expected) in [
            ("never anything", vec![], NOON, None),
            ("always busy", always, NOON, Some(hours(2))),
            (
                "busy by day, asked at noon",
                by_day_only.clone(),
                NOON,
                Some(hours(2)),
            ),
            // From 20 to 8 there is always silence: twelve hours, times three.
            (
                "busy by day, asked at midnight",
                by_day_only,
                midnight,
                Some(hours(36)),
            ),
            ("ten days old", by_day(10, |_| true), NOON, Some(hours(24))),
            (
                "ten days old, one delivery a day",
                by_day(10, |hour| hour == 9),
                NOON,
                Some(hours(69)),
            ),
        ] {
            assert_eq!(usual_silence(&hours_seen, now), expected, "{name}");
        }
    }

    #[test]
    fn an_outage_that_has_not_ended_is_no_habit() {
        // Nothing for nine days: one week ago lies within that silence, and must not excuse it.
        let mut seen = by_day(28, |_| true);
        seen.retain(|hour| *hour < NOON.minus(hours(9 * 24)));
        assert_eq!(usual_silence(&seen, NOON), Some(hours(2)));
    }
}
