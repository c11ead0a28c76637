//! What comes by itself, when it comes next, and what became of it last.

pub(crate) mod full;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::app::daemon::{DELTA, DELTA_OBJECTS};
use crate::config::Shop;
use crate::domain::{Direction, Object, ShopName, Timestamp};
use crate::queue::Schedule;
use crate::reconcile::Every;
use crate::store::{RunOutcome, RunRow, SharedStore, StoreError};
use crate::subscriptions::Toggle;

use full::{FullSchedule, is_compared};

/// How many times are told.
const TOLD: usize = 5;

/// Something that comes by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScheduleStatus {
    /// The shop.
    pub shop: ShopName,
    /// What comes.
    pub what: &'static str,
    /// Whether it is the comparison of both sides.
    #[serde(skip)]
    pub is_full: bool,
    /// The object that it is about; none where it is about several.
    pub object: Option<Object>,
    /// The expression, or how much time there is between two.
    pub schedule: String,
    /// Whose clocks it is meant by.
    pub time_zone: String,
    /// The next times.
    pub next: Vec<Timestamp>,
    /// The last one.
    pub last: Option<LastRun>,
}

/// What became of something that came by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastRun {
    /// The number of the run, if one began.
    pub run: Option<i64>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended; none while it is under way.
    pub outcome: Option<RunOutcome>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Everything that comes by itself for a shop. `runs` are the last ones, newest first.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn of_shop(
    shop: &Shop,
    store: &SharedStore,
    runs: &[RunRow],
    now: Timestamp,
) -> Result<Vec<ScheduleStatus>, StoreError> {
    let mut found = deltas(shop, runs, now);
    if let Some(schedule) = FullSchedule::of(shop) {
        for object in full::OBJECTS {
            if !is_compared(shop, object) {
                continue;
            }
            let standing = full::read(store, &shop.name, object).await?;
            let standing = standing.unwrap_or_else(|| full::Standing::new(now));
            found.push(ScheduleStatus {
                shop: shop.name.clone(),
                what: "comparison of both sides",
                is_full: true,
                object: Some(object),
                schedule: shop.runs.full.to_string(),
                time_zone: shop.time_zone.to_string(),
                next: schedule.next_runs(&standing, now, TOLD),
                last: standing.last,
            });
        }
    }
    found.extend(sweep(shop, now));
    Ok(found)
}

/// Looks for what changed on Shopify.
fn deltas(shop: &Shop, runs: &[RunRow], now: Timestamp) -> Vec<ScheduleStatus> {
    let Every::Each(every) = shop.runs.delta else {
        return Vec::new();
    };
    let is_on = |object: &Object| shop.sync.toggle(*object, Direction::In) != Toggle::Off;
    let looked_at = DELTA_OBJECTS.into_iter().filter(is_on);
    looked_at
        .map(|object| {
            let is_its = |run: &&RunRow| run.shop == shop.name && run.object == object && run.cause == DELTA;
            let grid = Grid::new(&shop.name, object, every);
            let next = std::iter::successors(Some(grid.after(now)), |at| Some(grid.after(*at)));
            ScheduleStatus {
                shop: shop.name.clone(),
                what: "look for missed changes",
                is_full: false,
                object: Some(object),
                schedule: format!("every {}", shop.runs.delta),
                time_zone: shop.time_zone.to_string(),
                next: next.take(TOLD).collect(),
                last: runs.iter().find(is_its).map(|run| LastRun {
                    run: Some(run.id),
                    began: run.started_at,
                    ended: run.ended_at,
                    outcome: run.outcome,
                    error: run.error.clone(),
                }),
            }
        })
        .collect()
}

/// The list of all ids of a shop's ERP; none where nothing of it is carried to the shop. When it was listed last stands with
/// the polls.
fn sweep(shop: &Shop, now: Timestamp) -> Option<ScheduleStatus> {
    let sent = [Object::Customer, Object::Product, Object::Inventory];
    let is_off = |object: &Object| shop.sync.toggle(*object, Direction::Out) == Toggle::Off;
    if sent.iter().all(is_off) {
        return None;
    }
    let expression = &shop.odoo.server.sweep;
    let schedule = Schedule::parse(expression).ok()?;
    Some(ScheduleStatus {
        shop: shop.name.clone(),
        what: "list of all ids in the ERP",
        is_full: false,
        object: None,
        schedule: expression.clone(),
        time_zone: shop.time_zone.to_string(),
        next: schedule.next_times(now, shop.time_zone, TOLD),
        last: None,
    })
}

/// The times of something that comes every few minutes. Each shop's object has its own, whenever the process began, so that
/// they do not all come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    every: Duration,
    offset: Duration,
}

impl Grid {
    pub(crate) fn new(shop: &ShopName, object: Object, every: Duration) -> Self {
        let offset = share(every, &[shop.as_str(), object.as_str()]);
        Self { every, offset }
    }

    /// The first time after `time`.
    pub(crate) fn after(&self, time: Timestamp) -> Timestamp {
        let every = i64::try_from(self.every.as_millis()).unwrap_or(i64::MAX).max(1);
        let offset = i64::try_from(self.offset.as_millis()).unwrap_or_default();
        let since = time.millis().saturating_sub(offset).rem_euclid(every);
        Timestamp::from_millis(time.millis().saturating_add(every - since))
    }
}

/// A part of `whole` that is the same for the same names always, and different for different ones as a rule.
fn share(whole: Duration, names: &[&str]) -> Duration {
    let digest = Sha256::digest(names.join(" "));
    let part = u16::from_be_bytes([digest[0], digest[1]]);
    whole / u32::from(u16::MAX) * u32::from(part)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::domain::{ManualClock, SharedClock};

    proptest! {
        #[test]
        fn there_is_one_time_of_a_grid_in_every_interval(
            time in 0_i64..4_000_000_000_000, minutes in 1_u64..2_000, shop in "[a-z]{1,8}",
        ) {
            let every = Duration::from_secs(minutes * 60);
            let grid = Grid::new(&shop.parse().unwrap(), Object::Order, every);
            let time = Timestamp::from_millis(time);
            let next = grid.after(time);
            prop_assert!(next > time && next <= time.plus(every));
            prop_assert_eq!(grid.after(next), next.plus(every));
        }
    }

    #[test]
    fn shops_and_objects_have_different_times() {
        let every = Duration::from_secs(600);
        let times: std::collections::BTreeSet<Timestamp> = (0..20)
            .flat_map(|n| DELTA_OBJECTS.map(|object| (format!("shop{n}"), object)))
            .map(|(shop, object)| {
                Grid::new(&shop.parse().unwrap(), object, every).after(Timestamp::default())
            })
            .collect();
        assert!(times.len() > 55, "{}", times.len());
    }

    #[tokio::test]
    async fn each_row_tells_five_times_that_rise_also_across_a_clock_change() {
        let text = "[shops.main]\ndomain = 'main.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['s']\n\
             time_zone = 'Europe/Berlin'\n\
             [shops.main.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\nlogin = 'a@example.com'\n\
             api_key = 'k'\nsweep = '30 2 * * *'\n\
             [shops.main.sync]\norders = { in = 'on' }\ncustomers = { in = 'on', out = 'on' }\n\
             products = { in = 'on', out = 'on' }\n\
             [shops.main.runs]\ndelta = '10m'\nfull = '30 2 * * *'\n";
        let config = Config::parse(text, Path::new("/etc/lockstep.toml"), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error:?}"));
        let shop = config.shops.values().next().unwrap();
        // On 2026-03-29 there is no 02:30, on 2026-10-25 there are two.
        for now in [
            "2026-03-28T12:00:00Z",
            "2026-03-29T00:29:30Z",
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:29:30Z",
            "2026-10-25T00:45:00Z",
        ] {
            let now = Timestamp::parse_rfc3339(now).unwrap();
            let clock: SharedClock = Arc::new(ManualClock::new(now));
            let (_folder, store) = crate::store::testing::open_temp(clock).await;
            let rows = of_shop(shop, &store, &[], now).await.unwrap();
            let whats: BTreeSet<&str> = rows.iter().map(|row| row.what).collect();
            assert_eq!(whats.len(), 3, "{whats:?}");
            for row in rows {
                let told = format!("{now} {} {:?}: {:?}", row.what, row.object, row.next);
                assert_eq!(row.next.len(), TOLD, "{told}");
                assert!(row.next[0] >= now, "{told}");
                assert!(row.next.windows(2).all(|pair| pair[0] < pair[1]), "{told}");
                if row.what == "look for missed changes" {
                    continue;
                }
                // Once a day, by the shop's clock.
                let days: BTreeSet<_> = row
                    .next
                    .iter()
                    .map(|at| at.to_utc().with_timezone(&chrono_tz::Europe::Berlin).date_naive())
                    .collect();
                assert_eq!(days.len(), TOLD, "{told}");
            }
        }
    }
}
