//! The one picture of how things stand: lanes, breakers, problems, refusals, and what should be looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;

use super::reach;
use crate::config::{Config, Shop};
use crate::domain::{Direction, JobState, Object, SharedClock, Timestamp};
use crate::store::{BreakerRow, Lane, ProblemRow, RejectionCount, SharedStore, StoreError};
use crate::subscriptions::Toggle;

/// How long before an API key's end people are told.
pub const KEY_NOTICE_DAYS: i64 = 14;

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
    /// What should be looked at although things work.
    pub warnings: Vec<String>,
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
    let not_taken = store
        .cursor(&reach::installation(), reach::NOT_TAKEN)
        .await?
        .filter(|text| !text.is_empty());
    let breakers = store.breakers().await?;
    let rejections = store
        .rejections(now.minus(Duration::from_secs(24 * 3600)))
        .await?;
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
        warnings: warnings(config, &shops, not_taken, now),
        shops,
    })
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

fn warnings(config: &Config, shops: &[ShopStatus], not_taken: Option<String>, now: Timestamp) -> Vec<String> {
    let mut warnings: Vec<String> = config
        .warnings
        .rows()
        .into_iter()
        .map(|row| format!("{}:{}: {}", row.file, row.line, row.message))
        .collect();
    if let Some(error) = not_taken {
        warnings.push(format!(
            "the daemon could not take the changed files and works as before: {error}"
        ));
    }
    for shop in shops {
        if let Some(reason) = &shop.disabled {
            warnings.push(format!("{}: disabled: {reason}", shop.name));
        }
        if let Some(day) = shop.api_key_expires
            && let Some(sentence) = key_ends(day, now)
        {
            warnings.push(format!("{}: {sentence}", shop.name));
        }
    }
    warnings
}

/// What to say about an API key that ends on `day`, from [`KEY_NOTICE_DAYS`] before.
pub fn key_ends(day: NaiveDate, now: Timestamp) -> Option<String> {
    let left = (day - now.to_utc().date_naive()).num_days();
    match left {
        ..0 => Some(format!("the ERP's API key ended on {day}")),
        0 => Some("the ERP's API key ends today".to_owned()),
        1 => Some("the ERP's API key ends tomorrow".to_owned()),
        2..=KEY_NOTICE_DAYS => Some(format!("the ERP's API key ends on {day}, in {left} days")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_key_is_announced_from_two_weeks_before() {
        let now = Timestamp::parse_rfc3339("2026-12-01T23:00:00Z").unwrap();
        for (day, expected) in [
            ("2026-12-16", None),
            (
                "2026-12-15",
                Some("the ERP's API key ends on 2026-12-15, in 14 days"),
            ),
            ("2026-12-02", Some("the ERP's API key ends tomorrow")),
            ("2026-12-01", Some("the ERP's API key ends today")),
            ("2026-11-30", Some("the ERP's API key ended on 2026-11-30")),
        ] {
            assert_eq!(key_ends(day.parse().unwrap(), now).as_deref(), expected, "{day}");
        }
    }
}
