//! Cron expressions, in a time zone.
//!
//! Five fields (minute, hour, day of month, month, day of week) or six with seconds first. Days of the week are names (`Mon`). In
//! five fields their numbers are read as crontab(5) has them, Sunday being 0 and 7; in six, where they mean Sunday = 0 to some
//! programs and Sunday = 1 to others, they are refused. So is, in five, a day of the month beside a day of the week: crontab(5)
//! means either of the two by it, the six-field form both.
//!
//! Where clocks are put forward or back, what names its hours happens once: at the end of the hour that is left out, and in the
//! first of two equal hours. What happens in every hour goes on with the time that passes: nothing in the hour that is left
//! out, and in both of two equal hours.

use std::str::FromStr as _;

use chrono::{DateTime, Days, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::domain::Timestamp;

/// No change of clocks is greater: a place may even go to the other side of the date line.
const GREATEST_CHANGE: TimeDelta = TimeDelta::hours(26);

/// When something happens again and again.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Box<cron::Schedule>,
    /// Whether it names no hours.
    is_hourly: bool,
}

/// An expression that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no schedule: {reason}")]
pub struct ScheduleError {
    /// The expression.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Schedule {
    /// Reads an expression, e.g. `17 3 * * *` or `0 */15 8-18 * * Mon-Fri`.
    ///
    /// # Errors
    /// When it has another number of fields, means different things to different programs, cannot be read, or names no time at all.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fail = |reason: &str| ScheduleError {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let expression = match fields.len() {
            1 if text.trim().starts_with('@') => text.trim().to_owned(),
            5 => {
                let days = weekdays(fields[4]).ok_or_else(|| {
                    fail("write days of the week as names (Mon, Tue-Thu, …) or as numbers from 0 (Sunday) to 7 (Sunday)")
                })?;
                if fields[2] != "*" && fields[2] != "?" && days != "*" && days != "?" {
                    return Err(fail(
                        "it has a day of the month and a day of the week: programs differ in whether either or both must \
                         be so; leave one of them `*`",
                    ));
                }
                format!("0 {} {days}", fields[..4].join(" "))
            }
            6 => fields.join(" "),
            _ => {
                return Err(fail(
                    "expected five fields (minute hour day month weekday), or six with seconds first",
                ));
            }
        };
        let weekday = fields.last().filter(|_| fields.len() == 6).unwrap_or(&"*");
        // The number behind `/` is a step.
        let days = weekday.split(',').filter_map(|part| part.split('/').next());
        if days.flat_map(str::chars).any(|c| c.is_ascii_digit()) {
            return Err(fail(
                "write days of the week as names (Mon, Tue, …): their numbers differ between programs that have seconds",
            ));
        }
        let schedule = cron::Schedule::from_str(&expression).map_err(|error| fail(&error.to_string()))?;
        // The hours stand before the last three fields.
        let hours = expression.split_whitespace().rev().nth(3);
        let schedule = Self {
            cron: Box::new(schedule),
            is_hourly: expression == "@hourly" || hours.is_some_and(|hours| hours == "*"),
        };
        if schedule.next_after(Timestamp::default()).is_none() {
            return Err(fail("no such time ever comes"));
        }
        Ok(schedule)
    }

    /// The first time after `time`, if any comes; its fields are of UTC.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.cron
            .after(&time.to_utc())
            .next()
            .map(|next| Timestamp::from_millis(next.timestamp_millis()))
    }

    /// The first time after `time`, if any comes; its fields are of this zone's clocks.
    pub fn next_after_in(&self, time: Timestamp, zone: Tz) -> Option<Timestamp> {
        let after = time.to_utc();
        let local = after.with_timezone(&zone).naive_local();
        // Where clocks change nearby, a time that comes next may be an earlier one on the clock.
        let from = if changes_nearby(after, zone) {
            local - GREATEST_CHANGE
        } else {
            local
        };
        let mut first: Option<DateTime<Utc>> = None;
        for clock in self.cron.after(&from.and_utc()).map(|clock| clock.naive_utc()) {
            let comes = self
                .comes(clock, zone)
                .into_iter()
                .filter(|comes| *comes > after)
                .min();
            first = match (first, comes) {
                (Some(first), Some(comes)) => Some(first.min(comes)),
                (first, comes) => first.or(comes),
            };
            // What stands later on the clock comes earlier by a change at most.
            let is_settled = |first: DateTime<Utc>| {
                clock > first.with_timezone(&zone).naive_local() + GREATEST_CHANGE
                    || !changes_nearby(first, zone) && !changes_nearby(after, zone)
            };
            if first.is_some_and(is_settled) {
                break;
            }
        }
        first.map(|first| Timestamp::from_millis(first.timestamp_millis()))
    }

    /// The next times, at most `count`.
    pub fn next_times(&self, after: Timestamp, zone: Tz, count: usize) -> Vec<Timestamp> {
        let next = |time: &Timestamp| self.next_after_in(*time, zone);
        std::iter::successors(next(&after), next).take(count).collect()
    }

    /// When it is this time on the zone's clocks, as far as that counts.
    fn comes(&self, clock: NaiveDateTime, zone: Tz) -> Vec<DateTime<Utc>> {
        use chrono::LocalResult;
        match zone.from_local_datetime(&clock) {
            LocalResult::Single(time) => vec![time.to_utc()],
            LocalResult::Ambiguous(first, second) if self.is_hourly => vec![first.to_utc(), second.to_utc()],
            LocalResult::Ambiguous(first, _) => vec![first.to_utc()],
            LocalResult::None if self.is_hourly => Vec::new(),
            LocalResult::None => end_of_gap(clock, zone).into_iter().collect(),
        }
    }
}

/// The days of the week of crontab(5), by their names; none where it is none.
fn weekdays(field: &str) -> Option<String> {
    const NAMES: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let day = |text: &str| text.parse::<usize>().ok().filter(|day| *day <= 7);
    let mut days = Vec::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        if !range.chars().any(|c| c.is_ascii_digit()) {
            days.push(part.to_owned());
            continue;
        }
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None if step == "1" => (day(range)?, day(range)?),
            None => return None,
        };
        let step = step.parse::<usize>().ok().filter(|step| *step > 0)?;
        if first > last {
            return None;
        }
        days.extend((first..=last).step_by(step).map(|day| NAMES[day % 7].to_owned()));
    }
    Some(days.join(","))
}

/// Whether the zone's clocks are put forward or back about this time.
fn changes_nearby(time: DateTime<Utc>, zone: Tz) -> bool {
    let offset = |days: Option<DateTime<Utc>>| days.map(|time| time.with_timezone(&zone).offset().fix());
    offset(time.checked_sub_days(Days::new(2))) != offset(time.checked_add_days(Days::new(2)))
}

/// The moment at which clocks are put forward over a time that they never show.
fn end_of_gap(clock: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    // Before it, clocks show less than `clock`, after it more: the moment is between these.
    let mut before = (clock - GREATEST_CHANGE).and_utc().timestamp();
    let mut after = (clock + GREATEST_CHANGE).and_utc().timestamp();
    while before + 1 < after {
        let middle = before.midpoint(after);
        let shown = DateTime::from_timestamp(middle, 0)?
            .with_timezone(&zone)
            .naive_local();
        if shown < clock {
            before = middle;
        } else {
            after = middle;
        }
    }
    DateTime::from_timestamp(after, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_time_is_found() {
        // 2026-11-20 is a Friday.
        for (text, after, next) in [
            ("17 3 * * *", "2026-11-20T10:00:00Z", "2026-11-21T03:17:00Z"),
            ("17 3 * * *", "2026-11-20T03:16:59Z", "2026-11-20T03:17:00Z"),
            ("17 3 * * *", "2026-11-20T03:17:00Z", "2026-11-21T03:17:00Z"),
            ("*/15 * * * *", "2026-11-20T10:01:00Z", "2026-11-20T10:15:00Z"),
            ("30 0 8 * * Mon", "2026-11-20T10:00:00Z", "2026-11-23T08:00:30Z"),
            ("0 8 * * Mon-Fri", "2026-11-20T10:00:00Z", "2026-11-23T08:00:00Z"),
            ("0 0 29 2 *", "2026-11-20T10:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 8 * * 1", "2026-11-20T10:00:00Z", "2026-11-23T08:00:00Z"),
            ("0 8 * * 0", "2026-11-20T10:00:00Z", "2026-11-22T08:00:00Z"),
            ("0 8 * * 7", "2026-11-20T10:00:00Z", "2026-11-22T08:00:00Z"),
            ("0 8 * * 1-5", "2026-11-20T10:00:00Z", "2026-11-23T08:00:00Z"),
            ("0 8 * * 6-7", "2026-11-21T10:00:00Z", "2026-11-22T08:00:00Z"),
            (
                "0 8 * * 1-5/2,Sun",
                "2026-11-23T10:00:00Z",
                "2026-11-25T08:00:00Z",
            ),
            ("@hourly", "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"),
        ] {
            let schedule = Schedule::parse(text).unwrap();
            let after = Timestamp::parse_rfc3339(after).unwrap();
            assert_eq!(schedule.next_after(after).unwrap().to_string(), next, "{text}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "five fields"),
            ("* * * *", "five fields"),
            ("0 0 0 * * * 2026", "five fields"),
            ("0 3 * * 8", "days of the week"),
            ("0 3 * * 5-1", "days of the week"),
            ("0 3 * * 1/2", "days of the week"),
            ("0 3 * * 1-5/0", "days of the week"),
            ("0 3 13 * 5", "day of the month and a day of the week"),
            ("0 0 3 * * 1", "days of the week"),
            ("0 0 3 * * Mon,3", "days of the week"),
            ("99 3 * * *", ""),
            ("0 3 * * Xyz", ""),
            ("0 3 30 2 *", "no such time"),
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn clocks_that_change_neither_skip_nor_double() {
        let berlin = chrono_tz::Europe::Berlin;
        let lord_howe = chrono_tz::Australia::Lord_Howe;
        let apia = chrono_tz::Pacific::Apia;
        let kolkata = chrono_tz::Asia::Kolkata;
        for (text, zone, after, next) in [
            // In winter and in summer.
            (
                "30 2 * * *",
                berlin,
                "2026-01-10T00:00:00Z",
                &["2026-01-10T01:30:00Z", "2026-01-11T01:30:00Z"][..],
            ),
            (
                "30 2 * * *",
                berlin,
                "2026-07-10T00:00:00Z",
                &["2026-07-10T00:30:00Z", "2026-07-11T00:30:00Z"],
            ),
            (
                "30 2 * * *",
                kolkata,
                "2026-07-10T00:00:00Z",
                &["2026-07-10T21:00:00Z", "2026-07-11T21:00:00Z"],
            ),
            // 2026-03-29 at 02:00 it becomes 03:00: there is no 02:30.
            (
                "30 2 * * *",
                berlin,
                "2026-03-28T00:00:00Z",
                &[
                    "2026-03-28T01:30:00Z",
                    "2026-03-29T01:00:00Z",
                    "2026-03-30T00:30:00Z",
                ],
            ),
            // Both would come at the same moment: it is one.
            (
                "0,30 2 * * *",
                berlin,
                "2026-03-28T02:00:00Z",
                &[
                    "2026-03-29T01:00:00Z",
                    "2026-03-30T00:00:00Z",
                    "2026-03-30T00:30:00Z",
                ],
            ),
            (
                "0 3 * * *",
                berlin,
                "2026-03-28T12:00:00Z",
                &["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"],
            ),
            // 2026-10-25 at 03:00 it becomes 02:00: 02:30 is there twice.
            (
                "30 2 * * *",
                berlin,
                "2026-10-24T00:00:00Z",
                &[
                    "2026-10-24T00:30:00Z",
                    "2026-10-25T00:30:00Z",
                    "2026-10-26T01:30:00Z",
                ],
            ),
            (
                "30 2 * * *",
                berlin,
                "2026-10-25T00:45:00Z",
                &["2026-10-26T01:30:00Z"],
            ),
            (
                "30 2 * * *",
                berlin,
                "2026-10-25T01:15:00Z",
                &["2026-10-26T01:30:00Z"],
            ),
            // What comes in every hour comes in both.
            (
                "30 * * * *",
                berlin,
                "2026-10-24T23:45:00Z",
                &[
                    "2026-10-25T00:30:00Z",
                    "2026-10-25T01:30:00Z",
                    "2026-10-25T02:30:00Z",
                ],
            ),
            (
                "30 * * * *",
                berlin,
                "2026-03-29T00:00:00Z",
                &[
                    "2026-03-29T00:30:00Z",
                    "2026-03-29T01:30:00Z",
                    "2026-03-29T02:30:00Z",
                ],
            ),
            (
                "*/10 * * * *",
                berlin,
                "2026-10-25T00:45:00Z",
                &[
                    "2026-10-25T00:50:00Z",
                    "2026-10-25T01:00:00Z",
                    "2026-10-25T01:10:00Z",
                ],
            ),
            (
                "@hourly",
                berlin,
                "2026-10-24T23:45:00Z",
                &["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"],
            ),
            // Half an hour: 2026-10-04 at 02:00 it becomes 02:30, 2026-04-05 at 02:00 it becomes 01:30.
            (
                "15 2 * * *",
                lord_howe,
                "2026-10-03T12:00:00Z",
                &["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"],
            ),
            (
                "45 1 * * *",
                lord_howe,
                "2026-04-04T12:00:00Z",
                &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"],
            ),
            // 2011-12-30 did not take place in Apia: what was due on it came as the 31st began.
            (
                "0 12 * * *",
                apia,
                "2011-12-29T00:00:00Z",
                &[
                    "2011-12-29T22:00:00Z",
                    "2011-12-30T10:00:00Z",
                    "2011-12-30T22:00:00Z",
                ],
            ),
            (
                "0 0 8 * * Mon",
                berlin,
                "2026-10-20T00:00:00Z",
                &["2026-10-26T07:00:00Z"],
            ),
        ] {
            let schedule = Schedule::parse(text).unwrap();
            let after = Timestamp::parse_rfc3339(after).unwrap();
            let times = schedule.next_times(after, zone, next.len());
            let times: Vec<String> = times.iter().map(ToString::to_string).collect();
            assert_eq!(times, next, "{text} in {zone} after {after}");
        }
    }

    proptest! {
        #[test]
        fn a_daily_time_comes_once_a_day(
            hour in 0_u32..24, minute in 0_u32..60, start in 1_600_000_000_i64..1_900_000_000, zone in 0_usize..7,
        ) {
            use chrono_tz::{Africa, America, Asia, Australia, Europe, Pacific};
            let zones = [
                Europe::Berlin, America::New_York, Australia::Lord_Howe, America::St_Johns, Asia::Kolkata,
                Pacific::Chatham, Africa::Casablanca,
            ];
            let zone = zones[zone];
            let schedule = Schedule::parse(&format!("{minute} {hour} * * *")).unwrap();
            let times = schedule.next_times(Timestamp::from_millis(start * 1_000), zone, 400);
            let days: Vec<_> =
                times.iter().map(|time| time.to_utc().with_timezone(&zone).date_naive()).collect();
            prop_assert_eq!(days.len(), 400);
            for pair in days.windows(2) {
                prop_assert_eq!(pair[1] - pair[0], TimeDelta::days(1), "{} in {}", pair[0], zone);
            }
        }

        #[test]
        fn an_hourly_time_comes_every_hour(start in 1_600_000_000_i64..1_900_000_000, minute in 0_u32..60) {
            let schedule = Schedule::parse(&format!("{minute} * * * *")).unwrap();
            let start = Timestamp::from_millis(start * 1_000);
            let times = schedule.next_times(start, chrono_tz::Europe::Berlin, 200);
            for pair in times.windows(2) {
                prop_assert_eq!(pair[1].since(pair[0]), std::time::Duration::from_secs(3_600));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-*/,0-9A-Za-z@ ]{0,30}", after in 0_i64..4_000_000_000_000) {
            if let Ok(schedule) = Schedule::parse(&text) {
                let after = Timestamp::from_millis(after);
                if let Some(next) = schedule.next_after(after) {
                    prop_assert!(next > after);
                }
                if let Some(next) = schedule.next_after_in(after, chrono_tz::Pacific::Apia) {
                    prop_assert!(next > after);
                }
            }
        }
    }
}
