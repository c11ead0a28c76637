//! What comes and is done in an hour, a day and a weekend of a shop, by the counts of the last four weeks.
//!
//! A length is measured by all times of that length in the history: every hour, every 24 hours, every weekend from Friday, 18:00, to
//! Monday, 8:00. Where the history has none, it is reckoned from the average of the hours there are, and that is said.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{Datelike as _, Days, TimeZone as _, Weekday};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Down, Length};
use crate::config::Shop;
use crate::domain::{Direction, Timestamp};
use crate::store::{SharedStore, StoreError, TallyFilter, TallyKind, hour_of};

const HOUR: Duration = Duration::from_secs(3600);

/// So far back is looked.
const HISTORY: Duration = Duration::from_secs(28 * 24 * 3600);

/// What was measured of a shop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Measured {
    /// Since this hour; none where nothing was counted yet.
    pub since: Option<Timestamp>,
    /// Whole hours.
    pub hours: u64,
    /// Webhook deliveries that were taken.
    pub deliveries: u64,
    /// Jobs towards the ERP that came to an end or to a person. Those that found nothing to do are not counted: they take next
    /// to no time, and an hour that is full of them says nothing of how fast work goes.
    pub jobs_in: u64,
    /// Jobs towards Shopify.
    pub jobs_out: u64,
    /// The most deliveries within an hour.
    pub busiest_hour: u64,
    /// The most jobs that were done within an hour, in both directions.
    pub best_hour: u64,
}

/// By what an amount is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// By times of that length.
    Measured {
        /// How many.
        times: u64,
    },
    /// By the average of so many hours: the history has no time of that length.
    Reckoned {
        /// Hours.
        hours: u64,
    },
    /// Nothing was measured.
    Nothing,
}

/// So many, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Amount {
    /// On average, rounded up.
    pub usual: u64,
    /// At most, in any such time.
    pub most: u64,
}

/// What waits after an outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waiting {
    /// By what it is known.
    pub basis: Basis,
    /// Webhook deliveries that come in such a time.
    pub deliveries: Amount,
    /// Jobs that are done in such a time and would have to wait. Fewer, where several changes concern one record.
    pub jobs: Amount,
    /// About how long the usual ones take, in milliseconds, at the pace of the hour in which the most of such jobs were done; none
    /// where none ever was.
    pub usual_work_ms: Option<u64>,
    /// About how long the most of them take.
    pub most_work_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct HourCounts {
    deliveries: u64,
    jobs_in: u64,
    jobs_out: u64,
}

/// A shop's counts by the hour.
pub(super) struct Habit {
    hours: BTreeMap<Timestamp, HourCounts>,
    first: Option<Timestamp>,
    /// The hour that is not over.
    end: Timestamp,
    time_zone: chrono_tz::Tz,
}

impl Habit {
    pub(super) async fn read(store: &SharedStore, shop: &Shop, now: Timestamp) -> Result<Self, StoreError> {
        let end = hour_of(now);
        let filter = TallyFilter {
            shop: Some(shop.name.clone()),
            since: end.minus(HISTORY),
            until: end,
        };
        let mut hours: BTreeMap<Timestamp, HourCounts> = BTreeMap::new();
        for tally in store.tallies(filter).await? {
            let counts = hours.entry(tally.hour).or_default();
            match (tally.kind, tally.lane) {
                (TallyKind::Answered, _) => counts.deliveries += tally.count,
                (TallyKind::Completed | TallyKind::Failed | TallyKind::Held, Some((_, direction))) => {
                    match direction {
                        Direction::In => counts.jobs_in += tally.count,
                        Direction::Out => counts.jobs_out += tally.count,
                    }
                }
                _ => {}
            }
        }
        hours.retain(|hour, _| *hour < end);
        Ok(Self {
            first: hours.keys().next().copied(),
            hours,
            end,
            time_zone: shop.time_zone,
        })
    }

    fn known_hours(&self) -> u64 {
        self.first
            .map_or(0, |first| self.end.since(first).as_secs() / HOUR.as_secs())
    }

    pub(super) fn measured(&self) -> Measured {
        let sum = |count: fn(&HourCounts) -> u64| self.hours.values().map(count).sum();
        let most = |count: fn(&HourCounts) -> u64| self.hours.values().map(count).max().unwrap_or(0);
        Measured {
            since: self.first,
            hours: self.known_hours(),
            deliveries: sum(|hour| hour.deliveries),
            jobs_in: sum(|hour| hour.jobs_in),
            jobs_out: sum(|hour| hour.jobs_out),
            busiest_hour: most(|hour| hour.deliveries),
            best_hour: most(|hour| hour.jobs_in + hour.jobs_out),
        }
    }

    /// What waits when this was down for so long: without the ERP nothing changes there, so that only what comes from Shopify
    /// waits; without Shopify or lockstep both directions do.
    pub(super) fn waiting(&self, down: Down, length: Length) -> Waiting {
        let jobs: fn(&HourCounts) -> u64 = match down {
            Down::Erp => |hour| hour.jobs_in,
            Down::Shopify | Down::Lockstep => |hour| hour.jobs_in + hour.jobs_out,
        };
        let starts = self.starts(length);
        let basis = match (starts.len() as u64, self.known_hours()) {
            (_, 0) => Basis::Nothing,
            (0, hours) => Basis::Reckoned { hours },
            (times, _) => Basis::Measured { times },
        };
        // By the same jobs that wait: what is done in the other direction meanwhile does not make them faster.
        let best = self.hours.values().map(jobs).max().unwrap_or(0);
        let jobs = self.amount(&starts, length, jobs);
        let work = |jobs: u64| {
            jobs.saturating_mul(3_600_000)
                .checked_div(best)
                .filter(|_| basis != Basis::Nothing)
        };
        Waiting {
            basis,
            deliveries: self.amount(&starts, length, |hour| hour.deliveries),
            usual_work_ms: work(jobs.usual),
            most_work_ms: work(jobs.most),
            jobs,
        }
    }

    fn amount(&self, starts: &[Timestamp], length: Length, count: fn(&HourCounts) -> u64) -> Amount {
        if starts.is_empty() {
            let all: u64 = self.hours.values().map(count).sum();
            let hours = u64::from(length.hours());
            let reckoned = if self.known_hours() == 0 {
                0
            } else {
                (all * hours).div_ceil(self.known_hours())
            };
            return Amount {
                usual: reckoned,
                most: reckoned,
            };
        }
        let sums: Vec<u64> = starts
            .iter()
            .map(|start| {
                let until = start.plus(length.time());
                self.hours.range(*start..until).map(|(_, hour)| count(hour)).sum()
            })
            .collect();
        let all: u64 = sums.iter().sum();
        Amount {
            usual: all.div_ceil(sums.len() as u64),
            most: sums.into_iter().max().unwrap_or(0),
        }
    }

    /// When the times of this length began that the history has.
    fn starts(&self, length: Length) -> Vec<Timestamp> {
        let Some(first) = self.first else {
            return Vec::new();
        };
        let fits = |start: &Timestamp| *start >= first && start.plus(length.time()) <= self.end;
        if length == Length::Weekend {
            return self.fridays(first).into_iter().filter(fits).collect();
        }
        let mut starts = Vec::new();
        let mut start = first;
        while fits(&start) {
            starts.push(start);
            start = start.plus(HOUR);
        }
        starts
    }

    /// Each Friday's 18:00 by the shop's clocks since then.
    fn fridays(&self, first: Timestamp) -> Vec<Timestamp> {
        let mut day = first.to_utc().with_timezone(&self.time_zone).date_naive();
        let mut found = Vec::new();
        for _ in 0..=HISTORY.as_secs() / (24 * 3600) {
            if day.weekday() == Weekday::Fri
                && let Some(evening) = day.and_hms_opt(18, 0, 0)
                && let Some(at) = self.time_zone.from_local_datetime(&evening).earliest()
            {
                found.push(hour_of(Timestamp::from_millis(at.timestamp_millis())));
            }
            let Some(next) = day.checked_add_days(Days::new(1)) else {
                break;
            };
            day = next;
        }
        found
    }
}
