//! Cron expressions in UTC.
//!
//! Five fields (minute, hour, day of month, month, day of week) or six with seconds first. Days of the week are names
//! (`Mon`): their numbers mean Sunday = 0 to some programs and Sunday = 1 to others, so they are refused.

use std::str::FromStr as _;

use crate::domain::Timestamp;

/// When something happens again and again.
#[derive(Clone, Debug)]
pub struct Schedule(Box<cron::Schedule>);

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
    /// When it has another number of fields, names a day of the week by its number, cannot be read, or names no time at
    /// all.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fail = |reason: &str| ScheduleError {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let expression = match fields.len() {
            1 if text.trim().starts_with('@') => text.trim().to_owned(),
            5 => format!("0 {}", fields.join(" ")),
            6 => fields.join(" "),
            _ => {
                return Err(fail(
                    "expected five fields (minute hour day month weekday), or six with seconds first",
                ));
            }
        };
        let weekday = fields.last().filter(|_| fields.len() > 1).unwrap_or(&"*");
        // The number behind `/` is a step.
        let days = weekday.split(',').filter_map(|part| part.split('/').next());
        if days.flat_map(str::chars).any(|c| c.is_ascii_digit()) {
            return Err(fail(
                "write days of the week as names (Mon, Tue, …): their numbers differ between programs",
            ));
        }
        let schedule = cron::Schedule::from_str(&expression).map_err(|error| fail(&error.to_string()))?;
        let schedule = Self(Box::new(schedule));
        if schedule.next_after(Timestamp::default()).is_none() {
            return Err(fail("no such time ever comes"));
        }
        Ok(schedule)
    }

    /// The first time after `time`, if any comes.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.0
            .after(&time.to_utc())
            .next()
            .map(|next| Timestamp::from_millis(next.timestamp_millis()))
    }
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
            ("0 3 * * 1", "days of the week"),
            ("0 3 * * 1-5", "days of the week"),
            ("0 3 * * Mon,3", "days of the week"),
            ("99 3 * * *", ""),
            ("0 3 * * Xyz", ""),
            ("0 3 30 2 *", "no such time"),
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-*/,0-9A-Za-z@ ]{0,30}", after in 0_i64..4_000_000_000_000) {
            if let Ok(schedule) = Schedule::parse(&text) {
                let after = Timestamp::from_millis(after);
                if let Some(next) = schedule.next_after(after) {
                    prop_assert!(next > after);
                }
            }
        }
    }
}
