//! When both sides of a shop's object are compared as a whole: the times of the schedule, each with the shop's own delay, and
//! what became of the last run. Pure; the daemon makes the runs and keeps the standing in the store.

use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{LastRun, share};
use crate::config::Shop;
use crate::domain::{Direction, Object, ShopName, Timestamp};
use crate::queue::Schedule;
use crate::reconcile::Times;
use crate::store::{RunOutcome, SharedStore, StoreError};
use crate::subscriptions::Toggle;

/// What is compared, in the order in which a shop's runs are made: what orders need goes first, and
/// stock last, when what changes it is known.
pub(crate) const OBJECTS: [Object; 4] = [
    Object::Product,
    Object::Customer,
    Object::Order,
    Object::Inventory,
];

/// The longest delay of a shop: a tenth of the time between two runs if that is less.
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// The first wait after a run that failed; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(5 * 60);

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 3600);

/// How often a run that failed is tried again within [`A_DAYS_TRIES`]; then the next one is the schedule's.
const MOST_RETRIES: usize = 5;

/// A side that asks for more patience than that is asked again all the same. All tries fit into [`A_DAYS_TRIES`], so that a person is
/// told of a run that goes on failing.
const MOST_PATIENCE: Duration = Duration::from_secs(3 * 3600);

/// A run may take so long, or twice as long as the last one, before it counts as overdue.
const LEEWAY: Duration = Duration::from_secs(3600);

/// Shorter than a day, so that a nightly run has all its tries each night, however late the last one of the night before was.
const A_DAYS_TRIES: Duration = Duration::from_secs(20 * 3600);

/// The schedule of a shop's full runs.
#[derive(Clone, Debug)]
pub(crate) struct FullSchedule {
    shop: ShopName,
    schedule: Schedule,
    zone: Tz,
}

impl FullSchedule {
    /// That of a shop; none where it is off.
    pub(crate) fn of(shop: &Shop) -> Option<Self> {
        let Times::Cron(expression) = &shop.runs.full else {
            return None;
        };
        Some(Self {
            shop: shop.name.clone(),
            // The configuration was checked.
            schedule: Schedule::parse(expression).ok()?,
            zone: shop.time_zone,
        })
    }

    /// When the run of a time of the schedule begins. Shops do not all begin at once, and each one always by the same delay.
    fn delayed(&self, base: Timestamp) -> Timestamp {
        let next = self.schedule.next_after_in(base, self.zone);
        let longest = next.map_or(LONGEST_DELAY, |next| (next.since(base) / 10).min(LONGEST_DELAY));
        base.plus(share(longest, &[self.shop.as_str()]))
    }

    /// When the next run is due.
    pub(crate) fn due(&self, standing: &Standing) -> Option<Timestamp> {
        standing.retry_at.or_else(|| {
            let base = self.schedule.next_after_in(standing.settled, self.zone)?;
            Some(self.delayed(base))
        })
    }

    /// When the run was due that has not come to its end although the next one is due, too; none where there is no such run.
    pub(crate) fn overdue_since(&self, standing: &Standing, now: Timestamp) -> Option<Timestamp> {
        let base = self.schedule.next_after_in(standing.settled, self.zone)?;
        let next = self.schedule.next_after_in(base, self.zone)?;
        let last = standing.last.as_ref();
        let took = last.and_then(|last| Some(last.ended?.since(last.began)));
        let leeway = took.map_or(LEEWAY, |took| LEEWAY.max(took * 2));
        (now > self.delayed(next).plus(leeway)).then(|| self.delayed(base))
    }

    /// The next runs from `now` on, at most `count`. One that is overdue is told as now: what was missed is done once.
    pub(crate) fn next_runs(&self, standing: &Standing, now: Timestamp, count: usize) -> Vec<Timestamp> {
        let Some(first) = self.due(standing).map(|due| due.max(now)) else {
            return Vec::new();
        };
        let times = self
            .schedule
            .next_times(first, self.zone, count.saturating_sub(1));
        let later = times.into_iter().map(|base| self.delayed(base));
        std::iter::once(first).chain(later).collect()
    }
}

/// The ways by which an object is carried over, so far as a run goes by them.
pub(crate) fn ways(shop: &Shop, object: Object) -> Vec<Direction> {
    // Stock goes one way.
    let ways: &[Direction] = match object {
        Object::Inventory => &[Direction::Out],
        _ => &[Direction::In, Direction::Out],
    };
    let ways = ways.iter().copied();
    ways.filter(|direction| shop.sync.toggle(object, *direction) != Toggle::Off)
        .collect()
}

/// Whether an object is compared: where nothing of it is carried over, there is nothing to compare.
pub(crate) fn is_compared(shop: &Shop, object: Object) -> bool {
    !ways(shop, object).is_empty()
}

/// What became of an object's full runs, by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// What the schedule had until then is done, or given up.
    pub(crate) settled: Timestamp,
    /// When one that failed is tried again.
    pub(crate) retry_at: Option<Timestamp>,
    /// The failures since the last success, those of about a day.
    failed_at: Vec<Timestamp>,
    /// Whether a person was told that it goes on failing.
    pub(crate) is_told: bool,
    /// The last run.
    pub(crate) last: Option<LastRun>,
}

impl Standing {
    /// Nothing was due before `now`.
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            settled: now,
            retry_at: None,
            failed_at: Vec::new(),
            is_told: false,
            last: None,
        }
    }

    /// Has nothing wait for a time that the database's clock named before it was put back. Says whether anything did.
    pub(crate) fn put_back(&mut self, now: Timestamp) -> bool {
        let latest = now.plus(LONGEST_WAIT.max(MOST_PATIENCE));
        let is_ahead = self.settled > now || self.retry_at.is_some_and(|at| at > latest);
        if is_ahead {
            self.settled = self.settled.min(now);
            self.retry_at = None;
            self.failed_at.clear();
        }
        is_ahead
    }

    /// Everything that was due when the run began is done, however often it was missed.
    pub(crate) fn succeeded(&mut self, began: Timestamp, ended: Timestamp, run: Option<i64>) {
        *self = Self {
            last: Some(LastRun {
                run,
                began,
                ended: Some(ended),
                outcome: Some(RunOutcome::Done),
                error: None,
            }),
            ..Self::new(began)
        };
    }

    /// It is tried again, each time later; the schedule's next one comes where that was done often enough within a day. Says
    /// whether it is tried again.
    pub(crate) fn failed(
        &mut self,
        began: Timestamp,
        ended: Timestamp,
        (run, error): (Option<i64>, String),
        asked_for: Option<Duration>,
    ) -> bool {
        self.failed_at.retain(|at| began.since(*at) < A_DAYS_TRIES);
        self.failed_at.push(began);
        self.last = Some(LastRun {
            run,
            began,
            ended: Some(ended),
            outcome: Some(RunOutcome::Failed),
            error: Some(error),
        });
        let failures = self.failed_at.len();
        if failures > MOST_RETRIES {
            (self.settled, self.retry_at) = (began, None);
            return false;
        }
        let doubled = FIRST_WAIT.saturating_mul(1 << (failures - 1).min(10));
        let asked_for = asked_for.unwrap_or_default().min(MOST_PATIENCE);
        let wait = doubled.min(LONGEST_WAIT).max(asked_for);
        self.retry_at = Some(ended.plus(wait));
        true
    }
}

/// Under what the store keeps the standing.
fn name(object: Object) -> String {
    format!("full:{object}")
}

/// The standing in the store; none before the first look, and while the object is off.
pub(crate) async fn read(
    store: &SharedStore,
    shop: &ShopName,
    object: Object,
) -> Result<Option<Standing>, StoreError> {
    let text = store.cursor(shop, &name(object)).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Keeps the standing; none where the object is off, so that what the schedule has meanwhile is not made up for.
pub(crate) async fn write(
    store: &SharedStore,
    shop: &ShopName,
    object: Object,
    standing: Option<&Standing>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = standing.map_or_else(String::new, |standing| {
        serde_json::to_string(standing).unwrap_or_default()
    });
    store.set_cursor(shop, &name(object), &text, now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn nightly(shop: &str) -> FullSchedule {
        FullSchedule {
            shop: shop.parse().unwrap(),
            schedule: Schedule::parse("0 3 * * *").unwrap(),
            zone: chrono_tz::Europe::Berlin,
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn each_shop_has_a_delay_of_its_own_that_stays_and_is_short() {
        let base = at("2026-11-20T02:00:00Z");
        let delays: std::collections::BTreeSet<Duration> = (0..50)
            .map(|n| {
                let schedule = nightly(&format!("shop{n}"));
                let delay = schedule.delayed(base).since(base);
                assert_eq!(schedule.delayed(base.plus(DAY)).since(base.plus(DAY)), delay);
                assert!(delay < LONGEST_DELAY, "{delay:?}");
                delay
            })
            .collect();
        assert!(delays.len() > 45, "{delays:?}");
        // Where runs come often, a tenth of the time between them.
        let often = FullSchedule {
            schedule: Schedule::parse("*/10 * * * *").unwrap(),
            ..nightly("main")
        };
        assert!(often.delayed(base).since(base) < Duration::from_secs(60));
    }

    #[test]
    fn what_was_missed_for_days_is_due_once() {
        let schedule = nightly("main");
        let standing = Standing::new(at("2026-11-20T12:00:00Z"));
        let due = schedule.due(&standing).unwrap();
        assert_eq!(due, schedule.delayed(at("2026-11-21T02:00:00Z")));
        let now = at("2026-11-25T09:00:00Z");
        assert!(due < now);
        let told = schedule.next_runs(&standing, now, 3);
        let expected = [
            now,
            schedule.delayed(at("2026-11-26T02:00:00Z")),
            schedule.delayed(at("2026-11-27T02:00:00Z")),
        ];
        assert_eq!(told, expected);
        let mut standing = standing;
        standing.succeeded(now, now.plus(DAY / 24), Some(7));
        assert_eq!(schedule.due(&standing), Some(expected[1]));
    }

    #[test]
    fn a_run_is_overdue_when_the_next_one_is_due_too() {
        let hour = Duration::from_secs(3600);
        let schedule = nightly("main");
        let mut standing = Standing::new(at("2026-11-20T12:00:00Z"));
        let due = schedule.delayed(at("2026-11-21T02:00:00Z"));
        let next = schedule.delayed(at("2026-11-22T02:00:00Z"));
        assert_eq!(schedule.overdue_since(&standing, due), None);
        assert_eq!(
            schedule.overdue_since(&standing, next.plus(hour)),
            None,
            "it may run"
        );
        let late = next.plus(hour * 2);
        assert_eq!(schedule.overdue_since(&standing, late), Some(due));
        // One that takes long is none that does not come.
        standing.succeeded(due, due.plus(hour * 5), Some(7));
        let after = schedule.delayed(at("2026-11-23T02:00:00Z"));
        assert_eq!(schedule.overdue_since(&standing, after.plus(hour * 10)), None);
        assert_eq!(
            schedule.overdue_since(&standing, after.plus(hour * 11)),
            Some(next)
        );
    }

    #[test]
    fn what_fails_is_tried_again_later_each_time_and_not_for_ever() {
        let schedule = nightly("main");
        let start = at("2026-11-20T12:00:00Z");
        let mut standing = Standing::new(start);
        let mut now = schedule.due(&standing).unwrap();
        let mut waits = Vec::new();
        let fail = |standing: &mut Standing, now| standing.failed(now, now, (None, "no".to_owned()), None);
        while fail(&mut standing, now) {
            let due = schedule.due(&standing).unwrap();
            waits.push(due.since(now).as_secs() / 60);
            now = due;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80]);
        // Given up: the next one is the schedule's.
        let due = schedule.due(&standing).unwrap();
        assert_eq!(due, schedule.delayed(at("2026-11-22T02:00:00Z")));
        // The next night there are as many tries again.
        assert!((0..5).all(|_| fail(&mut standing, due)));
        assert!(!fail(&mut standing, due));
        standing.succeeded(due, due, None);
        assert_eq!((standing.failed_at.len(), standing.retry_at), (0, None));
        // A shop that asks for more patience gets it, within reason.
        for (asked_s, waits_s) in [(2 * 3600, 2 * 3600), (7 * 24 * 3600, 3 * 3600)] {
            standing.succeeded(due, due, None);
            standing.failed(
                due,
                due,
                (None, String::new()),
                Some(Duration::from_secs(asked_s)),
            );
            assert_eq!(standing.retry_at, Some(due.plus(Duration::from_secs(waits_s))));
        }
        // Whatever it asks for, a person is told within about a day.
        let week = Some(7 * DAY);
        standing.succeeded(due, due, None);
        let mut now = due;
        while standing.failed(now, now, (None, String::new()), week) {
            now = standing.retry_at.unwrap();
        }
        assert!(now.since(due) <= DAY, "{now}");
    }
}
