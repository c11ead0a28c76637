//! The one picture of how things stand: lanes, breakers, problems, refusals, and what should be looked at.

mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::daemon::DELTA;
use super::polls::{self, PollStatus};
use super::reach;
use super::schedules::{self, ScheduleStatus};
use crate::app::alerts::is_reached_by;
use crate::config::{Config, Shop};
use crate::domain::{Direction, JobState, Object, SharedClock, Timestamp};
use crate::mapping::Mappings;
use crate::store::{
    AlertStanding, BreakerRow, GapRow, Lane, ProblemRow, RejectionCount, Revision, RunOutcome, RunRow,
    SharedStore, StoreError,
};
use crate::subscriptions::Toggle;

pub use warnings::{KEY_NOTICE_DAYS, key_ends};

/// How things stand.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Status {
    /// The time of this picture.
    pub now: Timestamp,
    /// This version of lockstep.
    pub version: &'static str,
    /// The shops of the configuration.
    pub shops: Vec<ShopStatus>,
    /// Lanes that are declared or have jobs.
    pub lanes: Vec<LaneStatus>,
    /// Breakers that are not closed.
    pub breakers: Vec<BreakerRow>,
    /// Open problems, newest first, at most 50.
    pub problems: Vec<ProblemRow>,
    /// How many problems are open.
    pub open_problems: u64,
    /// Deliveries refused in the last 24 hours, by shop and reason.
    pub rejections: Vec<Rejections>,
    /// Events stored.
    pub events: u64,
    /// The configuration that all nodes act on, once a daemon ran.
    pub revision: Option<RevisionStatus>,
    /// The nodes that live.
    pub nodes: Vec<NodeStatus>,
    /// The polls of the ERP for changes that go to the shops.
    pub polls: Vec<PollStatus>,
    /// What comes by itself, when it comes next, and what became of it last.
    pub schedules: Vec<ScheduleStatus>,
    /// Times of which changes may be missing, until runs have looked for them.
    pub gaps: Vec<GapRow>,
    /// The last runs that looked for missed changes, newest first: at most 10, and the last one of each shop and object.
    /// Of those that come at set times and found nothing, only the last ones are told.
    pub runs: Vec<RunRow>,
    /// How telling people of what needs them goes.
    pub alerts: AlertStanding,
    /// What should be looked at although things work.
    pub warnings: Vec<String>,
}

/// A configuration that all nodes act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RevisionStatus {
    /// Its number.
    pub id: i64,
    /// The node that took it up first.
    pub node: String,
    /// When.
    pub since: Timestamp,
    /// What it is.
    pub summary: String,
    /// Whether it is the configuration that was asked about; unknown when the mappings cannot be read.
    pub is_this_one: Option<bool>,
}

/// A node that lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// When it was heard of last.
    pub seen_at: Timestamp,
    /// Whether its files are those of the newest revision.
    pub is_newest: bool,
}

/// One shop.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ShopStatus {
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// Why it is disabled, if it is.
    pub disabled: Option<String>,
    /// Orders before this are left alone.
    pub start_at: Timestamp,
    /// The day on which its ERP key ends.
    #[schemars(with = "Option<String>")]
    pub api_key_expires: Option<NaiveDate>,
}

/// One lane.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LaneStatus {
    /// Shop.
    pub shop: String,
    /// Object.
    pub object: Object,
    /// Direction.
    pub direction: Direction,
    /// Its toggle; notices about the shop have none.
    pub toggle: Option<Toggle>,
    /// Jobs by state.
    pub jobs: BTreeMap<JobState, u64>,
    /// When the oldest job that still waits (for a time, a system or a person) was made.
    pub oldest_open: Option<Timestamp>,
}

/// Refusals of one shop for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rejections {
    /// Shop, `-` where none could be told.
    pub shop: String,
    /// Reason.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The last hour in which one came.
    pub last_hour: Timestamp,
}

/// Looks at everything.
///
/// # Errors
/// When the store fails.
pub async fn status(config: &Config, store: &SharedStore, clock: &SharedClock) -> Result<Status, StoreError> {
    let now = clock.now();
    let counts = store.counts(now).await?;
    let mut lanes = declared_lanes(config);
    for count in &counts.jobs {
        let lane = lanes
            .entry((
                count.lane.shop.as_str().to_owned(),
                count.lane.object,
                count.lane.direction,
            ))
            .or_insert_with(|| empty_lane(&count.lane));
        *lane.jobs.entry(count.state).or_default() += count.count;
        if count.state.is_open() {
            lane.oldest_open = Some(
                lane.oldest_open
                    .map_or(count.oldest, |known| known.min(count.oldest)),
            );
        }
    }
    let mut shops = Vec::new();
    for shop in config.shops.values() {
        let state = store.shop_state(&shop.name, now).await?;
        shops.push(ShopStatus {
            name: shop.name.to_string(),
            domain: shop.shopify.domain.clone(),
            disabled: state.disabled,
            start_at: shop.start_at.unwrap_or(state.first_seen_at),
            api_key_expires: shop.odoo.server.api_key_expires,
        });
    }
    let mut polls = Vec::new();
    for shop in config.shops.values() {
        polls.extend(polls::of_shop(store, shop, now).await?);
    }
    let not_taken = store
        .cursor(&reach::installation(), reach::NOT_TAKEN)
        .await?
        .filter(|text| !text.is_empty());
    let newest = store.newest_revision().await?;
    let nodes = store.nodes(now).await?;
    let nodes: Vec<NodeStatus> = nodes
        .into_iter()
        .map(|row| NodeStatus {
            is_newest: newest.as_ref().is_some_and(|newest| newest.hash == row.hash),
            node: row.node,
            seen_at: row.seen_at,
        })
        .collect();
    let revision = newest.map(|newest| revision(config, newest));
    let breakers = store.breakers().await?;
    // Who left the configuration is not written to any more: that they could not be reached warns nobody.
    let alerts = store
        .alert_standing()
        .await?
        .only(|channel, recipient| is_reached_by(&config.alerts, channel, recipient));
    let rejections = store
        .rejections(now.minus(Duration::from_secs(24 * 3600)))
        .await?;
    let runs = store.runs(LOOKED_AT).await?;
    let mut schedules = Vec::new();
    for shop in config.shops.values() {
        schedules.extend(schedules::of_shop(shop, store, &runs, now).await?);
    }
    Ok(Status {
        now,
        version: env!("CARGO_PKG_VERSION"),
        lanes: lanes.into_values().collect(),
        breakers: breakers
            .into_iter()
            .filter(|breaker| breaker.state != "closed")
            .collect(),
        problems: store.open_problems(50).await?,
        open_problems: counts.open_problems,
        rejections: summed(rejections),
        events: counts.events,
        warnings: [
            warnings::of_shops(config, &shops, not_taken, now),
            warnings::node_warnings(revision.as_ref(), &nodes),
            store.pauses().await?.iter().map(warnings::paused).collect(),
            warnings::not_told(&alerts).into_iter().collect(),
        ]
        .concat(),
        alerts,
        revision,
        nodes,
        polls,
        schedules,
        // What is switched off is not looked for.
        gaps: store
            .gaps()
            .await?
            .into_iter()
            .filter(|gap| {
                let shop = config.shops.get(&gap.shop);
                shop.is_some_and(|shop| shop.sync.toggle(gap.object, Direction::In) != Toggle::Off)
            })
            .collect(),
        runs: told_runs(runs),
        shops,
    })
}

/// How many runs are told, besides the last one of each shop and object.
const RUNS: usize = 10;

/// Of how many runs these are chosen: those that come every few minutes and find nothing are most of them.
const LOOKED_AT: u32 = 500;

/// Those of the newest runs that say something.
fn told_runs(runs: Vec<RunRow>) -> Vec<RunRow> {
    let mut seen = BTreeSet::new();
    let mut told = 0;
    runs.into_iter()
        .filter(|run| {
            let is_last = seen.insert((run.shop.clone(), run.object));
            let is_uneventful =
                run.cause == DELTA && run.outcome == Some(RunOutcome::Done) && run.counts.made == 0;
            let is_told = !is_uneventful && told < RUNS;
            told += usize::from(is_told);
            is_last || is_told
        })
        .collect()
}

/// The lanes that the toggles name.
fn declared_lanes(config: &Config) -> BTreeMap<(String, Object, Direction), LaneStatus> {
    let mut lanes = BTreeMap::new();
    for shop in config.shops.values() {
        for (object, direction, toggle) in toggles(shop) {
            if toggle == Toggle::Off {
                continue;
            }
            let name = shop.name.as_str().to_owned();
            lanes.insert(
                (name.clone(), object, direction),
                LaneStatus {
                    shop: name,
                    object,
                    direction,
                    toggle: Some(toggle),
                    jobs: BTreeMap::new(),
                    oldest_open: None,
                },
            );
        }
    }
    lanes
}

fn empty_lane(lane: &Lane) -> LaneStatus {
    LaneStatus {
        shop: lane.shop.as_str().to_owned(),
        object: lane.object,
        direction: lane.direction,
        toggle: (lane.object != Object::Shop).then_some(Toggle::Off),
        jobs: BTreeMap::new(),
        oldest_open: None,
    }
}

/// A hash over what decides what is carried over how: configuration and mappings together, without secrets.
pub fn revision_hash(config: &Config, mappings: &Mappings) -> String {
    let both = format!("{} {}", config.hash, mappings.revision());
    hex::encode(Sha256::digest(both))
}

/// Every toggle of a shop.
pub fn toggles(shop: &Shop) -> Vec<(Object, Direction, Toggle)> {
    [
        Object::Order,
        Object::Customer,
        Object::Product,
        Object::Inventory,
    ]
    .into_iter()
    .flat_map(|object| [Direction::In, Direction::Out].map(|direction| (object, direction)))
    .map(|(object, direction)| (object, direction, shop.sync.toggle(object, direction)))
    .collect()
}

fn summed(counts: Vec<RejectionCount>) -> Vec<Rejections> {
    let mut sums: BTreeMap<(String, String), Rejections> = BTreeMap::new();
    for count in counts {
        let sum = sums
            .entry((count.shop.clone(), count.reason.clone()))
            .or_insert(Rejections {
                shop: count.shop,
                reason: count.reason,
                count: 0,
                last_hour: count.hour,
            });
        sum.count += count.count;
        sum.last_hour = sum.last_hour.max(count.hour);
    }
    sums.into_values().collect()
}

/// The newest revision beside the configuration that was asked about.
fn revision(config: &Config, newest: Revision) -> RevisionStatus {
    let mappings = super::mappings::load(config.mappings.dir.as_deref()).ok();
    RevisionStatus {
        id: newest.id,
        node: newest.node,
        since: newest.created_at,
        summary: newest.summary,
        is_this_one: mappings.map(|mappings| revision_hash(config, &mappings) == newest.hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RunCounts;

    #[test]
    fn runs_that_find_nothing_hide_neither_others_nor_other_shops() {
        let run = |id: i64, shop: &str, cause: &str, made: u64| RunRow {
            id,
            shop: shop.parse().unwrap(),
            object: Object::Order,
            cause: cause.to_owned(),
            since: Timestamp::default(),
            node: "a".to_owned(),
            started_at: Timestamp::default(),
            ended_at: Some(Timestamp::default()),
            outcome: Some(RunOutcome::Done),
            counts: RunCounts {
                made,
                ..RunCounts::default()
            },
            error: None,
        };
        let mut runs: Vec<RunRow> = (100..200).rev().map(|id| run(id, "main", DELTA, 0)).collect();
        runs.push(run(99, "main", DELTA, 3));
        runs.extend((81..99).rev().map(|id| run(id, "main", "catch_up", 0)));
        runs.push(run(80, "other", DELTA, 0));
        let told: Vec<i64> = told_runs(runs).into_iter().map(|run| run.id).collect();
        assert_eq!(told, [199, 99, 98, 97, 96, 95, 94, 93, 92, 91, 90, 80]);
    }
}
